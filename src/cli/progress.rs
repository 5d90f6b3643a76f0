//! How far reading is, on a terminal: one line, written over and gone at the end. Elsewhere
//! nothing.

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
        Self {
            total,
            read: AtomicU64::new(0),
            written: terminal.then(|| Mutex::new(Instant::now())),
        }
    }

    /// Counts what was read. Called for every piece, by several threads.
    pub(super) fn add(&self, bytes: u64) {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Some(written) = &self.written else { return };
        let Ok(mut written) = written.try_lock() else { return };
        if written.elapsed() >= EVERY {
            *written = Instant::now();
            let _ = write!(std::io::stderr(), "\r{} ", line(read, self.total));
        }
    }
}

/// Returns what the line says. Where the whole is not known, as of standard input, only what was
/// read.
fn line(read: u64, total: u64) -> String {
    match total {
        0 => format!("{} MiB", read >> 20),
        _ => format!(
            "{} of {} MiB, {} %",
            read >> 20,
            total >> 20,
            (u128::from(read) * 100 / u128::from(total)).min(100)
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        assert_eq!(line(512 << 20, 1 << 30), "512 of 1024 MiB, 50 %");
        assert_eq!(line(3 << 20, 0), "3 MiB");
        assert_eq!(line(2, 1), "0 of 0 MiB, 100 %", "a file that grew");
    }
}
