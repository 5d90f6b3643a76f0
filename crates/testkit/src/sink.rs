//! A second origin, which records every byte that it gets: what must never arrive anywhere else
//! would be found here.

use super::http::{Answer, Request, Server};

/// A server that answers everything in one way, and remembers.
pub struct Sink(pub Server);

impl Sink {
    /// Answers 200 to everything.
    pub fn start() -> Self {
        Self::answering(|_| Answer::new(200).json("{}"))
    }

    pub fn answering(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self(Server::start(answer))
    }

    /// Returns the sink's URL under the name `localhost`, which is another host than `127.0.0.1`.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.0.address().port())
    }

    /// Panics if any of `secrets` arrived, as it is or in base64.
    pub fn assert_clean(&self, secrets: &[&str]) {
        use base64::Engine as _;
        let received = String::from_utf8_lossy(&self.0.received()).into_owned();
        for secret in secrets {
            let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
            let core = encoded.trim_end_matches('=');
            assert!(
                !received.contains(secret) && !received.contains(core),
                "the sink got a secret: {received}"
            );
        }
        assert!(
            !received.to_ascii_lowercase().contains("authorization:"),
            "the sink got credentials: {received}"
        );
    }
}
