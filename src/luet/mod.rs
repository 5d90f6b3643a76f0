//! luet: its command line, its configuration, its caches, and what its repositories say of
//! themselves.

mod caches;
mod configuration;
mod index;
mod process;

pub use caches::{Cached, cached};
pub use configuration::{Auth, Configuration, ConfiguredRepository};
pub use index::{
    DESCRIPTION, Description, INDEX, META, Package, PackageMetadata, RepositoryFile, SNAPSHOT,
    read_description, read_index, read_metadata, tag,
};
pub use process::CommandLine;
