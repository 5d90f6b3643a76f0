//! `check`: what the plugin would do with images, and everything that it found.

use super::arguments::CheckArgs;
use super::images::{asked, severity, signature};
use super::{Outcome, Streams};
use crate::class::{Failure, shown};
use crate::config::Environment;
use crate::policy::{
    Applies, Decision, Evidence, PlaceAnswer, PlaceReport, SignatureReport, may_hide,
};
use crate::session::{Connections, Session, SessionOptions};
use crate::trust::Requirements;
use crate::unpack::{self, Checked};
use serde_json::{Value, json};

pub(super) fn check(
    command: &CheckArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let options = SessionOptions {
        policy: command.policy.clone(),
        ..command.identity.options(command.network.options(&command.images)?)
    };
    let asked = asked(command.key.as_deref(), &command.identity, streams)?;
    let none = Requirements::default();
    let (all, inert, warnings) = match asked {
        Some(asked) => Connections::run(environment, &options, async |connections| {
            let (authority, option) = asked.authority(connections).await?;
            let policy = unpack::policy_of(connections, &authority, &option)?;
            let mut all = Vec::new();
            for image in &command.images {
                connections.client().renew();
                let found = unpack::check_with(connections, &policy, image, &none, true).await;
                all.push(Found { image, result: found, unseen: None });
            }
            let mut warnings = connections.roots().warnings();
            warnings.extend(connections.warning());
            Ok((all, Vec::new(), warnings))
        })?,
        None => Session::run(environment, &options, async |session| {
            let mut all = Vec::new();
            for image in &command.images {
                session.client().renew();
                let found = unpack::check(session, image, &none, true).await;
                all.push(with_what_is_there(session, image, found).await);
            }
            let mut warnings = session.roots().warnings();
            warnings.extend(session.loaded().open_expressions());
            Ok((all, session.loaded().inert.clone(), warnings))
        })?,
    };
    let worst = all
        .iter()
        .filter_map(|found| refusal(&found.result))
        .max_by_key(|failure| severity(failure.class()));
    let code = worst.map_or(0, |failure| failure.class().exit());
    for warning in warnings {
        streams.note(warning);
    }
    if as_json {
        let images: Vec<Value> = all.iter().map(document).collect();
        streams.json(json!({"images": images, "ignored_variables": inert}))?;
        return Ok(code);
    }
    if !rustix::process::geteuid().is_root() {
        streams.note("note: not root: after unpacking, owners are not compared");
    }
    if !inert.is_empty() {
        streams.note(format!(
            "note: a policy file decides, so these variables have no effect: {}",
            inert.join(", ")
        ));
    }
    for found in &all {
        for line in explain(found) {
            streams.say(line)?;
        }
    }
    Ok(code)
}

/// What came of one image.
struct Found<'a> {
    image: &'a str,
    result: Result<Checked, Failure>,
    /// Why it could not be looked at, where that decided nothing.
    unseen: Option<Failure>,
}

/// Looks at an image that no rule is about, so that the author of one sees what is there. What is
/// found decides nothing.
async fn with_what_is_there<'a>(
    session: &Session,
    image: &'a str,
    result: Result<Checked, Failure>,
) -> Found<'a> {
    match result {
        Ok(mut checked)
            if checked.evidence.is_none()
                && matches!(checked.matched.applies(), Applies::Unmatched { .. }) =>
        {
            // Where it cannot be looked at, that is no other decision.
            let looked = unpack::look(session, &checked.matched).await;
            let unseen = looked.map(|evidence| checked.evidence = Some(evidence)).err();
            Found { image, result: Ok(checked), unseen }
        }
        result => Found { image, result, unseen: None },
    }
}

fn refusal(result: &Result<Checked, Failure>) -> Option<&Failure> {
    match result {
        Err(failure) | Ok(Checked { decision: Decision::Refused(failure), .. }) => Some(failure),
        Ok(_) => None,
    }
}

