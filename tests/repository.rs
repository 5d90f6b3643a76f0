//! `verify-repo` and `sign-repo` at the real binary, against repositories in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations
)]

#[path = "repository/inputs.rs"]
mod inputs;
#[path = "repository/late.rs"]
mod late;
#[path = "repository/published.rs"]
mod published;
#[path = "repository/sign.rs"]
mod sign;
#[path = "repository/support.rs"]
mod support;
#[path = "repository/verify.rs"]
mod verify;
