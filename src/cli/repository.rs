//! `verify-repo`, `sign-repo`.
//!
//! One line an image on standard output while it goes, and a closing count; `--json` is one
//! document at the end.

use super::arguments::{SignRepoArgs, VerifyRepoArgs, WalkArgs};
use super::images::{annotations, asked, severity};
use super::progress::Counter;
use super::sign::{By, by, format, open};
use super::{Outcome, Streams, prompt};
use crate::class::{Class, Failure, counted, shown};
use crate::config::Environment;
use crate::name::Repository;
use crate::push;
use crate::repository::{
    self, ImageOutcome, ListedImages, RepositoryRequest, SignSummary, Signing, Standing, Step,
    Summary, Told, Verdict, Voucher, Worked,
};
use crate::session::{Connections, Session, SessionOptions};
use crate::trust::Requirements;
use crate::unpack;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZero;

pub(super) fn verify(
    command: &VerifyRepoArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let request = request(&command.walk)?;
    let requirements = Requirements { annotations: annotations(&command.annotations)? };
    let options = SessionOptions {
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
            let summary =
                repository::verify(connections, &request, &policy, &requirements, &mut tell).await;
            connections.warning().iter().for_each(|warning| streams.note(warning));
            Ok(summary)
        })?,
        None => Session::run(environment, &options, async |session| {
            session.loaded().open_expressions().iter().for_each(|warning| streams.note(warning));
            let mut tell = |told: Told<'_, Verdict>| shown.tell(told, streams);
            let policy = session.policy();
            Ok(repository::verify(session, &request, policy, &requirements, &mut tell).await)
        })?,
    };
    shown.end(&request.repository, &summary, streams)?;
    Ok(worst(summary.classes()))
}

pub(super) fn sign(
    command: &SignRepoArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let request = request(&command.walk)?;
    let annotations = annotations(&command.annotations)?;
    // What is here is read before a password is asked for.
    let artifacts = command.from.as_deref().map(repository::read_artifacts).transpose()?;
    let key = command.key.as_deref();
    let by = by(key, &command.keyless, prompt::StandardInput::Free, environment, streams)?;
    if let By::Key(signer) = &by {
        signer.wait()?;
    }
    let options = SessionOptions {
        trusted_root: command.keyless.trusted_root.clone(),
        ..options(&command.walk)?
    };
    let mut shown = Shown::new(as_json, command.walk.progress);
    let signed = Connections::run(environment, &options, async |connections| {
        let signer = open(by, &command.keyless, connections).await?;
        let format = format(&command.form);
        if matches!(format, push::SignFormat::Legacy | push::SignFormat::Both) {
            signer.check_legacy()?;
        }
        let signing = Signing {
            signer: &signer,
            wanted: push::SignOptions {
                annotations: &annotations,
                format,
                recursive: false,
                docker_reference: None,
            },
            artifacts,
            trust_registry: command.trust_registry,
        };
        let mut tell =
            |told: Told<'_, Worked>| shown.tell_worked(told, command.trust_registry, streams);
        let signed = repository::sign(connections, &request, &signing, &mut tell).await?;
        signer.take_notices().iter().for_each(|notice| streams.note(notice));
        connections.roots().warnings().iter().for_each(|warning| streams.note(warning));
        connections.warning().iter().for_each(|warning| streams.note(warning));
        Ok(signed)
    })?;
    shown.end_signed(&request.repository, &signed, streams)?;
    Ok(code(&signed))
}

/// Whatever kept an image from being signed: it is not, and that is one code.
fn code(signed: &SignSummary) -> u8 {
    if signed.unsigned() > 0 {
        return Class::Identity.exit();
    }
    worst(signed.listed.incomplete.iter().map(Failure::class))
}

/// Returns the exit code of the worst of several classes.
pub(super) fn worst(classes: impl Iterator<Item = Class>) -> u8 {
    classes.max_by_key(|class| severity(*class)).map_or(0, Class::exit)
}

