//! What the kernel says about one object, and how directories are opened and listed.

use crate::class::{Class, Failure};
use crate::tree::TreePath;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxAttributes, StatxFlags,
};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of a directory that are read at once.
const LIST_BYTES: usize = 64 << 10;

/// What the kernel is asked for.
const ASKED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// One object as it was at one moment. Two that are equal say that nothing happened in between (but
/// for reading).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) kind: FileType,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    pub(super) size: u64,
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
    /// What a device node stands for.
    pub(super) node: (u32, u32),
    pub(super) changed: (i64, u32),
    pub(super) modified: (i64, u32),
    /// When it was made, where the file system says.
    pub(super) made: Option<(i64, u32)>,
    /// Whether another file system is mounted here; `None` where the kernel (before 5.8) does not
    /// say.
    mount: Option<bool>,
}

impl Status {
    /// Returns what an open descriptor leads to.
    pub(super) fn of(fd: impl AsFd) -> Result<Self, Errno> {
        rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, ASKED).map(Self::from)
    }

    /// Returns what a name is, without following it.
    pub(super) fn at(directory: impl AsFd, name: &[u8]) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        rustix::fs::statx(directory, name, flags, ASKED).map(Self::from)
    }

    /// Returns whether something is mounted here.
    ///
    /// Devices decide only about directories, and only on old kernels: overlayfs gives files those
    /// of its layers.
    pub(super) fn is_mount(&self, root: &Self) -> bool {
        self.mount.unwrap_or(self.kind == FileType::Directory && self.device != root.device)
    }

    /// Refuses what is mounted inside `root`.
    pub(super) fn check_mount(&self, root: &Self, path: &TreePath) -> Result<(), Failure> {
        if !self.is_mount(root) {
            return Ok(());
        }
        Err(Failure::new(
            Class::Tree,
            format!("`{path}` is a mount point: what is mounted there was not unpacked"),
        ))
    }
}

impl From<Statx> for Status {
    fn from(statx: Statx) -> Self {
        let mode = u32::from(statx.stx_mode);
        let says_mount = statx.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
        Self {
            kind: FileType::from_raw_mode(mode),
            mode: statx.stx_mode & 0o7777,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            links: statx.stx_nlink,
            size: statx.stx_size,
            device: (statx.stx_dev_major, statx.stx_dev_minor),
            inode: statx.stx_ino,
            node: (statx.stx_rdev_major, statx.stx_rdev_minor),
            changed: (statx.stx_ctime.tv_sec, statx.stx_ctime.tv_nsec),
            modified: (statx.stx_mtime.tv_sec, statx.stx_mtime.tv_nsec),
            made: StatxFlags::from_bits_retain(statx.stx_mask)
                .contains(StatxFlags::BTIME)
                .then_some((statx.stx_btime.tv_sec, statx.stx_btime.tv_nsec)),
            mount: says_mount.then(|| statx.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        }
    }
}

/// Opens a file or directory for reading without following a link, waiting for a FIFO, or touching
/// its access time.
pub(super) fn open_at(directory: impl AsFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::openat(&directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner and root may leave the access time alone.
        Err(Errno::PERM) => rustix::fs::openat(&directory, name, flags, Mode::empty()),
        result => result,
    }
}

/// Opens a directory below `root`, no name on the way being a link; `None` is `root` itself, opened
/// again.
pub(super) fn open_directory(
    root: BorrowedFd<'_>,
    path: Option<&TreePath>,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let Some(path) = path else { return open_at(root, b".", flags) };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path.bytes(), flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
        // Linux before 5.6, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_directory_stepwise(root, path, flags),
        result => result,
    }
}

fn open_directory_stepwise(
    root: BorrowedFd<'_>,
    path: &TreePath,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let mut names: Vec<&[u8]> = path.bytes().split(|byte| *byte == b'/').collect();
    let last = names.pop().unwrap_or(b".");
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut above: Option<OwnedFd> = None;
    for name in names {
        above = Some(rustix::fs::openat(
            above.as_ref().map_or(root, AsFd::as_fd),
            name,
            step,
            Mode::empty(),
        )?);
    }
    open_at(above.as_ref().map_or(root, AsFd::as_fd), last, flags)
}

/// Calls `each` with every name in an open directory, until it fails.
pub(super) fn names(
    directory: impl AsFd,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<Result<(), Failure>, Errno> {
    let mut buffer = Vec::with_capacity(LIST_BYTES);
    let mut list = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = list.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if let Err(failure) = each(name) {
            return Ok(Err(failure));
        }
    }
    Ok(Ok(()))
}

/// Says what an error of the kernel about `path` means: it is gone or became something else, or it
/// can't be read.
pub(super) fn unreadable(path: &dyn std::fmt::Display, error: Errno) -> Failure {
    match error {
        Errno::NOENT
        | Errno::LOOP
        | Errno::NOTDIR
        | Errno::NXIO
        | Errno::STALE
        | Errno::NODATA
        | Errno::RANGE => changed(path),
        error => Failure::new(
            Class::Tree,
            format!("`{path}` cannot be read, so it cannot be compared: {error}"),
        ),
    }
}

/// Says that `path` did not keep still.
pub(super) fn changed(path: &dyn std::fmt::Display) -> Failure {
    Failure::new(Class::Tree, format!("`{path}` changed while it was read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_a_directory_follow_no_link() {
        let keeper = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(keeper.path().join("a/b/c")).unwrap();
        std::os::unix::fs::symlink("b", keeper.path().join("a/l")).unwrap();
        let root = std::fs::File::open(keeper.path()).unwrap();
        let inode = Status::at(&root, b"a/b/c").unwrap().inode;
        for (path, good) in [("a/b/c", true), ("a/l/c", false), ("a/l", false), ("a/x", false)] {
            let path = TreePath::new(path.into()).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            for opened in [
                open_directory(root.as_fd(), Some(&path)),
                open_directory_stepwise(root.as_fd(), &path, flags),
            ] {
                assert_eq!(
                    opened.is_ok_and(|fd| Status::of(fd).unwrap().inode == inode),
                    good,
                    "{path}"
                );
            }
        }
    }
}
