//! Connections that are opened before they are needed.
//!
//! TCP and TLS are two round trips before a request is even sent. So where it is known that several
//! requests will be made at the same time, their connections are opened while the one before them
//! is answered. A [`Stash`] belongs to one HTTP client, so that a connection is never used under
//! another trust than it was opened under, and to each origin separately. It is a layer of the
//! library's connector: one request for each connection is begun and given up as soon as that
//! stands, so nothing is sent on it. Never decides who may be connected to.

use crate::limits;
use futures_util::future::{BoxFuture, FutureExt as _};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::oneshot;
use tower_layer::Layer;
use tower_service::Service;

type Error = Box<dyn std::error::Error + Send + Sync>;
/// A connection, whose type the library does not name.
type Opened = Box<dyn Any + Send>;
type Sender = Arc<Mutex<Option<oneshot::Sender<Opened>>>>;

tokio::task_local! {
    /// What the connection is for that the library makes within this task.
    static PURPOSE: Purpose;
}

#[derive(Clone)]
enum Purpose {
    /// A request to this origin.
    Use(String),
    /// To be there for a later one.
    Keep(Sender),
}

/// The connections of one client that were opened ahead, by origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Stash(Arc<Mutex<BTreeMap<String, Ahead>>>);

/// What was opened ahead to one origin.
#[derive(Debug, Default)]
struct Ahead {
    waiting: VecDeque<Promise>,
    /// How many there were in all. What was used once is used again by the library, so a client that
    /// looks at five hundred images opens no more of them than for the first.
    opened: usize,
}

#[derive(Debug)]
struct Promise {
    since: Instant,
    connection: oneshot::Receiver<Opened>,
}

impl Stash {
    /// Does something that may need a connection to `origin`, which one that was opened ahead will
    /// do for.
    pub(super) async fn using<T>(&self, origin: String, does: impl Future<Output = T>) -> T {
        PURPOSE.scope(Purpose::Use(origin), does).await
    }

    /// Returns how many of `wanted` connections are still to be opened, which counts as done.
    pub(super) fn missing(&self, origin: &str, wanted: usize) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = all.entry(origin.to_owned()).or_default();
        let missing = wanted.saturating_sub(ahead.opened);
        ahead.opened += missing;
        missing
    }

    /// Opens a connection to `origin` by beginning `request`, which fails once it is there.
    pub(super) fn open<T: 'static>(
        &self,
        origin: String,
        request: impl Future<Output = T> + Send + 'static,
    ) {
        let (sender, connection) = oneshot::channel();
        let promise = Promise { since: Instant::now(), connection };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(origin)
            .or_default()
            .waiting
            .push_back(promise);
        let purpose = Purpose::Keep(Arc::new(Mutex::new(Some(sender))));
        tokio::spawn(PURPOSE.scope(purpose, request).map(drop));
    }

    /// Takes the connection that has been waiting for longest, but not for too long: who accepts
    /// connections closes those that stay silent.
    fn take(&self, origin: &str) -> Option<oneshot::Receiver<Opened>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = &mut all.get_mut(origin)?.waiting;
        waiting.retain(|promise| promise.since.elapsed() < limits::OPENED_AHEAD);
        waiting.pop_front().map(|promise| promise.connection)
    }
}

impl<S> Layer<S> for Stash {
    type Service = Connects<S>;

    fn layer(&self, inner: S) -> Connects<S> {
        Connects { inner, stash: self.clone() }
    }
}

/// Makes connections, or takes them from the stash.
#[derive(Clone, Debug)]
pub(super) struct Connects<S> {
    inner: S,
    stash: Stash,
}

impl<S, R> Service<R> for Connects<S>
where
    S: Service<R, Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<S::Response, Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let again = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, again);
        match PURPOSE.try_with(Clone::clone) {
            Ok(Purpose::Keep(sender)) => async move {
                let connection = ready.call(request).await?;
                let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
                // Nobody waits for it any more where the flow is over.
                let _ = sender.map(|sender| sender.send(Box::new(connection)));
                Err(Error::from(Kept))
            }
            .boxed(),
            Ok(Purpose::Use(origin)) => {
                let promised = self.stash.take(&origin);
                async move {
                    // One that could not be opened is opened again, and then says why it cannot.
                    if let Some(promised) = promised
                        && let Ok(opened) = promised.await
                        && let Ok(connection) = opened.downcast::<S::Response>()
                    {
                        return Ok(*connection);
                    }
                    ready.call(request).await
                }
                .boxed()
            }
            Err(_) => ready.call(request).boxed(),
        }
    }
}

/// Ends a request whose connection is kept.
#[derive(Debug)]
struct Kept;

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is kept for a later request")
    }
}

impl std::error::Error for Kept {}
