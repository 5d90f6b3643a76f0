//! The Sigstore of `testkit`, judged by the crate `sigstore-verify` itself: what it
//! calls good is accepted, and what it spoils is refused for the reason that it was spoilt for. So
//! a test of our own checker that uses it tests the checker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity,
    missing_docs
)]

#[path = "sigstore/bad.rs"]
mod bad;
#[path = "sigstore/good.rs"]
mod good;
#[path = "sigstore/judge.rs"]
mod judge;
#[path = "sigstore/known.rs"]
mod known;
#[path = "sigstore/mixing.rs"]
mod mixing;

use std::sync::OnceLock;
use testkit::sigstore::Sigstore;

/// A digest of an image; nothing has it.
const IMAGE: &str = "sha256:2ca10d204d0adbfce603da6886b15a3b98e277c5bf6c2090c054f027a7ffa703";

/// The instance that most tests share.
fn sigstore() -> &'static Sigstore {
    static ONE: OnceLock<Sigstore> = OnceLock::new();
    ONE.get_or_init(Sigstore::new)
}
