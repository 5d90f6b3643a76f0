//! What events leave for the `luet-cosign run` that started the host, so that it can say at the end
//! what was verified.
//!
//! It decides nothing: hostile code that ran as root by then could have written any of it. Events
//! leave marks only where `run` asked for them, and it says in which directory, so that both mean the
//! same one. No marks would look like nothing to report: where that would be believed, as with
//! `--strict`, an event that cannot leave its mark fails.

use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::name::Digest;
use crate::store::{Folder, Handoffs, Locations, Run};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The variable by which `run` asks for marks.
pub const RUN_VARIABLE: &str = "LUET_COSIGN_RUN";
/// What is before the directory where an event without a mark must fail.
const STRICT: &[u8] = b"strict:";
/// What is in the directory from the beginning. Without it, marks that are missing would look like
/// none that were left.
const BEGUN: &str = "begun";
/// What the names of marks begin with.
const PREFIX: &str = "report-";
/// How many marks are read.
const MAX_MARKS: usize = 100_000;

/// One mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mark {
    /// An image was unpacked, and may stay.
    Unpacked { image: String, verified: bool },
    /// The host installed a package.
    Installed { package: String, images: Vec<String> },
}

/// What happened in one run of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Images that were verified and unpacked.
    pub verified: BTreeSet<String>,
    /// Images that a rule let pass without a signature.
    pub allowed: BTreeSet<String>,
    /// Packages that were installed and whose image was not unpacked in this run.
    pub unseen: BTreeSet<String>,
    /// Packages whose image a rule let pass without a signature.
    pub unsigned: BTreeSet<String>,
}

/// The directory for the marks of one `run`, which was proved to take them; removed when dropped.
#[derive(Debug)]
pub struct Marks {
    folder: Folder,
}

impl Marks {
    /// Makes the directory as events make theirs, and among theirs, for the run that is this very
    /// process: so it is proved that they can leave marks, whichever process calls them.
    ///
    /// # Errors
    /// `state`: they could not.
    pub fn begin(locations: &Locations) -> Result<Self, Failure> {
        let own = Handoffs::of(locations, Run::of(std::process::id())?)?;
        let marks = Self { folder: own.folder().clone() };
        marks.folder.replace(BEGUN, b"")?;
        Ok(marks)
    }

    /// Returns the value of [`RUN_VARIABLE`] that asks for marks in this directory.
    #[must_use]
    pub fn value(&self, strict: bool) -> OsString {
        let mut value = OsString::new();
        if strict {
            value.push(OsStr::from_bytes(STRICT));
        }
        value.push(self.folder.path());
        value
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        self.folder.discard();
    }
}

/// Leaves a mark that an image was unpacked.
///
/// # Errors
/// `state`: it could not be left, and a strict `run` asked for it.
pub(super) fn note_unpacked(
    environment: &Environment,
    handoffs: &Handoffs,
    image: &str,
    verified: bool,
) -> Result<(), Failure> {
    let Some(wanted) = Wanted::by(environment) else { return Ok(()) };
    wanted.leave(handoffs, &Mark::Unpacked { image: image.to_owned(), verified })
}

/// Leaves a mark that a package was installed, whose image has one of these names.
///
/// # Errors
/// `state`: it could not be left, and a strict `run` asked for it.
pub fn note_installed(
    environment: &Environment,
    package: String,
    images: Vec<String>,
) -> Result<(), Failure> {
    let Some(wanted) = Wanted::by(environment) else { return Ok(()) };
    let handoffs = environment.locations().and_then(|locations| Handoffs::open(&locations));
    match handoffs {
        Ok(handoffs) => wanted.leave(&handoffs, &Mark::Installed { package, images }),
        Err(failure) => wanted.outcome(Err(failure)),
    }
}

/// Whether a `run` asks for marks.
#[must_use]
pub fn is_wanted(environment: &Environment) -> bool {
    Wanted::by(environment).is_some()
}

/// What a `run` asks for.
struct Wanted<'a> {
    folder: &'a Path,
    strict: bool,
}

impl<'a> Wanted<'a> {
    fn by(environment: &'a Environment) -> Option<Self> {
        let value = environment.raw(RUN_VARIABLE).filter(|value| !value.is_empty())?.as_bytes();
        let (folder, strict) = match value.strip_prefix(STRICT) {
            Some(folder) => (folder, true),
            None => (value, false),
        };
        Some(Self { folder: Path::new(OsStr::from_bytes(folder)), strict })
    }

