//! What `luet build` left in a directory: packages and their metadata, found by the tags that luet
//! gives their images.
//!
//! The directory is the user's own, and its word is taken for what it holds; an image has to hold the
//! same, under its own name. A package under another's name is not in the directory.

use crate::class::{Class, Failure};
use crate::limits;
use crate::luet;
use crate::name::{Digest, Tag};
use crate::tree::{EntryKind, ExpectedTree, Layer, Limits, Meaning, failure_of, read_layer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// How the files end that describe packages.
const METADATA: &str = ".metadata.yaml";

/// One file of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Artifact {
    /// The archive of a package.
    Archive(PathBuf),
    /// The file that describes it.
    Metadata(PathBuf),
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Artifacts {
    by_tag: BTreeMap<Tag, Artifact>,
}

impl Artifacts {
    /// Returns how many images can be held against them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_tag.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_tag.is_empty()
    }

    pub(super) fn of(&self, tag: &Tag) -> Option<&Artifact> {
        self.by_tag.get(tag)
    }
}

/// Finds what is in a directory and below.
///
/// # Errors
/// `usage`: no directory, nothing in it that luet built, or one package twice. `limit`: too much.
/// `malformed`: a description that cannot be read.
pub fn read_artifacts(folder: &Path) -> Result<Artifacts, Failure> {
    let usage = |what: String| Failure::new(Class::Usage, what);
    let mut found = Artifacts::default();
    let (mut folders, mut seen) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        let unread = |error| usage(format!("`{}` cannot be read: {error}", folder.display()));
        for entry in std::fs::read_dir(&folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let kind = entry.file_type().map_err(unread)?;
            seen += 1;
            if seen > limits::LISTING_ENTRIES {
                let most = limits::LISTING_ENTRIES;
                return Err(Failure::new(
                    Class::Limit,
                    format!("more than {most} files in `{}`", folder.display()),
                ));
            }
            let path = entry.path();
            // luet does not follow links either.
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && path.to_str().is_some_and(|path| path.ends_with(METADATA)) {
                add(&mut found, &path)
                    .map_err(|failure| failure.within(format!("`{}`", path.display())))?;
            }
        }
    }
    if found.is_empty() {
        return Err(usage(format!("`{}` holds no *{METADATA}", folder.display()))
            .hint("name the directory that `luet build --destination` wrote to"));
    }
    Ok(found)
}

fn add(found: &mut Artifacts, path: &Path) -> Result<(), Failure> {
    let metadata = luet::read_metadata(open(path)?)?;
    // The path is that of the machine that built it; luet takes the name and looks beside.
    let name = Path::new(&metadata.path).file_name().unwrap_or_default();
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    for (tag, artifact) in [
        (metadata.package.image()?, Artifact::Archive(path.with_file_name(name))),
        (luet::tag(file)?, Artifact::Metadata(path.to_owned())),
    ] {
        if found.by_tag.insert(tag.clone(), artifact).is_some() {
            return Err(Failure::new(Class::Usage, format!("the image `{tag}` is there twice")));
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path)
        .map_err(|error| Failure::new(Class::Usage, format!("it cannot be opened: {error}")))
}

impl Artifact {
    /// Checks that the layers of an image hold what is here. Reads a whole archive.
    ///
    /// # Errors
    /// `tree`: they hold something else. `usage`, `malformed`, `limit`: what is here cannot be
    /// read.
    pub(super) fn check(&self, layers: &[Layer]) -> Result<(), Failure> {
        match self {
            Self::Archive(path) => check_archive(path, layers),
            Self::Metadata(path) => check_metadata(path, layers),
        }
    }
}

fn check_archive(path: &Path, layers: &[Layer]) -> Result<(), Failure> {
    let within = |failure: Failure| failure.within(format!("`{}`", path.display()));
    let local = open(path).and_then(|file| read_layer(file, Limits::default())).map_err(within)?;
    // The very archive, as luet puts it into the image; where it was packed again since, the same
    // tree in either meaning.
    if let [layer] = layers
        && layer.diff_id() == local.diff_id()
    {
        return Ok(());
    }
    let (remote, local) =
        (ExpectedTree::of(layers), ExpectedTree::of(std::slice::from_ref(&local)));
    for meaning in [Meaning::Oci, Meaning::Host] {
        if remote.tree(meaning)? != local.tree(meaning)? {
            return Err(differs(path));
        }
    }
    Ok(())
}

/// luet packs the one file; modes and owners are those of wherever it did that.
fn check_metadata(path: &Path, layers: &[Layer]) -> Result<(), Failure> {
    let within = |failure: Failure| failure.within(format!("`{}`", path.display()));
    let mut file = open(path).map_err(within)?;
    let (expected, bytes) = digest_of(&mut file).map_err(within)?;
    let found = ExpectedTree::of(layers);
    for meaning in [Meaning::Oci, Meaning::Host] {
        let [entry] = found.tree(meaning)?.entries() else { return Err(differs(path)) };
        let name = path.file_name().unwrap_or_default();
        let plain = entry.xattrs.is_empty()
            && entry.metadata.is_some_and(|metadata| metadata.mode & 0o7000 == 0);
        let same = entry.kind == EntryKind::File { size: bytes, digest: expected }
            && entry.path.bytes() == std::os::unix::ffi::OsStrExt::as_bytes(name);
        if !(plain && same) {
            return Err(differs(path));
        }
    }
    Ok(())
}

/// Returns digest and length of a file.
fn digest_of(file: &mut File) -> Result<(Digest, u64), Failure> {
    let mut bytes = Vec::new();
    file.take(limits::REPOSITORY_BYTES + 1).read_to_end(&mut bytes).map_err(failure_of)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > limits::REPOSITORY_BYTES {
        let most = limits::REPOSITORY_BYTES;
        return Err(Failure::new(Class::Limit, format!("more than {most} bytes")));
    }
    Ok((Digest::of(&bytes), length))
}

fn differs(path: &Path) -> Failure {
    Failure::new(Class::Tree, format!("it holds something else than `{}`", path.display()))
        .hint("someone else pushed under this name, or the package was rebuilt since")
}
