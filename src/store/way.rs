//! Who could make a path lead elsewhere.
//!
//! A file that only this user can write is still another's to choose where someone else can rename
//! a directory on the way to it, or replace a link. So the path is walked as the kernel walks it, and
//! every directory and link on the way is looked at.

use crate::tree::Writer;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// Links that are followed on the way to one file (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// What an owner is called of whom nothing is known.
pub const UNMAPPED: &str = "a user that is not mapped: this user namespace does not map root";
/// The attribute that is an access list (acl(5)).
pub const ACCESS_LIST: &str = "system.posix_acl_access";
/// What the kernel keeps of one at most (`XATTR_SIZE_MAX`).
const LIST_BYTES: usize = 64 << 10;
/// Parts of a path, those of links included.
const MAX_PARTS: usize = 4096;

/// Checks that no name on the way to a directory was taken by another user in a directory that
/// everybody shares, such as /tmp: who did that can replace what is there at any time.
///
/// A directory that is that belongs to another user was named by the user who runs this.
///
/// # Errors
/// Who did, to be put behind the name of the directory.
pub fn check_shared(path: &Path) -> Result<(), String> {
    const SHARED: u32 = 0o1002;
    let Ok(path) = path.canonicalize() else { return Ok(()) };
    for here in path.ancestors() {
        let folder = here.parent().map(Path::symlink_metadata);
        let (Some(Ok(folder)), Ok(own)) = (folder, here.symlink_metadata()) else { continue };
        let is_ours = Owners::RootAndUser.contain(own.uid());
        if folder.mode() & SHARED == SHARED && !is_ours {
            let (name, user) = (here.display(), own.uid());
            return Err(format!("is in `{name}` of user {user}, who can replace it at any time"));
        }
    }
    Ok(())
}

/// To whom everything on the way must belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Root alone.
    Root,
    /// Root and this user.
    RootAndUser,
}

impl Owners {
    /// Whether what belongs to a user is theirs.
    #[must_use]
    pub fn contain(self, user: u32) -> bool {
        let own = self == Self::RootAndUser && user == rustix::process::geteuid().as_raw();
        // Where this user is not mapped, everybody's files seem to be its own.
        user == 0 || (own && !is_unmapped(user))
    }

    fn contain_group(self, group: u32) -> bool {
        // With umask 002, users share files with a group of each user's own; any other is others.
        self == Self::RootAndUser && group == rustix::process::getegid().as_raw()
    }

    /// Returns who else can write a file or directory, in words; `None`: nobody. `list` reads its
    /// access list.
    pub fn other_writers(
        self,
        found: &Metadata,
        list: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>,
    ) -> Option<String> {
        if found.mode() & 0o002 != 0 {
            return Some("everybody".to_owned());
        }
        // With an access list, these bits are its mask: what it can grant at most.
        if found.mode() & 0o020 == 0 {
            return None;
        }
        let mut writers = vec![Writer::OwnGroup];
        let mut bytes = vec![0; LIST_BYTES];
        match list(&mut bytes) {
            Ok(length) => {
                let known = bytes.get(..length).and_then(crate::tree::writers);
                let Some(known) = known else { return Some("others".to_owned()) };
                writers = known;
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(_) => return Some("others".to_owned()),
        }
        writers.into_iter().find_map(|writer| match writer {
            Writer::User(user) => (!self.contain(user)).then(|| format!("the user {user}")),
            Writer::OwnGroup => {
                (!self.contain_group(found.gid())).then(|| format!("the group {}", found.gid()))
            }
            Writer::Group(group) => {
                (!self.contain_group(group)).then(|| format!("the group {group}"))
            }
        })
    }
}

/// Reads the access list of what a path leads to.
fn access_list(path: &Path) -> impl FnOnce(&mut [u8]) -> rustix::io::Result<usize> {
    move |bytes| rustix::fs::getxattr(path, ACCESS_LIST, bytes)
}

/// Checks that nobody but `owners` can make `path` lead elsewhere: who owns every directory on the
/// way, links followed, and who can write to it. In a sticky directory nobody can replace what is
/// another's, so there it is enough that what is followed belongs to `owners`.
///
/// What the path leads to is for the caller to check. Where it leads to nothing yet, the way is
/// checked as far as it goes.
///
/// # Errors
/// Why not, to be put behind the name of the file.
pub fn check_way(path: &Path, owners: Owners) -> Result<(), String> {
    let unread = |at: &Path, error: &std::io::Error| {
        format!("cannot be traced: `{}`: {error}", at.display())
    };
    let path = std::path::absolute(path).map_err(|error| unread(path, &error))?;
    let mut left: VecDeque<OsString> = parts(&path).collect();
    let (mut here, mut links, mut steps) = (PathBuf::from("/"), 0, 0);
    let mut folder = here.symlink_metadata().map_err(|error| unread(&here, &error))?;
    while let Some(part) = left.pop_front() {
        check_folder(&here, &folder, owners)?;
        steps += 1;
        if steps > MAX_PARTS {
            return Err("has too long a path".to_owned());
        }
        if part == ".." {
            here.pop();
            folder = here.symlink_metadata().map_err(|error| unread(&here, &error))?;
            continue;
        }
        let next = here.join(&part);
        let found = match next.symlink_metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unread(&next, &error)),
        };
        let shared = owners.other_writers(&folder, access_list(&here)).is_some();
        if shared && !owners.contain(found.uid()) {
            return Err(format!(
                "is reached by `{}`, which belongs to user {}",
                next.display(),
                found.uid()
            ));
        }
        if found.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err("is reached by too many links".to_owned());
            }
            let target = next.read_link().map_err(|error| unread(&next, &error))?;
            if target.is_absolute() {
                here = PathBuf::from("/");
                folder = here.symlink_metadata().map_err(|error| unread(&here, &error))?;
            }
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                left.push_front(part);
            }
            continue;
        }
        (here, folder) = (next, found);
    }
    Ok(())
}

