//! A key that is open, or that another thread opens, which takes as long as a request or two.

use crate::class::{Class, Failure};
use crate::trust::PrivateKey;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

/// A key, or the thread that opens it.
#[derive(Debug)]
pub(super) struct Opening {
    thread: Mutex<Option<JoinHandle<Result<PrivateKey, Failure>>>>,
    key: OnceLock<Result<PrivateKey, Failure>>,
}

impl Opening {
    pub(super) fn done(key: PrivateKey) -> Self {
        Self { thread: Mutex::new(None), key: OnceLock::from(Ok(key)) }
    }

    pub(super) fn begin(
        open: impl FnOnce() -> Result<PrivateKey, Failure> + Send + 'static,
    ) -> Self {
        Self { thread: Mutex::new(Some(std::thread::spawn(open))), key: OnceLock::new() }
    }

    /// Waits until it is open.
    pub(super) fn key(&self) -> Result<&PrivateKey, Failure> {
        let opened = self.key.get_or_init(|| {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            let opened = thread.and_then(|thread| thread.join().ok());
            opened.unwrap_or_else(|| Err(Failure::new(Class::Internal, "no key was opened")))
        });
        opened.as_ref().map_err(Failure::clone)
    }
}
