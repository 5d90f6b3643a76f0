//! `pull`: verified archives.

use super::arguments::PullArgs;
use super::images::{annotations, asked, severity};
use super::progress::Bar;
use super::{Outcome, Streams};
use crate::archive::ArchivePlace;
use crate::class::{Class, Failure, printable};
use crate::config::{Environment, Trusted, read_file};
use crate::limits;
use crate::name::Reference;
use crate::policy::Policy;
use crate::pull::{self, PullOptions, PullProgress, Pulled};
use crate::session::{Connections, Session, SessionOptions};
use crate::trust::Requirements;
use crate::unpack;
use serde_json::{Value, json};
use std::cell::OnceCell;

/// One image, and where it goes, as it was typed.
#[derive(Clone, Debug)]
struct Wanted {
    image: String,
    to: String,
}

pub(super) fn pull(
    command: &PullArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let wanted = wanted(command)?;
    let images: Vec<String> = wanted.iter().map(|wanted| wanted.image.clone()).collect();
    let requirements = Requirements { annotations: annotations(&command.annotations)? };
    let options = SessionOptions {
        policy: command.policy.clone(),
        ..command.identity.options(command.network.options(&images)?)
    };
    let asked = asked(command.key.as_deref(), &command.identity, streams)?;
    let one = async |connections: &Connections, policy: &Policy, wanted: &Wanted| {
        connections.client().renew();
        let request = request(command, wanted)?;
        let progress = Shown { wanted: !as_json, bar: OnceCell::new() };
        pull::pull(connections, policy, &request, &requirements, &progress).await
    };
    let (pulled, warnings) = match asked {
        Some(asked) => Connections::run(environment, &options, async |connections| {
            let (authority, option) = asked.authority(connections).await?;
            let policy = unpack::policy_of(connections, &authority, &option)?;
            let mut pulled = Vec::new();
            for wanted in &wanted {
                pulled.push(one(connections, &policy, wanted).await);
            }
            Ok((pulled, connections.warning().into_iter().collect()))
        })?,
        None => Session::run(environment, &options, async |session| {
            let mut pulled = Vec::new();
            for wanted in &wanted {
                pulled.push(match one(session, session.policy(), wanted).await {
                    Ok(pulled) => remembered(session, wanted, &pulled).map(|()| pulled),
                    refused => refused,
                });
            }
            Ok((pulled, session.loaded().open_expressions()))
        })?,
    };
    warnings.iter().for_each(|warning| streams.note(warning));
    report(&wanted, pulled, as_json, streams)
}

fn remembered(session: &Session, wanted: &Wanted, pulled: &Pulled) -> Result<(), Failure> {
    unpack::remember(session, &wanted.image.parse()?, &pulled.provisional)
}

fn request(command: &PullArgs, wanted: &Wanted) -> Result<PullOptions, Failure> {
    Ok(PullOptions {
        image: wanted.image.parse::<Reference>()?,
        place: wanted.to.parse::<ArchivePlace>()?,
        platform: command.platform.clone(),
        signatures: command.signatures,
    })
}

/// Returns what is to be pulled: what was typed, or a list of it.
fn wanted(command: &PullArgs) -> Result<Vec<Wanted>, Failure> {
    let (Some(image), Some(to)) = (&command.image, &command.to) else {
        let Some(path) = &command.from_file else { return Ok(Vec::new()) };
        let bytes = read_file(path, limits::PULL_LIST_BYTES, Trusted::Anyone, Class::Usage)?;
        let usage = |what: String| {
            Failure::new(Class::Usage, format!("`{}` {what}", path.display()))
                .hint("a line for each image: `quay.io/acme/os:v1 os.tar`; `#` begins a comment")
        };
        let text = String::from_utf8(bytes).map_err(|_| usage("is not UTF-8".to_owned()))?;
        let mut wanted: Vec<Wanted> = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                [image, to] => {
                    if wanted.iter().any(|other| other.to == *to) {
                        return Err(usage(format!("line {number}: `{to}` is there twice")));
                    }
                    wanted.push(Wanted { image: (*image).to_owned(), to: (*to).to_owned() });
                }
                _ => {
                    return Err(usage(format!(
                        "line {number} is not IMAGE and FILE.tar or oci:DIR"
                    )));
                }
            }
        }
        if wanted.is_empty() {
            return Err(usage("names no image".to_owned()));
        }
        return Ok(wanted);
    };
    Ok(vec![Wanted { image: image.clone(), to: to.clone() }])
}

fn report(
    wanted: &[Wanted],
    pulled: Vec<Result<Pulled, Failure>>,
    as_json: bool,
    streams: &mut Streams,
) -> Outcome {
    let worst = pulled
        .iter()
        .filter_map(|result| result.as_ref().err())
        .max_by_key(|failure| severity(failure.class()))
        .cloned();
    if as_json {
        let images: Vec<Value> = wanted.iter().zip(&pulled).map(document).collect();
        streams.json(json!({"images": images}))?;
        return Ok(worst.map_or(0, |failure| failure.class().exit()));
    }
    let count = wanted.len();
    for (wanted, result) in wanted.iter().zip(&pulled) {
        match result {
            Ok(pulled) => {
                let provisional = &pulled.provisional;
                provisional.notices().iter().for_each(|notice| streams.note(&notice.text));
                let by = provisional.signature().map_or_else(
                    || "the policy lets it be unsigned".to_owned(),
                    |signature| format!("signed by {}", signature.authority()),
                );
                let Wanted { image, to } = wanted;
                streams.say(format!("{image} ({}), {by} -> {to}", pulled.digest))?;
            }
            Err(failure) if count > 1 => streams.note_lines(format!(
                "error: {}: {}",
                printable(&wanted.image),
                failure.text()
            )),
            Err(_) => {}
        }
    }
    worst.map_or(Ok(0), Err)
}

fn document((wanted, result): (&Wanted, &Result<Pulled, Failure>)) -> Value {
    let Wanted { image, to } = wanted;
    match result {
        Ok(pulled) => json!({
            "image": image,
            "to": to,
            "verified": pulled.provisional.signature().is_some(),
            "digest": pulled.digest.to_string(),
            "bytes": pulled.bytes,
            "signers": pulled.provisional.signers().map(|signer| signer.name).collect::<Vec<_>>(),
            "notices": pulled.provisional.notices().iter().map(|notice| &notice.text).collect::<Vec<_>>(),
        }),
        Err(failure) => {
            json!({"image": image, "to": to, "verified": false, "error": failure.json()})
        }
    }
}

/// A line on a terminal.
struct Shown {
    wanted: bool,
    bar: OnceCell<Bar>,
}

impl PullProgress for Shown {
    fn begin(&self, bytes: u64) {
        let _ = self.bar.set(Bar::new(bytes, self.wanted));
    }

    fn add(&self, bytes: u64) {
        if let Some(bar) = self.bar.get() {
            bar.add(bytes);
        }
    }
}
