//! POSIX access lists as the kernel keeps them: who may write by one, and what is kept of one that a
//! layer says, after the mode of its object was set.
//!
//! Format: Linux `include/uapi/linux/posix_acl_xattr.h`, version 2: four bytes, then eight for each
//! entry. A list that says no more than a mode is not kept, and a later chmod(2) changes what it
//! says of owner, group or mask, and others.

const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";
const VERSION: [u8; 4] = [2, 0, 0, 0];
const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const OWN_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// Returns whether `name` is that of an access list.
pub(super) fn is_access_list(name: &[u8]) -> bool {
    name == ACCESS || name == DEFAULT
}

/// Who an entry of an access list lets write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A user by number.
    User(u32),
    /// The group that the object belongs to.
    OwnGroup,
    /// A group by number.
    Group(u32),
}

/// Returns who may write by an access list, as far as its mask allows, beside the owner and
/// everybody; `None`: it is in no form that is known.
#[must_use]
pub fn writers(list: &[u8]) -> Option<Vec<Writer>> {
    const WRITE: u16 = 2;
    let (entries, rest) = list.strip_prefix(&VERSION)?.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    let mut writers = Vec::new();
    for [tag, tag_high, low, high, id @ ..] in entries {
        let id = u32::from_le_bytes(*id);
        let writer = match u16::from_le_bytes([*tag, *tag_high]) {
            OWNER | MASK | OTHER => continue,
            USER => Writer::User(id),
            OWN_GROUP => Writer::OwnGroup,
            GROUP => Writer::Group(id),
            _ => return None,
        };
        if u16::from_le_bytes([*low, *high]) & WRITE != 0 {
            writers.push(writer);
        }
    }
    Some(writers)
}

/// Returns what is kept of the attribute `name` on an object of `mode`; `None`: nothing. What is no
/// access list is kept as it is.
pub(super) fn kept(name: &[u8], value: &[u8], mode: u16) -> Option<Box<[u8]>> {
    let entries = match value.strip_prefix(&VERSION) {
        Some(entries) if is_access_list(name) => entries.as_chunks::<8>().0,
        _ => return Some(value.into()),
    };
    let tag = |entry: &[u8; 8]| u16::from_le_bytes([entry[0], entry[1]]);
    let names_someone = entries.iter().any(|entry| matches!(tag(entry), USER | GROUP | MASK));
    if entries.is_empty() || name == ACCESS && !names_someone {
        return None;
    }
    let mut kept = VERSION.to_vec();
    for entry in entries {
        let [_, _, low, high, id @ ..] = *entry;
        // A chmod reaches the access list only; the group's part of a mode is the mask where there
        // is one.
        let permissions = match tag(entry) {
            OWNER if name == ACCESS => mode >> 6 & 7,
            MASK if name == ACCESS => mode >> 3 & 7,
            OTHER if name == ACCESS => mode & 7,
            _ => u16::from_le_bytes([low, high]),
        };
        kept.extend_from_slice(&tag(entry).to_le_bytes());
        kept.extend_from_slice(&permissions.to_le_bytes());
        // Only users and groups have a number; elsewhere the kernel answers with all ones.
        kept.extend_from_slice(&if matches!(tag(entry), USER | GROUP) { id } else { [0xff; 4] });
    }
    Some(kept.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = VERSION.to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(
                [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat(),
            );
        }
        bytes
    }

    const NONE: u32 = u32::MAX;

    #[test]
    fn a_list_follows_the_mode_and_one_that_is_a_mode_is_none() {
        let given =
            list(&[(OWNER, 7, 0), (USER, 7, 5), (OWN_GROUP, 7, NONE), (MASK, 7, 0), (OTHER, 7, 0)]);
        let wanted = list(&[
            (OWNER, 6, NONE),
            (USER, 7, 5),
            (OWN_GROUP, 7, NONE),
            (MASK, 4, NONE),
            (OTHER, 0, NONE),
        ]);
        assert_eq!(kept(ACCESS, &given, 0o640).as_deref(), Some(&wanted[..]));
        assert_eq!(
            kept(ACCESS, &list(&[(OWNER, 6, NONE), (OWN_GROUP, 4, NONE), (OTHER, 0, NONE)]), 0o640),
            None
        );
        let default = list(&[(OWNER, 7, NONE), (OWN_GROUP, 5, NONE), (OTHER, 5, NONE)]);
        assert_eq!(kept(DEFAULT, &default, 0o700).as_deref(), Some(&default[..]));
        assert_eq!(kept(DEFAULT, &list(&[]), 0o700), None);
        assert_eq!(kept(b"user.x", &default, 0).as_deref(), Some(&default[..]));
    }

    #[test]
    fn who_may_write_is_whom_a_list_names() {
        let named = list(&[
            (OWNER, 7, NONE),
            (USER, 5, 5),
            (USER, 2, 6),
            (OWN_GROUP, 7, NONE),
            (GROUP, 3, 7),
            (GROUP, 4, 8),
            (MASK, 7, NONE),
            (OTHER, 7, NONE),
        ]);
        let expected = [Writer::User(6), Writer::OwnGroup, Writer::Group(7)];
        assert_eq!(writers(&named).as_deref(), Some(&expected[..]));
        assert_eq!(writers(&list(&[])), Some(Vec::new()));
        let odd = [&named[..named.len() - 1], &named[1..], b"", &list(&[(0x40, 7, NONE)])];
        for odd in odd {
            assert_eq!(writers(odd), None, "{odd:?}");
        }
    }
}
