//! The digest of a tree by the Rust code, by `tests/tree_digest.py`, and as written down in
//! `tests/tree/vectors.json`.

use crate::support::{Item, directory, file, fresh, make, read, symlink, walk};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use luet_cosign::tree::{Meaning, flatten};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tree_digest.py");

fn vectors() -> Vec<(String, Vec<u8>, Option<String>)> {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let vector = |vector: &Value| {
        let archive = STANDARD.decode(vector["archive"].as_str().unwrap()).unwrap();
        (
            vector["name"].as_str().unwrap().to_owned(),
            archive,
            vector["digest"].as_str().map(str::to_owned),
        )
    };
    vectors.iter().map(vector).collect()
}

/// Runs the second implementation; `None` where there is no Python, which CI does not allow.
fn python(paths: &[PathBuf]) -> Option<Vec<String>> {
    match Command::new("python3").arg(READER).args(paths).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3 is required in CI: {error}");
            eprintln!("skipped: no python3");
            None
        }
    }
}

#[test]
fn every_vector_has_the_digest_that_is_written_down() {
    for (name, archive, digest) in vectors() {
        let layer = read(&archive).unwrap();
        let tree = flatten(std::slice::from_ref(&layer), Meaning::Oci).unwrap();
        assert_eq!(tree.digest().map(|digest| digest.to_string()), digest, "{name}");
    }
}

#[test]
fn the_python_reader_agrees_on_every_vector() {
    let place = tempfile::tempdir().unwrap();
    let (mut paths, mut digests) = (Vec::new(), Vec::new());
    for (name, archive, digest) in vectors() {
        let Some(digest) = digest else { continue };
        paths.push(place.path().join(name));
        digests.push(digest);
        std::fs::write(&paths[paths.len() - 1], archive).unwrap();
    }
    if let Some(found) = python(&paths) {
        assert_eq!(found, digests, "{paths:?}");
    }
}

#[test]
fn the_python_reader_agrees_on_a_directory() {
    let (_keeper, dir) = fresh();
    let items: Vec<Item> = vec![
        directory("a-b"),
        directory("a").mode(0o1777),
        file("a/x y\n%", "1").mode(0o4755).xattr("user.k=", "\0v"),
        file(b"\xff", vec![7; 3 << 20]),
        symlink("a/l", b"../\xc3\xa9 \xff"),
        crate::support::fifo("p"),
    ];
    make(&dir, &items);
    if let Some(found) = python(std::slice::from_ref(&dir)) {
        assert_eq!(found, [walk(&dir).tree.digest().unwrap().to_string()]);
    }
}
