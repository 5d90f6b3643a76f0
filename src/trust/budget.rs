//! What looking at the signatures of one image may still cost.
//!
//! Anyone may add signatures, and choose what comes with them, so both what one of them may ask
//! for (`wire` refuses more) and what all of them may is bounded. Counted in signature checks and
//! bytes before the work is done, never in seconds: the same image comes to the same on every
//! machine.

use crate::class::{Class, Failure};
use crate::limits;
use std::sync::atomic::{AtomicUsize, Ordering};

// As many of the worst bundles as are looked at can be paid for, where fifty keys are trusted, so none
// of them hides a good one.
const _: () = assert!(limits::REFERRERS * (limits::SIGNATURE_CHECKS + 50) < limits::IMAGE_CHECKS);

/// The work that is left. Used up by [`Self::spend`]; several threads may share it.
#[derive(Debug)]
pub struct Budget {
    checks: AtomicUsize,
    bytes: AtomicUsize,
}

impl Default for Budget {
    /// Returns what one image has.
    fn default() -> Self {
        Self {
            checks: AtomicUsize::new(limits::IMAGE_CHECKS),
            bytes: AtomicUsize::new(limits::IMAGE_PARSED_BYTES),
        }
    }
}

impl Budget {
    /// Takes so many signature checks, and so many bytes to parse, from what is left.
    ///
    /// # Errors
    /// `limit`: less is left than that. Something cheaper may still be paid for.
    pub fn spend(&self, checks: usize, bytes: usize) -> Result<(), Failure> {
        let take = |left: &AtomicUsize, cost: usize| {
            let taken = left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(cost));
            taken.is_ok()
        };
        if take(&self.bytes, bytes) {
            if take(&self.checks, checks) {
                return Ok(());
            }
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        let message = format!(
            "a signature that was not looked at: the signatures of this image take more than {} checks or {} MiB",
            limits::IMAGE_CHECKS,
            limits::IMAGE_PARSED_BYTES >> 20
        );
        Err(Failure::new(Class::Limit, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_of_the_longest_bundles_as_are_looked_at_can_be_read() {
        let each = usize::try_from(limits::REFERRER_BYTES + limits::IMAGE_BUNDLE_BYTES).unwrap();
        assert!(limits::REFERRERS * each < limits::IMAGE_PARSED_BYTES);
    }

    #[test]
    fn what_is_spent_is_gone_and_what_cannot_be_paid_for_leaves_the_rest() {
        let budget = Budget::default();
        let class = |checks, bytes| budget.spend(checks, bytes).map_err(|failure| failure.class());
        assert_eq!(class(limits::IMAGE_CHECKS - 1, 1), Ok(()));
        // Checks that cannot be paid for give back the bytes that were taken for them.
        assert_eq!(class(2, limits::IMAGE_PARSED_BYTES - 1), Err(Class::Limit));
        assert_eq!(class(1, limits::IMAGE_PARSED_BYTES - 1), Ok(()));
        assert_eq!(class(0, 1), Err(Class::Limit));
        assert_eq!(class(0, 0), Ok(()));
    }
}
