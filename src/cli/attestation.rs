//! `verify-blob-attestation`: what someone attests of a file.
//!
//! The answer says what was attested, of what and by whom: with "Verified OK" alone an SBOM would
//! look like a signature. That line comes last, on standard error, where cosign prints it.

use super::arguments::VerifyBlobAttestationArgs;
use super::blob::{identity, options, quoted, read_key, size, warn};
use super::images::certificate;
use super::progress::Bar;
use super::{Outcome, Streams};
use crate::blob::{
    self, AttestationAnswer, AttestationRequest, Attested, ExpectedSigner, FileSubject,
};
use crate::class::{Class, Failure, printable};
use crate::config::Environment;
use crate::session::Connections;
use crate::trust::{AttestedFile, Certificate, PredicateType};
use serde_json::{Value, json};

pub(super) fn verify(
    command: &VerifyBlobAttestationArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    refuse(command)?;
    let predicate_type = predicate_type(command)?;
    let file = file(command);
    let subject: FileSubject = file.parse()?;
    if command.key.is_none() {
        warn(&command.identity, environment, streams)?;
    }
    let (attested, warning) =
        Connections::run(environment, &options(&command.identity), async |connections| {
            let wanted = wanted(command, connections).await?;
            let request =
                AttestationRequest { bundle: command.bundle.clone(), wanted, predicate_type };
            let bar = Bar::new(size(&subject), !as_json);
            let answer =
                blob::verify_attestation(connections, &subject, &request, &|bytes| bar.add(bytes))
                    .await?;
            match answer {
                AttestationAnswer::Verified(attested) => Ok((attested, connections.warning())),
                AttestationAnswer::Unasked(certificate) => {
                    Err(blob::unasked(&certificate).hint(advice(&certificate, command, &file)))
                }
            }
        })?;
    warning.iter().filter(|_| command.key.is_none()).for_each(|warning| streams.note(warning));
    if as_json {
        streams.json(document(&file, &attested))?;
        return Ok(0);
    }
    for found in &attested.files {
        streams.say_lines(shown(found))?;
    }
    for other in &attested.others {
        streams.note(format!("another one is not accepted: {}", other.line()));
    }
    streams.note("Verified OK");
    Ok(0)
}

/// Refuses what would loosen the answer, for a script must not go on in the belief that it does.
fn refuse(command: &VerifyBlobAttestationArgs) -> Result<(), Failure> {
    if command.check_claims {
        return Ok(());
    }
    Err(Failure::new(
        Class::Usage,
        "--check-claims=false: an attestation that may be about any file says nothing about this \
         one",
    )
    .hint("leave it out; of a file that is elsewhere, give the digest as `sha256:HEX`"))
}

fn predicate_type(command: &VerifyBlobAttestationArgs) -> Result<PredicateType, Failure> {
    match &command.predicate_type {
        Some(text) => text.parse(),
        None => {
            let names: Vec<&str> = PredicateType::names().collect();
            Err(Failure::new(
                Class::Usage,
                "--type is missing: it says what has to be attested (cosign assumes `custom`)",
            )
            .hint(format!("one of: {}, or a URI", names.join(", "))))
        }
    }
}

fn file(command: &VerifyBlobAttestationArgs) -> String {
    match (&command.file, &command.digest) {
        (Some(file), _) => file.clone(),
        (None, Some(digest)) => format!("{}:{digest}", command.digest_alg),
        (None, None) => "-".to_owned(),
    }
}

async fn wanted(
    command: &VerifyBlobAttestationArgs,
    connections: &Connections,
) -> Result<ExpectedSigner, Failure> {
    if let Some(key) = &command.key {
        return read_key(key, connections).await.map(ExpectedSigner::Key);
    }
    let identity = identity(&command.identity, connections.environment())?;
    Ok(identity.map_or(ExpectedSigner::Nobody, ExpectedSigner::Identity))
}

/// Returns what a person reads of an attestation that holds.
fn shown(found: &AttestedFile) -> String {
    let names: Vec<String> =
        found.names().iter().map(|name| format!("`{}`", printable(name))).collect();
    let called = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let by = match (found.certificate(), found.key()) {
        (Some(certificate), _) => format!(
            "`{}` (issuer `{}`)",
            printable(certificate.subject().as_str()),
            printable(certificate.issuer())
        ),
        (None, Some(key)) => format!("the key {key}"),
        (None, None) => "nobody".to_owned(),
    };
    let kind = printable(found.predicate_type());
    let time = found.times().first().map_or_else(String::new, |time| format!("\n  at: {time}"));
    format!("attested: {kind}\n  of: {}{called}\n  by: {by}{time}", found.digest())
}

/// Returns the `--json` document, but for its version.
pub(super) fn document(file: &str, attested: &Attested) -> Value {
    let attestations: Vec<Value> = attested
        .files
        .iter()
        .map(|found| {
            json!({
                "type": found.predicate_type(),
                "digest": found.digest().to_string(),
                "subjects": found.names(),
                "key": found.key().map(ToString::to_string),
                "certificate": found.certificate().map(certificate),
                "times": found.times().iter().map(ToString::to_string).collect::<Vec<_>>(),
                "log_index": found.logged().map(|logged| logged.index),
                "log_uuid": found.logged().map(|logged| logged.leaf.hex()),
                "predicate": found.predicate(),
            })
        })
        .collect();
    json!({
        "file": file,
        "verified": !attestations.is_empty(),
        "attestations": attestations,
        "others": attested.others.iter().map(Failure::json).collect::<Vec<_>>(),
    })
}

/// Returns the complete command that names who attests it, if no one was named.
fn advice(certificate: &Certificate, command: &VerifyBlobAttestationArgs, file: &str) -> String {
    let mut words = vec!["luet-cosign verify-blob-attestation".to_owned()];
    words.extend(command.predicate_type.iter().map(|kind| format!("--type {}", quoted(kind))));
    words.push(format!("--bundle {}", quoted(&command.bundle)));
    words.extend(
        command
            .identity
            .trusted_root
            .iter()
            .map(|path| format!("--trusted-root {}", quoted(&path.display().to_string()))),
    );
    words.push(format!(
        "--certificate-identity {} --certificate-oidc-issuer {} {}",
        quoted(certificate.subject().as_str()),
        quoted(certificate.issuer()),
        quoted(file)
    ));
    format!("if that is who has to say so: {}", words.join(" "))
}
