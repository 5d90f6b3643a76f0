//! `luet-cosign`: signs images when a package manager pushes them, verifies them when it unpacks
//! them.
//!
//! The library exists for the binary, the tests, the fuzz targets and the examples; it is not a
//! stable API. Rooms and who may call whom: ARCHITECTURE.md; a test (`tests/architecture.rs`) holds
//! them to it.

#[cfg(test)]
extern crate self as luet_cosign;

pub mod archive;
pub mod artifact;
pub mod blob;
pub mod class;
pub mod cli;
pub mod config;
pub mod containerd;
mod cores;
pub mod dest;
pub mod engine;
pub mod event;
pub mod layers;
pub mod limits;
pub mod luet;
pub mod name;
pub mod oidc;
pub mod policy;
pub mod pull;
pub mod push;
pub mod registry;
pub mod repository;
pub mod session;
pub mod signer;
pub mod sigstore;
pub mod store;
pub mod tree;
pub mod trust;
pub mod unpack;
pub mod verifier;
pub mod wire;
