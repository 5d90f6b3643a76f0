//! The layers of an image, streamed once from the registry and read while they arrive.
//!
//! Both flows need them: pushing, to know that what is there is what the engine made, and to
//! claim its tree; unpacking, to know what should be in `Dest`. Each layer is checked to its last
//! byte by the registry adapter; nothing is stored.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository};
use crate::registry::{BlobStream, Client};
use crate::tree::{Layer, Limits, Single, read_layer, read_single};
use crate::wire::json;
use bytes::Bytes;
use oci_distribution::manifest::{OciDescriptor, OciImageManifest};
use serde::Deserialize;
use std::io::Read;
use tokio::sync::mpsc;

/// Media types of layers that are read. What a layer really is, its first bytes say; these only
/// keep out what is not a layer.
const LAYER_TYPES: &[&str] = &[
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// Returns whether a media type is that of a layer that is read here.
#[must_use]
pub fn is_layer(media_type: &str) -> bool {
    LAYER_TYPES.contains(&media_type)
}

/// Streams every layer of `image`, the lowest first, and reads what it says.
///
/// # Errors
/// `unsupported`: a layer that is fetched from elsewhere, encrypted, or no archive. `limit`: too
/// many or too large. `digest`: other bytes than the manifest names. `malformed`: no archive. `net`
/// and others: it could not be had.
pub async fn read(
    client: &Client,
    repository: &Repository,
    image: &OciImageManifest,
) -> Result<Vec<Layer>, Failure> {
    if image.layers.len() > limits::LAYERS {
        return Err(Failure::new(
            Class::Limit,
            format!(
                "the image has {} layers; at most {} are read",
                image.layers.len(),
                limits::LAYERS
            ),
        ));
    }
    let mut layers: Vec<Layer> = Vec::new();
    for (number, descriptor) in image.layers.iter().enumerate() {
        let read = layers.iter().map(Layer::entries).sum::<usize>();
        let held = layers.iter().map(Layer::metadata_bytes).sum::<usize>();
        let left = Limits {
            entries: limits::TREE_ENTRIES.saturating_sub(read),
            metadata_bytes: limits::TREE_METADATA_BYTES.saturating_sub(held),
            ..Limits::default()
        };
        let layer = read_one(client, repository, descriptor, left).await;
        layers.push(layer.map_err(|failure| {
            failure.within(format!("layer {} of {}", number + 1, image.layers.len()))
        })?);
    }
    Ok(layers)
}

async fn read_one(
    client: &Client,
    repository: &Repository,
    descriptor: &OciDescriptor,
    limits: Limits,
) -> Result<Layer, Failure> {
    let (digest, size) = described(descriptor)?;
    // Whether these are the bytes that were signed is known at their end. Until then they get little
    // room, so that a registry which serves others cannot fill the memory; a layer that needs more,
    // and turns out to be the one that was signed, is streamed once more.
    let room = Limits {
        entries: limits.entries.min(limits::UNPROVEN_ENTRIES),
        metadata_bytes: limits.metadata_bytes.min(limits::UNPROVEN_METADATA_BYTES),
        ..limits
    };
    match stream(client, repository, &digest, size, room).await? {
        Err(failure) if failure.class() == Class::Limit && room != limits => {
            stream(client, repository, &digest, size, limits).await?
        }
        layer => layer,
    }
}

/// Returns digest and size of a layer that can be read.
fn described(descriptor: &OciDescriptor) -> Result<(Digest, u64), Failure> {
    if !is_layer(&descriptor.media_type)
        || descriptor.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    {
        return Err(Failure::new(
            Class::Unsupported,
            format!("`{}` is not a supported layer type", descriptor.media_type),
        ));
    }
    let size = u64::try_from(descriptor.size)
        .map_err(|_| Failure::new(Class::Malformed, "a layer of negative size"))?;
    Ok((descriptor.digest.parse()?, size))
}

/// Streams a layer to its end. Returns what it says, once it is the one that the manifest names.
async fn stream(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    size: u64,
    limits: Limits,
) -> Result<Result<Layer, Failure>, Failure> {
    stream_to(client, repository, digest, size, move |pieces| read_layer(pieces, limits)).await
}

/// Streams a layer to its end through a reader in a thread of its own. Returns what that one made
/// of it, once it is the layer that the manifest names.
async fn stream_to<T: Send + 'static>(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    size: u64,
    read: impl FnOnce(Pieces) -> T + Send + 'static,
) -> Result<T, Failure> {
    let stream = client.blob_stream(repository, digest, size).await?;
    let (sender, receiver) = mpsc::channel(limits::LAYER_QUEUE);
    let reader = std::thread::spawn(move || read(Pieces { receiver, piece: Bytes::new() }));
    let sent = send(stream, sender).await;
    let layer = reader
        .join()
        .map_err(|_| Failure::new(Class::Bug, "the thread that read a layer panicked"))?;
    // Bytes that are not what the manifest names mean nothing, so that comes first.
    sent?;
    Ok(layer)
}

