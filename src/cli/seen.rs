//! `seen list`, `seen forget`: what was verified here before.

use super::arguments::SeenCommand;
use super::{Outcome, Streams};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::name::Reference;
use crate::store::{self, Memory};
use serde_json::{Value, json};

pub(super) fn seen(
    command: &SeenCommand,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let memory = Memory::open(&environment.locations()?)?;
    match command {
        SeenCommand::List => list(&memory, as_json, streams),
        SeenCommand::Forget { images, all } => forget(&memory, images, *all, as_json, streams),
    }
}

fn list(memory: &Memory, as_json: bool, streams: &mut Streams) -> Outcome {
    let all = memory.all()?;
    if as_json {
        streams.json(json!({"seen": all.iter().map(document).collect::<Vec<_>>()}))?;
        return Ok(0);
    }
    for seen in &all {
        streams.say(line(seen))?;
    }
    if all.is_empty() {
        streams.note("nothing was verified here yet");
    }
    Ok(0)
}

/// Returns what `--json` says of one: not the store's own form, which may change.
fn document(seen: &store::Seen) -> Value {
    let signer = |name: &str, key: &store::SignerKey| {
        json!({
            "signer": name,
            "fingerprint": key.fingerprint.to_string(),
            "source": key.source.as_ref().and_then(|source| source.uri.as_deref()),
        })
    };
    json!({
        "repository": seen.repository,
        "tag": seen.tag,
        "digest": seen.digest.to_string(),
        "signers": seen.signers.iter().map(|one| signer(&one.name, &one.key)).collect::<Vec<_>>(),
        "first_signer": seen.pinned.as_ref().map(|first| signer(&first.name, &first.key)),
        "revision": seen.revision,
        "time": jiff::Timestamp::from_second(seen.seconds).ok().map(|time| time.to_string()),
    })
}

fn line(seen: &store::Seen) -> String {
    let tag = seen.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
    let when =
        jiff::Timestamp::from_second(seen.seconds).map(|when| when.to_string()).unwrap_or_default();
    let revision =
        seen.revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
    let signers: Vec<String> = seen
        .signers
        .iter()
        .map(|signer| format!("{} (key {})", signer.name, signer.key.fingerprint.short()))
        .collect();
    format!(
        "{}{tag}  {}  by {}{revision}  {when}",
        seen.repository,
        seen.digest,
        signers.join(", ")
    )
}

fn forget(
    memory: &Memory,
    images: &[String],
    all: bool,
    as_json: bool,
    streams: &mut Streams,
) -> Outcome {
    let mut references = Vec::new();
    for image in images {
        let reference: Reference = image.parse()?;
        if reference.tag().is_none() && !all {
            return Err(Failure::new(
                Class::Usage,
                format!("`{reference}` has no tag, and images are remembered by tags"),
            )
            .hint("name the tag, or with `--all` forget everything of the repository"));
        }
        references.push(reference);
    }
    let mut count = 0;
    for reference in &references {
        count += memory.forget(reference.repository(), reference.tag().filter(|_| !all))?;
    }
    if count == 0 {
        streams.note("no such image is remembered: `luet-cosign seen list` prints the names");
    }
    if as_json {
        streams.json(json!({"forgotten": count}))?
    } else {
        streams.say(format!("forgot {count}"))?
    }
    Ok(0)
}
