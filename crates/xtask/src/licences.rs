//! What the program is made of: the licences of all crates that are in it, with their texts, and the
//! SBOM.

use super::{Options, run};
use run::{Failed, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// How the files begin that hold a licence, or what it wants to be passed on.
const FILES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// Writes the licences of all crates: first the list, then each text once with those that it is for.
pub fn write(options: &Options, to: &Path) -> Result<()> {
    let metadata = metadata(options)?;
    let list = |at: &str| metadata.pointer(at).and_then(Value::as_array).into_iter().flatten();
    let reached = reached(&metadata)?;
    let mut names = BTreeMap::new();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in list("/packages") {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        if !reached.contains(field("id")) || field("name") == "luet-cosign" {
            continue;
        }
        let name = format!("{} {}", field("name"), field("version"));
        if field("license").is_empty() {
            return Err(Failed(format!("{name} names no licence")));
        }
        names.insert(name.clone(), field("license").to_owned());
        let folder = Path::new(field("manifest_path")).parent().unwrap_or_else(|| Path::new(""));
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            if path.is_file() && FILES.iter().any(|begin| file.starts_with(begin)) {
                let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
                texts.entry(text.trim_end().to_owned()).or_default().insert(name.clone());
            }
        }
    }
    let mut text = format!(
        "luet-cosign {} is under the Apache License 2.0 (LICENSE). It is built from these crates:\n\n",
        options.version
    );
    for (name, licence) in &names {
        let _ = writeln!(text, "{name}: {licence}");
    }
    for (licence, crates) in &texts {
        let crates: Vec<&str> = crates.iter().map(String::as_str).collect();
        let _ = write!(text, "\n{}\n{}\n\n{licence}\n", "-".repeat(79), crates.join(", "));
    }
    run::write(to, text)
}

/// The SBOM, CycloneDX 1.5, by cargo-cyclonedx. With SOURCE_DATE_EPOCH it is the same every time, but
/// for the path of the project.
pub fn sbom(options: &Options) -> Result<()> {
    let name = format!("sbom.{}", std::process::id());
    let target = options.architectures.first().map_or("all", |of| of.target());
    let result = run::run(
        run::program("cargo")
            .args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--no-build-deps"])
            .args(["--target", target, "--override-filename", &name])
            .args(["--manifest-path", "Cargo.toml", "--quiet"])
            .current_dir(&options.project)
            .env("SOURCE_DATE_EPOCH", &options.epoch),
    );
    let file = format!("{name}.json");
    let made = options.project.join(&file);
    let text = run::read(&made);
    // It writes one for each member of the workspace, beside its manifest.
    for member in std::fs::read_dir(options.project.join("crates"))? {
        let _ = std::fs::remove_file(member?.path().join(&file));
    }
    let _ = std::fs::remove_file(made);
    result?;
    let here = format!("path+file://{}", options.project.display());
    let text = text?.replace(&here, "path+file:///luet-cosign");
    run::write(&options.output.join(format!("luet-cosign-{}.cdx.json", options.version)), text)
}

fn metadata(options: &Options) -> Result<Value> {
    let mut command = run::program("cargo");
    command.args(["metadata", "--locked", "--format-version", "1"]);
    for architecture in &options.architectures {
        command.args(["--filter-platform", architecture.target()]);
    }
    let bytes = run::bytes(command.current_dir(&options.project))?;
    serde_json::from_slice(&bytes).map_err(|error| Failed(format!("cargo metadata: {error}")))
}

/// The packages that get into the program: what it needs, not what builds or tests it.
fn reached(metadata: &Value) -> Result<BTreeSet<String>> {
    let nodes = metadata["resolve"]["nodes"].as_array();
    let nodes: BTreeMap<&str, &Value> =
        nodes.into_iter().flatten().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let root = metadata["resolve"]["root"].as_str();
    let root = root.ok_or_else(|| Failed("cargo metadata names no root".into()))?;
    let (mut found, mut left) = (BTreeSet::new(), vec![root]);
    while let Some(id) = left.pop() {
        if !found.insert(id.to_owned()) {
            continue;
        }
        let deps = nodes.get(id).and_then(|node| node["deps"].as_array()).into_iter().flatten();
        for dep in deps {
            let kinds = dep["dep_kinds"].as_array().into_iter().flatten();
            if kinds.into_iter().any(|kind| kind["kind"].is_null()) {
                left.extend(dep["pkg"].as_str());
            }
        }
    }
    Ok(found)
}
