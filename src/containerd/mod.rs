//! What containerd is told about registries: its `hosts.toml` files, of which the image verifier
//! reads where an image really comes from. Read only.

mod config;
mod hosts;

pub use config::{Config, Hole};
pub use hosts::{Endpoint, HostRoutes, Hosts, read_hosts};
