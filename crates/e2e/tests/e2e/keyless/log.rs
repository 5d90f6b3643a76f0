//! Entries of the log as text, beside what rekor-cli prints of them.

use super::images::{cosign2, cosign3, new_image};
use super::{Case, REKOR1_URL, Signer, case};
use crate::Shared as All;
use e2e::machine::{Seen, succeed};
use e2e::tools;
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many entries are compared.
const ENTRIES: u64 = 20;

pub fn trials(shared: &Arc<All>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: &str, run: fn(&mut Case<'_>)| {
        trials.push(case(format!("log::{name}"), shared, run));
    };
    add("by-index-as-rekor-cli", |case| prints(case, "--log-index", |index, _| index.to_string()));
    add("by-uuid-as-rekor-cli", |case| prints(case, "--uuid", |_, uuid| uuid.to_owned()));
    add("by-an-identifier-without-the-tree", |case| {
        prints(case, "--uuid", |_, uuid| uuid[uuid.len() - 64..].to_owned());
    });
    add("no-such-entry", |case| {
        let mut command = case.ours(&["tlog", "get", "--log-index", "999999"]);
        Seen::run(command.args(["--rekor-url", REKOR1_URL]), "tlog get").exited(11);
    });
    trials
}

/// Entries of files and of envelopes, by certificates and by keys: as many as there have to be.
fn fill(case: &Case<'_>) {
    case.once("a filled log", || {
        let image = |name: &str| new_image(&case.address(0), &format!("log/{name}"), name);
        case.image(0, "key_beside");
        case.image(0, "beside_key");
        let mut number = 0;
        while case.sigstore.entries() < ENTRIES {
            cosign2(case, Signer::Dev, &[], &image(&format!("legacy{number}")));
            cosign3(case, "rekor1", Signer::Job, &image(&format!("bundle{number}")));
            number += 1;
        }
        String::new()
    });
}

fn prints(case: &mut Case<'_>, option: &str, word: fn(u64, &str) -> String) {
    fill(case);
    let mut kinds = BTreeSet::new();
    for index in 0..case.sigstore.entries() {
        let mut theirs = case.machine.command(tools::program("rekor-cli"));
        theirs.args(["get", "--rekor_server", REKOR1_URL, "--log-index", &index.to_string()]);
        let theirs = String::from_utf8(succeed(&mut theirs)).expect("UTF-8");
        let uuid = theirs.lines().find_map(|line| line.strip_prefix("UUID: ")).expect("a UUID");
        let mut ours = case.ours(&["tlog", "get", option, &word(index, uuid)]);
        ours.args(["--rekor-url", REKOR1_URL, "--trusted-root"]).arg(case.trusted_root());
        assert_eq!(String::from_utf8_lossy(&succeed(&mut ours)), theirs, "entry {index}");
        let kind = theirs.split('"').find(|word| word.ends_with("Obj")).expect("a kind");
        kinds.insert(kind.to_owned());
    }
    assert!(kinds.len() >= 2, "all of one kind: {kinds:?}");
}
