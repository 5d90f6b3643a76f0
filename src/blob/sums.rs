//! A list of files with their digests (`SHA256SUMS`), whose signature held: are they what it says?
//!
//! Form: GNU coreutils `sha256sum`, and its `--tag`. Every file of the list is read, on all
//! processors.

use super::content::{self, ReadProgress};
use crate::class::{Class, Failure};
use crate::cores;
use crate::limits;
use crate::name::Digest;
use crate::session::Connections;
use crate::trust::Needs;
use crate::wire::FileKind;
use std::num::NonZero;
use std::path::{Component, Path, PathBuf};

/// A file of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name, as the list has it.
    pub name: String,
    /// What it has to be.
    pub digest: Digest,
}

impl ListedFile {
    /// Parses a list.
    ///
    /// # Errors
    /// `malformed`: a line that is none of such a list, a name that leads elsewhere, nothing at
    /// all. `unsupported`: digests of another kind. `limit`: more than [`limits::SUMS`] files.
    pub fn parse_all(list: &[u8]) -> Result<Vec<Self>, Failure> {
        Self::parse_lines(list).map_err(|failure| match failure.class() {
            Class::Malformed => FileKind::instead(list, &FileKind::Sums.to_string(), failure),
            _ => failure,
        })
    }

    fn parse_lines(list: &[u8]) -> Result<Vec<Self>, Failure> {
        let text = std::str::from_utf8(list)
            .map_err(|_| Failure::new(Class::Malformed, "the list is not UTF-8"))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let found = lines.map(|(number, line)| {
            Self::parse(line).map_err(|failure| failure.within(format!("line {}", number + 1)))
        });
        let found = found.take(limits::SUMS + 1).collect::<Result<Vec<_>, _>>()?;
        match found.len() {
            0 => Err(Failure::new(Class::Malformed, "the list is empty")),
            1..=limits::SUMS => Ok(found),
            _ => Err(Failure::new(
                Class::Limit,
                format!("the list has more than {} files", limits::SUMS),
            )),
        }
    }

    fn parse(line: &str) -> Result<Self, Failure> {
        let expected = || {
            Failure::new(
                Class::Malformed,
                "no line of a list of digests; expected `HEX  NAME`, as sha256sum writes it",
            )
        };
        let tagged = line
            .strip_prefix("SHA256 (")
            .and_then(|rest| rest.rsplit_once(") = "))
            .map(|(name, hex)| (hex, name));
        let plain = || line.split_once("  ").or_else(|| line.split_once(" *"));
        let (hex, name) = tagged.or_else(plain).ok_or_else(expected)?;
        if hex.len() != 64 && matches!(hex.len(), 32 | 40 | 96 | 128) {
            return Err(Failure::new(
                Class::Unsupported,
                format!("a digest of {} digits", hex.len()),
            )
            .hint("use the publisher's list of SHA-256"));
        }
        let digest =
            format!("sha256:{}", hex.to_ascii_lowercase()).parse().map_err(|_| expected())?;
        let inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if name.is_empty() || !inside {
            return Err(Failure::new(
                Class::Malformed,
                format!("the name `{name}`, which leads out of the list's directory"),
            ));
        }
        Ok(Self { name: name.to_owned(), digest })
    }

    /// Returns where the file lies: beside the list.
    #[must_use]
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.name)
    }

    fn check(&self, folder: &Path, progress: &ReadProgress<'_>) -> Result<(), Failure> {
        let found = content::read_plain(&self.path(folder), Needs::default(), progress)?;
        let found = *found.digest();
        if found == self.digest.into() {
            return Ok(());
        }
        Err(Failure::new(
            Class::Digest,
            format!("`{}` is `{found}`; the signed list says `{}`", self.name, self.digest),
        )
        .hint("the file is not what was released: download it again"))
    }
}

/// Reads files of a list, as many at the same time as there are processors, and says of each
/// whether it is what the list says.
#[must_use]
pub fn check_sums(
    connections: &Connections,
    list: &[ListedFile],
    folder: &Path,
    progress: &ReadProgress<'_>,
) -> Vec<Result<(), Failure>> {
    // It takes as long as it takes.
    let _pause = connections.client().pause();
    cores::map(list, NonZero::<usize>::MIN, |listed| listed.check(folder, progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_sha256sum_writes_them() {
        let hex = "0a".repeat(32);
        let names = |text: String| {
            ListedFile::parse_all(text.as_bytes())
                .map(|list| list.into_iter().map(|listed| listed.name).collect::<Vec<_>>())
                .map_err(|failure| failure.class())
        };
        assert_eq!(
            names(format!("{hex}  a b\n\n{hex} *./c/d\r\nSHA256 (e) = {hex}\n")),
            Ok(vec!["a b".into(), "./c/d".into(), "e".into()])
        );
        for (text, class) in [
            (String::new(), Class::Malformed),
            ("hello".to_owned(), Class::Malformed),
            (format!("{hex}  ../x"), Class::Malformed),
            (format!("{hex}  /etc/passwd"), Class::Malformed),
            (format!("{}  x", "0a".repeat(20)), Class::Unsupported),
        ] {
            assert_eq!(names(text.clone()), Err(class), "{text}");
        }
    }
}
