//! `policy lint`, `policy explain`, `policy from-env`. None of them asks the network, but for a key
//! behind a URL.

use super::arguments::Policy;
use super::output::Colour;
use super::{Outcome, Streams};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::luet::{self, CommandLine, Configuration};
use crate::name::{Reference, Repository};
use crate::policy::{self, LintLine, Severity};
use crate::session::{Host, Linted, Options, Session, facts, lint};
use serde_json::json;
use std::path::Path;

pub(super) fn policy(
    command: &Policy,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    match command {
        Policy::Explain { image, policy } => {
            explain(image, policy.as_deref(), as_json, environment, streams)
        }
        Policy::Init => init(as_json, environment, streams),
        Policy::FromEnv => from_env(as_json, environment, streams),
        Policy::Lint { policy, strict } => {
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
    let options = Options { policy: path.map(Path::to_path_buf), ..Options::default() };
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
    let docker = |repository: &&luet::Repository| repository.kind == "docker" && repository.enabled;
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

fn from_env(as_json: bool, environment: &Environment, streams: &mut Streams) -> Outcome {
    let text = policy::from_env(&facts(environment, &Host::caller())?);
    if as_json {
        streams.json(json!({"policy": text}))?
    } else {
        streams.say_lines(text.trim_end())?
    }
    Ok(0)
}
