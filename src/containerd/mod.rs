//! What containerd is told about registries: its `hosts.toml` files, of which the image verifier
//! reads where an image really comes from. Read only.

mod config;
mod hosts;

pub use config::{ContainerdConfig, Hole};
pub use hosts::{HostRoutes, Hosts, RegistryEndpoint, read_hosts};
