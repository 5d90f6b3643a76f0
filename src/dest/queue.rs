//! Work shared by threads: what was added last is done first, and the first failure ends it all.

use crate::class::{Class, Failure};
use std::sync::{Condvar, Mutex, MutexGuard};

/// A stack of work, some of which makes more work.
pub(super) struct Queue<W> {
    state: Mutex<State<W>>,
    moved: Condvar,
}

struct State<W> {
    waiting: Vec<W>,
    /// Pieces of work that were taken and are not done.
    active: usize,
    failure: Option<Failure>,
}

impl<W> Queue<W> {
    pub(super) fn new(first: W) -> Self {
        Self { state: Mutex::new(State { waiting: vec![first], active: 0, failure: None }), moved: Condvar::new() }
    }

    /// Takes a piece of work, waiting for one where others may still make some; `None` when all is done or has failed.
    pub(super) fn take(&self) -> Option<W> {
        let mut state = self.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            if let Some(work) = state.waiting.pop() {
                state.active += 1;
                return Some(work);
            }
            if state.active == 0 {
                return None;
            }
            state = self.moved.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Ends a piece of work that was taken, adding what it made.
    pub(super) fn done(&self, result: Result<Vec<W>, Failure>) {
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
        match state.failure {
            Some(failure) => Err(failure),
            None if state.active == 0 && state.waiting.is_empty() => Ok(()),
            None => Err(Failure::new(Class::Internal, "a thread left its work undone")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
