//! A registry in front of a registry, which tells its clients different things.

use crate::http;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use testkit::http::Link;
use testkit::{Answer, Request, Server};

/// Who is lied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The host: go-containerregistry.
    Host,
    /// The program under test.
    Plugin,
    Anyone,
}

/// What one path is answered with instead of what lies there.
#[derive(Clone, Debug)]
pub struct Lie {
    who: Who,
    path: String,
    what: What,
    /// From when on: once this file exists.
    after: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum What {
    As(String),
    Body(Vec<u8>),
    /// Announces all of it, sends so many bytes, and breaks off.
    Cut(Vec<u8>, usize),
    Gone,
}

impl Lie {
    /// Answers with what lies at another path.
    pub fn other(who: Who, path: &str, other: &str) -> Self {
        Self { who, path: path.to_owned(), what: What::As(other.to_owned()), after: None }
    }

    pub fn body(who: Who, path: &str, bytes: &[u8]) -> Self {
        Self { who, path: path.to_owned(), what: What::Body(bytes.to_vec()), after: None }
    }

    pub fn cut(who: Who, path: &str, bytes: &[u8], kept: usize) -> Self {
        Self { who, path: path.to_owned(), what: What::Cut(bytes.to_vec(), kept), after: None }
    }

    pub fn gone(who: Who, path: &str) -> Self {
        Self { who, path: path.to_owned(), what: What::Gone, after: None }
    }

    /// Only from when on this file exists.
    pub fn after(mut self, file: PathBuf) -> Self {
        self.after = Some(file);
        self
    }

    fn fits(&self, request: &Request) -> bool {
        let agent = request.header("user-agent").unwrap_or_default();
        let who = match self.who {
            Who::Host => agent.contains("go-containerregistry"),
            Who::Plugin => agent.contains("luet-cosign"),
            Who::Anyone => true,
        };
        who && self.path == request.path() && self.after.as_ref().is_none_or(|file| file.exists())
    }
}

/// The proxy, which lives as long as the value.
pub struct Liar {
    server: Server,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    lies: Mutex<Vec<Lie>>,
    told: Mutex<Vec<String>>,
}

impl Liar {
    /// Starts one in front of the registry at this address, honest until [`tell`](Self::tell).
    pub fn before(upstream: &str) -> Self {
        Self::start(upstream, None)
    }

    /// The same, through a link of so many bytes a second for all answers together.
    pub fn slow(upstream: &str, rate: u32) -> Self {
        Self::start(upstream, Some(Link::new(rate)))
    }

    fn start(upstream: &str, link: Option<Link>) -> Self {
        let state = Arc::new(State::default());
        let (shared, upstream) = (Arc::clone(&state), upstream.to_owned());
        let server = Server::start(move |request| {
            let answer = shared.answer(&upstream, request);
            match &link {
                Some(link) => answer.over(link),
                None => answer,
            }
        });
        Self { server, state }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.server.host()
    }

    /// Says what it does from now on; the first lie that fits a request counts.
    pub fn tell(&self, lies: impl IntoIterator<Item = Lie>) {
        *self.state.lies.lock().expect("no panic") = lies.into_iter().collect();
    }

    /// Panics unless someone was lied to: without that a refusal proves nothing.
    #[track_caller]
    pub fn assert_lied(&self) {
        assert!(!self.state.told.lock().expect("no panic").is_empty(), "nobody was lied to");
    }
}

impl State {
    fn answer(&self, upstream: &str, request: &Request) -> Answer {
        let lie = self.lies.lock().expect("no panic").iter().find(|lie| lie.fits(request)).cloned();
        let Some(lie) = lie else {
            return http::forward(upstream, request, &request.target, &[], &[]);
        };
        self.told.lock().expect("no panic").push(format!("{} {}", request.method, lie.path));
        let file =
            |bytes| Answer::new(200).header("Content-Type", "application/octet-stream").body(bytes);
        match lie.what {
            What::As(path) => http::forward(upstream, request, &path, &[], &[]),
            What::Gone => Answer::error(404, "MANIFEST_UNKNOWN"),
            What::Body(bytes) => file(bytes),
            What::Cut(bytes, kept) => file(bytes).header("Connection", "close").cut(kept),
        }
    }
}
