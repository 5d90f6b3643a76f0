//! Standard input with an end to patience: a host that opens a pipe and writes nothing must not
//! keep itself waiting for ever.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Reads until a moment.
#[derive(Debug)]
pub struct TimedInput<R> {
    inner: R,
    wait: Duration,
    until: Option<Instant>,
}

impl<R: AsFd> TimedInput<R> {
    /// Reads from `inner` for as long as `wait`, counted from the first read.
    pub fn new(inner: R, wait: Duration) -> Self {
        Self { inner, wait, until: None }
    }
}

impl<R: AsFd> Read for TimedInput<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.wait);
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now()))
            .map_err(|_| Error::from(ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(&self.inner, PollFlags::IN)], Some(&left))? {
            0 => Err(Error::new(
                ErrorKind::TimedOut,
                format!("the host wrote nothing for {} s", self.wait.as_secs()),
            )),
            // Not by way of a buffer: what is in one is nothing to wait for.
            _ => Ok(rustix::io::read(&self.inner, buffer)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_pipe_that_nobody_writes_to_ends() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"{").unwrap();
        let mut input = TimedInput::new(reader, Duration::from_millis(50));
        let mut read = String::new();
        assert_eq!(
            input.read_to_string(&mut read).map_err(|error| error.kind()),
            Err(ErrorKind::TimedOut)
        );
        assert_eq!(read, "{", "what came is read, and is not enough");
    }

    #[test]
    fn what_is_written_is_read_to_its_end() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"all").unwrap();
        drop(writer);
        assert_eq!(
            std::io::read_to_string(TimedInput::new(reader, Duration::from_secs(5))).unwrap(),
            "all"
        );
    }
}