pub(super) fn request(walk: &WalkArgs) -> Result<RepositoryRequest, Failure> {
    let repository: Repository = walk.repository.parse().map_err(|failure: Failure| {
        failure.hint("name the repository alone, as luet's `urls` do: `registry/path`")
    })?;
    Ok(RepositoryRequest {
        repository,
        description: walk.reference.parse()?,
        jobs: NonZero::from(walk.jobs),
    })
}

/// Returns what is said of the registry of the repository.
pub(super) fn options(walk: &WalkArgs) -> Result<SessionOptions, Failure> {
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
                if let ImageOutcome::Refused(failure) = &verdict.outcome {
                    let hint = || failure.the_hint();
                    self.hints.entry(failure.class()).or_insert_with(hint);
                }
                if self.as_json {
                    self.documents.push(document(verdict));
                } else {
                    self.counter.clear();
                    streams.say(line(verdict))?;
                    if let ImageOutcome::Allowed { notices } = &verdict.outcome {
                        notices.iter().for_each(|notice| streams.note(notice));
                    }
                }
                self.counter.step();
            }
        }
        Ok(())
    }

    fn tell_worked(
        &mut self,
        told: Told<'_, Worked>,
        trust: bool,
        streams: &mut Streams,
    ) -> Result<(), Failure> {
        match told {
            Told::Total(total) => self.counter.total(total),
            Told::Note(note) => self.note(note, streams),
            Told::Unvouched { description, index, .. } => self.note(
                format!(
                    "note: the images from here on are those that `{description}` and `{index}` name, which are not signed: others may be missing from the list"
                ),
                streams,
            ),
            Told::Image(worked) => {
                let listed = trust && matches!(worked.step, Step::Unvouched(_));
                if let Step::Failed(failure) = &worked.step {
                    let hint = || failure.the_hint();
                    self.hints.entry(failure.class()).or_insert_with(hint);
                }
                if self.as_json {
                    // Those come once more, when they are signed.
                    if !listed {
                        self.documents.push(worked_document(worked));
                    }
                } else {
                    self.counter.clear();
                    streams.say(worked_line(worked, trust))?;
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
        self,
        repository: &Repository,
        summary: &Summary,
        streams: &mut Streams,
    ) -> Result<(), Failure> {
        let numbers = json!({
            "images": summary.images(),
            "verified": summary.verified,
            "allowed": summary.allowed,
            "refused": summary.refused.values().sum::<usize>(),
        });
        self.close(repository, &summary.listed, (counts(summary), numbers), None, streams)
    }

    fn end_signed(
        self,
        repository: &Repository,
        signed: &SignSummary,
        streams: &mut Streams,
    ) -> Result<(), Failure> {
        let numbers = json!({
            "signed": signed.signed,
            "already": signed.already,
            "unvouched": signed.unvouched,
            "failed": signed.failed.values().sum::<usize>(),
        });
        let hint = (signed.unvouched > 0).then(|| format!(
            "hint: run it on the machine that pushed within a day, or name what luet built: luet-cosign sign-repo --from DIR {repository}; --trust-registry signs whatever the registry serves"
        ));
        self.close(repository, &signed.listed, (signed_counts(signed), numbers), hint, streams)
    }

    /// Says what there was in all, for people and for programs, and what to do.
    fn close(
        mut self,
        repository: &Repository,
        listed: &ListedImages,
        (counts, numbers): (String, Value),
        hint: Option<String>,
        streams: &mut Streams,
    ) -> Result<(), Failure> {
        self.counter.clear();
        if self.as_json {
            return streams.json(json!({
                "repository": repository.to_string(),
                "index": listed.standing.word(),
                "images": self.documents,
                "counts": numbers,
                "notes": self.notes,
                "errors": listed.incomplete.iter().map(Failure::json).collect::<Vec<_>>(),
            }));
        }
        streams.say(format!("{repository}: {counts}"))?;
        for failure in &listed.incomplete {
            streams.note_lines(format!("error: {}", failure.text()));
        }
        for (class, hint) in &self.hints {
            streams.note(format!("hint ({}): {hint}", class.word()));
        }
        hint.iter().for_each(|hint| streams.note(hint));
        Ok(())
    }
}

fn worked_line(worked: &Worked, trust: bool) -> String {
    let digest = worked.digest.map(|digest| format!(" {}", digest.short())).unwrap_or_default();
    let image = shown(&worked.image.to_string());
    match &worked.step {
        Step::Already => format!("already     {image}{digest}"),
        Step::Signed(source) => format!("signed      {image}{digest}: {}", vouched(*source)),
        Step::Unvouched(_) if trust => format!(
            "to sign     {image} {}: nothing vouches for it",
            worked.digest.map(|digest| digest.to_string()).unwrap_or_default()
        ),
        Step::Unvouched(failure) => format!("NOT signed  {image}{digest}: {}", failure.full_line()),
        Step::Failed(failure) => format!("NOT signed  {image}{digest}: {}", failure.line()),
    }
}

fn vouched(source: Voucher) -> &'static str {
    match source {
        Voucher::Engine => "pushed from here",
        Voucher::Served => "served by the registry right after it was pushed from here",
        Voucher::Folder => "holds what luet built",
        Voucher::Nothing => "nothing vouched for it (--trust-registry)",
    }
}

fn signed_counts(signed: &SignSummary) -> String {
    let total = signed.already + signed.signed + signed.unsigned();
    let mut parts =
        vec![format!("{} signed", signed.signed), format!("{} signed already", signed.already)];
    if signed.unsigned() > 0 {
        let unvouched =
            (signed.unvouched > 0).then(|| format!("nothing vouches for {}", signed.unvouched));
        let failed = signed.failed.iter().map(|(class, count)| format!("{} {count}", class.word()));
        let why: Vec<String> = unvouched.into_iter().chain(failed).collect();
        parts.push(format!("{} NOT signed ({})", signed.unsigned(), why.join(", ")));
    }
    let list = incomplete(&signed.listed);
    format!("{}: {}{list}", counted(total, "image"), parts.join(", "))
}

fn incomplete(listed: &ListedImages) -> &'static str {
    if listed.incomplete.is_empty() { "" } else { "; NOT everything could be looked at" }
}

