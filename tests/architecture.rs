//! The rooms and who may call whom (ARCHITECTURE.md), and what no room but its own may touch: held
//! against the source.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each room with those that it may use. `class`, `limits` and `cores` are for all.
const ROOMS: &[(&str, &[&str])] = &[
    ("class", &[]),
    ("limits", &[]),
    ("cores", &[]),
    // Pure.
    ("name", &[]),
    ("wire", &["name"]),
    ("trust", &["name", "wire"]),
    ("policy", &["name", "trust"]),
    ("tree", &["name"]),
    // Adapters: pure rooms, and what the user set.
    ("config", &["store"]),
    ("store", &["dest", "name", "tree"]),
    ("dest", &["name", "tree"]),
    ("registry", &["name", "store", "wire"]),
    ("engine", &["config", "name"]),
    ("sigstore", &["name", "registry", "store", "trust", "wire"]),
    ("luet", &["config", "name"]),
    ("oidc", &["config", "registry", "wire"]),
    ("containerd", &["config", "name"]),
    ("archive", &["name", "registry", "wire"]),
    // Flows: all above.
    ("layers", &["name", "registry", "tree", "wire"]),
    (
        "session",
        &[
            "config",
            "containerd",
            "luet",
            "name",
            "policy",
            "registry",
            "sigstore",
            "store",
            "trust",
        ],
    ),
    (
        "unpack",
        &[
            "archive", "config", "dest", "engine", "layers", "name", "policy", "registry",
            "session", "sigstore", "store", "tree", "trust", "wire",
        ],
    ),
    (
        "signer",
        &["config", "name", "oidc", "registry", "session", "sigstore", "store", "trust", "wire"],
    ),
    (
        "push",
        &[
            "config", "engine", "layers", "name", "oidc", "policy", "registry", "session",
            "signer", "store", "tree", "trust", "wire",
        ],
    ),
    (
        "repository",
        &[
            "config", "layers", "luet", "name", "policy", "push", "registry", "session", "signer",
            "store", "tree", "trust", "unpack", "wire",
        ],
    ),
    (
        "blob",
        &["config", "name", "oidc", "session", "signer", "sigstore", "store", "trust", "wire"],
    ),
    ("artifact", &["name", "registry", "session", "trust", "wire"]),
    (
        "pull",
        &["archive", "layers", "name", "policy", "registry", "session", "trust", "unpack", "wire"],
    ),
    // Fronts.
    ("event", &["config", "push", "repository", "session", "unpack", "wire"]),
    ("verifier", &["config", "event", "name", "session", "unpack", "wire"]),
    (
        "cli",
        &[
            "artifact",
            "archive",
            "blob",
            "config",
            "containerd",
            "event",
            "luet",
            "name",
            "oidc",
            "policy",
            "pull",
            "push",
            "registry",
            "repository",
            "session",
            "signer",
            "store",
            "trust",
            "unpack",
            "wire",
        ],
    ),
];

/// Rooms without async, clock, environment, files or sockets.
const PURE: &[&str] = &["class", "limits", "name", "wire", "trust", "policy", "tree"];

/// What may be in which rooms only.
const BANS: &[(&str, &[&str])] = &[
    ("env::var", &["main"]),
    ("env::args", &["main"]),
    ("env::current_exe", &["cli"]),
    ("env::set_var", &[]),
    ("env::temp_dir", &[]),
    ("Timestamp::now", &["session"]),
    ("SystemTime::now", &[]),
    ("Zoned::now", &[]),
    ("std::io::stdout", &["main", "cli"]),
    ("println!", &[]),
    ("print!(", &[]),
    // In `main`: what panicked is ended there.
    ("process::exit", &["main", "session"]),
    // In `registry`: the provider of TLS.
    ("aws_lc_rs", &["trust", "registry"]),
    ("use sigstore::", &["trust", "sigstore"]),
    ("sigstore_merkle", &["trust"]),
    ("reqwest::", &["registry", "engine"]),
    ("unsafe ", &[]),
    // In `sigstore`: what is asked once is a cell.
    (
        "tokio::",
        &["layers", "push", "registry", "repository", "session", "signer", "sigstore", "unpack"],
    ),
];

/// What no pure room may touch.
const WORLD: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "std::thread::sleep",
    "tokio",
    "reqwest",
    "rustix",
    "async fn",
    ".await",
    "Instant::now",
    "std::env",
];

