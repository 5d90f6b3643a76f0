//! The policy room from outside: documents, matching, decisions, the environment, explanations.

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

#[path = "policy/advice.rs"]
mod advice;
#[path = "policy/bindings.rs"]
mod bindings;
#[path = "policy/containers.rs"]
mod containers;
#[path = "policy/decisions.rs"]
mod decisions;
#[path = "policy/documents.rs"]
mod documents;
#[path = "policy/edges.rs"]
mod edges;
#[path = "policy/environment.rs"]
mod environment;
#[path = "policy/examples.rs"]
mod examples;
#[path = "policy/explanations.rs"]
mod explanations;
#[path = "policy/keys.rs"]
mod keys;
#[path = "policy/lint.rs"]
mod lint;
#[path = "policy/loading.rs"]
mod loading;
#[path = "policy/matching.rs"]
mod matching;
#[path = "policy/memory.rs"]
mod memory;
#[path = "policy/mirrors.rs"]
mod mirrors;
#[path = "policy/option.rs"]
mod option;
#[path = "policy/prospects.rs"]
mod prospects;
#[path = "policy/refusals.rs"]
mod refusals;
#[path = "policy/start.rs"]
mod start;
#[path = "policy/support.rs"]
mod support;
#[path = "policy/thresholds.rs"]
mod thresholds;
