//! The bytes of one layer, decompressed under caps, with the digest of what came out.
//!
//! How a layer is compressed is told by its first bytes, not by its media type: the host does the
//! same (go-containerregistry, `pkg/v1/partial/compressed.go`), and two answers would be two
//! layers.

use super::layer::Limits;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufReader, Read};

/// Bytes that are decompressed and hashed at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of the compressed layer that are read at once.
const SOURCE_BYTES: usize = 128 << 10;
/// Bytes that tell how a layer is compressed.
const HEAD_BYTES: usize = 4;

/// A layer being read.
pub(super) struct Stream<R: Read> {
    decoder: Decoder<R>,
    chunk: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
    hasher: Sha256,
    produced: u64,
    limits: Limits,
}

enum Decoder<R: Read> {
    None(BufReader<Source<R>>),
    Gzip(Box<MultiGzDecoder<BufReader<Source<R>>>>),
    Zstd(zstd::Decoder<'static, BufReader<Source<R>>>),
}

/// Counts what is read, hands out the first bytes twice, and keeps a failure of the reader apart
/// from one of the decoder.
struct Source<R> {
    inner: R,
    /// The first bytes, which were looked at and are still to be handed out.
    head: Vec<u8>,
    read: u64,
    failure: Option<Failure>,
}

impl<R: Read> Source<R> {
    fn fetch(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                self.read = self.read.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let told =
                    error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>()).cloned();
                self.failure = Some(told.unwrap_or_else(|| {
                    Failure::new(Class::Net, format!("the layer broke off: {error}"))
                }));
                Err(error)
            }
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.head.is_empty() {
            return self.fetch(buffer);
        }
        let count = buffer.iter_mut().zip(&self.head).map(|(to, from)| *to = *from).count();
        self.head.drain(..count);
        Ok(count)
    }
}

impl<R: Read> Stream<R> {
    /// Looks at the first bytes of a layer and prepares to read the rest.
    pub(super) fn new(reader: R, limits: Limits) -> Result<Self, Failure> {
        let mut source = Source { inner: reader, head: Vec::new(), read: 0, failure: None };
        look(&mut source)?;
        let head = source.head.clone();
        let source = BufReader::with_capacity(SOURCE_BYTES, source);
        let decoder = match head.as_slice() {
            [0x1f, 0x8b, ..] => Decoder::Gzip(Box::new(MultiGzDecoder::new(source))),
            [0x28, 0xb5, 0x2f, 0xfd] => Decoder::Zstd(zstd_decoder(source)?),
            _ => Decoder::None(source),
        };
        let chunk = vec![0; CHUNK_BYTES].into();
        Ok(Self {
            decoder,
            chunk,
            start: 0,
            end: 0,
            ended: false,
            hasher: Sha256::new(),
            produced: 0,
            limits,
        })
    }

    /// Returns the next bytes that were not consumed yet; empty at the end.
    pub(super) fn peek(&mut self) -> Result<&[u8], Failure> {
        if self.start == self.end && !self.ended {
            self.fill()?;
        }
        Ok(self.chunk.get(self.start..self.end).unwrap_or_default())
    }

    /// Marks `count` bytes of the last [`Stream::peek`] as used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Counts `bytes` that an entry stands for without holding them: the holes of a sparse file.
    pub(super) fn expand(&mut self, bytes: u64) -> Result<(), Failure> {
        self.produced = self.produced.saturating_add(bytes);
        self.check_size()
    }

    /// Reads to the end and returns the digest of everything that came out.
    pub(super) fn finish(mut self) -> Result<Digest, Failure> {
        while !self.ended {
            self.start = self.end;
            self.fill()?;
        }
        Ok(Digest::from_bytes(self.hasher.finalize().into()))
    }

    fn fill(&mut self) -> Result<(), Failure> {
        let read = loop {
            let result = match &mut self.decoder {
                Decoder::None(decoder) => decoder.read(&mut self.chunk),
                Decoder::Gzip(decoder) => decoder.read(&mut self.chunk),
                Decoder::Zstd(decoder) => decoder.read(&mut self.chunk),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&error)),
                Ok(read) => break read,
            }
        };
        (self.start, self.end, self.ended) = (0, read, read == 0);
        self.hasher.update(self.chunk.get(..read).unwrap_or_default());
        self.produced = self.produced.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        self.check_size()
    }

    fn source(&self) -> &Source<R> {
        match &self.decoder {
            Decoder::None(decoder) => decoder.get_ref(),
            Decoder::Gzip(decoder) => decoder.get_ref().get_ref(),
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        if let Some(failure) = &self.source().failure {
            return failure.clone();
        }
        // The message of ZSTD_error_frameParameter_windowTooLarge: the crate passes on no code.
        if error.to_string().contains("requires too much memory") {
            return Failure::new(
                Class::Limit,
                format!(
                    "a zstd layer wants a window over {} bytes",
                    1_u64 << limits::ZSTD_WINDOW_LOG
                ),
            );
        }
        Failure::new(Class::Malformed, format!("the compressed layer is broken: {error}"))
    }

    /// Refuses bombs: more than the cap, or far more than what was read.
    fn check_size(&self) -> Result<(), Failure> {
        let Limits { unpacked_bytes, ratio, ratio_free_bytes, .. } = self.limits;
        if self.produced > unpacked_bytes {
            return Err(Failure::new(
                Class::Limit,
                format!("a layer unpacks to more than {unpacked_bytes} bytes"),
            ));
        }
        let read = self.source().read;
        if self.produced > ratio_free_bytes && self.produced > read.saturating_mul(ratio) {
            return Err(Failure::new(
                Class::Limit,
                format!("a layer unpacks {read} bytes to {} and more", self.produced),
            ));
        }
        Ok(())
    }
}

/// Reads the first bytes, or what there is: a network cuts pieces where it likes.
fn look<R: Read>(source: &mut Source<R>) -> Result<(), Failure> {
    let mut head = [0; HEAD_BYTES];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.fetch(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(source
                    .failure
                    .clone()
                    .unwrap_or_else(|| Failure::new(Class::Net, error)));
            }
        }
    }
    source.head = head.get(..filled).unwrap_or_default().to_vec();
    Ok(())
}

fn zstd_decoder<R: Read>(
    source: BufReader<Source<R>>,
) -> Result<zstd::Decoder<'static, BufReader<Source<R>>>, Failure> {
    let failure = |error| Failure::new(Class::Internal, format!("zstd: {error}"));
    let mut decoder = zstd::Decoder::with_buffer(source).map_err(failure)?;
    decoder.window_log_max(limits::ZSTD_WINDOW_LOG).map_err(failure)?;
    Ok(decoder)
}
