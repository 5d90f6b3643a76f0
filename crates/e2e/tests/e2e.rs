//! Everything with real parts: `cargo test -p e2e -- NAME` runs the trials with NAME in their name.
//!
//! A trial is called `unpack::HOST::MAKER::WHAT` or `keys::REGISTRY::FORMAT::KEY::MAKER`. ROWS.md
//! says which checks of the former scripts it is.

#[path = "e2e/blobs.rs"]
mod blobs;
#[path = "e2e/harness.rs"]
mod harness;
#[path = "e2e/keys.rs"]
mod keys;
#[path = "e2e/release.rs"]
mod release;
#[path = "e2e/repository.rs"]
mod repository;
#[path = "e2e/rows.rs"]
mod rows;
#[path = "e2e/trees.rs"]
mod trees;
#[path = "e2e/unpack.rs"]
mod unpack;

use e2e::{Host, World};
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::Arc;

/// What all trials share. It ends before the process does.
#[derive(Default)]
pub struct Shared {
    pub world: World,
    pub keys: keys::Shared,
    pub release: release::Shared,
    pub trees: trees::Shared,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let hosts = Host::all();
    let shared = Arc::new(Shared::default());
    let mut trials = harness::trials(&shared);
    trials.extend(unpack::trials(&hosts, &shared));
    trials.extend(repository::trials(&hosts, &shared));
    trials.extend(trees::trials(&shared));
    trials.extend(keys::trials(&shared));
    trials.extend(blobs::trials(&shared));
    trials.extend(release::trials(&shared));
    let names: Vec<String> = trials.iter().map(|trial| trial.name().to_owned()).collect();
    trials.extend(rows::trials(&names));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list && hosts.len() == 1 {
        println!(
            "host luet: not on this machine (LUET=PATH names one), so the stand-in alone ran\n"
        );
    }
    drop(shared);
    conclusion.exit_code()
}

/// Makes a trial of a function that panics where it fails.
fn trial(name: String, shared: &Arc<Shared>, run: impl FnOnce(&Shared) + Send + 'static) -> Trial {
    let shared = Arc::clone(shared);
    Trial::test(name, move || {
        run(&shared);
        Ok(())
    })
}
