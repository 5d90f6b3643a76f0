//! Reads a directory into a tree: every object's status, every file's content, on all cores.
//!
//! Memory: the entries themselves, and one chunk of [`limits::HASH_CHUNK_BYTES`] for each thread.
//! Each object is looked at before and after it is read, each directory once more at the end;
//! whatever is not the same is an error.

use super::attributes::{Buffers as Attributes, Inherited};
use super::listing::{Before, Mark};
use super::queue::Queue;
use super::status::{Status, changed, names, open_at, open_directory, unreadable};
use super::{Dest, DirectoryListing};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use crate::tree::{
    EntryKind, EntryMetadata, Now, Terms, Tree, TreeEntry, TreePath, Was, Xattr, is_label,
    same_attribute,
};
use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;

/// Files that one thread takes at once, and bytes of them: enough to keep threads from queueing,
/// too few to leave one alone.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 4 << 20;

/// What one thread does alone: to start another, and to find out how many may run, takes as long as
/// to read that much.
const SMALL_ENTRIES: usize = 64;
const SMALL_BYTES: u64 = 1 << 20;

/// How to walk.
#[derive(Clone, Copy, Debug)]
pub struct WalkOptions<'a> {
    /// Threads that read and hash, where there is enough for more than one; `None` is one for each
    /// core.
    pub threads: Option<NonZero<usize>>,
    /// Objects that may be there.
    pub entries: usize,
    /// What was there before: left out where it is as it was.
    pub before: Option<&'a DirectoryListing>,
    /// Goes up by the bytes that were read, and by one for each object: as long as it moves, so
    /// does the walk.
    pub progress: Option<&'a AtomicU64>,
}

impl Default for WalkOptions<'_> {
    fn default() -> Self {
        Self { threads: None, entries: limits::TREE_ENTRIES, before: None, progress: None }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Walked {
    /// The tree.
    pub tree: Tree,
    /// How it may be compared: owners where we are root, `user.*` and access lists where the file
    /// system keeps them.
    pub terms: Terms,
    /// Files that were there before and that another process wrote to, sorted.
    pub written: Vec<TreePath>,
}

/// Reads the tree in `dest`.
///
/// # Errors
/// `tree`: something can't be read, is mounted inside, or changed meanwhile. `limit`: too many
/// objects, or a path too long.
pub fn walk(dest: &Dest, options: &WalkOptions<'_>) -> Result<Walked, Failure> {
    if let Some(before) = options.before
        && before.identity() != dest.identity()?
    {
        return Err(Failure::new(
            Class::Tree,
            format!("`{dest}` is not the directory that was there before"),
        ));
    }
    let queue = Queue::new(Work::Directory(Inner {
        path: None,
        status: dest.status,
        origin: DirectoryOrigin::Dest,
    }));
    let listed = options.before.map_or(0, DirectoryListing::len);
    let walk = Walk {
        dest,
        options,
        queue: &queue,
        entries: AtomicUsize::new(0),
        bytes: AtomicU64::new(0),
        seen: (0..listed).map(|_| AtomicBool::new(false)).collect(),
    };
    let mut found = walk.run(|| walk.is_small());
    if !walk.is_small() {
        let threads = options
            .threads
            .or_else(|| available_parallelism().ok())
            .unwrap_or(NonZero::<usize>::MIN);
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (1..threads.get()).map(|_| scope.spawn(|| walk.run(|| true))).collect();
            found.merge(walk.run(|| true));
            for thread in threads {
                // One that panicked left its work undone, which the queue reports.
                if let Ok(more) = thread.join() {
                    found.merge(more);
                }
            }
        });
    }
    let seen = walk.seen;
    queue.finish()?;
    let root = dest.fd.as_fd();
    for (path, then) in &found.directories {
        let now =
            path.as_ref().map_or_else(|| Status::of(root), |path| Status::at(root, path.bytes()));
        if now != Ok(*then) {
            return Err(changed(&name(dest, path.as_ref())));
        }
    }
    if let Some(before) = options.before {
        let unseen = seen.iter().enumerate().filter(|(_, seen)| !seen.load(Ordering::Relaxed));
        for (number, _) in unseen {
            found.before.insert(before.path(number)?, GONE);
        }
    }
    let owners = rustix::process::geteuid().is_root();
    let setgid = dest.status.mode & 0o2000 != 0;
    let terms = Terms {
        owners,
        user_xattrs: keeps(root, c"user.luet-cosign.probe"),
        access_lists: keeps(root, c"system.posix_acl_access"),
        setgid,
        before: found.before,
    };
    let twice = |failure: Failure| {
        failure.as_class(Class::Tree).within(format!("`{dest}` changed while it was read"))
    };
    let tree = Tree::new(found.entries).map_err(twice)?;
    found.written.sort_unstable();
    Ok(Walked { tree, terms, written: found.written })
}

