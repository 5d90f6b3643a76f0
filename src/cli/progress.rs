//! How far reading is, on a terminal: one line, written over and gone at the end. Elsewhere nothing.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the line is written.
const EVERY: Duration = Duration::from_millis(200);

/// Counts bytes that are read, of so many.
pub(super) struct Bar {
    total: u64,
    read: AtomicU64,
    /// When it was last written; none where nothing is ever.
    written: Option<Mutex<Instant>>,
}

impl Bar {
    pub(super) fn new(total: u64, wanted: bool) -> Self {
        let terminal = wanted && std::io::stderr().is_terminal();
        Self { total, read: AtomicU64::new(0), written: terminal.then(|| Mutex::new(Instant::now())) }
    }

    /// Counts what was read. Called for every piece, by several threads.
    pub(super) fn add(&self, bytes: u64) {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Some(written) = &self.written else { return };
        let Ok(mut written) = written.try_lock() else { return };
        if written.elapsed() >= EVERY {
            *written = Instant::now();
            let percent = if self.total == 0 { 0 } else { (read / 1024).saturating_mul(100) / (self.total / 1024).max(1) };
            let _ = write!(std::io::stderr(), "\r{} MiB of {}, {} % ", read >> 20, self.total >> 20, percent.min(100));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.written.is_some() {
            // Over the line, and back to its start.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
