//! The unpacked directory: walked, listed and emptied by descriptors.
//!
//! What is in it is hostile: no symbolic link is followed, nothing but files and directories is
//! ever opened, names are bytes, another file system mounted inside is refused, and a change while
//! it is read is noticed. The directory itself is not part of its tree.

mod attributes;
mod empty;
mod listing;
mod queue;
mod status;
mod walk;

pub use empty::empty;
pub use listing::{DirectoryListing, listing};
pub use walk::{WalkOptions, Walked, walk};

use crate::class::{Class, Failure};
use crate::tree::shown;
use rustix::fs::{FileType, FsWord, Mode, OFlags};
use serde::{Deserialize, Serialize};
use status::Status;
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What `statfs` calls overlayfs (Linux, `include/uapi/linux/magic.h`: `OVERLAYFS_SUPER_MAGIC`).
const OVERLAYFS: FsWord = 0x794c_7630;

/// The directory that an image was unpacked into, held open.
#[derive(Debug)]
pub struct Dest {
    fd: OwnedFd,
    status: Status,
    name: String,
}

/// Which directory it is, whatever its name. A directory that was recreated is another, although it
/// may get the same inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryId {
    /// The device, major and minor number.
    pub device: (u32, u32),
    /// The inode on it.
    pub inode: u64,
    /// When it was made: seconds since 1970 and nanoseconds. `None` where the file system does not
    /// say, and on overlayfs, where a directory of a lower layer is recreated, by the first write
    /// into it, and is the same for everybody.
    pub made: Option<(i64, u32)>,
}

impl DirectoryId {
    /// Returns which directory a name leads to, without following a link at its end.
    ///
    /// # Errors
    /// As [`Dest::open`].
    pub fn of(path: &Path) -> Result<Self, Failure> {
        Dest::open(path)?.identity()
    }
}

impl Dest {
    /// Opens the directory of an event.
    ///
    /// # Errors
    /// `event`: not an absolute path, or that of the root directory. `tree`: not there, no
    /// directory, a symlink, unreadable.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let name = shown(path.as_os_str().as_bytes());
        if !path.is_absolute() || path.parent().is_none() {
            return Err(Failure::new(
                Class::Event,
                format!(
                    "`{name}` is not a valid directory to unpack to: expected an absolute path below `/`"
                ),
            ));
        }
        let fd = rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| {
            Failure::new(Class::Tree, format!("`{name}` cannot be opened as a directory: {error}"))
        })?;
        let status = Status::of(&fd).map_err(|error| {
            Failure::new(Class::Tree, format!("`{name}` cannot be read: {error}"))
        })?;
        if status.kind != FileType::Directory {
            return Err(Failure::new(Class::Tree, format!("`{name}` is not a directory")));
        }
        Ok(Self { fd, status, name })
    }

    /// Opens a file that lies directly in the directory; `None` where there is none of that name.
    ///
    /// # Errors
    /// `tree`: it is not a plain file, or cannot be opened.
    pub fn file(&self, name: &str) -> Result<Option<File>, Failure> {
        let bad = |what: String| {
            Failure::new(Class::Tree, format!("`{}` in `{self}` {what}", shown(name.as_bytes())))
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(bad(format!("cannot be opened: {error}"))),
        };
        let status = Status::of(&fd).map_err(|error| bad(format!("cannot be read: {error}")))?;
        if status.kind == FileType::RegularFile {
            Ok(Some(File::from(fd)))
        } else {
            Err(bad("is not a plain file".to_owned()))
        }
    }

    /// Returns which directory it is.
    ///
    /// # Errors
    /// `tree`: the file system does not answer.
    pub fn identity(&self) -> Result<DirectoryId, Failure> {
        let system = rustix::fs::fstatfs(&self.fd);
        let system = system.map_err(|error| {
            Failure::new(Class::Tree, format!("`{self}` cannot be read: {error}"))
        })?;
        let made = self.status.made.filter(|_| system.f_type != OVERLAYFS);
        Ok(DirectoryId { device: self.status.device, inode: self.status.inode, made })
    }
}

impl fmt::Display for Dest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
