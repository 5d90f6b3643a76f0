//! Package managers that call the plugin.

use crate::tools;
use std::path::PathBuf;

/// A host, called like luet.
#[derive(Clone, Debug)]
pub enum Host {
    /// `tests/host`: what luet does wherever a plugin can see it, with the libraries of luet.
    StandIn,
    /// A luet.
    Real(PathBuf),
}

impl Host {
    /// Returns those that this machine has: the stand-in, and luet where there is one.
    pub fn all() -> Vec<Self> {
        [Self::StandIn].into_iter().chain(tools::real_luet().map(Self::Real)).collect()
    }

    /// Its part of a trial's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StandIn => "luet-host",
            Self::Real(_) => "luet",
        }
    }

    #[track_caller]
    pub fn program(&self) -> PathBuf {
        match self {
            Self::StandIn => tools::program("luet-host"),
            Self::Real(path) => path.clone(),
        }
    }
}
