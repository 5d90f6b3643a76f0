//! luet: its command line, its configuration, its caches.

mod caches;
mod configuration;
mod process;

pub use caches::{Cached, cached};
pub use configuration::{Auth, Configuration, Repository};
pub use process::CommandLine;
