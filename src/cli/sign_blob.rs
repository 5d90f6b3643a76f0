//! `sign-blob`.

use super::arguments::SignBlob;
use super::progress::Bar;
use super::written::Output;
use super::{Outcome, Streams, blob, prompt, signing_key};
use crate::blob::{BundleForm, SignedBlob, Subject, sign};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::wire;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) fn sign_blob(
    command: &SignBlob,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    if command.tlog_upload {
        return Err(Failure::new(
            Class::Unsupported,
            "signing a file into a transparency log is not in this version",
        )
        .hint("leave --tlog-upload out"));
    }
    let mut outputs = Outputs::open(command)?;
    let subjects = subjects(command)?;
    let from_input = command.files.iter().any(|file| file == "-");
    let input = if from_input { prompt::Input::Taken } else { prompt::Input::Free };
    let key = signing_key::open(command.key.as_deref(), input, environment, streams)?;
    let patience = environment.deadline()?;
    let form = outputs.bundle.is_some().then_some(match command.new_bundle_format {
        false => BundleForm::Old,
        true => BundleForm::Sigstore,
    });
    let mut documents = Vec::new();
    for (name, subject) in command.files.iter().zip(&subjects) {
        let bar = Bar::new(blob::size(subject), !as_json);
        let signed = sign(subject, &key, form, &|bytes| bar.add(bytes), patience)?;
        drop(bar);
        let written = outputs.write(&signed, command.b64, streams)?;
        if !written && !as_json {
            let text = wire::write_signature(&signed.signature, command.b64);
            streams.own(&text)?;
            if command.b64 {
                streams.own(b"\n")?;
            }
        }
        documents.push(document(name, &signed, command));
    }
    if as_json {
        streams.json(json!({"signed": documents}))?;
    }
    Ok(0)
}

fn subjects(command: &SignBlob) -> Result<Vec<Subject>, Failure> {
    let subjects: Vec<Subject> = command
        .files
        .iter()
        // A digest is nothing to sign, so such a text is a name like any other.
        .map(|file| Subject::File(PathBuf::from(file)))
        .collect();
    let named = [&command.bundle, &command.output_signature, &command.output_certificate];
    if subjects.len() > 1 && named.into_iter().any(Option::is_some) {
        return Err(Failure::new(Class::Usage, "several files, and one place for what is written")
            .hint("sign them one by one, or name no output: then each signature is a line"));
    }
    Ok(subjects)
}

/// Where what is made goes.
struct Outputs {
    bundle: Option<Output>,
    signature: Option<Output>,
    certificate: bool,
}

impl Outputs {
    fn open(command: &SignBlob) -> Result<Self, Failure> {
        let outputs = Self {
            bundle: Output::open("--bundle", command.bundle.as_deref())?,
            signature: Output::open("--output-signature", command.output_signature.as_deref())?,
            certificate: command.output_certificate.is_some(),
        };
        let named: Vec<&Output> = outputs.bundle.iter().chain(&outputs.signature).collect();
        for file in &command.files {
            let input = Some(Path::new(file)).filter(|file| *file != Path::new("-"));
            Output::check_apart(&named, input)?;
        }
        Ok(outputs)
    }

    /// Writes the files that were named. Returns whether there was any.
    fn write(
        &mut self,
        signed: &SignedBlob,
        base64: bool,
        streams: &mut Streams,
    ) -> Result<bool, Failure> {
        let signature = wire::write_signature(&signed.signature, base64);
        let mut files = Vec::new();
        let mut notes = Vec::new();
        if let (Some(output), Some(bytes)) = (self.bundle.take(), &signed.bundle) {
            notes.push(format!("Wrote bundle to file {}", output.named().display()));
            files.push((output, bytes.as_slice()));
        }
        if let Some(output) = self.signature.take() {
            notes.push(format!("Wrote signature to file {}", output.named().display()));
            files.push((output, signature.as_slice()));
        }
        if self.certificate {
            notes.push(
                "a key has no certificate: the file of --output-certificate is not written"
                    .to_owned(),
            );
        }
        let any = !files.is_empty();
        Output::write_all(files)?;
        notes.into_iter().for_each(|note| streams.note(note));
        Ok(any)
    }
}

fn document(name: &str, signed: &SignedBlob, command: &SignBlob) -> Value {
    let signature = wire::write_signature(&signed.signature, true);
    json!({
        "file": name,
        "digest": signed.verified.digest().to_string(),
        "key": signed.verified.key().map(ToString::to_string),
        "signature": String::from_utf8_lossy(&signature),
        "bundle": command.bundle,
        "output_signature": command.output_signature,
    })
}
