//! Work shared by threads: what was added last is done first, and the first failure ends it all.

use crate::class::{Class, Failure};
use std::sync::{Condvar, Mutex, MutexGuard};

/// A stack of work, some of which makes more work.
pub(super) struct Queue<W> {
    state: Mutex<State<W>>,
    moved: Condvar,
}

/// A piece of work that was taken. One that is dropped undone, as when its thread panics, counts as
/// failed.
pub(super) struct Ticket<'a, W> {
    queue: &'a Queue<W>,
    result: Option<Result<Vec<W>, Failure>>,
}

impl<W> Ticket<'_, W> {
    /// Ends the work, adding what it made.
    pub(super) fn done(mut self, result: Result<Vec<W>, Failure>) {
        self.result = Some(result);
    }
}

impl<W> Drop for Ticket<'_, W> {
    fn drop(&mut self) {
        let undone = || Err(Failure::new(Class::Internal, "a thread left its work undone"));
        self.queue.done(self.result.take().unwrap_or_else(undone));
    }
}

struct State<W> {
    waiting: Vec<W>,
    /// Pieces of work that were taken and are not done.
    active: usize,
    failure: Option<Failure>,
}

impl<W> Queue<W> {
    pub(super) fn new(first: W) -> Self {
        Self {
            state: Mutex::new(State { waiting: vec![first], active: 0, failure: None }),
            moved: Condvar::new(),
        }
    }

    /// Takes a piece of work, waiting for one where others may still make some; `None` when all is
    /// done or has failed.
    pub(super) fn take(&self) -> Option<(W, Ticket<'_, W>)> {
        let mut state = self.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            if let Some(work) = state.waiting.pop() {
                state.active += 1;
                return Some((work, Ticket { queue: self, result: None }));
            }
            if state.active == 0 {
                return None;
            }
            state = self.moved.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn done(&self, result: Result<Vec<W>, Failure>) {
        let mut state = self.lock();
        state.active = state.active.saturating_sub(1);
        match result {
            Ok(more) => state.waiting.extend(more),
            Err(failure) => state.failure = state.failure.take().or(Some(failure)),
        }
        drop(state);
        self.moved.notify_all();
    }

    /// Returns the failure, after the last thread has ended.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let state = self.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.failure.map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_makes_work_until_there_is_none() {
        let queue = Queue::new(3);
        let mut taken = Vec::new();
        while let Some((work, ticket)) = queue.take() {
            taken.push(work);
            ticket.done(Ok((0..work).collect()));
        }
        assert_eq!(taken, [3, 2, 1, 0, 0, 1, 0, 0]);
        assert_eq!(queue.finish(), Ok(()));
    }

    #[test]
    fn a_thread_that_panics_ends_the_work_for_all() {
        let queue = Queue::new(());
        std::thread::scope(|scope| {
            let panics = || {
                let _ticket = queue.take();
                std::panic::resume_unwind(Box::new(()));
            };
            assert!(scope.spawn(panics).join().is_err());
        });
        assert!(queue.take().is_none());
        assert_eq!(queue.finish().map_err(|failure| failure.class()), Err(Class::Internal));
    }
}
