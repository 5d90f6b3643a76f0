//! What tests share: a scriptable registry in this process, a sink, and TLS for both.
//!
//! Use it with `#[path = "support/mod.rs"] mod support;`, from an integration test or an example
//! program.
//!
//! ```ignore
//! let registry = TestRegistry::start();                                    // good, open, with a referrers API
//! let image = registry.push_image("a/b", "1", &[b"layer"]);                // straight into its memory
//! registry.rule("GET", "/v2/a/b/manifests/*", |call| (call.nth == 1).then(|| Answer::new(503)));
//! // ... point a client at registry.name("a/b:1") ...
//! assert_eq!(registry.lines(), ["GET /v2/a/b/manifests/1", "GET /v2/a/b/manifests/1"]);
//! ```

#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, missing_debug_implementations)]

pub mod canary;
pub mod certificates;
pub mod http;
pub mod layer;
pub mod plugin;
pub mod registry;
pub mod sink;
pub mod vectors;

pub use canary::Canary;
pub use http::{Answer, Gate, Request, Server};
pub use layer::{layer, unpack};
pub use plugin::{Keys, PASSWORD, Plugin, Reply, envelope, make_keys};
pub use registry::{Auth, Image, Options, Signature, TestRegistry, digest};
pub use sink::Sink;
