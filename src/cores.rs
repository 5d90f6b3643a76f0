//! The same work for many things, on all processors.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{available_parallelism, scope};

/// Does `work` with each of `items`, and returns what came of them, in their order. A thread is
/// started for every `worth` of them and for no fewer, as far as there are processors: to start one
/// takes as long as some work.
pub(crate) fn map<'a, T: Sync, R: Send>(
    items: &'a [T],
    worth: NonZero<usize>,
    work: impl Fn(&'a T) -> R + Sync,
) -> Vec<R> {
    let most = items.len() / worth;
    let threads =
        if most < 2 { 1 } else { available_parallelism().map_or(1, NonZero::get).min(most) };
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item)));
        }
    };
    let mut done = scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(some)).collect();
        let mut done = some();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_comes_back_in_order() {
        let items: Vec<usize> = (0..1_000).collect();
        for worth in [1, 300, 2_000].map(|worth| NonZero::new(worth).unwrap()) {
            let calls = AtomicUsize::new(0);
            let found = map(&items, worth, |item| {
                calls.fetch_add(1, Ordering::Relaxed);
                item * 2
            });
            assert_eq!(found, items.iter().map(|item| item * 2).collect::<Vec<_>>());
            assert_eq!(calls.into_inner(), items.len());
        }
        assert_eq!(map(&items[..0], NonZero::<usize>::MIN, |item| *item).len(), 0);
    }

    #[test]
    fn a_panic_in_one_thread_is_the_callers() {
        let items: Vec<usize> = (0..100).collect();
        for worth in [1, 1_000].map(|worth| NonZero::new(worth).unwrap()) {
            let found =
                std::panic::catch_unwind(|| map(&items, worth, |item| assert_ne!(*item, 50)));
            assert!(found.is_err(), "{worth}");
        }
    }
}
