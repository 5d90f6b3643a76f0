//! Images in files: one archive that docker, containerd, skopeo and luet take, or a directory in OCI's
//! layout.
//!
//! Written whole or not at all, and never other bytes than those of the digests that were asked
//! for. Read strictly: what two readers could see as two images is `malformed`, and every byte of an
//! archive is accounted for. It decides nothing about signatures. Formats: OCI image-spec 1.1
//! "Image Layout"; `manifest.json` of `docker save`.

mod contents;
mod file;
mod folder;
mod layout;
mod part;
mod plan;

pub use contents::{Contents, Signature};
pub use layout::Layout;
pub use plan::{Image, Plan};

use crate::class::{Class, Failure};
use crate::registry::Client;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where an archive is written to, or read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchivePlace {
    /// One file, as `docker save` and `crane pull` write it.
    File(PathBuf),
    /// A directory.
    Folder(PathBuf),
}

const FOLDER: &str = "oci:";
const FILE: &str = "docker-archive:";

impl ArchivePlace {
    /// Reads `oci:DIR` and `docker-archive:FILE`; nothing else is an archive that is read.
    #[must_use]
    pub fn to_read(text: &str) -> Option<Self> {
        let folder = text.strip_prefix(FOLDER).map(|path| Self::Folder(path.into()));
        folder.or_else(|| text.strip_prefix(FILE).map(|path| Self::File(path.into())))
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Folder(path) => path,
        }
    }
}

impl FromStr for ArchivePlace {
    type Err = Failure;

    /// Reads where to write: `oci:DIR`, or a file.
    ///
    /// # Errors
    /// `usage`: no path, or the form of someone else.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let place = Self::to_read(text).unwrap_or_else(|| Self::File(text.into()));
        let usage = |what: &str| {
            Failure::new(Class::Usage, format!("`{text}` {what}"))
                .hint("write FILE.tar, or oci:DIR for a directory")
        };
        let path = place.path();
        if path.file_name().is_none() {
            return Err(usage("is not a file or directory that can be written"));
        }
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        let foreign = ["dir", "docker", "docker-daemon", "containers-storage", "oci-archive"];
        if scheme.is_some_and(|scheme| foreign.contains(&scheme)) {
            return Err(usage("is a form that is not written here"));
        }
        Ok(place)
    }
}

impl fmt::Display for ArchivePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Folder(path) => write!(f, "{FOLDER}{}", path.display()),
        }
    }
}

/// Writes an archive. `progress` is told of bytes that came or were there already.
///
/// What lay there stays as it was until the new one takes its place. After a broken line what came
/// is kept beside it, and the next call goes on there; after anything else nothing is left.
///
/// # Errors
/// `digest`: other bytes came than were asked for. `net` and others: they could not be had. `state`:
/// the archive could not be written. `usage`: something else is there.
pub async fn write(
    client: &Client,
    plan: &Plan,
    place: &ArchivePlace,
    progress: &dyn Fn(u64),
) -> Result<(), Failure> {
    let written = match place {
        ArchivePlace::File(path) => file::write(client, plan, path, progress).await,
        ArchivePlace::Folder(path) => folder::write(client, plan, path, progress).await,
    };
    if let Err(failure) = &written
        && !failure.class().is_inconclusive()
    {
        discard(place);
    }
    written
}

/// Removes what an earlier call left beside the archive.
pub fn discard(place: &ArchivePlace) {
    match place {
        ArchivePlace::File(path) => part::discard_file(&part::path(path)),
        ArchivePlace::Folder(path) => part::discard_folder(&part::path(path)),
    }
}
