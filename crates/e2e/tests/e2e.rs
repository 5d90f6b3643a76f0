//! Everything with real parts: `cargo test -p e2e -- NAME` runs the trials with NAME in their name.
//!
//! A trial is called `unpack::HOST::MAKER::WHAT` or `keys::REGISTRY::FORMAT::KEY::MAKER`. ROWS.md
//! says which checks of the former scripts it is. `publish::HOST::WHAT` and `keyless::...` need all of
//! Sigstore, and so root: with one of them among those that run, all run in a network of their own.

#[path = "e2e/agents.rs"]
mod agents;
#[path = "e2e/blobs.rs"]
mod blobs;
#[path = "e2e/containerd.rs"]
mod containerd;
#[path = "e2e/harness.rs"]
mod harness;
#[path = "e2e/hosts.rs"]
mod hosts;
#[path = "e2e/interop/mod.rs"]
mod interop;
#[path = "e2e/keyless/mod.rs"]
mod keyless;
#[path = "e2e/keys.rs"]
mod keys;
#[path = "e2e/publish.rs"]
mod publish;
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

use e2e::{Host, Sigstore, World, sigstore};
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

/// What all trials share. It ends before the process does.
#[derive(Default)]
pub struct Shared {
    pub world: World,
    pub interop: interop::Shared,
    pub keyless: keyless::Shared,
    pub keys: keys::Shared,
    pub release: release::Shared,
    pub trees: trees::Shared,
    pub sigstore: OnceLock<Sigstore>,
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
    trials.extend(interop::trials(&hosts, &shared));
    trials.extend(publish::trials(&hosts, &shared));
    trials.extend(containerd::trials(&shared));
    trials.extend(keyless::trials(&shared));
    trials.extend(hosts::trials(&hosts, &shared));
    trials.extend(agents::trials(&shared));
    if !arguments.list && trials.iter().any(|trial| needs_sigstore(trial, &arguments)) {
        sigstore::enter_private_network();
    }
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

/// Whether a trial runs, and needs all of Sigstore. Of the filters of libtest, these are the ones
/// that anyone uses here.
fn needs_sigstore(trial: &Trial, arguments: &Arguments) -> bool {
    let name = trial.name();
    let fits = |filter: &String| {
        if arguments.exact { name == filter } else { name.contains(filter.as_str()) }
    };
    let needs = name.starts_with("publish::")
        || name.starts_with("keyless::")
        || [containerd::KEYLESS, agents::KEYLESS].contains(&name);
    needs && arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

/// Makes a trial of a function that panics where it fails.
fn trial(name: String, shared: &Arc<Shared>, run: impl FnOnce(&Shared) + Send + 'static) -> Trial {
    let shared = Arc::clone(shared);
    Trial::test(name, move || {
        run(&shared);
        Ok(())
    })
}
