//! Trees: from layers, from directories, their digest and their difference. What real unpackers
//! made of the same layers is recorded in `tests/tree/recorded.json` (how: `tests/tree/README.md`).

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

#[path = "tree/before.rs"]
mod before;
#[path = "tree/disk.rs"]
mod disk;
#[path = "tree/hostile.rs"]
mod hostile;
#[path = "tree/labels.rs"]
mod labels;
#[path = "tree/large.rs"]
mod large;
#[path = "tree/random.rs"]
mod random;
#[path = "tree/recorded.rs"]
mod recorded;
#[path = "tree/support.rs"]
mod support;
#[path = "tree/vectors.rs"]
mod vectors;
