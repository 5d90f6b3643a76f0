//! A whole process under a deadline, whatever it is doing: reading what its host writes, a policy on
//! a file system that hangs, a key behind a URL, a credential helper.
//!
//! containerd kills an image verifier that takes too long, and then nobody learns why. So a thread
//! waits beside the work, says the reason and ends the process. The first to finish answers;
//! there is exactly one answer.

use crate::limits;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The deadline of a process, and who answers.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    limit: Duration,
    answered: bool,
}

impl Watch {
    /// Begins to watch. When `limit` is over, `answer` says so and the process ends with `exit`.
    #[must_use]
    pub fn begin(
        limit: Duration,
        exit: u8,
        answer: impl FnOnce(Duration) + Send + 'static,
    ) -> Self {
        let state = Mutex::new(State { limit, answered: false });
        let shared = Shared { start: Instant::now(), state, changed: Condvar::new() };
        let watch = Self(Arc::new(shared));
        let watched = watch.clone();
        std::thread::spawn(move || {
            if let Some(limit) = watched.0.wait() {
                answer(limit);
                // Nothing else ends a thread that is stuck; the exit code stops the host.
                std::process::exit(i32::from(exit));
            }
        });
        watch
    }

    /// Replaces the limit, which goes on counting from the beginning.
    pub fn hold_to(&self, limit: Duration) {
        self.0.lock().limit = limit;
        self.0.changed.notify_all();
    }

    /// Returns how long registries may be waited for, so that time is left to say the reason.
    #[must_use]
    pub fn left(&self) -> Duration {
        let limit = self.0.lock().limit;
        let reserve = limits::HOST_RESERVE.min(limit / 4);
        limit.saturating_sub(reserve).saturating_sub(self.0.start.elapsed())
    }

    /// Takes the right to answer. `false`: the time is over, and the other thread answers.
    #[must_use]
    pub fn claim(&self) -> bool {
        let mut state = self.0.lock();
        let first = !std::mem::replace(&mut state.answered, true);
        drop(state);
        self.0.changed.notify_all();
        first
    }
}

impl Shared {
    /// Waits until the time is over, and takes the right to answer. Nothing where someone else did.
    fn wait(&self) -> Option<Duration> {
        let mut state = self.lock();
        loop {
            let left = state.limit.saturating_sub(self.start.elapsed());
            if state.answered {
                return None;
            }
            if left.is_zero() {
                state.answered = true;
                return Some(state.limit);
            }
            (state, _) =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
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
    fn there_is_one_answer() {
        let watch = Watch::begin(Duration::from_secs(600), 1, |_| {});
        assert!(watch.claim());
        assert!(!watch.claim());
    }

    #[test]
    fn time_is_left_to_say_the_reason() {
        let watch = Watch::begin(Duration::from_secs(600), 1, |_| {});
        watch.hold_to(Duration::from_secs(8));
        assert!(watch.left() <= Duration::from_secs(8) - limits::HOST_RESERVE);
        watch.hold_to(Duration::from_secs(1));
        assert!(watch.left() > Duration::from_millis(500), "a short limit keeps a short reserve");
        let _ = watch.claim();
    }
}