/// Reads the file `name` at the top of an image of one layer, as the host's own images are.
///
/// # Errors
/// `malformed`: it is not there, or could be read in two ways. `unsupported`: several layers. Those
/// of `read`, and as [`read`](fn@read).
pub async fn read_file<T: Send + 'static>(
    client: &Client,
    repository: &Repository,
    image: &OciImageManifest,
    name: &str,
    read: impl FnOnce(&mut dyn Read) -> Result<T, Failure> + Send + 'static,
) -> Result<Single<T>, Failure> {
    let [descriptor] = image.layers.as_slice() else {
        return Err(Failure::new(
            Class::Unsupported,
            format!("an image of {} layers; expected one that holds `{name}`", image.layers.len()),
        ));
    };
    let (digest, size) = described(descriptor)?;
    let wanted = name.to_owned();
    let file = stream_to(client, repository, &digest, size, move |pieces| {
        read_single(pieces, Limits::default(), &wanted, read)
    })
    .await??;
    file.ok_or_else(|| Failure::new(Class::Malformed, format!("the image has no file `{name}`")))
}

/// Hands every piece on, to the last: only then is the layer what the manifest names. A reader that
/// stopped does not end it.
async fn send(mut stream: BlobStream, sender: mpsc::Sender<Bytes>) -> Result<(), Failure> {
    while let Some(piece) = stream.next().await? {
        let _ = sender.send(piece).await;
    }
    Ok(())
}

/// The other end: what arrives, as something to read from.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        let piece = self.piece.split_to(count);
        buffer.get_mut(..count).unwrap_or_default().copy_from_slice(&piece);
        Ok(count)
    }
}

#[derive(Deserialize)]
struct ConfigWire {
    rootfs: RootWire,
}

#[derive(Deserialize)]
struct RootWire {
    diff_ids: Vec<String>,
}

/// Fetches the configuration of `image` and reads which layers belong to it.
///
/// # Errors
/// `malformed`: it names none. `limit`, `net` and others: it could not be had.
pub async fn diff_ids(
    client: &Client,
    repository: &Repository,
    image: &OciImageManifest,
) -> Result<Vec<Digest>, Failure> {
    let malformed = |what: &str| {
        Failure::new(Class::Malformed, format!("the configuration of the image {what}"))
    };
    let size = u64::try_from(image.config.size).map_err(|_| malformed("has a negative size"))?;
    let bytes = client
        .blob(repository, &image.config.digest.parse()?, size, limits::CONFIG_BLOB_BYTES)
        .await?;
    let config: ConfigWire = json::parse_as(&bytes)
        .map_err(|failure| failure.within("the configuration of the image"))?;
    config.rootfs.diff_ids.iter().map(|digest| digest.parse()).collect()
}
