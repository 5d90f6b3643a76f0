//! What the pre event of an image leaves for its post event.
//!
//! A handoff counts only for the same run of the host, the same image and the same `Dest` (the same
//! directory, not one that took its place). Whatever is not exactly that is not a handoff, and the
//! post event then has nothing to say yes with.

use super::Locations;
use super::folder::{Folder, bytes_of, name_of};
use super::memory::{FirstSigner, Signers};
use super::run::Run;
use crate::class::{Class, Failure};
use crate::dest::DirectoryId;
use crate::limits;
use crate::name::Digest;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How many old runs are looked at when a new one starts.
const SWEEP: usize = 64;

/// What the pre event said about an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandoffVerdict {
    /// A signature was verified.
    Verified(Box<Verified>),
    /// A rule allows this image to be unsigned.
    Allowed {
        /// The rule.
        rule: String,
    },
    /// It was refused, so a post event for it comes from a host that went on nevertheless.
    Refused,
}

/// What was verified, as the post event needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// What was resolved: an index or a manifest.
    pub image: Digest,
    /// What was signed: the same, or this platform's manifest in it.
    pub signed: Digest,
    /// Who signed.
    pub signers: Signers,
    /// Who of the signers is the first one of the repository, where that one is to be the only one.
    pub pinned: Option<FirstSigner>,
    /// The digest of the tree that as many of them claim as the rule wants.
    pub tree: Option<Digest>,
}

/// A handoff, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handoff {
    version: u32,
    run: String,
    image: String,
    dest: Vec<u8>,
    identity: DirectoryId,
    grounds: HandoffVerdict,
}

impl Handoff {
    /// Returns what the pre event said.
    #[must_use]
    pub fn grounds(&self) -> &HandoffVerdict {
        &self.grounds
    }
}

/// The handoffs of one run.
#[derive(Debug)]
pub struct Handoffs {
    folder: Folder,
    run: Run,
}

const VERSION: u32 = 3;

impl Handoffs {
    /// Opens the handoffs of the current run, and clears away those of runs that are over.
    ///
    /// # Errors
    /// `state`: no directory can be used.
    pub fn open(locations: &Locations) -> Result<Self, Failure> {
        Self::of(locations, Run::current()?)
    }

    /// Opens the directory of a run, as the events of that run do.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(locations: &Locations, run: Run) -> Result<Self, Failure> {
        let top = Folder::first_of(&locations.runs)?;
        for name in top.names(SWEEP)? {
            if name.starts_with("run-")
                && name != run.name()
                && run.is_over(&name)
                && let Ok(old) = top.within(&name)
            {
                old.discard();
            }
        }
        Ok(Self { folder: top.within(run.name())?, run })
    }

    /// Returns the directory of the run, for other marks that live no longer.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns the run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Leaves a handoff for the post event of `image` into `dest`.
    ///
    /// # Errors
    /// `state`: it could not be written. `tree`, `event`: `dest` is not a directory.
    pub fn leave(&self, image: &str, dest: &Path, grounds: HandoffVerdict) -> Result<(), Failure> {
        if let HandoffVerdict::Verified(_) = grounds {
            self.folder.mark(&compared_name(dest))?;
        }
        let handoff = Handoff {
            version: VERSION,
            run: self.run.name().to_owned(),
            image: image.to_owned(),
            dest: bytes_of(&dest.as_os_str().to_owned()).to_vec(),
            identity: DirectoryId::of(dest)?,
            grounds,
        };
        let bytes = serde_json::to_vec(&handoff)
            .map_err(|error| Failure::new(Class::Internal, format!("a handoff: {error}")))?;
        self.folder.replace(&name(image, dest), &bytes)
    }

    /// Returns what `dest` held at the first pre event of this run for it, or what `list` finds now
    /// where this is the first.
    ///
    /// Only the first counts: a mirror that failed leaves files, and those are not "what was there
    /// before". What `list` returned of another directory, by `still_valid`, is replaced.
    ///
    /// # Errors
    /// `state`: it cannot be kept. Those of `list`.
    pub fn held_before(
        &self,
        dest: &Path,
        still_valid: impl FnOnce(&[u8]) -> bool,
        list: impl FnOnce() -> Result<Vec<u8>, Failure>,
    ) -> Result<Vec<u8>, Failure> {
        let (name, done) = (listing_name(dest), done_name(dest));
        let _lock = self.folder.lock("listing", limits::LOCK)?;
        if self.folder.read(&done)?.is_some() {
            // What came before was found right: this is another image's first event.
            self.folder.remove(&name)?;
            self.folder.remove(&compared_name(dest))?;
            self.folder.remove(&done)?;
        }
        if let Some(bytes) = self.folder.read_up_to(&name, limits::LISTING_BYTES)?
            && still_valid(&bytes)
        {
            return Ok(bytes);
        }
        let bytes = list()?;
        self.folder.replace(&name, &bytes)?;
        Ok(bytes)
    }

    /// Returns whether an image was let into `dest` whose files are to be compared, and that was
    /// not found right yet.
    ///
    /// # Errors
    /// `state`: it cannot be read.
    pub fn awaits_comparison(&self, dest: &Path) -> Result<bool, Failure> {
        Ok(self.folder.read(&compared_name(dest))?.is_some())
    }

    /// Returns what `dest` held at the first pre event of this run for it.
    ///
    /// # Errors
    /// `state`: it was not kept, or cannot be read.
    pub fn listing(&self, dest: &Path) -> Result<Vec<u8>, Failure> {
        let bytes = self.folder.read_up_to(&listing_name(dest), limits::LISTING_BYTES)?;
        bytes.ok_or_else(|| {
            Failure::new(
                Class::State,
                format!("what `{}` held before unpacking was not kept", dest.display()),
            )
        })
    }

    /// Returns the handoff for `image` into `dest`, if there is one of this run.
    ///
    /// # Errors
    /// `state`: it cannot be read. `tree`: `dest` is another directory than at the pre event.
    pub fn find(&self, image: &str, dest: &Path) -> Result<Option<Handoff>, Failure> {
        let Some(bytes) = self.folder.read(&name(image, dest))? else { return Ok(None) };
        let handoff: Handoff = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Class::State, format!("a handoff has an unexpected form: {error}"))
        })?;
        let same = handoff.version == VERSION
            && handoff.run == self.run.name()
            && handoff.image == image
            && handoff.dest == bytes_of(&dest.as_os_str().to_owned());
        if !same {
            return Err(Failure::new(
                Class::State,
                "a handoff of another run or image is in the place of this one",
            ));
        }
        if DirectoryId::of(dest)? != handoff.identity {
            return Err(Failure::new(
                Class::Tree,
                format!("`{}` is another directory than before unpacking", dest.display()),
            ));
        }
        Ok(Some(handoff))
    }

    /// Notes that what is in `dest` was found right: the next image into it starts again.
    ///
    /// The handoff stays until the run is over, for old hosts call a plugin twice for one event
    /// where PATH finds it twice.
    ///
    /// # Errors
    /// `state`: it could not be written.
    pub fn done(&self, dest: &Path) -> Result<(), Failure> {
        self.folder.mark(&done_name(dest))
    }
}