const GONE: Was = Was { attributes: Vec::new(), now: Now::Gone };

enum Work {
    /// A directory to be listed.
    Directory(Inner),
    /// Files of one directory.
    Files(Arc<Open>, Vec<(TreePath, Status)>),
}

/// A directory as it was when its name was found.
struct Inner {
    /// `None` is `Dest`.
    path: Option<TreePath>,
    status: Status,
    origin: DirectoryOrigin,
}

/// Where a directory comes from.
enum DirectoryOrigin {
    /// It is `Dest`, which is not part of its tree.
    Dest,
    /// It was there before and was not touched, so it is left out.
    Untouched,
    /// It was there before, as this.
    Before(Box<Mark>),
    /// It is new, and in a directory with these labels.
    New(Arc<Labels>),
}

struct Open {
    fd: OwnedFd,
    /// Where the last name begins in the paths of its files.
    depth: usize,
    labels: Arc<Labels>,
}

/// The labels that a directory gives to what is made in it; asked for once there are some.
#[derive(Default)]
struct Labels(OnceLock<Result<Inherited, Errno>>);

impl Labels {
    /// Drops what the directory gave.
    fn strip(
        &self,
        xattrs: Vec<Xattr>,
        is_directory: bool,
        directory: impl FnOnce() -> Result<OwnedFd, Errno>,
        buffers: &mut Attributes,
    ) -> Result<Vec<Xattr>, Errno> {
        if !xattrs.iter().any(|xattr| is_label(&xattr.name)) {
            return Ok(xattrs);
        }
        let inherited =
            self.0.get_or_init(|| directory().and_then(|fd| Inherited::of(&fd, buffers)));
        match inherited {
            Ok(inherited) => Ok(inherited.strip(xattrs, is_directory)),
            Err(error) => Err(*error),
        }
    }
}

#[derive(Default)]
struct Found {
    entries: Vec<TreeEntry>,
    directories: Vec<(Option<TreePath>, Status)>,
    before: BTreeMap<TreePath, Was>,
    written: Vec<TreePath>,
}

impl Found {
    fn merge(&mut self, mut other: Self) {
        self.entries.append(&mut other.entries);
        self.directories.append(&mut other.directories);
        self.before.append(&mut other.before);
        self.written.append(&mut other.written);
    }
}

struct Walk<'a> {
    dest: &'a Dest,
    options: &'a WalkOptions<'a>,
    queue: &'a Queue<Work>,
    /// Objects that were found, and what the files among them hold.
    entries: AtomicUsize,
    bytes: AtomicU64,
    /// Which of the objects that were there before are still there.
    seen: Vec<AtomicBool>,
}

/// What one thread works with: room that is filled again each time, and not touched beyond what was
/// read.
struct Buffers {
    chunk: Vec<u8>,
    attributes: Attributes,
}

