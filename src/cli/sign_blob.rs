//! `sign-blob`: by a key, or by a certificate for the identity in a token. The second makes
//! the name public, so it needs the same yes as `sign`.

use super::arguments::SignBlobArgs;
use super::images::certificate;
use super::progress::Bar;
use super::sign::{by, open};
use super::written::Output;
use super::{Outcome, Streams, blob, prompt};
use crate::blob::{BundleForm, FileSubject, SignRequest, SignedBlob, sign};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::session::{Connections, SessionOptions};
use crate::wire;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) fn sign_blob(
    command: &SignBlobArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let outputs = Outputs::open(command)?;
    let subjects = subjects(command)?;
    let from_input = command.files.iter().any(|file| file == "-");
    let input = if from_input { prompt::StandardInput::Taken } else { prompt::StandardInput::Free };
    let by = by(command.key.as_deref(), &command.keyless, input, environment, streams)?;
    let patience = environment.deadline()?;
    let bundle = outputs.bundle.is_some().then_some(match command.new_bundle_format {
        false => BundleForm::Old,
        true => BundleForm::Sigstore,
    });
    let options = SessionOptions {
        policy: None,
        trusted_root: command.keyless.trusted_root.clone(),
        ..SessionOptions::default()
    };
    let (all, notes) = Connections::run(environment, &options, async |connections| {
        let signer = open(by, &command.keyless, connections).await?;
        let mut all = Vec::new();
        for subject in &subjects {
            connections.client().renew();
            let bar = Bar::new(blob::size(subject), !as_json);
            let request = SignRequest { subject, signer: &signer, bundle };
            all.push(sign(connections, &request, &|bytes| bar.add(bytes), patience).await?);
        }
        let mut notes = signer.take_notices();
        notes.extend(connections.roots().warnings());
        notes.extend(connections.warning());
        Ok((all, notes))
    })?;
    notes.iter().for_each(|note| streams.note(note));
    for signed in &all {
        if let Some(index) = signed.signed.log_index() {
            streams.note(format!("tlog entry created with index: {index}"));
        }
    }
    if !outputs.write(&all, command.b64, streams)? && !as_json {
        for signed in &all {
            streams.own(&wire::write_signature(&signed.signed.signature, command.b64))?;
            if command.b64 {
                streams.own(b"\n")?;
            }
        }
    }
    if as_json {
        let named = command.files.iter().zip(&all);
        let documents: Vec<Value> =
            named.map(|(name, signed)| document(name, signed, command)).collect();
        streams.json(json!({"signed": documents}))?;
    }
    Ok(0)
}

fn subjects(command: &SignBlobArgs) -> Result<Vec<FileSubject>, Failure> {
    // A digest is nothing to sign, so a text that looks like one is a name like any other.
    let subjects: Vec<FileSubject> =
        command.files.iter().map(|file| FileSubject::File(PathBuf::from(file))).collect();
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
    certificate: Option<Output>,
}

impl Outputs {
    fn open(command: &SignBlobArgs) -> Result<Self, Failure> {
        let outputs = Self {
            bundle: Output::open("--bundle", command.bundle.as_deref())?,
            signature: Output::open("--output-signature", command.output_signature.as_deref())?,
            certificate: Output::open(
                "--output-certificate",
                command.output_certificate.as_deref(),
            )?,
        };
        let named: Vec<&Output> = [&outputs.bundle, &outputs.signature, &outputs.certificate]
            .into_iter()
            .flatten()
            .collect();
        for file in &command.files {
            let input = Some(Path::new(file)).filter(|file| *file != Path::new("-"));
            Output::check_apart(&named, input)?;
        }
        Ok(outputs)
    }

    /// Writes the files that were named. Returns whether a signature is in one.
    fn write(
        self,
        all: &[SignedBlob],
        base64: bool,
        streams: &mut Streams,
    ) -> Result<bool, Failure> {
        let [made] = all else { return Ok(false) };
        let signature = wire::write_signature(&made.signed.signature, base64);
        let certificate = wire::write_certificate(&made.signed, base64);
        if self.certificate.is_some() && certificate.is_none() {
            streams
                .note("a key has no certificate: the file of --output-certificate is not written");
        }
        let any = self.bundle.is_some() || self.signature.is_some();
        let mut files = Vec::new();
        for (what, output, bytes) in [
            ("bundle", self.bundle, made.bundle.as_deref()),
            ("signature", self.signature, Some(signature.as_slice())),
            ("certificate", self.certificate, certificate.as_deref()),
        ] {
            if let (Some(output), Some(bytes)) = (output, bytes) {
                files.push((what, output, bytes));
            }
        }
        let notes: Vec<String> = files
            .iter()
            .map(|(what, output, _)| format!("Wrote {what} to file {}", output.named().display()))
            .collect();
        Output::write_all(files.into_iter().map(|(_, output, bytes)| (output, bytes)).collect())?;
        notes.into_iter().for_each(|note| streams.note(note));
        Ok(any)
    }
}

fn document(name: &str, signed: &SignedBlob, command: &SignBlobArgs) -> Value {
    let signature = wire::write_signature(&signed.signed.signature, true);
    json!({
        "file": name,
        "digest": signed.verified.digest().to_string(),
        "key": signed.verified.key().map(ToString::to_string),
        "certificate": signed.verified.certificate().map(certificate),
        "log_index": signed.signed.log_index(),
        "signature": String::from_utf8_lossy(&signature),
        "bundle": command.bundle,
        "output_signature": command.output_signature,
        "output_certificate": command.output_certificate,
    })
}
