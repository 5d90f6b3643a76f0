//! `policy lint`, `policy explain`, `policy from-env`. None of them asks the network, but for a key
//! behind a URL.

use super::arguments::Policy;
use super::{Outcome, Streams};
use crate::class::Class;
use crate::config::Environment;
use crate::name::Reference;
use crate::policy::{self, Severity};
use crate::session::{Options, Session, facts, lint};
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
    let (problems, origin) = lint(environment, path)?;
    if as_json {
        streams.json(policy::lint_json(&problems, &origin))?;
    } else {
        streams.say_lines(policy::lint_text(&problems, &origin).trim_end())?;
    }
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Ok(policy::failure(&problems, &origin).class().exit());
    }
    Ok(if strict && !problems.is_empty() { Class::Policy.exit() } else { 0 })
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

fn from_env(as_json: bool, environment: &Environment, streams: &mut Streams) -> Outcome {
    let text = policy::from_env(&facts(environment)?);
    if as_json {
        streams.json(json!({"policy": text}))?
    } else {
        streams.say_lines(text.trim_end())?
    }
    Ok(0)
}
