//! What signing is at while layers come: where they take longer than a second, a terminal shows how
//! much of them was read.

use std::io::{IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is done sooner is not worth a line.
const AFTER: Duration = Duration::from_secs(1);
/// How often the line is written from then on.
const EVERY: Duration = Duration::from_millis(200);

/// Shows it until it is dropped.
pub(super) struct LayersRead(Option<(Sender<()>, JoinHandle<()>)>);

impl LayersRead {
    /// Begins, on a terminal and where it is `wanted`.
    pub(super) fn show(wanted: bool, read: Arc<AtomicU64>) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (end, ended) = channel();
        let thread = std::thread::spawn(move || show(&mut std::io::stderr(), &read, &ended, AFTER));
        Self(Some((end, thread)))
    }
}

impl Drop for LayersRead {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

/// Writes the line over and over until the other end is dropped; then it is gone.
fn show(to: &mut impl Write, read: &AtomicU64, ended: &Receiver<()>, after: Duration) {
    let (mut wait, mut stands) = (after, false);
    while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        wait = EVERY;
        let read = read.load(Ordering::Relaxed);
        if read > 0 {
            let _ = write!(to, "\rreading the layers: {} MiB ", read >> 20);
            stands = true;
        }
    }
    if stands {
        let _ = write!(to, "\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_comes_after_a_while_and_goes() {
        let (end, ended) = channel::<()>();
        let mut quick = Vec::new();
        drop(end);
        show(&mut quick, &AtomicU64::new(5 << 20), &ended, AFTER);
        assert!(quick.is_empty(), "what is done at once is not a line");
        for (read, line) in [(0, ""), (5 << 20, "\rreading the layers: 5 MiB ")] {
            let (end, ended) = channel::<()>();
            let read = AtomicU64::new(read);
            let mut seen = Seen { bytes: Vec::new(), end: Some(end), wanted: line.len() };
            if line.is_empty() {
                seen.end = None;
            }
            show(&mut seen, &read, &ended, Duration::ZERO);
            let text = String::from_utf8(seen.bytes).unwrap();
            assert!(text.starts_with(line), "{text:?}");
            assert_eq!(text.ends_with("\r\x1b[K"), !line.is_empty(), "{text:?}");
        }
    }

    /// Ends what writes to it as soon as a line is there.
    struct Seen {
        bytes: Vec<u8>,
        end: Option<Sender<()>>,
        wanted: usize,
    }

    impl Write for Seen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.bytes.extend_from_slice(bytes);
            if self.bytes.len() >= self.wanted {
                self.end = None;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
