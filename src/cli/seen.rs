//! `seen list`, `seen forget`: what was verified here before.

use super::arguments::Seen;
use super::{Outcome, Streams};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::name::Reference;
use crate::store::{self, Memory};
use serde_json::json;

pub(super) fn seen(
    command: &Seen,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let memory = Memory::open(&environment.locations()?)?;
    match command {
        Seen::List => list(&memory, as_json, streams),
        Seen::Forget { image, all } => forget(&memory, image, *all, as_json, streams),
    }
}

fn list(memory: &Memory, as_json: bool, streams: &mut Streams) -> Outcome {
    let all = memory.all()?;
    if as_json {
        streams.json(json!({"seen": all}))?;
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

fn line(seen: &store::Seen) -> String {
    let tag = seen.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
    let when =
        jiff::Timestamp::from_second(seen.seconds).map(|when| when.to_string()).unwrap_or_default();
    let revision =
        seen.revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
    format!(
        "{}{tag}  {}  by {} (key {}){revision}  {when}",
        seen.repository,
        seen.digest,
        seen.signer,
        seen.fingerprint.short()
    )
}

fn forget(
    memory: &Memory,
    image: &str,
    all: bool,
    as_json: bool,
    streams: &mut Streams,
) -> Outcome {
    let reference: Reference = image.parse()?;
    let tag = match reference.tag() {
        _ if all => None,
        None => {
            return Err(Failure::new(
                Class::Usage,
                format!("`{reference}` has no tag, and images are remembered by tags"),
            )
            .hint("name the tag, or with `--all` forget everything of the repository"));
        }
        tag => tag,
    };
    let count = memory.forget(reference.repository(), tag)?;
    if as_json {
        streams.json(json!({"forgotten": count}))?
    } else {
        streams.say(format!("forgot {count}"))?
    }
    Ok(0)
}
