//! `upload blob` and `download signature`.

use super::arguments::{DownloadCommand, UploadCommand};
use super::images::annotations;
use super::{Outcome, Streams};
use crate::artifact::{self, FileToUpload};
use crate::class::Failure;
use crate::config::Environment;
use crate::name::Reference;
use crate::session::Connections;
use serde_json::{Value, json};

pub(super) fn upload(
    command: &UploadCommand,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let UploadCommand::Blob { image, files, annotation, ct, network } = command;
    let reference: Reference = image.parse()?;
    let annotations = annotations(annotation)?;
    let files = files
        .iter()
        .flat_map(|files| files.split(','))
        .map(str::parse)
        .collect::<Result<Vec<FileToUpload>, Failure>>()?;
    let options = network.options(std::slice::from_ref(image))?;
    let uploaded = Connections::run(environment, &options, async |connections| {
        artifact::upload(connections, &files, &reference, &annotations, ct.as_deref()).await
    })?;
    let name = reference.repository().cosign_name();
    let place = format!("{name}@{}", uploaded.digest);
    let (registry, path) = name.split_once('/').unwrap_or((&name, ""));
    let mut documents: Vec<Value> = Vec::new();
    for file in &uploaded.files {
        let url = format!("{registry}/v2/{path}/blobs/{}", file.layer.digest);
        streams.note(format!(
            "Uploaded file from [{}] to [{image}] with media type [{}]",
            file.path.display(),
            file.layer.media_type
        ));
        streams.note(format!("File [{}] is available directly at [{url}]", file.path.display()));
        documents.push(json!({
            "file": file.path,
            "media_type": file.layer.media_type,
            "digest": file.layer.digest.to_string(),
            "bytes": file.layer.bytes,
            "url": url,
        }));
    }
    if as_json {
        streams.json(json!({"image": image, "uploaded": place, "files": documents}))?;
    } else {
        streams.note("Uploaded image to:");
        streams.say(place)?;
    }
    Ok(0)
}

pub(super) fn download(
    command: &DownloadCommand,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let DownloadCommand::Signature { image, network } = command;
    let reference: Reference = image.parse()?;
    let options = network.options(std::slice::from_ref(image))?;
    let found = Connections::run(environment, &options, async |connections| {
        artifact::signatures(connections, &reference).await
    })?;
    if as_json {
        streams.json(json!({"image": image, "signatures": found}))?;
        return Ok(0);
    }
    for signature in found {
        streams.value(&signature)?;
    }
    Ok(0)
}
