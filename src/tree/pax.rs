//! PAX extended headers: records of `LENGTH KEY=VALUE\n`. Format: POSIX.1-2017 `pax`, "pax Extended
//! Header".
//!
//! The tar crate splits them at newlines, which a name and a capability may hold, so they are read
//! here by their lengths, as Go's archive/tar does. What readers disagree on (a key twice, a sign
//! before a number) is refused.

use crate::class::{Class, Failure};
use crate::tree::entry::{Xattr, is_label, shown, xattr_counts};
use std::collections::BTreeMap;

const XATTR: &[u8] = b"SCHILY.xattr.";
/// Keys that other readers apply to the entries after a *global* header, while the host ignores
/// them.
const LASTING: [&[u8]; 5] = [b"gid", b"linkpath", b"path", b"size", b"uid"];

/// The records of one extended header.
#[derive(Default)]
pub(super) struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl Records {
    /// Reads the data of an extended header.
    pub(super) fn parse(mut data: &[u8]) -> Result<Self, Failure> {
        let mut records = BTreeMap::new();
        let mut holes: Vec<&[u8]> = Vec::new();
        while !data.is_empty() {
            let (key, value, rest) =
                record(data).ok_or_else(|| malformed("is not `LENGTH KEY=VALUE` and a newline"))?;
            data = rest;
            match key {
                // Sparse format 0.0 repeats its keys; they become the map of 0.1, as in Go's
                // parsePAX.
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                    let turn: &[u8] = if holes.len().is_multiple_of(2) {
                        b"GNU.sparse.offset"
                    } else {
                        b"GNU.sparse.numbytes"
                    };
                    if key != turn || value.contains(&b',') {
                        return Err(malformed("has a map of holes that is out of order"));
                    }
                    holes.push(value);
                }
                _ if records.insert(key.to_vec(), value.to_vec()).is_some() => {
                    return Err(malformed(&format!("has `{}` twice", shown(key))));
                }
                _ => {}
            }
        }
        if !holes.is_empty()
            && records.insert(b"GNU.sparse.map".to_vec(), holes.join(&b',')).is_some()
        {
            return Err(malformed("has two maps of holes"));
        }
        Ok(Self(records))
    }

    /// Returns the value of `key`. An empty one counts as none, as it does for Go.
    pub(super) fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key.as_bytes()).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    /// Returns the value of `key`, a decimal number.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Failure> {
        self.bytes(key)
            .map(|value| {
                decimal(value).ok_or_else(|| malformed(&format!("has no number in `{key}`")))
            })
            .transpose()
    }

    /// Returns a name, which must hold no NUL.
    pub(super) fn name(&self, key: &str) -> Result<Option<&[u8]>, Failure> {
        match self.bytes(key) {
            Some(value) if value.contains(&0) => Err(malformed(&format!("has a NUL in `{key}`"))),
            value => Ok(value),
        }
    }

    /// Returns the extended attributes that count, and labels, sorted by name; empty values are
    /// values.
    pub(super) fn xattrs(&self) -> Vec<Xattr> {
        let counted = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            let name = key.strip_prefix(XATTR);
            let name = name.filter(|name| xattr_counts(name) || is_label(name))?;
            Some(Xattr { name: name.into(), value: value.as_slice().into() })
        };
        self.0.iter().filter_map(counted).collect()
    }

    /// Refuses a global header that says anything about the entries after it: Go reads on without
    /// it, GNU tar does not.
    pub(super) fn check_global(&self) -> Result<(), Failure> {
        let lasting = |key: &[u8]| {
            LASTING.contains(&key) || key.starts_with(XATTR) || key.starts_with(b"GNU.sparse.")
        };
        match self.0.keys().find(|key| lasting(key)) {
            Some(key) => Err(malformed(&format!(
                "is global and sets `{}`, on which readers disagree",
                shown(key)
            ))),
            None => Ok(()),
        }
    }
}

/// Splits off one record: key, value, rest.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().position(|byte| *byte == b' ')?;
    let (length, _) = data.split_at_checked(space)?;
    let (record, rest) = data.split_at_checked(usize::try_from(decimal(length)?).ok()?)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (key, value) = pair.split_at_checked(equals)?;
    let good = !key.is_empty() && !key.contains(&0);
    good.then(|| (key, value.get(1..).unwrap_or_default(), rest))
}

/// Reads decimal digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(what: &str) -> Failure {
    Failure::new(Class::Malformed, format!("a PAX header {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_newlines_and_equal_signs() {
        let records = Records::parse(b"14 path=a\nb=c\n19 SCHILY.xattr.x=\n9 size=1\n").unwrap();
        assert_eq!(records.bytes("path"), Some(&b"a\nb=c"[..]));
        assert_eq!(records.number("size").unwrap(), Some(1));
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        let bad: [&[u8]; 12] = [
            b"x",
            b"9 size=1",
            b"8 size=1\n",
            b"11 size=1\n",
            b"99 size=1\n",
            b"+9 size=1\n",
            b"5 =a\n",
            b"4 a\n",
            b"9 size=1\n9 size=1\n",
            b"9 si\0e=1\n",
            b"25 GNU.sparse.numbytes=1\n",
            b"23 GNU.sparse.offset=1\n20 GNU.sparse.map=1\n",
        ];
        for data in bad {
            assert_eq!(
                Records::parse(data).err().map(|failure| failure.class()),
                Some(Class::Malformed),
                "{}",
                shown(data)
            );
        }
        assert!(Records::parse(b"11 size=+1\n").unwrap().number("size").is_err());
        assert!(Records::parse(b"11 path=\0a\n").unwrap().name("path").is_err());
        assert!(Records::parse(b"9 uid=1\n").is_err());
        assert!(Records::parse(b"8 uid=1\n").unwrap().check_global().is_err());
        assert!(Records::parse(b"13 comment=x\n").unwrap().check_global().is_ok());
    }
}