fn done_name(dest: &Path) -> String {
    format!("done-{}", name_of(&[bytes_of(&dest.as_os_str().to_owned())]))
}

fn compared_name(dest: &Path) -> String {
    format!("compared-{}", name_of(&[bytes_of(&dest.as_os_str().to_owned())]))
}

fn listing_name(dest: &Path) -> String {
    format!("listing-{}", name_of(&[bytes_of(&dest.as_os_str().to_owned())]))
}

fn name(image: &str, dest: &Path) -> String {
    format!("handoff-{}", name_of(&[image.as_bytes(), bytes_of(&dest.as_os_str().to_owned())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> (tempfile::TempDir, Handoffs) {
        let top = tempfile::tempdir().unwrap();
        let locations = Locations { state: Vec::new(), runs: vec![top.path().join("runs")] };
        let handoffs = Handoffs::open(&locations).unwrap();
        (top, handoffs)
    }

    fn allowed() -> HandoffVerdict {
        HandoffVerdict::Allowed { rule: "r".to_owned() }
    }

    #[test]
    fn a_handoff_is_for_one_image_and_one_directory() {
        let (top, handoffs) = setup();
        let dest = top.path().join("dest");
        std::fs::create_dir(&dest).unwrap();
        handoffs.leave("a:1", &dest, allowed()).unwrap();
        assert_eq!(
            handoffs.find("a:1", &dest).unwrap().map(|handoff| handoff.grounds().clone()),
            Some(allowed())
        );
        assert_eq!(handoffs.find("a:2", &dest).unwrap(), None);
        assert_eq!(handoffs.find("a:1", top.path()).unwrap(), None);
        std::fs::rename(&dest, top.path().join("old")).unwrap();
        std::fs::create_dir(&dest).unwrap();
        assert_eq!(
            handoffs.find("a:1", &dest).map_err(|failure| failure.class()),
            Err(Class::Tree)
        );
    }

    #[test]
    fn a_handoff_that_was_moved_or_edited_is_none() {
        let (top, handoffs) = setup();
        handoffs.leave("a:1", top.path(), allowed()).unwrap();
        let bytes = handoffs.folder.read(&name("a:1", top.path())).unwrap().unwrap();
        handoffs.folder.replace(&name("b:1", top.path()), &bytes).unwrap();
        assert_eq!(
            handoffs.find("b:1", top.path()).map_err(|failure| failure.class()),
            Err(Class::State)
        );
        for bytes in [&bytes[..bytes.len() - 1], b"{}", b""] {
            handoffs.folder.replace(&name("a:1", top.path()), bytes).unwrap();
            assert_eq!(
                handoffs.find("a:1", top.path()).map_err(|failure| failure.class()),
                Err(Class::State)
            );
        }
    }

    #[test]
    fn runs_that_are_over_leave_nothing_behind() {
        let (top, handoffs) = setup();
        let runs = Folder::open(&top.path().join("runs")).unwrap();
        runs.within("run-1-0-x").unwrap().replace("handoff-x", b"old").unwrap();
        Handoffs::open(&Locations { state: Vec::new(), runs: vec![top.path().join("runs")] })
            .unwrap();
        assert_eq!(runs.names(10).unwrap(), [handoffs.run().name()]);
    }
}
