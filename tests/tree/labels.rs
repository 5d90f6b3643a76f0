//! Labels (`security.*`) are the machine's: those of the registry's choice are refused, unless they
//! are signed. No security module runs where the tests do, so a fresh file has none.

use crate::support::{
    self, Item, device, directory, fifo, file, fresh, layer, open, root, symlink, walk,
};
use luet_cosign::dest;
use luet_cosign::tree::{Accepted, ExpectedTree};
use std::os::unix::fs::MetadataExt as _;

/// One of each kind, with labels; a symlink has them too.
fn items(label: impl Fn(Item) -> Item) -> Vec<Item> {
    vec![
        label(directory("d")),
        label(file("d/f", "x")),
        label(symlink("d/l", "f")),
        label(fifo("d/p")),
        label(device("d/null", b'3', 1, 3)),
    ]
}

/// Compares what was unpacked of `unpacked` with what is `signed`.
fn differs(unpacked: &[Item], signed: &[Item]) -> Vec<String> {
    let (_keeper, dir) = fresh();
    support::make(&dir, unpacked);
    let walked = walk(&dir);
    let expected = ExpectedTree::of(&[layer(signed)]);
    let claimed = walked.tree.digest() == expected.digest() && expected.digest().is_some();
    match expected.accepts(&walked.tree, &walked.terms) {
        Ok(accepted) => {
            assert_eq!(accepted, Accepted::Both);
            Vec::new()
        }
        Err(failure) => {
            assert!(!claimed, "by the tree alone this passed: {}", failure.text());
            failure.details().collect()
        }
    }
}

const LABELS: [&str; 6] = [
    "security.selinux",
    "security.SMACK64",
    "security.ima",
    "security.evm",
    "security.apparmor",
    "security.x",
];

#[test]
fn labels_of_the_registry_s_choice_are_refused_on_every_kind_of_object() {
    if !root() {
        eprintln!("skipped: only root sets labels");
        return;
    }
    let plain = items(|item| item);
    assert!(differs(&plain, &plain).is_empty());
    for label in LABELS {
        let lines: Vec<String> = ["d", "d/f", "d/l", "d/null", "d/p"]
            .map(|path| format!("`{path}`: other attribute `{label}`"))
            .into();
        assert_eq!(differs(&items(|item| item.xattr(label, "evil")), &plain), lines);
    }
}

#[test]
fn labels_that_are_signed_are_accepted_with_their_value_alone_and_may_be_missing() {
    if !root() {
        eprintln!("skipped: only root sets labels");
        return;
    }
    let plain = items(|item| item);
    for label in LABELS {
        let signed = items(|item| item.xattr(label, "signed"));
        assert!(differs(&signed, &signed).is_empty(), "{label}");
        // The machine has its own, or none.
        assert!(differs(&plain, &signed).is_empty(), "{label}");
        assert_eq!(differs(&items(|item| item.xattr(label, "evil")), &signed).len(), 5, "{label}");
    }
}

#[test]
fn labels_in_layers_do_not_change_the_digest_that_a_signer_claims() {
    let plain = ExpectedTree::of(&[layer(&items(|item| item))]);
    let labelled = ExpectedTree::of(&[layer(&items(|item| item.xattr(LABELS[0], "x")))]);
    assert!(plain.digest().is_some());
    assert_eq!(labelled.digest(), plain.digest());
}

#[test]
fn asking_for_a_fresh_file_s_labels_leaves_nothing_and_touches_nothing() {
    if !root() {
        eprintln!("skipped: only root sets labels");
        return;
    }
    let (_keeper, dir) = fresh();
    support::make(&dir, &items(|item| item.xattr("security.x", "y")));
    let state = || {
        [dir.clone(), dir.join("d")].map(|path| {
            let found = path.metadata().unwrap();
            let names = std::fs::read_dir(&path).unwrap().count();
            (found.mtime_nsec(), found.ctime(), found.ctime_nsec(), found.nlink(), names)
        })
    };
    let before = state();
    dest::walk(&open(&dir), &dest::WalkOptions::default()).unwrap();
    assert_eq!(state(), before);
}
