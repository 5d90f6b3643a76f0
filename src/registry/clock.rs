//! The deadline: an instant, moved on by the time that layer bytes take.
//!
//! Layers may take longer than everything else together, so while at least
//! one is being read the deadline stands still. Monotonic time only.

use crate::limits;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The deadline of one client.
#[derive(Debug)]
pub(super) struct Clock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    deadline: Instant,
    streams: u32,
    since: Instant,
    /// What was waited for layer bytes since the last [`Clock::renew`], and what came.
    waited: Duration,
    came: u64,
}

impl Clock {
    pub(super) fn new(limit: Duration) -> Self {
        let now = Instant::now();
        // A limit beyond what the clock can hold is a day.
        let deadline = now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(86_400));
        Self {
            state: Mutex::new(State {
                deadline,
                streams: 0,
                since: now,
                waited: Duration::ZERO,
                came: 0,
            }),
        }
    }

    /// Returns when everything but layer bytes must be done, as of now.
    pub(super) fn deadline(&self) -> Instant {
        let state = self.lock();
        if state.streams == 0 { state.deadline } else { state.deadline + state.since.elapsed() }
    }

    /// Starts a thread that calls `end` when the deadline is long over.
    pub(super) fn watch(self: Arc<Self>, end: fn()) {
        std::thread::spawn(move || {
            while Instant::now() < self.deadline() + limits::OVERDUE {
                std::thread::sleep(limits::WATCH);
            }
            end();
        });
    }

    /// Starts again: what follows has the whole time again.
    pub(super) fn renew(&self, limit: Duration) {
        let mut state = self.lock();
        let now = Instant::now();
        state.deadline =
            now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(86_400));
        state.since = now;
        state.waited = Duration::ZERO;
        state.came = 0;
    }

    /// Counts what was waited for layer bytes, and what came. Returns both for all layers of the
    /// image where they came too slowly on average: each may bring what it must within its window,
    /// and all of them together still go on for ever.
    pub(super) fn drips(
        &self,
        waited: Duration,
        came: u64,
        grace: Duration,
    ) -> Option<(Duration, u64)> {
        let mut state = self.lock();
        state.waited = state.waited.saturating_add(waited);
        state.came = state.came.saturating_add(came);
        let least = u128::from(limits::AVERAGE_BYTES) * state.waited.as_millis() / 1000;
        let slow = state.waited > grace && u128::from(state.came) < least;
        slow.then_some((state.waited, state.came))
    }

    pub(super) fn stream_begins(&self) {
        let mut state = self.lock();
        if state.streams == 0 {
            state.since = Instant::now();
        }
        state.streams += 1;
    }

    pub(super) fn stream_ends(&self) {
        let mut state = self.lock();
        state.streams = state.streams.saturating_sub(1);
        if state.streams == 0 {
            let taken = state.since.elapsed();
            state.deadline += taken;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_stands_still_while_layers_are_read() {
        let clock = Clock::new(Duration::from_secs(60));
        let before = clock.deadline();
        clock.stream_begins();
        clock.stream_begins();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(2) {}
        assert!(clock.deadline() >= before + Duration::from_millis(2));
        clock.stream_ends();
        clock.stream_ends();
        assert!(clock.deadline() >= before + Duration::from_millis(2));
        assert!(clock.deadline() < before + Duration::from_secs(5));
        assert_eq!(clock.deadline(), clock.deadline());
    }

    #[test]
    fn the_average_counts_over_all_layers_and_after_the_first_minute() {
        let clock = Clock::new(Duration::from_secs(60));
        let minute = Duration::from_secs(60);
        let second = Duration::from_secs(1);
        assert_eq!(clock.drips(minute, 0, minute), None, "the first minute is free");
        assert_eq!(clock.drips(second, 61 * limits::AVERAGE_BYTES, minute), None);
        assert_eq!(clock.drips(second, limits::AVERAGE_BYTES, minute), None);
        let (waited, came) = clock.drips(second, limits::AVERAGE_BYTES - 1, minute).unwrap();
        assert_eq!((waited.as_secs(), came), (63, 63 * limits::AVERAGE_BYTES - 1));
        clock.renew(minute);
        assert_eq!(clock.drips(minute, 0, minute), None, "another image");
    }
}