fn sources() -> BTreeMap<PathBuf, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.insert(path.clone(), code(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root(), &mut found);
    assert!(found.len() > 30, "the sources were found");
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The text without its tests and comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The room of a file: the first part of its path, or the name of the file.
fn room(path: &Path) -> String {
    let relative = path.strip_prefix(root()).unwrap();
    relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The rooms that a text names: `crate::a::`, `crate::{a, b::c}`.
fn used(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find("};").unwrap_or(group.len())];
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars().chain([',']) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(word.trim().split("::").next().unwrap_or_default().to_owned());
                        word.clear();
                    }
                    c => word.push(c),
                }
            }
        } else {
            found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found.remove("");
    found
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let mut wrong = Vec::new();
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    for (path, text) in sources() {
        let room = room(&path);
        if room == "main" || room == "lib" {
            continue;
        }
        let Some(allowed) = rooms.get(room.as_str()) else {
            wrong.push(format!("{}: the room `{room}` is not in the list", path.display()));
            continue;
        };
        for other in used(&text) {
            let fine = other == room
                || ["class", "limits", "cores"].contains(&other.as_str())
                || allowed.contains(&other.as_str());
            if rooms.contains_key(other.as_str()) && !fine {
                wrong.push(format!("{}: `{room}` may not use `{other}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_do_not_touch_the_world() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if PURE.contains(&room(&path).as_str()) {
            wrong.extend(
                WORLD
                    .iter()
                    .filter(|word| text.contains(**word))
                    .map(|word| format!("{}: {word}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn some_things_have_one_home() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        for (word, homes) in BANS {
            if text.contains(word) && !homes.contains(&room.as_str()) {
                wrong.push(format!("{}: `{word}` belongs to {homes:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Paths in a directory of the project, relative to its top.
fn listed(folder: &str) -> Vec<String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    std::fs::read_dir(&top)
        .unwrap()
        .map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect()
}

/// The lines of a table of a manifest.
fn table(manifest: &str, name: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| *line != format!("[{name}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .map(ToOwned::to_owned)
        .collect()
}

/// A program that is started gets the environment that it is given, and so no secret of ours. The
/// exception is the host, whose plugin needs them.
#[test]
fn programs_of_others_do_not_inherit_the_environment() {
    let mut found = 0;
    for (path, text) in sources() {
        let host = path.ends_with("cli/run.rs");
        let starts = text.matches("Command::new(").count();
        found += starts;
        assert!(
            host || starts == text.matches(".env_clear()").count(),
            "{}: `Command::new` without `.env_clear()`",
            path.display()
        );
    }
    assert!(found >= 3);
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let mut wrong = Vec::new();
    let crates = listed("crates").into_iter().map(|folder| format!("{folder}/Cargo.toml"));
    for path in crates.chain(["Cargo.toml".to_owned()]) {
        let manifest = text(&path);
        for table in ["dependencies", "dev-dependencies"].map(|name| table(&manifest, name)) {
            let mut above = "";
            for line in &table {
                let entry = line
                    .split_once('=')
                    .map(|(name, _)| name.trim())
                    .filter(|name| !name.is_empty() && !line.starts_with('#'));
                if let Some(name) = entry
                    && !above.starts_with('#')
                    && name != "serde_json"
                {
                    wrong.push(format!("{path}: {name}"));
                }
                above = line;
            }
        }
    }
    assert!(wrong.is_empty(), "no comment above: {wrong:?}");
}

#[test]
fn the_program_is_built_without_the_other_crates() {
    let manifest = text("Cargo.toml");
    let workspace = table(&manifest, "workspace");
    for line in ["members = [\"crates/*\"]", "default-members = [\".\"]"] {
        assert!(workspace.iter().any(|found| found == line), "{line}");
    }
    let program = table(&manifest, "dependencies");
    let tests = table(&manifest, "dev-dependencies");
    let ours = |line: &&String| line.contains("path =");
    assert_eq!(program.iter().find(ours), None, "a crate of the tests is in the program");
    // More than this one would be built, and run, by every `cargo test`.
    assert_eq!(
        tests.iter().filter(ours).collect::<Vec<_>>(),
        ["testkit = { path = \"crates/testkit\" }"]
    );
    for folder in listed("crates") {
        let manifest = text(&format!("{folder}/Cargo.toml"));
        assert!(manifest.contains("\npublish = false\n"), "{folder}");
    }
}

#[test]
fn what_tests_share_is_in_testkit() {
    let mut wrong = Vec::new();
    let files = ["tests", "bench"].into_iter().flat_map(listed);
    for path in files.filter(|path| path.ends_with(".rs")) {
        let own = path.strip_prefix("tests/").unwrap_or(&path).trim_end_matches(".rs");
        for line in text(&path).lines().map(str::trim) {
            if let Some(included) = line.strip_prefix("#[path = \"")
                && !included.starts_with(&format!("{own}/"))
            {
                wrong.push(format!("{path}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "compiled once for each test: {wrong:#?}");
}

/// The name of a type that a line declares for others than its file: `pub struct A`,
/// `pub(super) enum B`.
fn declared(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(')')?.1,
        None => rest,
    };
    let (kind, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    ["struct", "enum", "trait", "type", "union"].contains(&kind).then_some(())?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// Whoever reads a name knows which type it is, without looking at the imports.
#[test]
fn a_public_type_has_its_name_for_itself() {
    let mut homes: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for (path, text) in sources() {
        for name in text.lines().filter_map(declared) {
            homes.entry(name.to_owned()).or_default().insert(path.clone());
        }
    }
    assert!(homes.len() > 300, "the types were found");
    homes.retain(|_, files| files.len() > 1);
    assert!(homes.is_empty(), "one name for two types: {homes:#?}");
}

#[test]
fn the_reader_of_types_reads_every_visibility() {
    let lines = [
        ("pub struct A;", Some("A")),
        ("    pub(super) enum B<'a> {", Some("B")),
        ("pub(in crate::c) trait C: D {", Some("C")),
        ("pub type E = F;", Some("E")),
        ("struct G;", None),
        ("pub fn struct_h() {", None),
        ("pub use i::J;", None),
    ];
    for (line, name) in lines {
        assert_eq!(declared(line), name, "{line}");
    }
}

#[test]
fn the_reader_of_rooms_reads_groups() {
    let text = "use crate::{a, b::c, d::{e, f}};\nuse crate::g::h;\nlet x = crate::i::j();";
    let expected: BTreeSet<String> =
        ["a", "b", "d", "g", "i"].into_iter().map(ToOwned::to_owned).collect();
    assert_eq!(used(text), expected);
}