/// Checks that nobody but `owners` can replace what is in a directory, where it is theirs.
///
/// # Errors
/// Who can, to be put behind the name of what is there.
pub(super) fn check_folder(path: &Path, folder: &Metadata, owners: Owners) -> Result<(), String> {
    const STICKY: u32 = 0o1000;
    if !owners.contain(folder.uid()) {
        if is_unmapped(folder.uid()) {
            return Err(format!("is in `{}` of {UNMAPPED}", path.display()));
        }
        return Err(format!("is in `{}` of user {}", path.display(), folder.uid()));
    }
    if folder.mode() & STICKY != 0 {
        return Ok(());
    }
    owners.other_writers(folder, access_list(path)).map_or(Ok(()), |who| {
        let mode = folder.mode() & 0o7777;
        Err(format!("is in `{}`, which {who} can write (mode {mode:o})", path.display()))
    })
}

/// Whether an owner is nobody in particular: in a user namespace the kernel shows each user that
/// is not mapped, root or anyone, as one and the same (user_namespaces(7)).
#[must_use]
pub fn is_unmapped(user: u32) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let overflow = read("/proc/sys/fs/overflowuid").and_then(|text| text.trim().parse().ok());
    // Without /proc nothing is known, and the owner is taken as it is shown.
    overflow == Some(user) && read("/proc/self/uid_map").is_some_and(|map| !maps(&map, user))
}

/// Whether a `uid_map` has this user.
fn maps(map: &str, user: u32) -> bool {
    let mut ranges = map.lines().map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().ok());
        let (first, _, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(first..first.saturating_add(count))
    });
    ranges.any(|range| range.is_some_and(|range| range.contains(&user.into())))
}

