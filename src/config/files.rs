//! Files that the user named, read under a cap, from one descriptor that was checked before.

use crate::class::{Class, Failure, shown};
use crate::store::{ACCESS_LIST, Owners, UNMAPPED, check_way, is_unmapped};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Who must have been the only one able to write a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Anyone: the content is checked, or the user vouches for the path.
    Anyone,
    /// This user and root: the file, and every directory and link on the way to it, are not writable
    /// by others, nor by another group than this user's own.
    NotOthers,
    /// Root alone, the way to it included.
    RootAlone,
}

/// Reads a plain file of at most `limit` bytes. Its owner and mode are those of the very file that
/// is read.
///
/// # Errors
/// `class`: it cannot be read, is not a plain file, is larger, or someone else could write it.
pub fn read_file(
    path: &Path,
    limit: u64,
    trusted: Trusted,
    class: Class,
) -> Result<Vec<u8>, Failure> {
    let name = shown(&path.display().to_string());
    let failed = |what: String| Failure::new(class, format!("`{name}` {what}"));
    // O_NONBLOCK: a FIFO must not make an event wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| failed(format!("could not be opened: {error}")))?;
    let found = file.metadata().map_err(|error| failed(format!("could not be read: {error}")))?;
    if !found.is_file() {
        return Err(failed("is not a plain file".to_owned()));
    }
    // Who moves a file that an unmapped user owns has no better place for it.
    let hint = |why: String, hint: String| match class {
        _ if !why.contains(UNMAPPED) => failed(why).hint(hint),
        Class::Secret => {
            failed(why).hint("put the key into a variable and name that: `env://VARIABLE`")
        }
        _ => failed(why).hint("run it outside of this user namespace, or in one that maps root"),
    };
    let owners = match trusted {
        Trusted::Anyone => None,
        Trusted::NotOthers => Some(Owners::RootAndUser),
        Trusted::RootAlone => Some(Owners::Root),
    };
    if let Some(owners) = owners {
        check(&file, &found, owners).map_err(|refused| match refused {
            Refused::Owner(why) => {
                hint(why, format!("see that it holds what it should, then `chown root {name}`"))
            }
            Refused::Mode(why) => hint(why, format!("chmod go-w {name}")),
        })?;
        let folder = "move it to a directory that only you can write, such as /etc/luet";
        check_way(path, owners).map_err(|why| hint(why, folder.to_owned()))?;
    }
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(format!("could not be read: {error}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(failed(format!("is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Why a file is not trusted: each has another way out.
enum Refused {
    Owner(String),
    Mode(String),
}

fn check(file: &File, found: &Metadata, owners: Owners) -> Result<(), Refused> {
    let (user, mode) = (found.uid(), found.mode() & 0o7777);
    if !owners.contain(user) {
        let why = match owners {
            _ if is_unmapped(user) => format!("belongs to {UNMAPPED}"),
            Owners::Root => format!("belongs to user {user}; expected root"),
            Owners::RootAndUser => format!("belongs to user {user}, neither this one nor root"),
        };
        return Err(Refused::Owner(why));
    }
    // A chmod takes this right also from whom an access list names: it changes the mask.
    owners
        .other_writers(found, |list| rustix::fs::fgetxattr(file, ACCESS_LIST, list))
        .map_or(Ok(()), |who| {
            Err(Refused::Mode(format!("can be written by {who} (mode {mode:o})")))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn class(path: &Path, trusted: Trusted) -> Option<Class> {
        read_file(path, 10, trusted, Class::Policy).err().map(|failure| failure.class())
    }

    #[test]
    fn a_file_that_an_access_list_lets_another_write_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("policy.yaml");
        std::fs::write(&path, "x").unwrap();
        // The owner and user 4242 may write; the mask is what the mode shows of it.
        let mut list = vec![2, 0, 0, 0];
        for (tag, may, id) in [(1_u16, 6_u16, u32::MAX), (2, 6, 4242), (4, 4, u32::MAX)]
            .into_iter()
            .chain([(16, 6, u32::MAX), (32, 4, u32::MAX)])
        {
            list.extend([tag.to_le_bytes(), may.to_le_bytes()].concat());
            list.extend(id.to_le_bytes());
        }
        rustix::fs::setxattr(&path, ACCESS_LIST, &list, rustix::fs::XattrFlags::empty()).unwrap();
        let refused = read_file(&path, 10, Trusted::NotOthers, Class::Policy).unwrap_err();
        assert!(refused.message().contains("can be written by the user 4242"), "{refused:?}");
        assert!(refused.the_hint().contains("chmod go-w"), "{refused:?}");
        // What the hint says is enough.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(class(&path, Trusted::NotOthers), None);
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("policy.yaml");
        std::fs::write(&path, "x").unwrap();
        let mode =
            |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_eq!(class(&path, Trusted::NotOthers), None);
        mode(0o666);
        assert_eq!(class(&path, Trusted::NotOthers), Some(Class::Policy));
        assert_eq!(class(&path, Trusted::Anyone), None);
        mode(0o664);
        assert_eq!(class(&path, Trusted::RootAlone), Some(Class::Policy));
    }

    #[test]
    fn who_owns_a_file_that_is_refused_is_told_to_change_the_owner() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("policy.yaml");
        std::fs::write(&path, "x").unwrap();
        let hint =
            |trusted| read_file(&path, 10, trusted, Class::Policy).unwrap_err().own_hint().unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        for trusted in [Trusted::NotOthers, Trusted::RootAlone] {
            assert_eq!(hint(trusted), format!("chmod go-w {}", path.display()));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::lchown(&path, Some(4242), None).unwrap();
        for trusted in [Trusted::NotOthers, Trusted::RootAlone] {
            let hint = hint(trusted);
            assert!(hint.contains(&format!("chown root {}", path.display())), "{hint}");
            assert!(!hint.contains("chmod"), "{hint}");
        }
    }

    #[test]
    fn a_file_in_a_folder_that_others_can_write_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let (folder, link) = (top.path().join("shared"), top.path().join("link"));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("policy.yaml");
        std::fs::write(&path, "x").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(
            (class(&path, Trusted::NotOthers), class(&link, Trusted::NotOthers)),
            (None, None)
        );
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        for path in [&path, &link] {
            assert_eq!(class(path, Trusted::NotOthers), Some(Class::Policy), "{}", path.display());
            assert_eq!(class(path, Trusted::Anyone), None);
        }
    }

    #[test]
    fn only_plain_files_within_the_limit_are_read() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("x");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(class(&path, Trusted::NotOthers), None);
        std::fs::write(&path, "0123456789a").unwrap();
        assert_eq!(class(&path, Trusted::NotOthers), Some(Class::Policy));
        assert_eq!(class(top.path(), Trusted::Anyone), Some(Class::Policy));
        assert_eq!(class(&top.path().join("missing"), Trusted::Anyone), Some(Class::Policy));
        let fifo = top.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(class(&fifo, Trusted::Anyone), Some(Class::Policy));
    }
}