fn worked_document(worked: &Worked) -> Value {
    let (word, key, value) = match &worked.step {
        Step::Already => ("already", "vouched_by", Value::Null),
        Step::Signed(source) => (
            "signed",
            "vouched_by",
            json!(match source {
                Voucher::Engine => Some("engine"),
                Voucher::Served => Some("served"),
                Voucher::Folder => Some("directory"),
                Voucher::Nothing => None,
            }),
        ),
        Step::Unvouched(failure) => ("unvouched", "error", failure.json()),
        Step::Failed(failure) => ("failed", "error", failure.json()),
    };
    json!({
        "image": worked.image.to_string(),
        "what": worked.what.to_string(),
        "digest": worked.digest.map(|digest| digest.to_string()),
        "outcome": word,
        key: value,
    })
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
    let list = incomplete(&summary.listed);
    format!("{}: {}{list}", counted(summary.images(), "image"), parts.join(", "))
}

fn line(verdict: &Verdict) -> String {
    let digest = verdict.digest.map(|digest| format!(" {}", digest.short())).unwrap_or_default();
    let image = shown(&verdict.image.to_string());
    match &verdict.outcome {
        ImageOutcome::Verified { signers } => {
            format!("verified    {image}{digest}, signed by {}", signers.join(", "))
        }
        ImageOutcome::Allowed { .. } => format!("allowed     {image}{digest}, unsigned"),
        ImageOutcome::Refused(failure) => {
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
        ImageOutcome::Verified { signers } => ("verified", "signers", json!(signers)),
        ImageOutcome::Allowed { notices } => ("allowed", "notices", json!(notices)),
        ImageOutcome::Refused(failure) if failure.class().is_inconclusive() => {
            ("unknown", "error", failure.json())
        }
        ImageOutcome::Refused(failure) => ("denied", "error", failure.json()),
    };
    if let Some(object) = document.as_object_mut() {
        object.insert("verdict".to_owned(), json!(word));
        object.insert(key.to_owned(), value);
    }
    document
}