    fn leave(&self, handoffs: &Handoffs, mark: &Mark) -> Result<(), Failure> {
        self.outcome(self.try_leave(handoffs, mark))
    }

    /// The variable may come from elsewhere, so the directory must be one that a `run` began among the
    /// directories of this very event.
    fn try_leave(&self, handoffs: &Handoffs, mark: &Mark) -> Result<(), Failure> {
        let state = |what: String| {
            Failure::new(Class::State, what)
                .hint("leave LUET_COSIGN_RUN to `luet-cosign run`; luet and its plugins must see the same directories as `run`")
        };
        let own = handoffs.folder().path();
        if self.folder.parent() != own.parent() || !self.folder.join(BEGUN).exists() {
            return Err(state(format!(
                "`luet-cosign run` reads marks in `{}`, which is not beside `{}` of this event",
                self.folder.display(),
                own.display()
            )));
        }
        let bytes = serde_json::to_vec(mark)
            .map_err(|error| Failure::new(Class::Internal, format!("a mark: {error}")))?;
        Folder::open(self.folder)?.replace(&format!("{PREFIX}{}", Digest::of(&bytes).hex()), &bytes)
    }

    /// Where nobody relies on the marks, one that is missing only makes the report say less.
    fn outcome(&self, left: Result<(), Failure>) -> Result<(), Failure> {
        left.or_else(|failure| if self.strict { Err(failure) } else { Ok(()) })
    }
}

impl Report {
    /// Reads what the events of a run left.
    ///
    /// # Errors
    /// `state`: the directory of the run is gone or another, or something in it cannot be read.
    pub fn read(marks: &Marks) -> Result<Self, Failure> {
        let folder = &marks.folder;
        let names = folder.names(MAX_MARKS)?;
        if names.len() == MAX_MARKS {
            return Err(Failure::new(Class::State, "the run left more files than are read"));
        }
        if !names.iter().any(|name| name == BEGUN) {
            return Err(Failure::new(
                Class::State,
                format!("`{}` is not the directory that it was", folder.path().display()),
            ));
        }
        let marks = names.iter().filter(|name| name.starts_with(PREFIX)).map(|name| {
            let unread = |why: &dyn std::fmt::Display| {
                Failure::new(Class::State, format!("the mark `{name}` could not be read: {why}"))
            };
            let bytes = folder.read(name)?.ok_or_else(|| unread(&"it is gone"))?;
            serde_json::from_slice::<Mark>(&bytes).map_err(|error| unread(&error))
        });
        marks.collect::<Result<_, _>>().map(Self::of)
    }

    fn of(marks: Vec<Mark>) -> Self {
        let mut report = Self::default();
        let mut packages = Vec::new();
        for mark in marks {
            match mark {
                Mark::Unpacked { image, verified: true } => report.verified.insert(image),
                Mark::Unpacked { image, verified: false } => report.allowed.insert(image),
                Mark::Installed { package, images } => {
                    packages.push((package, images));
                    false
                }
            };
        }
        for (package, images) in packages {
            if images.iter().any(|image| report.verified.contains(image)) {
                continue;
            }
            if images.iter().any(|image| report.allowed.contains(image)) {
                report.unsigned.insert(package);
            } else {
                report.unseen.insert(package);
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_as_verified_only_by_an_image_of_this_run() {
        let unpacked = |image: &str, verified| Mark::Unpacked { image: image.to_owned(), verified };
        let installed = |package: &str, images: &[&str]| Mark::Installed {
            package: package.to_owned(),
            images: images.iter().map(|image| (*image).to_owned()).collect(),
        };
        let report = Report::of(vec![
            installed("a", &["m.example/r:a", "r.example/r:a"]),
            installed("b", &["r.example/r:b"]),
            installed("c", &["r.example/r:c"]),
            installed("d", &[]),
            unpacked("r.example/r:a", true),
            unpacked("r.example/r:b", false),
        ]);
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&report.unseen), ["c", "d"]);
        assert_eq!(names(&report.unsigned), ["b"]);
        assert_eq!(names(&report.verified), ["r.example/r:a"]);
    }
}
