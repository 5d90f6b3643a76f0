//! Holds the documents to the program: what they list, quote and link is what the code has.
//!
//! Covers README.md, docs/, plugin-manifest/ and examples/. A change of a table of the program
//! changes these with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use luet_cosign::class::Class;
use luet_cosign::config::VARIABLES;
use luet_cosign::policy::KEYS;
use regex_lite::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::schema;

const PROGRAM: &str = env!("CARGO_BIN_EXE_luet-cosign");
/// A public key that nobody has the private half of.
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWHHNEoIPA9kLZv/3Mchy1dfaOaOX
ZkLMD63vIPlizAL4Fg3IMk74IpmMKSKCCFErV04LJ7M3EV0dyKT0MqD18w==
-----END PUBLIC KEY-----
";

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json_file(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml_file(path: &str) -> Value {
    serde_yaml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files of the repository, without what is built, fetched or git's own. Paths are relative.
fn files() -> Vec<PathBuf> {
    const LEFT_OUT: &[&str] = &[".git", "target"];
    let mut found = Vec::new();
    let mut folders = vec![top()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(top()).unwrap().to_path_buf();
            if LEFT_OUT.iter().any(|left_out| path == Path::new(left_out)) {
                continue;
            }
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn with_extension(extension: &str) -> Vec<PathBuf> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

/// The rows of all tables of a document: the cells, trimmed.
fn rows(document: &str) -> Vec<Vec<String>> {
    let row =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    document.lines().map(str::trim).filter(|line| line.starts_with('|')).map(row).collect()
}

/// The text between backticks, where a cell is exactly that.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|inner| !inner.contains('`'))
}

/// Runs the program with nothing else in its environment, in a scratch directory of its own.
fn run(arguments: &[&str], variables: &[(&str, &str)], input: &[u8]) -> (i32, String, String) {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env_clear()
        .current_dir(scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.envs(testkit::folders(scratch.path()));
    command.envs(variables.iter().copied());
    let mut child = command.spawn().unwrap();
    // A program that answers without reading closes the pipe: that is not an error.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn metadata() -> Value {
    let (code, output, errors) = run(&["metadata"], &[], b"");
    assert_eq!((code, errors.as_str()), (0, ""));
    serde_json::from_str(&output).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

// ---- docs/errors.md

#[test]
fn every_class_has_a_section_with_its_exit_code_and_hint() {
    let document = text("docs/errors.md");
    let sections: Vec<(&str, &str)> = document
        .split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap())
        .filter(|(heading, _)| heading.starts_with('`'))
        .map(|(heading, body)| (heading.trim_matches('`'), body))
        .collect();
    let words: Vec<&str> = Class::ALL.iter().map(|class| class.word()).collect();
    assert_eq!(
        sections.iter().map(|(word, _)| *word).collect::<Vec<_>>(),
        words,
        "one section for each class, in this order"
    );
    for (class, (word, body)) in Class::ALL.iter().zip(&sections) {
        let line = |start: &str| {
            body.lines()
                .find_map(|line| line.strip_prefix(start))
                .unwrap_or_else(|| panic!("`{word}` has no `{start}`"))
        };
        assert_eq!(line("Exit code: "), class.exit().to_string(), "{word}");
        assert_eq!(line("Hint: "), class.hint(), "{word}");
    }
    let table = rows(&document);
    for class in Class::ALL {
        let listed = |row: &&Vec<String>| {
            row.len() == 2
                && row[0] == class.exit().to_string()
                && row[1].contains(&format!("`{class}`"))
        };
        assert_eq!(table.iter().filter(listed).count(), 1, "{class} in the table of exit codes");
    }
}

// ---- docs/limits.md

/// Evaluates what is behind `=` in src/limits.rs: a number, a shift, or a duration. In bytes,
/// pieces or milliseconds.
fn evaluate(expression: &str) -> u64 {
    let number = |text: &str| {
        text.trim().replace('_', "").parse::<u64>().unwrap_or_else(|_| panic!("`{expression}`"))
    };
    let inside =
        |start: &str| expression.strip_prefix(start).and_then(|rest| rest.strip_suffix(')'));
    if let Some(seconds) = inside("Duration::from_secs(") {
        number(seconds) * 1000
    } else if let Some(milliseconds) = inside("Duration::from_millis(") {
        number(milliseconds)
    } else if let Some((left, right)) = expression.split_once("<<") {
        number(left) << number(right)
    } else {
        number(expression)
    }
}

/// Reads a value as the documentation writes it: `4 MiB`, `30 s`, `200 ms`, `1,000`.
fn read(value: &str) -> u64 {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let number = number.replace(',', "").parse::<u64>().unwrap_or_else(|_| panic!("`{value}`"));
    let factor = match unit {
        "" | "bytes" | "ms" => 1,
        "s" => 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        unit => panic!("the unit `{unit}` of `{value}`"),
    };
    number * factor
}

#[test]
fn every_limit_is_listed_with_its_value() {
    let constant = Regex::new(r"(?m)^pub const ([A-Z0-9_]+): [A-Za-z0-9]+ = (.+);$").unwrap();
    let source = text("src/limits.rs");
    let limits: Vec<(String, u64)> = constant
        .captures_iter(&source)
        .map(|found| (found[1].to_owned(), evaluate(&found[2])))
        .collect();
    assert_eq!(
        limits.len(),
        source.matches("pub const ").count(),
        "a form of constant that this test does not read"
    );
    let listed: Vec<(String, u64)> = rows(&text("docs/limits.md"))
        .iter()
        .filter_map(|row| Some((code(row.first()?)?.to_owned(), read(row.get(1)?))))
        .collect();
    let sorted = |list: &[(String, u64)]| list.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&listed), sorted(&limits));
    assert_eq!(listed.len(), limits.len(), "a limit is listed twice");
}

// ---- README.md, docs/variables.md

#[test]
fn the_readme_fits_a_terminal_and_ends_soon() {
    let readme = text("README.md");
    assert!(readme.lines().count() <= 110, "{} lines", readme.lines().count());
    for line in readme.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn every_page_of_the_docs_is_in_their_index() {
    let index = text("docs/README.md");
    for path in with_extension("md").iter().filter(|path| path.starts_with("docs")) {
        let name = path.strip_prefix("docs").unwrap().to_str().unwrap();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "{name}");
    }
}

#[test]
fn the_docs_list_every_variable_and_no_other() {
    let listed: Vec<String> = rows(&text("docs/variables.md"))
        .iter()
        .filter_map(|row| code(row.first()?).map(ToOwned::to_owned))
        .collect();
    let known: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    assert_eq!(listed, known, "in the order of the program's table");
}

// ---- plugin-manifest

#[test]
fn the_manifest_says_what_the_program_says() {
    let (manifest, program) = (yaml_file("plugin-manifest/plugin.yaml"), metadata());
    assert_eq!(manifest["metadata"]["name"], program["name"]);
    assert_eq!(manifest["metadata"]["version"], program["release"]);
    assert_eq!(manifest["metadata"]["description"], env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(manifest["metadata"]["license"], env!("CARGO_PKG_LICENSE"));
    assert_eq!(manifest["commands"], program["commands"]);
    let protocols: BTreeSet<&str> = manifest["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["protocol"].as_str().unwrap())
        .collect();
    assert_eq!(protocols.into_iter().collect::<Vec<_>>(), strings(&program["protocols"]));

    let mut events = strings(&program["events"]);
    events.push("*".to_owned());
    let handled: Vec<&str> = manifest["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    assert_eq!(handled, events);
    for event in manifest["events"].as_array().unwrap() {
        if let Some(schema) = event["payload"].as_str() {
            json_file(&format!("plugin-manifest/{schema}"));
        }
    }

    let facts = |variable: &Value| {
        let mut facts = variable.as_object().unwrap().clone();
        facts
            .retain(|key, _| ["name", "secret", "verification", "meaning"].contains(&key.as_str()));
        // Keys in one order, for the two lists are written in two.
        facts.into_iter().collect::<std::collections::BTreeMap<_, _>>()
    };
    let list = |value: &Value| value.as_array().unwrap().iter().map(facts).collect::<Vec<_>>();
    assert_eq!(list(&manifest["env"]), list(&program["variables"]));

    let codes: Vec<(u64, String)> = manifest["exit_codes"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|entry| {
            strings(&entry["classes"])
                .into_iter()
                .map(|class| (entry["exit"].as_u64().unwrap(), class))
        })
        .collect();
    let classes = program["classes"].as_array().unwrap();
    let classes: Vec<(u64, String)> = classes
        .iter()
        .map(|class| (class["exit"].as_u64().unwrap(), class["class"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(codes, classes);
}

#[test]
fn the_specifications_for_luet_are_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for package in ["luet-cosign", "luet-verify"] {
        let folder = format!("plugin-manifest/luet/{package}");
        let definition = yaml_file(&format!("{folder}/definition.yaml"));
        assert_eq!(
            (definition["name"].as_str(), definition["version"].as_str()),
            (Some(package), Some(version))
        );
        assert_eq!(definition["license"], env!("CARGO_PKG_LICENSE"));
        assert!(yaml_file(&format!("{folder}/build.yaml"))["includes"].is_array());
    }
    assert!(yaml_file("plugin-manifest/luet/luet-verify/finalize.yaml")["install"].is_array());
    let definition = yaml_file("plugin-manifest/kairos-packages/luet-cosign/definition.yaml");
    assert_eq!(definition["version"], version);
    assert_eq!(definition["labels"]["package.version"], version);
    assert_eq!(definition["license"], env!("CARGO_PKG_LICENSE"));
}

#[test]
fn the_example_of_a_policy_can_be_used() {
    let (code, output, errors) = run(
        &[
            "policy",
            "lint",
            "--strict",
            "--policy",
            top().join("plugin-manifest/luet/luet-verify/policy.example.yaml").to_str().unwrap(),
        ],
        &[("COSIGN_PUBLIC_KEY_LOCATION", "env://KEY"), ("KEY", KEY)],
        b"",
    );
    assert_eq!(code, 0, "{output}{errors}");
    assert_valid(
        "policy.schema.json",
        &yaml_file("plugin-manifest/luet/luet-verify/policy.example.yaml"),
    );
}

#[test]
fn policies_in_the_docs_can_be_used() {
    let page = text("docs/unsigned.md");
    let policies: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(policies.len(), 3);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("acme.pub"), KEY).unwrap();
    for policy in policies {
        let path = folder.path().join("policy.yaml");
        fs::write(&path, policy).unwrap();
        let (code, output, errors) =
            run(&["policy", "lint", "--policy", path.to_str().unwrap()], &[], b"");
        assert_eq!((code, errors.as_str()), (0, ""), "{output}");
        assert_valid("policy.schema.json", &serde_yaml::from_str(policy).unwrap());
    }
}

#[test]
fn examples_of_policies_are_valid_against_the_schema() {
    for path in files().iter().filter(|path| {
        path.starts_with("examples/policies") && path.extension().is_some_and(|end| end == "yaml")
    }) {
        assert_valid("policy.schema.json", &yaml_file(path.to_str().unwrap()));
    }
}

#[test]
fn the_schema_of_policies_has_the_keys_that_the_program_reads() {
    let schema = json_file("plugin-manifest/schema/policy.schema.json");
    let mut found = BTreeSet::new();
    keys_of(&schema, "", &mut found);
    assert_eq!(found, KEYS.iter().map(|key| (*key).to_owned()).collect());
}

fn keys_of(schema: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{prefix}{key}"));
        keys_of(inner, &format!("{prefix}{key}."), found);
    }
    if schema["items"].is_object() {
        keys_of(&schema["items"], prefix, found);
    }
    for form in schema["anyOf"].as_array().into_iter().flatten() {
        keys_of(form, prefix, found);
    }
    if schema["additionalProperties"].is_object() {
        keys_of(&schema["additionalProperties"], &format!("{prefix}NAME."), found);
    }
}

#[test]
fn metadata_and_manifest_are_valid_against_their_schema() {
    assert_valid("metadata.schema.json", &metadata());
    assert_valid("metadata.schema.json", &yaml_file("plugin-manifest/plugin.yaml"));
    assert!(!problems_of("metadata.schema.json", &json!({"name": "luet-cosign"})).is_empty());
    assert!(
        !problems_of(
            "policy.schema.json",
            &json!({"version": 1, "defaults": {"unmatched": "deny"}, "more": 1})
        )
        .is_empty()
    );
}

// ---- examples/events

#[test]
fn every_example_of_an_event_is_answered_as_its_table_says() {
    let table = rows(&text("examples/events/README.md"));
    let mut listed = BTreeSet::new();
    for row in table.iter().filter(|row| row[0].starts_with('[')) {
        let [file, event, beside, answer, why] = row.as_slice() else { panic!("{row:?}") };
        let file = file.strip_prefix('[').unwrap().split_once(']').unwrap().0;
        let event = code(event).unwrap();
        let variables: Vec<(&str, &str)> =
            code(beside).into_iter().map(|set| set.split_once('=').unwrap()).collect();
        assert!(!why.is_empty() && listed.insert(file.to_owned()), "{file}");

        let payload = fs::read(top().join("examples/events").join(file)).unwrap();
        assert_valid("envelope.schema.json", &serde_json::from_slice(&payload).unwrap());
        // In the two forms of the protocol: an argument, and standard input.
        let argument = String::from_utf8(payload.clone()).unwrap();
        let answers =
            [run(&[event, &argument], &variables, b""), run(&[event], &variables, &payload)];
        for (exit, output, errors) in answers {
            assert_eq!((exit, errors.as_str()), (0, ""), "{file}");
            let found: Value = serde_json::from_str(&output).unwrap();
            assert_valid("response.schema.json", &found);
            let error = found["error"].as_str().unwrap();
            match code(answer) {
                Some(class) => assert_eq!(
                    error.split_once(": ").map(|(class, _)| class),
                    Some(class),
                    "{file}: {error}"
                ),
                None => assert_eq!((answer.as_str(), error), ("success", ""), "{file}"),
            }
        }
    }
    let there: BTreeSet<String> = with_extension("json")
        .iter()
        .filter_map(|path| path.strip_prefix("examples/events").ok())
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, there, "every file is in the table");
}

#[test]
fn payloads_of_examples_are_valid_against_the_schema_of_their_event() {
    for path in with_extension("json").iter().filter(|path| path.starts_with("examples/events")) {
        let event = json_file(path.to_str().unwrap());
        // What is wrong on purpose is named for it.
        let wrong = ["relative-dest", "wrong-name"]
            .iter()
            .any(|mark| path.to_str().unwrap().contains(mark));
        let data: Value = match &event["data"] {
            Value::String(text) if !text.is_empty() => serde_json::from_str(text).unwrap(),
            data => data.clone(),
        };
        let schema = match event["name"].as_str().unwrap() {
            "image.pre.unpack" | "image.post.unpack" => "unpack",
            "package.pre.upgrade" | "package.post.upgrade" => "package-upgrade",
            "repository.pre.build" | "repository.post.build" => "repository",
            name if name.starts_with("image.") => "backend-options",
            _ => continue,
        };
        if data.is_object() {
            let found = problems_of(&format!("events/{schema}.schema.json"), &data);
            assert_eq!(found.is_empty(), !wrong, "{}: {found:?}", path.display());
        }
    }
}

// ---- all documents

#[test]
fn every_relative_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for path in with_extension("md") {
        let document = without_code(&text(path.to_str().unwrap()));
        for target in link.captures_iter(&document).map(|found| found[1].to_owned()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, fragment) = target
                .split_once('#')
                .map_or((target.as_str(), None), |(file, fragment)| (file, Some(fragment)));
            let there =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let headings = || {
                fs::read_to_string(top().join(&there))
                    .map(|text| anchors(&text))
                    .unwrap_or_default()
            };
            if !top().join(&there).exists()
                || fragment.is_some_and(|fragment| !headings().contains(fragment))
            {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A document without its blocks of code, in which brackets mean something else.
fn without_code(document: &str) -> String {
    document.split("```").step_by(2).collect()
}

/// The anchors that GitHub makes of headings.
fn anchors(document: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    without_code(document)
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn nothing_names_a_folder_or_port_of_the_machine_that_it_was_written_on() {
    let machine = concat!("/wo", "rk/");
    let address = Regex::new(r"(127\.0\.0\.1|localhost):[0-9]{4,5}").unwrap();
    for path in files() {
        // What is not text has no leftovers of this kind.
        let Ok(content) = fs::read_to_string(top().join(&path)) else { continue };
        assert!(!content.contains(machine), "{} names {machine}", path.display());
        let document = path.extension().is_some_and(|extension| extension == "md");
        if document || path.starts_with("plugin-manifest") || path.starts_with("examples/events") {
            let found = address.find(&content).map(|found| found.as_str());
            assert_eq!(found, None, "{}", path.display());
        }
    }
}

// ---- schemas

fn assert_valid(schema: &str, value: &Value) {
    let problems = problems_of(schema, value);
    assert!(problems.is_empty(), "{schema}: {problems:#?}");
}

fn problems_of(schema: &str, value: &Value) -> Vec<String> {
    schema::problems(&top().join("plugin-manifest/schema").join(schema), value)
}

#[test]
fn every_schema_uses_only_what_is_checked_here() {
    let schemas: Vec<PathBuf> = with_extension("json")
        .into_iter()
        .filter(|path| path.starts_with("plugin-manifest/schema"))
        .collect();
    assert!(schemas.len() > 10);
    for path in schemas {
        let schema = json_file(path.to_str().unwrap());
        assert!(
            schema["title"].is_string() && schema["description"].is_string(),
            "{}",
            path.display()
        );
        // An unknown keyword panics, wherever the value would have led.
        schema::walk(&schema, &mut |schema| {
            schema.keys().for_each(|keyword| {
                assert!(
                    schema::KEYWORDS.contains(&keyword.as_str()),
                    "{}: {keyword}",
                    path.display()
                )
            });
        });
    }
}
