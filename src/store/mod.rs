//! Files that we keep: one kind, used for everything.
//!
//! A [`Folder`] is private (0700, ours); a file in it is replaced whole or not at all, read under a
//! cap, and changed under a lock that dies with its holder. State that cannot be written never
//! loosens anything: callers get `state` and refuse. Attacks: docs/threats.md, rows L.

mod folder;
mod handoff;
mod memory;
mod program;
mod pushes;
mod run;
mod secret;
mod way;

pub use folder::{Folder, Lock};
pub use handoff::{Handoff, HandoffVerdict, Handoffs, Verified};
pub use memory::{
    FirstSigner, KnownRepository, Memory, RememberedSigner, RememberedSource, Seen, SignerKey,
    Signers,
};
pub use program::find_program;
pub use pushes::{PushRecord, Pushes, Word};
pub use run::Run;
pub use secret::RunSecret;
pub use way::{ACCESS_LIST, Owners, UNMAPPED, check_shared, check_way, is_unmapped};

use std::path::{Path, PathBuf};

/// Where files may lie: the first directory that can be used is.
#[derive(Clone, Debug)]
pub struct Locations {
    /// What is kept for longer than a run: locks, pins, memory.
    pub state: Vec<PathBuf>,
    /// What is kept for one run of the host: handoffs, the mark of a preflight.
    pub runs: Vec<PathBuf>,
}

impl Locations {
    /// Returns where state lies, or will: the first place that is this user's own, whether it can
    /// be used or not.
    #[must_use]
    pub fn state_place(&self) -> Option<&Path> {
        memory::place(self)
    }
}
