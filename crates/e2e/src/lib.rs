//! Real parts as values: hosts, registries, makers of signatures, machines. What a value started
//! ends with it, also when a trial panics; and with this process, however that ends.
//!
//! Nothing here is skipped: a program that is missing is a failure that says what brings it
//! ([`tools`]).

pub mod containerd;
pub mod engine;
pub mod go;
pub mod host;
pub mod http;
pub mod layers;
pub mod liar;
pub mod machine;
pub mod maker;
pub mod process;
pub mod registry;
pub mod scratch;
pub mod sigstore;
pub mod tools;
pub mod wan;
pub mod world;

pub use containerd::Containerd;
pub use engine::{Dockerd, Engine};
pub use host::Host;
pub use liar::{Liar, Lie, Who};
pub use machine::{Machine, Seen};
pub use maker::Maker;
pub use registry::Registry;
pub use sigstore::Sigstore;
pub use wan::{Delay, Tokens, Wan};
pub use world::World;