/// The parts of a path in order. `..` is a part, for behind a link it leads elsewhere than the text
/// says.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::CurDir | Component::Prefix(_) | Component::RootDir => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn good(path: &Path) -> bool {
        check_way(path, Owners::RootAndUser).is_ok()
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_wherever_it_is_on_the_way() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        let file = deep.join("policy.yaml");
        std::fs::write(&file, "x").unwrap();
        assert!(good(&file));
        for shared in [top.path().join("a"), top.path().join("a/b"), deep.clone()] {
            let before = shared.metadata().unwrap().mode();
            mode(&shared, 0o777);
            assert!(!good(&file), "{}", shared.display());
            mode(&shared, 0o1777);
            assert!(good(&file), "sticky: {}", shared.display());
            mode(&shared, before);
        }
        assert!(good(&deep.join("missing/state")), "as far as it goes");
        mode(&deep, 0o777);
        assert!(!good(&deep.join("missing/state")));
    }

    #[test]
    fn a_user_is_mapped_where_a_range_has_it() {
        for (map, mapped) in [
            ("         0          0 4294967295\n", true),
            ("0 1000 1\n", false),
            ("0 1000 1\n1 100000 65535\n", true),
            ("0 1000 1\n1 100000 65533\n", false),
            ("65534 1000 1", true),
            ("", false),
            ("0 0", false),
        ] {
            assert_eq!(maps(map, 65534), mapped, "{map}");
        }
    }

    #[test]
    fn every_link_of_a_chain_is_followed_where_it_lies() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        for name in ["first", "second", "third"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        std::fs::write(at("third/policy.yaml"), "x").unwrap();
        symlink("../second/link", at("first/link")).unwrap();
        symlink(at("third/policy.yaml"), at("second/link")).unwrap();
        assert!(good(&at("first/link")));
        for name in ["first", "second", "third"] {
            mode(&at(name), 0o777);
            assert!(!good(&at("first/link")), "{name}");
            mode(&at(name), 0o755);
        }
        symlink("round", at("round")).unwrap();
        assert!(!good(&at("round")));
        // `..` behind a link is the parent of where the link leads.
        symlink(at("third"), at("first/third")).unwrap();
        mode(&at("first"), 0o755);
        assert!(good(&at("first/third/../third/policy.yaml")));
    }

    #[test]
    fn what_another_user_owns_is_refused_also_in_a_sticky_folder() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        std::fs::create_dir(at("mine")).unwrap();
        std::fs::write(at("mine/policy.yaml"), "x").unwrap();
        symlink(at("mine/policy.yaml"), at("link")).unwrap();
        assert!(good(&at("link")));
        lchown(at("link"), Some(4242), None).unwrap();
        assert!(good(&at("link")), "only root can replace it in a directory of root");
        mode(top.path(), 0o1777);
        assert!(!good(&at("link")), "its owner can replace it in a sticky directory");
        lchown(at("mine"), Some(4242), None).unwrap();
        assert!(!good(&at("mine/policy.yaml")));
    }

    /// Gives a directory an access list that lets its owner do everything, its group read, and
    /// someone else write.
    fn let_write(path: &Path, tag: u16, id: u32, mask: u16) {
        let none = u32::MAX;
        let mut entries =
            [(1_u16, 7_u16, none), (4, 5, none), (16, mask, none), (32, 5, none), (tag, 7, id)];
        // The kernel takes them in this order only.
        entries.sort_unstable();
        let mut list = vec![2, 0, 0, 0];
        for (tag, may, id) in entries {
            list.extend([tag.to_le_bytes(), may.to_le_bytes()].concat());
            list.extend(id.to_le_bytes());
        }
        rustix::fs::setxattr(path, ACCESS_LIST, &list, rustix::fs::XattrFlags::empty()).unwrap();
    }

    const NAMED_USER: u16 = 2;
    const NAMED_GROUP: u16 = 8;

    #[test]
    fn whom_an_access_list_lets_write_counts_and_the_own_group_does_not() {
        let top = tempfile::tempdir().unwrap();
        let shared = top.path().join("shared");
        let file = shared.join("policy.yaml");
        std::fs::create_dir(&shared).unwrap();
        std::fs::write(&file, "x").unwrap();
        let (user, group) =
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        mode(&shared, 0o775);
        assert!(good(&file), "umask 002 and a group of one's own");
        assert!(check_way(&file, Owners::Root).is_err(), "to root every group is others");
        let (write, read) = (7, 5);
        for (tag, id, mask, is_good, said) in [
            (NAMED_USER, 4242, write, false, "the user 4242"),
            (NAMED_USER, 4242, read, true, ""),
            (NAMED_USER, user, write, true, ""),
            (NAMED_GROUP, 4242, write, false, "the group 4242"),
            (NAMED_GROUP, group, write, true, ""),
        ] {
            let_write(&shared, tag, id, mask);
            let checked = check_way(&file, Owners::RootAndUser);
            assert_eq!(checked.is_ok(), is_good, "{tag} {id} {mask}: {checked:?}");
            assert!(checked.err().unwrap_or_default().contains(said), "{tag} {id} {mask}");
        }
        let_write(&shared, NAMED_USER, 4242, write);
        mode(&shared, 0o755);
        assert!(good(&file), "chmod takes it from everybody who is named");
        mode(&shared, 0o1775);
        assert!(good(&file), "sticky");
    }

    #[test]
    fn an_access_list_that_cannot_be_read_lets_others_write() {
        let top = tempfile::tempdir().unwrap();
        mode(top.path(), 0o770);
        let found = top.path().metadata().unwrap();
        let writers = |answer: rustix::io::Result<&[u8]>| {
            Owners::RootAndUser.other_writers(&found, |list| {
                answer.map(|bytes| {
                    list[..bytes.len()].copy_from_slice(bytes);
                    bytes.len()
                })
            })
        };
        assert_eq!(writers(Err(Errno::NODATA)), None);
        assert_eq!(writers(Err(Errno::OPNOTSUPP)), None);
        let others = Some("others".to_owned());
        for answer in [Err(Errno::IO), Err(Errno::RANGE), Ok(&b"\x03\0\0\0"[..])] {
            assert_eq!(writers(answer), others);
        }
    }
}
