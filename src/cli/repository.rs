//! `verify-repo`.
//!
//! One line an image on standard output while it goes, and a closing count; `--json` is one
//! document at the end.

use super::arguments::{VerifyRepo, Walk};
use super::images::{asked, severity};
use super::progress::Counter;
use super::{Outcome, Streams};
use crate::class::{Class, Failure, counted, shown};
use crate::config::Environment;
use crate::name::Repository;
use crate::repository::{self, Outcome as Judged, Request, Standing, Summary, Told, Verdict};
use crate::session::{Connections, Options, Session};
use crate::unpack;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZero;

pub(super) fn verify(
    command: &VerifyRepo,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let request = request(&command.walk)?;
    let options = Options {
        policy: command.policy.clone(),
        ..command.identity.options(options(&command.walk)?)
    };
    let asked = asked(command.key.as_deref(), &command.identity, streams)?;
    let mut shown = Shown::new(as_json, command.walk.progress);
    let summary = match asked {
        Some(asked) => Connections::run(environment, &options, async |connections| {
            let (authority, option) = asked.authority(connections).await?;
            let policy = unpack::policy_of(connections, &authority, &option)?;
            let mut tell = |told: Told<'_, Verdict>| shown.tell(told, streams);
            let summary = repository::verify(connections, &request, &policy, &mut tell).await;
            connections.warning().iter().for_each(|warning| streams.note(warning));
            Ok(summary)
        })?,
        None => Session::run(environment, &options, async |session| {
            session.loaded().open_expressions().iter().for_each(|warning| streams.note(warning));
            let mut tell = |told: Told<'_, Verdict>| shown.tell(told, streams);
            Ok(repository::verify(session, &request, session.policy(), &mut tell).await)
        })?,
    };
    shown.end(&request.repository, &summary, streams)?;
    Ok(worst(summary.classes()))
}

/// Returns the exit code of the worst of several classes.
pub(super) fn worst(classes: impl Iterator<Item = Class>) -> u8 {
    classes.max_by_key(|class| severity(*class)).map_or(0, Class::exit)
}

pub(super) fn request(walk: &Walk) -> Result<Request, Failure> {
    let repository: Repository = walk.repository.parse().map_err(|failure: Failure| {
        failure.hint("name the repository alone, as luet's `urls` do: `registry/path`")
    })?;
    Ok(Request { repository, description: walk.reference.parse()?, jobs: NonZero::from(walk.jobs) })
}

/// Returns what is said of the registry of the repository.
pub(super) fn options(walk: &Walk) -> Result<Options, Failure> {
    walk.network.options(std::slice::from_ref(&walk.repository))
}

/// What was shown so far, and what is to be shown at the end.
struct Shown {
    as_json: bool,
    counter: Counter,
    documents: Vec<Value>,
    notes: Vec<String>,
    /// What to do, for each class that occurred.
    hints: BTreeMap<Class, String>,
}

impl Shown {
    fn new(as_json: bool, progress: bool) -> Self {
        Self {
            as_json,
            counter: Counter::new(as_json, progress),
            documents: Vec::new(),
            notes: Vec::new(),
            hints: BTreeMap::new(),
        }
    }

    fn tell(&mut self, told: Told<'_, Verdict>, streams: &mut Streams) -> Result<(), Failure> {
        match told {
            Told::Total(total) => self.counter.total(total),
            Told::Note(note) => self.note(note, streams),
            Told::Unvouched { description, index, standing } => {
                let why = match standing {
                    Standing::Allowed => "which the policy lets be unsigned",
                    Standing::Unverified | Standing::Verified => "which were NOT verified",
                };
                let text = format!(
                    "warning: the images from here on are those that `{description}` and `{index}` name, {why}: others may be missing from the list"
                );
                self.note(text, streams);
            }
            Told::Image(verdict) => {
                if let Judged::Refused(failure) = &verdict.outcome {
                    let hint = || failure.the_hint();
                    self.hints.entry(failure.class()).or_insert_with(hint);
                }
                if self.as_json {
                    self.documents.push(document(verdict));
                } else {
                    self.counter.clear();
                    streams.say(line(verdict))?;
                    if let Judged::Allowed { notices } = &verdict.outcome {
                        notices.iter().for_each(|notice| streams.note(notice));
                    }
                }
                self.counter.step();
            }
        }
        Ok(())
    }

    fn note(&mut self, note: String, streams: &mut Streams) {
        self.counter.clear();
        if self.as_json {
            self.notes.push(note);
        } else {
            streams.note(note);
        }
    }

    fn end(
        mut self,
        repository: &Repository,
        summary: &Summary,
        streams: &mut Streams,
    ) -> Result<(), Failure> {
        self.counter.clear();
        if self.as_json {
            return streams.json(json!({
                "repository": repository.to_string(),
                "index": summary.listed.standing.word(),
                "images": self.documents,
                "counts": {
                    "images": summary.images(),
                    "verified": summary.verified,
                    "allowed": summary.allowed,
                    "refused": summary.refused.values().sum::<usize>(),
                },
                "notes": self.notes,
                "errors": summary.listed.incomplete.iter().map(Failure::json).collect::<Vec<_>>(),
            }));
        }
        streams.say(format!("{repository}: {}", counts(summary)))?;
        for failure in &summary.listed.incomplete {
            streams.note_lines(format!("error: {}", failure.text()));
        }
        for (class, hint) in &self.hints {
            streams.note(format!("hint ({}): {hint}", class.word()));
        }
        Ok(())
    }
}

fn counts(summary: &Summary) -> String {
    let mut parts = vec![format!("{} verified", summary.verified)];
    if summary.allowed > 0 {
        parts.push(format!("{} allowed without a signature", summary.allowed));
    }
    if !summary.refused.is_empty() {
        let refused: usize = summary.refused.values().sum();
        let classes: Vec<String> = summary
            .refused
            .iter()
            .map(|(class, count)| format!("{} {count}", class.word()))
            .collect();
        parts.push(format!("{refused} refused ({})", classes.join(", ")));
    }
    let list = if summary.listed.incomplete.is_empty() {
        ""
    } else {
        "; NOT everything could be looked at"
    };
    format!("{}: {}{list}", counted(summary.images(), "image"), parts.join(", "))
}

fn line(verdict: &Verdict) -> String {
    let digest = verdict.digest.map(|digest| format!(" {}", digest.short())).unwrap_or_default();
    let image = shown(&verdict.image.to_string());
    match &verdict.outcome {
        Judged::Verified { signers } => {
            format!("verified    {image}{digest}, signed by {}", signers.join(", "))
        }
        Judged::Allowed { .. } => format!("allowed     {image}{digest}, unsigned"),
        Judged::Refused(failure) => {
            format!("{:<11} {image}{digest}: {}", failure.class().word(), failure.message())
        }
    }
}

fn document(verdict: &Verdict) -> Value {
    let mut document = json!({
        "image": verdict.image.to_string(),
        "what": verdict.what.to_string(),
        "digest": verdict.digest.map(|digest| digest.to_string()),
    });
    let (word, key, value) = match &verdict.outcome {
        Judged::Verified { signers } => ("verified", "signers", json!(signers)),
        Judged::Allowed { notices } => ("allowed", "notices", json!(notices)),
        Judged::Refused(failure) => ("refused", "error", failure.json()),
    };
    if let Some(object) = document.as_object_mut() {
        object.insert("verdict".to_owned(), json!(word));
        object.insert(key.to_owned(), value);
    }
    document
}
