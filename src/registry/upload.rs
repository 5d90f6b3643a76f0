//! A file that is uploaded: read while it is sent, from its beginning at every try, and never held.

use crate::limits;
use bytes::Bytes;
use futures_util::stream;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// An open file of known length.
#[derive(Clone, Debug)]
pub struct UploadFile {
    /// The file; its position does not count.
    pub file: Arc<File>,
    /// Its length, in bytes.
    pub bytes: u64,
}

impl UploadFile {
    /// Returns its bytes, as the body of a request. Where the file has become shorter the request
    /// breaks; other bytes are refused by the registry, which knows their digest.
    pub(super) fn body(&self) -> reqwest::Body {
        let (file, total) = (Arc::clone(&self.file), self.bytes);
        let pieces = stream::try_unfold(0_u64, move |at| {
            let piece = read(&file, at, total);
            async move {
                let piece = piece?;
                let next = at + u64::try_from(piece.len()).unwrap_or(u64::MAX);
                Ok::<_, std::io::Error>((!piece.is_empty()).then_some((piece, next)))
            }
        });
        reqwest::Body::wrap_stream(pieces)
    }
}

fn read(file: &File, at: u64, total: u64) -> std::io::Result<Bytes> {
    let left = usize::try_from(total.saturating_sub(at)).unwrap_or(usize::MAX);
    let mut piece = vec![0; left.min(limits::FILE_CHUNK_BYTES)];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}
