//! What tests, benchmarks and examples share: a scriptable registry in this process, a sink, TLS
//! for both, a Sigstore, and the program as its host calls it.
//!
//! Nothing here is part of the program, which depends on it for its tests alone.

//!
//! ```ignore
//! let registry = TestRegistry::start();                                    // good, open, with a referrers API
//! let image = registry.push_image("a/b", "1", &[b"layer"]);                // straight into its memory
//! registry.rule("GET", "/v2/a/b/manifests/*", |call| (call.nth == 1).then(|| Answer::new(503)));
//! // ... point a client at registry.name("a/b:1") ...
//! assert_eq!(registry.lines(), ["GET /v2/a/b/manifests/1", "GET /v2/a/b/manifests/1"]);
//! ```

pub mod canary;
pub mod certificates;
pub mod client;
pub mod http;
pub mod layer;
pub mod luet;
pub mod plugin;
pub mod registry;
pub mod schema;
pub mod sigstore;
pub mod sink;
pub mod vectors;

pub use canary::Canary;
pub use http::{Answer, Gate, Request, Server};
pub use layer::{layer, unpack};
pub use luet::LuetRepository;
pub use plugin::{Keys, PASSWORD, Plugin, Reply, envelope, folders, make_keys};
pub use registry::{Auth, Image, Options, Signature, TestRegistry, digest};
pub use sink::Sink;