impl Walk<'_> {
    /// Whether no more was found yet than one thread reads alone.
    fn is_small(&self) -> bool {
        self.entries.load(Ordering::Relaxed) <= SMALL_ENTRIES
            && self.bytes.load(Ordering::Relaxed) <= SMALL_BYTES
    }

    /// Does work for as long as there is some and `goes_on` says so.
    fn run(&self, goes_on: impl Fn() -> bool) -> Found {
        let mut buffers = Buffers {
            chunk: Vec::with_capacity(limits::HASH_CHUNK_BYTES),
            attributes: Attributes::new(),
        };
        let mut found = Found::default();
        while goes_on()
            && let Some((work, ticket)) = self.queue.take()
        {
            let result = match work {
                Work::Directory(inner) => {
                    self.directory(inner, &mut found, &mut buffers.attributes)
                }
                Work::Files(directory, files) => {
                    self.files(&directory, files, &mut found, &mut buffers).map(|()| Vec::new())
                }
            };
            ticket.done(result);
        }
        found
    }

    fn files(
        &self,
        directory: &Open,
        files: Vec<(TreePath, Status)>,
        found: &mut Found,
        buffers: &mut Buffers,
    ) -> Result<(), Failure> {
        for (path, status) in files {
            let name = path.bytes().get(directory.depth..).unwrap_or_default();
            let fd = open_at(&directory.fd, name, OFlags::RDONLY)
                .map_err(|error| unreadable(&path, error))?;
            let digest = self.content(&fd, &path, &status, buffers)?;
            let reopen = || open_at(&directory.fd, b".", OFlags::RDONLY | OFlags::DIRECTORY);
            let xattrs = buffers.attributes.of(&fd).and_then(|xattrs| {
                directory.labels.strip(xattrs, false, reopen, &mut buffers.attributes)
            });
            let xattrs = xattrs.map_err(|error| unreadable(&path, error))?;
            // What was listed, opened and read is one object that nobody touched: its status is
            // what it was before all that.
            if Status::of(&fd) != Ok(status) {
                return Err(changed(&path));
            }
            found.entries.push(TreeEntry {
                path,
                kind: EntryKind::File { size: status.size, digest },
                metadata: Some(metadata(&status)),
                xattrs,
            });
        }
        Ok(())
    }

    /// Hashes a file that is as long as it was.
    fn content(
        &self,
        fd: &OwnedFd,
        path: &TreePath,
        status: &Status,
        buffers: &mut Buffers,
    ) -> Result<Digest, Failure> {
        let mut hasher = Sha256::new();
        let mut read = 0;
        while read < status.size {
            buffers.chunk.clear();
            match rustix::io::read(fd, spare_capacity(&mut buffers.chunk)) {
                Ok(0) => return Err(changed(path)),
                Ok(count) => {
                    hasher.update(&buffers.chunk);
                    let count = u64::try_from(count).unwrap_or(u64::MAX);
                    read = count.saturating_add(read);
                    self.progress(count);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(unreadable(path, error)),
            }
        }
        if read == status.size {
            Ok(Digest::from_bytes(hasher.finalize().into()))
        } else {
            Err(changed(path))
        }
    }

    fn progress(&self, count: u64) {
        if let Some(progress) = self.options.progress {
            progress.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Lists a directory: what is not a file becomes an entry at once, files and directories become
    /// work.
    fn directory(
        &self,
        Inner { path, status, origin }: Inner,
        found: &mut Found,
        buffers: &mut Attributes,
    ) -> Result<Vec<Work>, Failure> {
        let fail = |error| unreadable(&name(self.dest, path.as_ref()), error);
        let fd = open_directory(self.dest.fd.as_fd(), path.as_ref()).map_err(fail)?;
        if Status::of(&fd).map_err(fail)? != status {
            return Err(changed(&name(self.dest, path.as_ref())));
        }
        let labels = Arc::<Labels>::default();
        let mut list = List { work: Vec::new(), files: Vec::new(), labels: Arc::clone(&labels) };
        names(&fd, |entry| {
            let path = TreePath::join(path.as_ref(), entry)?;
            self.name(&fd, path, entry, &mut list, found, buffers)
        })
        .map_err(fail)??;
        let List { mut work, files, .. } = list;
        if let Some(path) = &path
            && let Some(xattrs) = self.own(&fd, path, &status, origin, found, buffers)?
        {
            found.entries.push(TreeEntry {
                path: path.clone(),
                kind: EntryKind::Directory,
                metadata: Some(metadata(&status)),
                xattrs,
            });
        }
        let depth = path.as_ref().map_or(0, |path| path.bytes().len() + 1);
        let open = Arc::new(Open { fd, depth, labels });
        // Work is taken from the end: the files first, so that few directories are open at once.
        work.extend(batches(files).map(|batch| Work::Files(Arc::clone(&open), batch)));
        found.directories.push((path, status));
        Ok(work)
    }

    /// Returns the attributes of a directory that is part of the tree; `None` where it is not.
    fn own(
        &self,
        fd: &OwnedFd,
        path: &TreePath,
        status: &Status,
        origin: DirectoryOrigin,
        found: &mut Found,
        buffers: &mut Attributes,
    ) -> Result<Option<Vec<Xattr>>, Failure> {
        let fail = |error| unreadable(path, error);
        let mark = match origin {
            DirectoryOrigin::Dest => return Ok(None),
            // Not part of the tree, and there for an image that lists what is in it alone.
            DirectoryOrigin::Untouched => {
                let was = Was { attributes: Vec::new(), now: Now::There(Vec::new()) };
                found.before.insert(path.clone(), was);
                return Ok(None);
            }
            DirectoryOrigin::New(labels) => {
                let above = || self.above(path);
                let xattrs = buffers.of(fd).map_err(fail)?;
                return labels.strip(xattrs, true, above, buffers).map(Some).map_err(fail);
            }
            DirectoryOrigin::Before(mark) => mark,
        };
        let (now, then) = (buffers.of(fd).map_err(fail)?, mark.attributes());
        let change = mark.change(status, &now);
        // A label that it had before was not given to it by anyone.
        let other = |these: &[Xattr], those: &[Xattr]| -> Vec<Xattr> {
            let had = |xattr: &Xattr| those.iter().any(|that| same_attribute(that, xattr));
            these.iter().filter(|xattr| !(is_label(&xattr.name) && had(xattr))).cloned().collect()
        };
        let was = Was { attributes: other(then, &now), now: Now::There(change.differs) };
        found.before.insert(path.clone(), was);
        Ok(Some(other(&now, then)))
    }

    /// Opens the directory that `path` is in.
    fn above(&self, path: &TreePath) -> Result<OwnedFd, Errno> {
        let above = path.parent();
        open_directory(self.dest.fd.as_fd(), above.as_ref())
    }

    fn name(
        &self,
        directory: &OwnedFd,
        path: TreePath,
        name: &[u8],
        list: &mut List,
        found: &mut Found,
        buffers: &mut Attributes,
    ) -> Result<(), Failure> {
        if self.entries.fetch_add(1, Ordering::Relaxed) >= self.options.entries {
            let cap = self.options.entries;
            return Err(Failure::new(
                Class::Limit,
                format!("`{}` holds more than {cap} objects", self.dest),
            ));
        }
        self.progress(1);
        let fail = |error| unreadable(&path, error);
        let status = Status::at(directory, name).map_err(fail)?;
        let before = self.options.before.map(|before| before.relation(&path, &status));
        let is_directory = status.kind == FileType::Directory;
        let origin = match before.unwrap_or(Before::Absent) {
            Before::Absent => DirectoryOrigin::New(Arc::clone(&list.labels)),
            Before::Replaced(number) => {
                self.saw(number);
                found.before.insert(path.clone(), GONE);
                DirectoryOrigin::New(Arc::clone(&list.labels))
            }
            Before::Untouched(number) => {
                self.saw(number);
                if !is_directory {
                    return Ok(());
                }
                DirectoryOrigin::Untouched
            }
            Before::Same(number, mark) => {
                self.saw(number);
                if is_directory {
                    DirectoryOrigin::Before(mark)
                } else if self.is_as_before(directory, name, &path, &mark, found, buffers)? {
                    return Ok(());
                } else {
                    DirectoryOrigin::New(Arc::clone(&list.labels))
                }
            }
        };
        status.check_mount(&self.dest.status, &path)?;
        let (major, minor) = status.node;
        let kind = match status.kind {
            FileType::RegularFile => {
                // Only a measure of the work: what hostile sizes add up to does not matter.
                self.bytes.fetch_add(status.size, Ordering::Relaxed);
                list.files.push((path, status));
                return Ok(());
            }
            FileType::Directory => {
                list.work.push(Work::Directory(Inner { path: Some(path), status, origin }));
                return Ok(());
            }
            FileType::Symlink => symlink(directory, name, &path, &status)?,
            FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => EntryKind::Socket,
            FileType::Unknown => return Err(changed(&path)),
        };
        // Nothing but labels counts.
        let mut xattrs = buffers.at(directory, name).map_err(fail)?;
        xattrs.retain(|xattr| is_label(&xattr.name));
        let reopen = || open_at(directory, b".", OFlags::RDONLY | OFlags::DIRECTORY);
        let xattrs = list.labels.strip(xattrs, false, reopen, buffers).map_err(fail)?;
        found.entries.push(TreeEntry { path, kind, metadata: Some(metadata(&status)), xattrs });
        Ok(())
    }

    fn saw(&self, number: usize) {
        if let Some(seen) = self.seen.get(number) {
            seen.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether an object that was there before, and is not a directory, is as it was, and
    /// notes what is not. Another name of it may have been replaced, and another process may have
    /// written to it: the host does not write to what is there.
    fn is_as_before(
        &self,
        directory: &OwnedFd,
        name: &[u8],
        path: &TreePath,
        mark: &Mark,
        found: &mut Found,
        buffers: &mut Attributes,
    ) -> Result<bool, Failure> {
        let fail = |error| unreadable(path, error);
        let attributes = buffers.at(directory, name).map_err(fail)?;
        // It may be written to now, so what is compared is what it is after its attributes.
        let status = Status::at(directory, name).map_err(fail)?;
        match self.options.before.map(|before| before.relation(path, &status)) {
            Some(Before::Untouched(_) | Before::Same(..)) => {}
            _ => return Err(changed(path)),
        }
        let change = mark.change(&status, &attributes);
        if change.differs.is_empty() {
            if change.written {
                found.written.push(path.clone());
            }
            return Ok(true);
        }
        let was = Was { attributes: Vec::new(), now: Now::There(change.differs) };
        found.before.insert(path.clone(), was);
        Ok(false)
    }
}

struct List {
    work: Vec<Work>,
    files: Vec<(TreePath, Status)>,
    labels: Arc<Labels>,
}

/// Splits files into pieces of work.
fn batches(files: Vec<(TreePath, Status)>) -> impl Iterator<Item = Vec<(TreePath, Status)>> {
    let mut files = files.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut bytes = 0_u64;
        let mut batch = Vec::new();
        while let Some(file) = files.next_if(|_| batch.len() < BATCH_FILES && bytes < BATCH_BYTES) {
            bytes = bytes.saturating_add(file.1.size);
            batch.push(file);
        }
        Some(batch).filter(|batch| !batch.is_empty())
    })
}

fn symlink(
    directory: &OwnedFd,
    name: &[u8],
    path: &TreePath,
    status: &Status,
) -> Result<EntryKind, Failure> {
    let target =
        rustix::fs::readlinkat(directory, name, Vec::new()).map_err(|error| match error {
            Errno::INVAL => changed(path),
            error => unreadable(path, error),
        })?;
    if Status::at(directory, name) != Ok(*status) {
        return Err(changed(path));
    }
    Ok(EntryKind::Symlink { target: target.into_bytes().into() })
}

fn metadata(status: &Status) -> EntryMetadata {
    let mode = if status.kind == FileType::Symlink { 0o777 } else { status.mode };
    EntryMetadata { mode, uid: status.uid, gid: status.gid }
}

/// Returns whether the file system can hold attributes like `name`: `user.*` is asked for by one
/// that nobody sets.
fn keeps(root: BorrowedFd<'_>, name: &CStr) -> bool {
    rustix::fs::fgetxattr(root, name, &mut [0_u8; 1][..]) != Err(Errno::NOTSUP)
}

fn name(dest: &Dest, path: Option<&TreePath>) -> String {
    path.map_or_else(|| dest.to_string(), ToString::to_string)
}
