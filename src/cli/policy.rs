//! `policy lint`, `policy explain`, `policy from-env`, `policy export`. None of them asks the network,
//! but for a key behind a URL.

use super::arguments::{ExportArgs, ExportTo, PolicyCommand};
use super::output::Colour;
use super::written::Output;
use super::{Outcome, Streams};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::luet::{self, CommandLine, Configuration};
use crate::name::{Reference, Repository};
use crate::policy::{self, ExportTerms, LintLine, Severity};
use crate::session::{Host, Linted, Session, SessionOptions, facts, lint};
use serde_json::json;
use std::path::Path;

pub(super) fn policy(
    command: &PolicyCommand,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    match command {
        PolicyCommand::Explain { image, policy } => {
            explain(image, policy.as_deref(), as_json, environment, streams)
        }
        PolicyCommand::Export(export) => write(export, environment, streams),
        PolicyCommand::Init => init(as_json, environment, streams),
        PolicyCommand::FromEnv => from_env(as_json, environment, streams),
        PolicyCommand::Lint { policy, strict } => {
            lint_policy(policy.as_deref(), *strict, as_json, environment, streams)
        }
    }
}

fn lint_policy(
    path: Option<&Path>,
    strict: bool,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let Linted { problems, origin, text } = lint(environment, path)?;
    if as_json {
        streams.json(policy::lint_json(&problems, &origin))?;
    } else {
        for line in policy::lint_lines(&problems, &origin, &text) {
            show(&line, streams)?;
        }
    }
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Ok(policy::failure(&problems, &origin).class().exit());
    }
    Ok(if strict && !problems.is_empty() { Class::Policy.exit() } else { 0 })
}

/// Writes a line of the list of problems, with colours on a terminal.
fn show(line: &LintLine, streams: &mut Streams) -> Result<(), Failure> {
    let colour = |severity: &Severity| match severity {
        Severity::Error => Colour::Red,
        Severity::Warning => Colour::Yellow,
    };
    match line {
        LintLine::Problem(severity, text) => streams.painted(&[
            (Some(colour(severity)), &severity.to_string()),
            (None, ": "),
            (None, text),
        ]),
        LintLine::Mark(severity, text) => streams.painted(&[(Some(colour(severity)), text)]),
        LintLine::Help(text) => {
            streams.painted(&[(Some(Colour::Cyan), "  help"), (None, ": "), (None, text)])
        }
        LintLine::Source(text) | LintLine::Count(text) => streams.say(text),
    }
}

fn explain(
    image: &str,
    path: Option<&Path>,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let reference: Reference = image.parse()?;
    let options =
        SessionOptions { policy: path.map(Path::to_path_buf), ..SessionOptions::default() };
    let explanation = Session::run(environment, &options, async |session| {
        Ok(policy::explain(session.policy(), &reference, session.now()))
    })?;
    if as_json {
        streams.json(explanation.json())?
    } else {
        streams.say_lines(explanation.text().trim_end())?
    }
    Ok(0)
}

/// Prints a policy to start from, by what luet's configuration names. Asks nobody, writes nothing.
fn init(as_json: bool, environment: &Environment, streams: &mut Streams) -> Outcome {
    let configuration = Configuration::read(&CommandLine::default(), environment);
    let docker = |repository: &&luet::ConfiguredRepository| {
        repository.kind == "docker" && repository.enabled
    };
    let repositories = configuration.repositories.iter().filter(docker);
    let named: Vec<(String, Vec<Repository>)> = repositories
        .map(|repository| {
            let urls = repository.urls.iter().filter_map(|url| url.parse().ok());
            (repository.name.clone(), urls.collect())
        })
        .collect();
    let text = policy::start(&named);
    if as_json {
        streams.json(json!({"policy": text}))?
    } else {
        streams.say_lines(text.trim_end())?
    }
    Ok(0)
}

/// Writes the policy for another program, or nothing.
fn write(export: &ExportArgs, environment: &Environment, streams: &mut Streams) -> Outcome {
    let ExportTo::Containers = export.to;
    let options = SessionOptions { policy: export.policy.clone(), ..SessionOptions::default() };
    let terms =
        ExportTerms { unbound_tags: export.unbound_tags, local_images: export.local_images };
    let files = Session::run(environment, &options, async |session| {
        session.policy().for_containers(terms, session.now())
    })?;
    let registries = export.output.join("registries.d");
    let paths = [export.output.join("policy.json"), registries.join("luet-cosign.yaml")];
    if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok() && !export.force) {
        let what = format!("`{}` is there already", path.display());
        let hint = "choose another directory, or replace it with --force";
        return Err(Failure::new(Class::Usage, what).hint(hint));
    }
    std::fs::create_dir_all(&registries).map_err(|error| {
        let what = format!("`{}` could not be made: {error}", registries.display());
        Failure::new(Class::Usage, what).hint("choose another directory")
    })?;
    let texts = [files.policy.as_bytes(), files.registries.as_bytes()];
    let mut outputs = Vec::new();
    for (path, text) in paths.iter().zip(texts) {
        outputs.extend(Output::open("--output", Some(path))?.map(|output| (output, text)));
    }
    Output::write_all(outputs)?;
    for path in paths {
        streams.note(format!("Written: {}", path.display()));
    }
    Ok(0)
}

fn from_env(as_json: bool, environment: &Environment, streams: &mut Streams) -> Outcome {
    let text = policy::from_env(&facts(environment, &Host::caller())?);
    if as_json {
        streams.json(json!({"policy": text}))?
    } else {
        streams.say_lines(text.trim_end())?
    }
    Ok(0)
}
