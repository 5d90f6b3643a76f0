//! `verify-blob --bundle-suffix`: several files, each with a bundle of its own beside it.

use super::arguments::VerifyBlobArgs;
use super::progress::Bar;
use super::{Outcome, Streams, blob};
use crate::blob::{self as files, FileRequest, FileSubject, Sources};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::session::Connections;
use crate::trust::VerifiedFile;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A file, the bundle beside it, and what became of it.
struct CheckedFile {
    file: String,
    bundle: String,
    result: Result<VerifiedFile, Failure>,
}

pub(super) fn verify(
    command: &VerifyBlobArgs,
    suffix: &str,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    if suffix.is_empty() {
        return Err(Failure::new(Class::Usage, "`--bundle-suffix` is empty")
            .hint("say what the names of the bundles end with: `--bundle-suffix .sigstore.json`"));
    }
    // Of no file nothing is verified, which is not a success.
    let Some(first) = &command.file else {
        return Err(Failure::new(Class::Usage, "`--bundle-suffix` without a file"));
    };
    let names: Vec<&str> =
        std::iter::once(first).chain(&command.more).map(String::as_str).collect();
    if let Some(name) = names.iter().find(|name| **name == "-" || name.contains("://")) {
        return Err(Failure::new(
            Class::Usage,
            format!("`{name}` has no bundle beside it: it is not a file"),
        )
        .hint("name its bundle with --bundle, in a command of its own"));
    }
    if command.key.is_none() {
        blob::warn(&command.identity, environment, streams)?;
    }
    let options = blob::options(&command.identity);
    let (checked, warning) = Connections::run(environment, &options, async |connections| {
        let wanted = blob::wanted(command, connections).await?;
        let request = FileRequest { wanted, log: command.rekor_url.clone() };
        let total =
            names.iter().map(|name| blob::size(&FileSubject::File(PathBuf::from(name)))).sum();
        let bar = Bar::new(total, !as_json);
        let mut checked = Vec::new();
        for name in names {
            let bundle = format!("{name}{suffix}");
            let sources = Sources { bundle: Some(bundle.clone()), ..Sources::default() };
            let subject = FileSubject::File(PathBuf::from(name));
            let answer =
                files::verify(connections, &subject, &sources, &request, &|bytes| bar.add(bytes))
                    .await;
            let result = answer.and_then(|answer| blob::asked_for(answer, command));
            checked.push(CheckedFile { file: name.to_owned(), bundle, result });
        }
        Ok((checked, connections.warning()))
    })?;
    warning.iter().filter(|_| command.key.is_none()).for_each(|warning| streams.note(warning));
    let worst = blob::worst(checked.iter().filter_map(|one| one.result.as_ref().err()));
    if as_json {
        let files: Vec<Value> = checked.iter().map(document).collect();
        streams.json(json!({"verified": worst.is_none(), "files": files}))?;
        return Ok(worst.map_or(0, |failure| failure.class().exit()));
    }
    let asked = blob::is_asked(command, environment)?;
    for one in &checked {
        if let (Ok(verified), false) = (&one.result, asked) {
            streams.note_lines(blob::anyone(verified));
        }
        blob::show(&one.file, one.result.as_ref().err(), streams);
    }
    blob::conclude(worst, streams)
}

fn document(checked: &CheckedFile) -> Value {
    let (verified, failure) = (checked.result.as_ref().ok(), checked.result.as_ref().err());
    blob::document_of(
        [
            ("file", checked.file.as_str().into()),
            ("bundle", checked.bundle.as_str().into()),
            ("verified", verified.is_some().into()),
            ("error", failure.map_or(Value::Null, Failure::json)),
        ],
        verified,
        [],
    )
}
