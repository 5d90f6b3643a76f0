//! What a directory held at one moment, cheaply: no file is opened. Taken before the host unpacks,
//! left out afterwards.

use super::status::{Status, changed, names, open_directory, unreadable};
use super::{Dest, Identity};
use crate::class::{Class, Failure};
use crate::tree::TreePath;
use rustix::fs::FileType;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::str::FromStr;

/// The first line of the text of a listing.
const HEADER: &str = "luet-cosign-listing-v2";

/// Stands for a time that the file system does not say.
const NOT_SAID: &str = "-";

/// What a directory held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    identity: Identity,
    marks: BTreeMap<TreePath, Mark>,
}

/// What tells an object from one that took its place, or was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    directory: bool,
    inode: u64,
    size: u64,
    changed: (i64, u32),
}

impl From<&Status> for Mark {
    fn from(status: &Status) -> Self {
        let directory = status.kind == FileType::Directory;
        Self { directory, inode: status.inode, size: status.size, changed: status.changed }
    }
}

/// How an object relates to a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// It was not there, or something else was.
    Absent,
    /// It is a directory that was there. What is in it may have changed.
    Directory,
    /// It is there untouched.
    Untouched,
}

impl Listing {
    /// Returns which directory was listed.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns whether it held nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    pub(super) fn relation(&self, path: &TreePath, status: &Status) -> Before {
        let now = Mark::from(status);
        match self.marks.get(path) {
            Some(then) if then.directory && now.directory && then.inode == now.inode => {
                Before::Directory
            }
            Some(then) if *then == now => Before::Untouched,
            _ => Before::Absent,
        }
    }

    /// Returns the listing as text, to be kept until the post event; [`str::parse`] reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let Identity { device: (major, minor), inode, made } = self.identity;
        let made = made.map_or_else(
            || NOT_SAID.to_owned(),
            |(seconds, nanoseconds)| format!("{seconds}.{nanoseconds}"),
        );
        let mut text = format!("{HEADER} {major} {minor} {inode} {made}\n");
        for (path, Mark { directory, inode, size, changed: (seconds, nanoseconds) }) in &self.marks
        {
            let letter = if *directory { 'd' } else { 'o' };
            let _ = write!(text, "{letter} {inode} {size} {seconds} {nanoseconds} ");
            path.bytes().iter().for_each(|byte| {
                let _ = write!(text, "{byte:02x}");
            });
            text.push('\n');
        }
        text
    }
}

impl FromStr for Listing {
    type Err = Failure;

    /// Reads the text of a listing.
    ///
    /// # Errors
    /// `state`: it is not one.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let bad = || Failure::new(Class::State, "a kept listing is broken");
        let mut lines = text.lines();
        let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let [HEADER, major, minor, inode, made] = first.as_slice() else { return Err(bad()) };
        let device = (major.parse().map_err(|_| bad())?, minor.parse().map_err(|_| bad())?);
        let made = match *made {
            NOT_SAID => None,
            made => Some(
                made.split_once('.')
                    .and_then(|(s, n)| Some((s.parse().ok()?, n.parse().ok()?)))
                    .ok_or_else(bad)?,
            ),
        };
        let identity = Identity { device, inode: inode.parse().map_err(|_| bad())?, made };
        let marks = lines.map(|line| parse_line(line).ok_or_else(bad)).collect::<Result<_, _>>()?;
        Ok(Self { identity, marks })
    }
}

fn parse_line(line: &str) -> Option<(TreePath, Mark)> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [letter, inode, size, seconds, nanoseconds, path] = fields.as_slice() else { return None };
    let directory = match *letter {
        "d" => true,
        "o" => false,
        _ => return None,
    };
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let path: Vec<u8> = path.as_bytes().chunks(2).map(pair).collect::<Option<_>>()?;
    let changed = (seconds.parse().ok()?, nanoseconds.parse().ok()?);
    Some((
        TreePath::new(path).ok()?,
        Mark { directory, inode: inode.parse().ok()?, size: size.parse().ok()?, changed },
    ))
}

/// Lists what `dest` holds, at most `cap` objects.
///
/// # Errors
/// `limit`: it holds more. `tree`: it can't be read, or does not keep still.
pub fn listing(dest: &Dest, cap: usize) -> Result<Listing, Failure> {
    let mut marks = BTreeMap::new();
    let mut directories: Vec<Option<TreePath>> = vec![None];
    while let Some(directory) = directories.pop() {
        let name = || directory.as_ref().map_or_else(|| dest.to_string(), ToString::to_string);
        let fd = open_directory(dest.fd.as_fd(), directory.as_ref())
            .map_err(|error| unreadable(&name(), error))?;
        let listed = names(&fd, |entry| {
            if marks.len() >= cap {
                return Err(Failure::new(
                    Class::Limit,
                    format!("`{dest}` already holds more than {cap} objects"),
                ));
            }
            let path = TreePath::join(directory.as_ref(), entry)?;
            let status = Status::at(&fd, entry).map_err(|error| unreadable(&path, error))?;
            if status.kind == FileType::Directory && !status.is_mount(&dest.status) {
                directories.push(Some(path.clone()));
            }
            if marks.insert(path.clone(), Mark::from(&status)).is_some() {
                return Err(changed(&path));
            }
            Ok(())
        });
        listed.map_err(|error| unreadable(&name(), error))??;
    }
    Ok(Listing { identity: dest.identity()?, marks })
}
