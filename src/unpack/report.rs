//! What events leave for the `luet-cosign run` that started the host, so that it can say at the end
//! what was verified.
//!
//! It decides nothing: hostile code that ran as root by then could have written any of it. Events
//! leave marks only where `run` asked for them.

use crate::config::Environment;
use crate::name::Digest;
use crate::store::{Folder, Handoffs, Locations, Run};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The variable by which `run` asks for marks.
pub const RUN_VARIABLE: &str = "LUET_COSIGN_RUN";
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

/// Leaves a mark that an image was unpacked. Where none can be left, the report says less.
pub(super) fn note_unpacked(
    environment: &Environment,
    folder: &Folder,
    image: &str,
    verified: bool,
) {
    if is_wanted(environment) {
        leave(folder, &Mark::Unpacked { image: image.to_owned(), verified });
    }
}

/// Leaves a mark that a package was installed, whose image has one of these names.
pub fn note_installed(environment: &Environment, package: String, images: Vec<String>) {
    let handoffs = environment.locations().and_then(|locations| Handoffs::open(&locations));
    if let Ok(handoffs) = handoffs {
        leave(handoffs.folder(), &Mark::Installed { package, images });
    }
}

/// Whether a `run` asks for marks.
#[must_use]
pub fn is_wanted(environment: &Environment) -> bool {
    environment.raw(RUN_VARIABLE).is_some_and(|value| !value.is_empty())
}

fn leave(folder: &Folder, mark: &Mark) {
    if let Ok(bytes) = serde_json::to_vec(mark) {
        let _ = folder.replace(&format!("{PREFIX}{}", Digest::of(&bytes).hex()), &bytes);
    }
}

impl Report {
    /// Reads what the events of a run left. What cannot be read is not reported.
    #[must_use]
    pub fn read(locations: &Locations, run: &Run) -> Self {
        let there = locations.runs.iter().filter(|path| path.join(run.name()).is_dir());
        let folders = there.filter_map(|path| Folder::open(&path.join(run.name())).ok());
        let mut marks = Vec::new();
        for folder in folders {
            let names = folder.names(MAX_MARKS).unwrap_or_default();
            marks.extend(
                names.iter().filter(|name| name.starts_with(PREFIX)).filter_map(|name| {
                    serde_json::from_slice::<Mark>(&folder.read(name).ok()??).ok()
                }),
            );
        }
        Self::of(marks)
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
