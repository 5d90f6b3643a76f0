//! What was fetched of a TUF repository, kept for every process of this user: one file, replaced
//! whole, so that a reader sees one fetch and never parts of two. Nothing in it is believed:
//! each reader proves it again from the pinned root.
//!
//! Beside it lies a note of when a mirror was asked last and what came of it. Sixty-four processes
//! that meet the same unknown key ask once: one holds the lock, and the others find its note.

use super::mirror::TufFiles;
use crate::class::{Class, Failure};
use crate::limits;
use crate::store::{Folder, Locations, Lock};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The directory within the state.
const FOLDER: &str = "roots";
/// Which form of the file this program writes.
const VERSION: u32 = 1;

/// What was fetched, and when by this machine's clock.
#[derive(Debug)]
pub(super) struct CachedFiles {
    pub(super) fetched: Timestamp,
    pub(super) files: TufFiles,
}

#[derive(Serialize, Deserialize)]
struct KeptWire {
    version: u32,
    fetched: Timestamp,
    /// All of it is JSON, so all of it is text.
    files: BTreeMap<String, String>,
}

/// When a mirror was asked, and why in vain.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LastAttempt {
    pub(super) at: Timestamp,
    pub(super) failure: Option<Why>,
}

/// A failure, as it is noted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Why {
    class: String,
    message: String,
    hint: String,
}

impl From<&Failure> for Why {
    fn from(failure: &Failure) -> Self {
        Self {
            class: failure.class().word().to_owned(),
            message: failure.message(),
            hint: failure.the_hint(),
        }
    }
}

impl From<Why> for Failure {
    fn from(why: Why) -> Self {
        let class = Class::ALL
            .iter()
            .copied()
            .find(|class| class.word() == why.class)
            .unwrap_or(Class::Net);
        Self::new(class, why.message).hint(why.hint)
    }
}

/// The place of one repository.
#[derive(Debug)]
pub(super) struct Cache {
    state: Option<PathBuf>,
    id: String,
}

impl Cache {
    pub(super) fn new(locations: &Locations, id: String) -> Self {
        Self { state: locations.state_place().map(ToOwned::to_owned), id }
    }

    /// Returns what is kept, if anything; makes nothing.
    ///
    /// # Errors
    /// `state`: something is there and cannot be read.
    pub(super) fn read(&self) -> Result<Option<CachedFiles>, Failure> {
        let Some(folder) = self.existing()? else { return Ok(None) };
        let Some(bytes) = folder.read_up_to(&self.file(), limits::TUF_BYTES)? else {
            return Ok(None);
        };
        let wire: KeptWire = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        if wire.version != VERSION {
            return Err(damaged(&format!("version {}; expected {VERSION}", wire.version)));
        }
        let files = wire.files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        Ok(Some(CachedFiles { fetched: wire.fetched, files }))
    }

    /// Keeps what was fetched.
    ///
    /// # Errors
    /// `state`: it cannot be kept.
    pub(super) fn write(&self, fetched: Timestamp, files: &TufFiles) -> Result<(), Failure> {
        let text = |(name, bytes): (&String, &Vec<u8>)| {
            Some((name.clone(), String::from_utf8(bytes.clone()).ok()?))
        };
        let wire =
            KeptWire { version: VERSION, fetched, files: files.iter().filter_map(text).collect() };
        let bytes = serde_json::to_vec(&wire).map_err(|error| damaged(&error))?;
        if u64::try_from(bytes.len()).map_or(true, |length| length > limits::TUF_BYTES) {
            return Err(Failure::new(
                Class::State,
                format!("{} bytes; at most {} are kept", bytes.len(), limits::TUF_BYTES),
            ));
        }
        self.folder()?.replace(&self.file(), &bytes)
    }

    /// Keeps others from asking at the same time.
    ///
    /// # Errors
    /// `state`: another asks for too long, or nothing can be kept.
    pub(super) fn lock(&self) -> Result<Lock, Failure> {
        self.folder()?.lock(&self.file(), limits::TUF_LOCK)
    }

    /// Returns what came of asking, where that was so shortly before `now` that it still counts.
    pub(super) fn asked(&self, now: Timestamp) -> Option<LastAttempt> {
        let asked: LastAttempt =
            serde_json::from_slice(&self.existing().ok()??.read(&self.note()).ok()??).ok()?;
        let rest = SignedDuration::try_from(limits::TUF_REST).ok()?;
        // Of a clock that was set back nothing counts.
        (asked.at.duration_until(now).abs() < rest).then_some(asked)
    }

    /// Notes what came of asking. Where that cannot be noted the next one asks again, which costs
    /// time and nothing else.
    pub(super) fn note_asked(&self, asked: &LastAttempt) {
        let noted = serde_json::to_vec(asked).map_err(|error| damaged(&error));
        let _ = noted.and_then(|bytes| self.folder()?.replace(&self.note(), &bytes));
    }

    fn file(&self) -> String {
        format!("tuf-{}", self.id)
    }

    fn note(&self) -> String {
        format!("asked-{}", self.id)
    }

    fn folder(&self) -> Result<Folder, Failure> {
        let state = self.state.as_ref().ok_or_else(|| {
            Failure::new(Class::State, "this user has no directory to keep state in")
        })?;
        Folder::open(state)?.within(FOLDER)
    }

    fn existing(&self) -> Result<Option<Folder>, Failure> {
        let Some(state) = &self.state else { return Ok(None) };
        match state.join(FOLDER).symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => self.folder().map(Some),
        }
    }
}

fn damaged(why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Class::State, format!("what is kept of a TUF repository cannot be read: {why}"))
}
