//! The adapter of registries against real sockets: good registries, broken ones and evil ones.
//!
//! Rows R, N and F of docs/threats.md. Each case names the class that it expects.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stderr,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations
)]

#[path = "registry/answers.rs"]
mod answers;
#[path = "registry/auth.rs"]
mod auth;
#[path = "registry/causes.rs"]
mod causes;
#[path = "registry/credentials.rs"]
mod credentials;
#[path = "registry/faults.rs"]
mod faults;
#[path = "registry/limits.rs"]
mod limits;
#[path = "registry/manifests.rs"]
mod manifests;
#[path = "registry/network.rs"]
mod network;
#[path = "registry/push.rs"]
mod push;
#[path = "registry/redirects.rs"]
mod redirects;
#[path = "registry/referrers.rs"]
mod referrers;
#[path = "registry/speed.rs"]
mod speed;
#[path = "registry/streams.rs"]
mod streams;
#[path = "registry/tokens.rs"]
mod tokens;
