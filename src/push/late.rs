//! Registries that show late what was pushed: what was written just now is not there yet, or what
//! was there before still is.
//!
//! Seen at large registries, for seconds. So it is asked again, with growing waits, before anything
//! is made of such an answer; what is different from both is no such answer.

use crate::class::Failure;
use crate::limits;
use crate::registry::Client;
use std::time::{Duration, Instant};

/// Waiting for one thing to show.
pub(super) struct Late<'a> {
    client: &'a Client,
    since: Instant,
    next: Duration,
}

impl<'a> Late<'a> {
    /// Begins to wait: it was written now, or before.
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, since: Instant::now(), next: limits::LATE_FIRST }
    }

    /// Waits, longer each time. Returns whether to ask again; `false` where there is no time left.
    pub(super) async fn again(&mut self) -> bool {
        let now = Instant::now();
        let until = self.client.deadline().min(self.since + limits::LATE);
        if now + self.next >= until {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(limits::LATE_MOST);
        true
    }

    /// Says of what is found that it was waited for.
    pub(super) fn over(&self, failure: Failure) -> Failure {
        failure.detail(format!(
            "that was so for {:.1} s after it was pushed; some registries show late what is pushed",
            self.since.elapsed().as_secs_f64()
        ))
    }
}
