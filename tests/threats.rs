//! `docs/threats.md` is held to the code: every row has tests that are there, every row that a test
//! or a comment cites is there, and nothing cites a page that a reader cannot open. So is
//! `docs/faults.md`, with the tests of `tests/publish` about faults.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/threats.md";
/// What a row says of itself where the ledger of `tests/hostile` runs its cases.
const LEDGER: &str = "ledger";

struct Row {
    id: String,
    outcome: String,
    tests: Vec<String>,
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = top().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An ID is a letter and two digits.
fn is_id(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() == 3
        && bytes[0].is_ascii_uppercase()
        && bytes[1].is_ascii_digit()
        && bytes[2].is_ascii_digit()
}

fn rows() -> Vec<Row> {
    let page = text(PAGE);
    let cells = |line: &str| -> Option<Row> {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        if !is_id(cells[0]) {
            return None;
        }
        assert_eq!(cells.len(), 5, "{line}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
        Some(Row {
            id: cells[0].to_owned(),
            outcome: cells[3].to_owned(),
            tests: cells[4].split(", ").map(ToOwned::to_owned).collect(),
        })
    };
    page.lines().filter_map(cells).collect()
}

/// The files below a directory whose names end so, without what is built.
fn files(folder: &str, ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![top().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with(".git") {
                folders.push(path);
            } else if path.is_file() && ends.iter().any(|end| name.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn function(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("fn ")?.split('(').next()
}

/// The names of the functions in a file.
fn functions(source: &str) -> BTreeSet<&str> {
    source.lines().filter_map(function).collect()
}

#[test]
fn every_row_has_an_id_of_its_own_and_names_classes_that_exist() {
    let rows = rows();
    assert!(rows.len() > 150, "{}", rows.len());
    let classes: BTreeSet<&str> =
        luet_cosign::class::Class::ALL.iter().map(|class| class.word()).collect();
    let mut seen = BTreeSet::new();
    for row in rows {
        assert!(seen.insert(row.id.clone()), "{} occurs twice", row.id);
        for (at, word) in row.outcome.split('`').enumerate() {
            let is_quoted = at % 2 == 1;
            assert!(
                !is_quoted
                    || classes.contains(word)
                    || ["doctor", "check", "file", "warn"].contains(&word),
                "{}: `{word}` is not a class",
                row.id
            );
        }
    }
}

/// Where a test stands that a row names: below `tests/`, beside the code, or in the host.
fn place(test: &str) -> Option<(Vec<String>, &str)> {
    let (kind, test) = test.split_once(' ').unwrap_or(("", test));
    let (file, name) = test.strip_prefix('`')?.strip_suffix('`')?.split_once("::")?;
    let paths = match kind {
        "" => vec![format!("tests/{file}.rs")],
        "lib" => vec![format!("src/{file}.rs"), format!("src/{file}/mod.rs")],
        "host" => vec![format!("tests/host/{file}.go")],
        _ => return None,
    };
    Some((paths, name))
}

#[track_caller]
fn assert_there(test: &str, row: &str) {
    let (paths, name) = place(test).unwrap_or_else(|| panic!("{row}: {test}"));
    let source = paths.iter().find_map(|path| fs::read_to_string(top().join(path)).ok());
    let source = source.unwrap_or_else(|| panic!("{row}: no file for {test}"));
    let is_there = functions(&source).contains(name)
        || source.contains(&format!("\nfunc {name}(t *testing.T)"));
    assert!(is_there, "{row}: {test} is not there");
}

#[test]
fn every_test_that_a_row_names_is_there() {
    for row in rows() {
        for test in row.tests.iter().filter(|test| *test != LEDGER) {
            assert_there(test, &row.id);
        }
    }
}

#[test]
fn every_fault_of_publishing_has_a_class_and_a_test_and_every_test_of_one_a_row() {
    let page = text("docs/faults.md");
    let classes: BTreeSet<&str> =
        luet_cosign::class::Class::ALL.iter().map(|class| class.word()).collect();
    let mut named = BTreeSet::new();
    let lines =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault |"));
    for line in lines {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{line}");
        for word in cells[2].split('`').skip(1).step_by(2) {
            assert!(classes.contains(word), "`{word}` is not a class: {line}");
        }
        for test in cells[3].split(", ") {
            assert_there(test, cells[0]);
            named.insert(test.trim_matches('`').to_owned());
        }
    }
    for file in ["faults", "tampered"] {
        let source = text(format!("tests/publish/{file}.rs"));
        for after in source.split("#[test]\n").skip(1) {
            let name = function(after).unwrap();
            let test = format!("publish/{file}::{name}");
            assert!(named.contains(&test), "docs/faults.md has no row for {test}");
        }
    }
}

#[test]
fn every_row_that_a_test_is_named_after_names_the_test() {
    let rows: BTreeMap<String, Row> = rows().into_iter().map(|row| (row.id.clone(), row)).collect();
    for path in files("tests", &[".rs"]) {
        let source = fs::read_to_string(&path).unwrap();
        for name in functions(&source) {
            let Some((code, _)) = name.split_once('_') else { continue };
            let id = code.to_ascii_uppercase();
            if !is_id(&id) {
                continue;
            }
            let row = rows.get(&id).unwrap_or_else(|| panic!("{name}: {PAGE} has no row {id}"));
            let listed = row.tests.iter().any(|test| test.ends_with(&format!("::{name}`")));
            assert!(listed, "row {id} of {PAGE} does not name `{name}`");
        }
    }
}

#[test]
fn every_row_that_is_cited_is_there() {
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    let mut paths = files("src", &[".rs"]);
    paths.extend(files("tests", &[".rs"]));
    paths.push(top().join("SECURITY.md"));
    let mut cited = 0;
    for path in paths {
        let source = fs::read_to_string(&path).unwrap();
        // What is behind the page's name, to the end of the bracket or sentence.
        for after in source.split(PAGE).skip(1) {
            let end = after.find([')', ';', '.']).unwrap_or(after.len().min(60));
            let words = after[..end].split(|c: char| !c.is_ascii_alphanumeric());
            for word in words.filter(|word| is_id(word)) {
                assert!(rows.contains(word), "{}: {PAGE} has no row {word}", path.display());
                cited += 1;
            }
        }
    }
    assert!(cited > 20, "{cited}");
}

/// Pages that are cited as files: `docs/x.md`, `X.md` at the top.
#[test]
fn nothing_cites_a_page_that_is_not_there() {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "docs", "examples", "bench", ".ci", "crates"] {
        if top().join(folder).is_dir() {
            paths.extend(files(folder, &[".rs", ".md", ".sh", ".py", ".go", ".toml", ".yaml"]));
        }
    }
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "STYLE.md"] {
        paths.push(top().join(name));
    }
    // Pages of other projects, which their comments name with the project.
    let elsewhere = |before: &str| {
        let before = before.trim_end_matches(['`', '(', '/']);
        let words: Vec<&str> = before.rsplit([' ', '\n']).take(3).collect();
        words.iter().any(|word| {
            [
                "specs",
                "specification",
                "conformance",
                "fulcio",
                "cosign",
                "containers/image",
                "protobuf-specs",
            ]
            .iter()
            .any(|project| word.contains(project))
        })
    };
    let mut checked = 0;
    for path in paths {
        let source = fs::read_to_string(&path).unwrap();
        let pages = ["reference/", "design.md", "Design.md", "Design: section"];
        for planning in pages.map(|page| (page, page.ends_with('/'))) {
            for (at, _) in source.match_indices(planning.0) {
                let after = &source[at + planning.0.len()..];
                let word: &str =
                    after.split(|c: char| !c.is_ascii_lowercase() && c != '.').next().unwrap();
                let is_page = if planning.1 { word.ends_with(".md") } else { true };
                assert!(
                    !is_page || path.ends_with("tests/threats.rs"),
                    "{} cites `{}{word}`",
                    path.display(),
                    planning.0
                );
            }
        }
        for (at, _) in source.match_indices("docs/") {
            let word: &str = source[at..]
                .split(|c: char| !(c.is_ascii_alphanumeric() || "-_./".contains(c)))
                .next()
                .unwrap();
            if !word.ends_with(".md")
                || elsewhere(&source[..at])
                || path.ends_with("tests/threats.rs")
            {
                continue;
            }
            assert!(top().join(word).is_file(), "{} cites `{word}`", path.display());
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}
