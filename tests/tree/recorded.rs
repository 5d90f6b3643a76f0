//! What the host's own libraries and umoci made of layers, recorded, against what our two meanings
//! say.

use crate::support::{lines, parse, read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use luet_cosign::tree::{Layer, Meaning, Terms, Tree, flatten};
use serde_json::Value;

/// Where we refuse what umoci unpacks: it bends a link that leads out of the root back into it.
const STRICTER: [&str; 1] = ["escape-through-symlink"];
/// Where umoci knows less: it stops at a global PAX header (`g`).
const UMOCI_STOPS: &str = "unknown typeflag '\\x67'";

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("recorded.json")).unwrap()
}

fn layers(case: &Value) -> Result<Vec<Layer>, luet_cosign::class::Failure> {
    let layers = case["layers"].as_array().unwrap();
    layers.iter().map(|layer| read(&STANDARD.decode(layer.as_str().unwrap()).unwrap())).collect()
}

/// umoci drops attributes with an empty value (Go's `Header.Xattrs` has none); the host sets them.
fn without_empty_attributes(tree: &Tree) -> Tree {
    let mut entries = tree.entries().to_vec();
    for entry in &mut entries {
        entry.xattrs.retain(|xattr| !xattr.value.is_empty());
    }
    Tree::new(entries).unwrap()
}

#[test]
fn both_meanings_are_what_real_unpackers_do() {
    let (mut equal, mut neither, mut refused) = (0, 0, 0);
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let layers = match layers(&case) {
            Ok(layers) => layers,
            Err(failure) => {
                assert_eq!(case["refused"], failure.class().word(), "{name}: {}", failure.text());
                refused += 1;
                continue;
            }
        };
        assert!(case["refused"].is_null(), "{name} was read");
        for (meaning, peer) in [(Meaning::Host, "host"), (Meaning::Oci, "umoci")] {
            match (flatten(&layers, meaning), case[peer].as_str()) {
                (Ok(tree), Some(text)) => {
                    let tree = if meaning == Meaning::Oci {
                        without_empty_attributes(&tree)
                    } else {
                        tree
                    };
                    let differs = lines(&tree, &parse(text), &Terms::default());
                    assert!(differs.is_empty(), "{name}, {peer}: {differs:?}");
                    equal += 1;
                }
                (Err(_), None) => neither += 1,
                (Ok(_), None) => {
                    let why = case[format!("{peer}_error")].as_str().unwrap();
                    assert!(why.contains(UMOCI_STOPS), "{name}: {peer} cannot unpack it: {why}");
                }
                (Err(failure), Some(_)) => {
                    assert!(STRICTER.contains(&name), "{name}, {peer}: {}", failure.text())
                }
            }
        }
    }
    assert!(equal > 300 && neither > 10 && refused > 5, "{equal} {neither} {refused}");
}

#[test]
fn the_meanings_differ_where_the_documentation_says() {
    let differing = [
        "opaque",
        "dup-in-layer",
        "whiteout-own-before",
        "whiteout-dir-then-again",
        "through-own-symlink",
        "through-lower-symlink",
        "absolute-and-relative",
        "hardlink-other-attributes",
        "capability-hardlink-bare",
        "hardlink-into-lower",
        "global",
        "wh-dir",
    ];
    let agreeing = [
        "whiteout",
        "whiteout-own-after",
        "dir-to-symlink",
        "file-to-dir",
        "hardlink",
        "capability",
        "setuid",
        "devices",
    ];
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let Ok(layers) = layers(&case) else { continue };
        let [host, oci] =
            [Meaning::Host, Meaning::Oci].map(|meaning| flatten(&layers, meaning).ok());
        if differing.contains(&name) {
            assert_ne!(host, oci, "{name}");
        }
        if agreeing.contains(&name) {
            assert!(host.is_some() && host == oci, "{name}");
        }
    }
}