/// Returns the lines about one image: first the verdict, last the way out.
fn explain(Found { image, result, unseen }: &Found) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", word(result), shown(image))];
    if let Ok(checked) = result {
        lines.push(format!("  applies: {}", checked.matched.applies()));
        if let Some(evidence) = &checked.evidence {
            lines.extend(evidence.lines().iter().map(|line| format!("  {line}")));
        }
        lines.extend(unseen.iter().map(|why| format!("  could not be looked at: {}", why.line())));
        lines.extend(hidden(checked).map(|why| format!("  note: {why}")));
        if let Decision::Verified(provisional) | Decision::Allowed(provisional) = &checked.decision
        {
            lines.extend(provisional.notices().iter().map(|notice| format!("  {}", notice.text)));
        }
    }
    if let Some(failure) = refusal(result) {
        lines.push(format!("  {}", failure.line()));
        lines.push(format!("  hint: {}", failure.the_hint()));
    }
    lines
}

fn word(result: &Result<Checked, Failure>) -> &'static str {
    match result {
        Ok(Checked { decision: Decision::Verified(_), .. }) => "VERIFIED",
        Ok(Checked { decision: Decision::Allowed(_), .. }) => "ALLOWED",
        Err(failure) | Ok(Checked { decision: Decision::Refused(failure), .. })
            if failure.class().is_inconclusive() =>
        {
            "UNKNOWN"
        }
        Err(_) | Ok(_) => "DENIED",
    }
}

/// Returns what is to be said of a registry that may hide signatures.
fn hidden(checked: &Checked) -> Option<String> {
    let why = may_hide(&checked.matched, checked.evidence.as_ref()?)?;
    Some(match checked.decision {
        Decision::Verified(_) => {
            format!("verified, through a registry that may hide signatures: {why}")
        }
        Decision::Allowed(_) | Decision::Refused(_) => {
            format!("this registry may hide signatures: {why}")
        }
    })
}

fn applies(checked: &Checked) -> Value {
    match checked.matched.applies() {
        Applies::Rule(rule) => {
            json!({"kind": "rule", "rule": rule.rule, "unsigned": rule.unsigned.word()})
        }
        Applies::Skipped { pattern, place } => {
            json!({"kind": "skipped", "pattern": pattern, "from": place})
        }
        Applies::Unmatched { mode, place } => {
            json!({"kind": "unmatched", "unsigned": mode.word(), "from": place})
        }
    }
}

fn document(Found { image, result, unseen }: &Found) -> Value {
    let mut document = json!({"image": shown(image), "verdict": word(result).to_ascii_lowercase()});
    let mut add = |key: &str, value: Value| {
        if let Some(object) = document.as_object_mut() {
            object.insert(key.to_owned(), value);
        }
    };
    if let Ok(checked) = result {
        add("applies", applies(checked));
        if let Some(evidence) = &checked.evidence {
            add("digest", json!(evidence.image.digest.to_string()));
            add("places", evidence_places(evidence));
            add("signatures", evidence_signatures(evidence));
        }
        if let Some(why) = unseen {
            add("unseen", why.json());
        }
        if let Some(why) = hidden(checked) {
            add("may_hide_signatures", json!(why));
        }
        if let Decision::Verified(provisional) | Decision::Allowed(provisional) = &checked.decision
        {
            add(
                "notices",
                json!(
                    provisional
                        .notices()
                        .iter()
                        .map(|notice| notice.text.clone())
                        .collect::<Vec<_>>()
                ),
            );
        }
    }
    if let Some(failure) = refusal(result) {
        add("error", failure.json());
    }
    document
}

fn evidence_places(evidence: &Evidence) -> Value {
    let one = |report: &PlaceReport| {
        let (answer, key, value) = match &report.answer {
            PlaceAnswer::There { count } => ("there", "signatures", json!(count)),
            PlaceAnswer::Absent { detail } => ("absent", "detail", json!(detail)),
            PlaceAnswer::NoApi { detail } => ("no-api", "detail", json!(detail)),
            PlaceAnswer::Failed(failure) => ("failed", "error", failure.json()),
        };
        json!({"place": report.kind.to_string(), "repository": report.repository.to_string(), "image": report.subject.to_string(), "answer": answer, key: value})
    };
    evidence.places.iter().map(one).collect()
}

fn evidence_signatures(evidence: &Evidence) -> Value {
    let image = &evidence.reference.to_string();
    let one = |report: &SignatureReport| match &report.outcome {
        Ok(good) => {
            json!({"place": report.place.to_string(), "verified": true, "signature": signature(good, image)})
        }
        Err(failure) => {
            json!({"place": report.place.to_string(), "verified": false, "error": failure.json()})
        }
    };
    evidence.signatures.iter().map(one).collect()
}
