//! Extended attributes of what is in a directory, and the labels that a new file gets there.

use crate::limits;
use crate::tree::{Xattr, is_label, same_attribute, xattr_counts};
use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

/// Room that is filled again each time, and not touched beyond what was read.
pub(super) struct Buffers {
    names: Vec<u8>,
    value: Vec<u8>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            names: Vec::with_capacity(limits::XATTR_BYTES),
            value: Vec::with_capacity(limits::XATTR_BYTES),
        }
    }

    /// Reads the attributes of an open file or directory: those that are part of a tree, and
    /// labels.
    pub(super) fn of(&mut self, fd: &OwnedFd) -> Result<Vec<Xattr>, Errno> {
        self.read(
            |names| rustix::fs::flistxattr(fd, spare_capacity(names)),
            |name, value| rustix::fs::fgetxattr(fd, name, spare_capacity(value)),
        )
    }

    /// Reads those of what is called `name` in an open directory, without opening or following it:
    /// a device would wake up, and a FIFO wait.
    pub(super) fn at(&mut self, directory: &OwnedFd, name: &[u8]) -> Result<Vec<Xattr>, Errno> {
        let path = beneath(directory.as_fd(), name)?;
        self.read(
            |names| rustix::fs::llistxattr(&path, spare_capacity(names)),
            |name, value| rustix::fs::lgetxattr(&path, name, spare_capacity(value)),
        )
    }

    fn read(
        &mut self,
        list: impl Fn(&mut Vec<u8>) -> Result<usize, Errno>,
        get: impl Fn(&[u8], &mut Vec<u8>) -> Result<usize, Errno>,
    ) -> Result<Vec<Xattr>, Errno> {
        self.names.clear();
        match list(&mut self.names) {
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            result => result?,
        };
        let matters = |name: &&[u8]| xattr_counts(name) || is_label(name);
        let mut xattrs = Vec::new();
        for name in self.names.split(|byte| *byte == 0).filter(matters) {
            self.value.clear();
            get(name, &mut self.value)?;
            xattrs.push(Xattr { name: name.into(), value: self.value.as_slice().into() });
        }
        xattrs.sort_unstable();
        Ok(xattrs)
    }
}

/// Returns a path to `name` in an open directory that only leads through this process.
fn beneath(directory: BorrowedFd<'_>, name: &[u8]) -> Result<CString, Errno> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    CString::new(path).map_err(|_| Errno::INVAL)
}

/// The labels that a directory gives to what is made in it.
#[derive(Debug)]
pub(super) struct Inherited {
    /// Those of a fresh file.
    file: Vec<Xattr>,
    /// The directory's own.
    own: Vec<Xattr>,
}

impl Inherited {
    /// Asks an open directory.
    ///
    /// A file is made in it that never has a name (`O_TMPFILE`), so nobody sees it, nothing is
    /// left, and the directory is not touched. Where that cannot be done, for the file system
    /// does not have it or we may not write, the directory's own labels stand for it: handing
    /// them down is what SELinux and SMACK do without a rule that says otherwise.
    pub(super) fn of(directory: &OwnedFd, buffers: &mut Buffers) -> Result<Self, Errno> {
        let own = labels(buffers.of(directory)?);
        let file = match fresh(directory, buffers) {
            Some(found) => labels(found),
            None => own.clone(),
        };
        Ok(Self { file, own })
    }

    /// Drops those labels that the directory itself gives, so that only what someone else chose
    /// is left.
    ///
    /// There is no fresh directory without a name, so one may also have the labels of that above.
    pub(super) fn strip(&self, xattrs: Vec<Xattr>, directory: bool) -> Vec<Xattr> {
        let given = |xattr: &Xattr| {
            self.file.iter().any(|given| same_attribute(given, xattr))
                || directory && self.own.iter().any(|given| same_attribute(given, xattr))
        };
        xattrs.into_iter().filter(|xattr| !(is_label(&xattr.name) && given(xattr))).collect()
    }
}

fn labels(xattrs: Vec<Xattr>) -> Vec<Xattr> {
    xattrs.into_iter().filter(|xattr| is_label(&xattr.name)).collect()
}

/// Makes a file without a name, closes it as a writer does, which is when its content is measured
/// (IMA), and returns its attributes.
fn fresh(directory: &OwnedFd, buffers: &mut Buffers) -> Option<Vec<Xattr>> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let writer = rustix::fs::openat(directory, ".", flags, Mode::RUSR | Mode::WUSR).ok()?;
    // A full disk does not matter: the file then is empty.
    let _ = rustix::io::write(&writer, b"x");
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let reader = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    drop(writer);
    buffers.of(&reader).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(name: &str, value: &str) -> Xattr {
        Xattr { name: name.as_bytes().into(), value: value.as_bytes().into() }
    }

    #[test]
    fn only_what_the_directory_would_not_have_given_is_left() {
        let inherited = Inherited {
            file: vec![xattr("security.selinux", "file"), xattr("security.ima", "hash of x")],
            own: vec![xattr("security.selinux", "own"), xattr("security.SMACK64TRANSMUTE", "TRUE")],
        };
        let left = |name: &str, value: &str, directory| {
            !inherited.strip(vec![xattr(name, value)], directory).is_empty()
        };
        assert!(!left("security.selinux", "file", false));
        assert!(!left("security.selinux", "file", true));
        assert!(left("security.selinux", "own", false), "a file is made by other rules");
        assert!(!left("security.selinux", "own", true));
        assert!(!left("security.SMACK64TRANSMUTE", "TRUE", true));
        assert!(left("security.SMACK64TRANSMUTE", "TRUE", false));
        assert!(left("security.selinux", "evil", true));
        assert!(!left("security.ima", "another hash", false), "each content has its own");
        assert!(left("security.evm", "a signature", false), "a fresh file has none");
        assert!(left("user.x", "y", true) && left("security.capability", "y", true));
    }

    #[test]
    fn where_no_file_can_be_made_the_directory_stands_for_it() {
        let mut buffers = Buffers::new();
        let proc = std::fs::File::open("/proc/self").unwrap().into();
        assert!(fresh(&proc, &mut buffers).is_none());
        let inherited = Inherited::of(&proc, &mut buffers).unwrap();
        assert_eq!(inherited.file, inherited.own);
    }
}
