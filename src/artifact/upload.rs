//! `upload blob`: a file becomes an image of one layer, so that it can be signed and verified like
//! one. As cosign does it, to the byte: the same file has the same digest.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Reference, Tag};
use crate::registry::UploadFile;
use crate::session::Connections;
use crate::trust::{Hasher, Needs};
use crate::wire::{self, FileLayer, FilePlatform};
use oci_distribution::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// A file, with the platform that it is for where several are under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileToUpload {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is for.
    pub platform: Option<FilePlatform>,
}

impl FromStr for FileToUpload {
    type Err = Failure;

    /// Parses `PATH[:OS[/ARCHITECTURE]]`. A text that is the name of a file is that file.
    ///
    /// # Errors
    /// `usage`: an empty part.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let split = text.rsplit_once(':').filter(|_| !Path::new(text).exists());
        let Some((path, platform)) = split else {
            return Ok(Self { path: text.into(), platform: None });
        };
        let (os, architecture) = platform.split_once('/').unwrap_or((platform, ""));
        if path.is_empty() || os.is_empty() {
            return Err(Failure::new(
                Class::Usage,
                format!("`{text}` is not a file to upload; expected PATH or PATH:OS/ARCHITECTURE"),
            ));
        }
        let platform = FilePlatform { os: os.to_owned(), architecture: architecture.to_owned() };
        Ok(Self { path: path.into(), platform: Some(platform) })
    }
}

/// What became of a file.
#[derive(Clone, Debug)]
pub struct UploadedFile {
    /// Where it lay.
    pub path: PathBuf,
    /// What it is in the registry.
    pub layer: FileLayer,
}

/// What came of an upload.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// The digest of the image, or of the index where there are several files.
    pub digest: Digest,
    /// The files, in the order in which they were named.
    pub files: Vec<UploadedFile>,
}

/// Uploads files under one name.
///
/// # Errors
/// `not-found`, `state`: a file that is not there, or cannot be read. `usage`: several files, and
/// one of them for no platform; a name without a tag. Those of the registry.
pub async fn upload(
    connections: &Connections,
    files: &[FileToUpload],
    reference: &Reference,
    annotations: &BTreeMap<String, String>,
    media_type: Option<&str>,
) -> Result<Uploaded, Failure> {
    let Some(tag) = reference.tag() else {
        return Err(Failure::new(Class::Usage, format!("`{reference}` has no tag to upload to"))
            .hint("name it by a tag: the digest follows from the file"));
    };
    if files.len() > 1
        && let Some(without) = files.iter().find(|file| file.platform.is_none())
    {
        let path = without.path.display();
        return Err(Failure::new(
            Class::Usage,
            format!("several files under one name, and `{path}` is for no platform"),
        )
        .hint(format!("say which: {path}:linux/amd64")));
    }
    let opened = files.iter().map(Opened::open).collect::<Result<Vec<_>, _>>()?;
    let mut manifests = Vec::new();
    let mut done = Vec::new();
    for (file, opened) in files.iter().zip(&opened) {
        let layer = opened.read(media_type)?;
        let under = (files.len() == 1).then_some(tag);
        let manifest = put(connections, reference, &layer, opened, annotations, under).await?;
        manifests.push((manifest, file.platform.clone().unwrap_or_default()));
        done.push(UploadedFile { path: file.path.clone(), layer });
    }
    let digest = match manifests.as_slice() {
        [(manifest, _)] => Digest::of(manifest),
        _ => {
            let index = wire::write_file_index(&manifests, annotations);
            let kind = OCI_IMAGE_INDEX_MEDIA_TYPE;
            let client = connections.client();
            client.put_manifest(reference.repository(), Some(tag), kind, &index).await?.digest
        }
    };
    Ok(Uploaded { digest, files: done })
}

async fn put(
    connections: &Connections,
    reference: &Reference,
    layer: &FileLayer,
    opened: &Opened,
    annotations: &BTreeMap<String, String>,
    tag: Option<&Tag>,
) -> Result<Vec<u8>, Failure> {
    let (client, repository) = (connections.client(), reference.repository());
    client.renew();
    client.put_file(repository, &layer.digest, &opened.upload).await?;
    client.put_blob(repository, &layer.config()).await?;
    let manifest = layer.manifest(annotations);
    client.put_manifest(repository, tag, OCI_IMAGE_MEDIA_TYPE, &manifest).await?;
    Ok(manifest)
}

/// A file that is open: what was hashed is what is sent, whatever is put in its place meanwhile.
struct Opened {
    path: PathBuf,
    upload: UploadFile,
}

impl Opened {
    fn open(file: &FileToUpload) -> Result<Self, Failure> {
        let path = file.path.clone();
        // O_NONBLOCK: opening a pipe must not wait for those who write.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty())
            .map(File::from)
            .map_err(|error| unread(&path, &error.into()))?;
        let found = opened.metadata().map_err(|error| unread(&path, &error))?;
        if !found.is_file() {
            return Err(Failure::new(
                Class::NotFound,
                format!("`{}` is not a plain file", path.display()),
            )
            .hint("name the file that is to be uploaded"));
        }
        let upload = UploadFile { file: Arc::new(opened), bytes: found.len() };
        Ok(Self { path, upload })
    }

    /// Reads it once, for its digest and its first bytes.
    fn read(&self, media_type: Option<&str>) -> Result<FileLayer, Failure> {
        let mut hasher = Hasher::new(Needs { sha256: true, ..Needs::default() });
        let mut beginning = Vec::new();
        let mut piece = vec![0; limits::FILE_CHUNK_BYTES];
        let mut file = &*self.upload.file;
        let mut bytes = 0;
        loop {
            let length = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unread(&self.path, &error)),
            };
            let read = piece.get(..length).unwrap_or_default();
            hasher.update(read);
            let missing = wire::SNIFFED_BYTES.saturating_sub(beginning.len());
            beginning.extend(read.iter().take(missing));
            bytes += u64::try_from(length).unwrap_or_default();
        }
        if bytes != self.upload.bytes {
            let path = self.path.display();
            return Err(Failure::new(Class::State, format!("`{path}` changed while it was read"))
                .hint("upload it when nothing writes to it any more"));
        }
        let digest = hasher.finish().digests().sha256;
        let digest =
            digest.ok_or_else(|| Failure::new(Class::Internal, "a file without a digest"))?;
        let media_type = media_type.unwrap_or_else(|| wire::media_type(&beginning)).to_owned();
        Ok(FileLayer { media_type, digest, bytes })
    }
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(Class::NotFound, format!("there is no file `{}`", path.display()))
                .hint("check its name")
        }
        _ => Failure::new(Class::State, format!("`{}` cannot be read: {error}", path.display()))
            .hint("check its permissions"),
    }
}
