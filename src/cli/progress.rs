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

/// How often a line is written where nobody overwrites it.
const SELDOM: Duration = Duration::from_secs(10);

/// Counts images that are done, of so many.
pub(super) struct Counter {
    done: usize,
    total: usize,
    /// How often it is written; none where nothing is ever.
    every: Option<Duration>,
    terminal: bool,
    written: Instant,
    stands: bool,
}

impl Counter {
    /// On a terminal it is written unless lines of the answer come there anyway; elsewhere where
    /// someone `wants` it.
    pub(super) fn new(quiet_answer: bool, wants: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let free = quiet_answer || !std::io::stdout().is_terminal();
        let every = match (terminal, wants) {
            (true, _) if free => Some(EVERY),
            (false, true) => Some(SELDOM),
            _ => None,
        };
        Self { done: 0, total: 0, every, terminal, written: Instant::now(), stands: false }
    }

    /// Says how many there are.
    pub(super) fn total(&mut self, total: usize) {
        self.total = total;
    }

    /// Counts one.
    pub(super) fn step(&mut self) {
        self.done += 1;
        let Some(every) = self.every else { return };
        if self.written.elapsed() < every {
            return;
        }
        self.written = Instant::now();
        let line = count(self.done, self.total);
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r{line} ");
            self.stands = true;
        } else {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// Makes room for another line.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.stands) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn count(done: usize, total: usize) -> String {
    match (total, done) {
        (0, 1) => "1 image".to_owned(),
        (0, _) => format!("{done} images"),
        _ => format!("{done} of {total} images"),
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.clear();
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
