//! Layers that are other than they should be.

use crate::machine::EVIL;
use crate::registry::PackedLayer;
use flate2::read::GzDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use std::io::{Read as _, Write as _};
use testkit::digest;

/// A layer that a registry has, with one file more in front of all others, or with other content in
/// one of its files; compressed to as many bytes as the honest one.
pub fn evil(honest: &[u8], change: Change<'_>) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    if let Change::First(path) = change {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        out.append_data(&mut header, path, &b"EVIL\n"[..]).expect("memory");
    }
    let mut archive = tar::Archive::new(GzDecoder::new(honest));
    for entry in archive.entries().expect("a layer") {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        let path = entry.path().expect("a path").into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path);
        if let Change::Content(changed) = change
            && path.to_str() == Some(changed)
        {
            let kept = content.len() - 1;
            content[..kept].fill(b' ');
            content[..EVIL.len()].copy_from_slice(EVIL);
        }
        // The room that the rest needs.
        if path.ends_with("filling") {
            let at = content.len() - 4000;
            content[at..].fill(0);
        }
        out.append(entry.header(), content.as_slice()).expect("memory");
    }
    packed(&out.into_inner().expect("memory"), honest.len())
}

/// What is evil about a layer.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    First(&'a str),
    Content(&'a str),
}

/// Compresses to exactly so many bytes, by a field of gzip (FEXTRA) that readers pass over.
fn packed(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    let body = encoder.finish().expect("memory");
    let mut crc = Crc::new();
    crc.update(bytes);
    let room = size.checked_sub(12 + body.len() + 8).and_then(|fill| u16::try_from(fill).ok());
    let room = room.unwrap_or_else(|| panic!("{} bytes do not become {size}", body.len()));
    let mut packed = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff".to_vec();
    packed.extend(room.to_le_bytes());
    packed.extend(std::iter::repeat_n(0, room.into()));
    packed.extend(body);
    packed.extend(crc.sum().to_le_bytes());
    packed.extend(u32::try_from(bytes.len()).expect("a small layer").to_le_bytes());
    packed
}

/// Returns what one file of a layer holds.
pub fn content_of(layer: &[u8], path: &str) -> Vec<u8> {
    let mut archive = tar::Archive::new(GzDecoder::new(layer));
    for entry in archive.entries().expect("a layer") {
        let mut entry = entry.expect("an entry");
        let found = entry.path().expect("a path").into_owned();
        if found.strip_prefix("./").unwrap_or(&found).to_str() == Some(path) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            return content;
        }
    }
    panic!("{path} is not in the layer");
}

/// Returns a layer of one file.
pub fn of_file(path: &str, content: &[u8]) -> PackedLayer {
    let layer = testkit::layer(&[(path, content)]);
    PackedLayer { id: digest(&layer), blob: layer, kind: "application/vnd.oci.image.layer.v1.tar" }
}
