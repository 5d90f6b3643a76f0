//! Who could make a path lead elsewhere.
//!
//! A file that only this user can write is still another's to choose where someone else can rename
//! a directory on the way to it, or replace a link. So the path is walked as the kernel walks it, and
//! every directory and link on the way is looked at.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// Links that are followed on the way to one file (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// What an owner is called of whom nothing is known.
pub const UNMAPPED: &str = "a user that is not mapped: this user namespace does not map root";
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
    fn contain(self, user: u32) -> bool {
        let own = self == Self::RootAndUser && user == rustix::process::geteuid().as_raw();
        // Where this user is not mapped, everybody's files seem to be its own.
        user == 0 || (own && !is_unmapped(user))
    }

    /// Whether anyone else can rename and replace what is in a directory.
    fn share(self, folder: &Metadata) -> bool {
        let mode = folder.mode();
        // Debian gives each user a group of that user alone; any other is others.
        let own = self == Self::RootAndUser && folder.gid() == rustix::process::getegid().as_raw();
        mode & 0o002 != 0 || (mode & 0o020 != 0 && !own)
    }
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
        if owners.share(&folder) && !owners.contain(found.uid()) {
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

fn check_folder(path: &Path, folder: &Metadata, owners: Owners) -> Result<(), String> {
    if !owners.contain(folder.uid()) {
        if is_unmapped(folder.uid()) {
            return Err(format!("is in `{}` of {UNMAPPED}", path.display()));
        }
        return Err(format!("is in `{}` of user {}", path.display(), folder.uid()));
    }
    if owners.share(folder) && folder.mode() & 0o1000 == 0 {
        let mode = folder.mode() & 0o7777;
        return Err(format!("is in `{}`, which others can write (mode {mode:o})", path.display()));
    }
    Ok(())
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
}
