//! `verify`, `triangulate`.
//!
//! `verify` prints what cosign prints: what was checked on stderr, the array of payloads on stdout.

use super::arguments::{self, TriangulateArgs, VerifyArgs};
use super::{Outcome, Streams};
use crate::archive::ArchivePlace;
use crate::class::{Class, Failure, printable, shown};
use crate::config::{Environment, Location};
use crate::name::{Reference, Tag};
use crate::policy::Policy;
use crate::session::{Connections, Machine, Session, SessionOptions};
use crate::trust::{Authority, Certificate, Identity, PublicKey, Requirements, VerifiedSignature};
use crate::unpack::{self, Provisional};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn verify(
    command: &VerifyArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    command.images.iter().try_for_each(|image| no_option(image))?;
    let requirements = Requirements { annotations: annotations(&command.annotations)? };
    let options = SessionOptions {
        policy: command.policy.clone(),
        ..command.identity.options(command.network.options(&command.images)?)
    };
    let asked = asked(command.key.as_deref(), &command.identity, streams)?;
    check_names(command)?;
    let mut said = Vec::new();
    let (images, warnings) = match asked {
        Some(asked) => Connections::run(environment, &options, async |connections| {
            let (authority, option) = asked.authority(connections).await?;
            let mut found = Vec::new();
            for image in &command.images {
                connections.client().renew();
                let result = match ArchivePlace::to_read(image) {
                    Some(place) => {
                        let policy = unpack::policy_of(connections, &authority, &option)?;
                        archived(connections, &policy, &place, command, &requirements, &mut said)
                            .await
                    }
                    None => {
                        unpack::by_authority(connections, image, &authority, &option, &requirements)
                            .await
                    }
                };
                found.push((image.clone(), result));
            }
            Ok((found, connections.warning().into_iter().collect()))
        })?,
        None => Session::run(environment, &options, async |session| {
            let mut found = Vec::new();
            for image in &command.images {
                session.client().renew();
                let result = match ArchivePlace::to_read(image) {
                    Some(place) => {
                        let policy = session.policy();
                        archived(session, policy, &place, command, &requirements, &mut said).await
                    }
                    None => unpack::by_policy(session, image, &requirements).await,
                };
                found.push((image.clone(), result));
            }
            Ok((found, session.loaded().open_expressions()))
        })?,
    };
    warnings.iter().chain(&said).for_each(|warning| streams.note(warning));
    let worst = images
        .iter()
        .filter_map(|(_, result)| result.as_ref().err())
        .max_by_key(|failure| severity(failure.class()))
        .cloned();
    if as_json {
        let documents: Vec<Value> =
            images.iter().map(|(image, result)| document(image, result)).collect();
        streams.json(json!({"images": documents}))?;
        return Ok(worst.map_or(0, |failure| failure.class().exit()));
    }
    for (image, result) in &images {
        match result {
            Ok(verified) => show(image, verified, command, streams)?,
            Err(failure) if images.len() > 1 => streams.note_lines(format!(
                "error: {}: {}",
                printable(&shown(image)),
                failure.text()
            )),
            Err(_) => {}
        }
    }
    worst.map_or(Ok(0), Err)
}

/// `--as` is about one archive.
fn check_names(command: &VerifyArgs) -> Result<(), Failure> {
    let archives =
        command.images.iter().filter(|image| ArchivePlace::to_read(image).is_some()).count();
    match (&command.named, archives, command.images.len()) {
        (Some(_), 1, 1) | (None, ..) => Ok(()),
        _ => Err(Failure::new(
            Class::Usage,
            "--as is about one archive: oci:DIR or docker-archive:FILE",
        )),
    }
}

/// Verifies an archive, and adds to what is to be said.
async fn archived(
    connections: &Connections,
    policy: &Policy,
    place: &ArchivePlace,
    command: &VerifyArgs,
    requirements: &Requirements,
    said: &mut Vec<String>,
) -> Result<Provisional, Failure> {
    let named = command.named.as_ref().map(|name| name.parse::<Reference>()).transpose()?;
    let (provisional, notices) =
        unpack::by_archive(connections, policy, place, named.as_ref(), requirements).await?;
    said.extend(notices);
    Ok(provisional)
}

/// Refuses a word alone that is the name of an option, or of a file that is here: it was not meant
/// as an image of Docker Hub, and nobody is to be asked about it.
fn no_option(image: &str) -> Result<(), Failure> {
    if image.contains(['/', ':', '@', '.']) {
        return Ok(());
    }
    let options = ["bundle", "certificate", "identity", "issuer", "key", "policy", "signature"];
    if options.contains(&image) {
        return Err(Failure::new(Class::Usage, format!("`{image}` is the name of an option, not an image"))
            .hint("write options with two dashes: --key KEY, or --certificate-identity NAME --certificate-oidc-issuer URL"));
    }
    if Path::new(image).is_file() {
        return Err(Failure::new(Class::Usage, format!("`{image}` is a file, and `verify` is about images"))
            .hint(format!("luet-cosign verify-blob {image}; the image of that name at Docker Hub is `docker.io/library/{image}`")));
    }
    Ok(())
}

/// Of several images the highest class decides the exit code.
pub(super) fn severity(class: Class) -> u8 {
    match class.exit() {
        3 => 6,
        20 => 5,
        14..=16 => 4,
        12 => 3,
        10 | 11 => 2,
        _ => 1,
    }
}

fn show(
    image: &str,
    verified: &Provisional,
    command: &VerifyArgs,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let signatures: Vec<&VerifiedSignature> = verified.signatures().collect();
    verified.notices().iter().for_each(|notice| streams.note(&notice.text));
    if signatures.is_empty() {
        streams.note_lines(format!("\nVerification for {image} --\nNothing was verified: the policy lets this image be unsigned."));
        return if command.output == "text" { Ok(()) } else { streams.say_lines("\n[]") };
    }
    streams.note_lines(format!("\nVerification for {image} --\nThe following checks were performed on each of these signatures:"));
    if !command.annotations.is_empty() {
        streams.note("  - The specified annotations were verified.");
    }
    streams.note("  - The cosign claims were validated");
    if signatures
        .iter()
        .any(|signature| signature.log_index().is_some() || signature.certificate().is_some())
    {
        streams.note("  - Existence of the claims in the transparency log was verified offline");
    }
    if signatures.iter().any(|signature| signature.certificate().is_none()) {
        streams.note("  - The signatures were verified against the specified public key");
    }
    if signatures.iter().any(|signature| signature.certificate().is_some()) {
        streams.note("  - The code-signing certificate was verified using trusted certificate authority certificates");
    }
    let payloads: Vec<Value> =
        signatures.iter().map(|signature| signature.document(image)).collect();
    if command.output == "text" {
        return payloads.iter().try_for_each(|payload| streams.value(payload));
    }
    streams.say("")?;
    streams.value(&Value::Array(payloads))
}

fn document(image: &str, result: &Result<Provisional, Failure>) -> Value {
    match result {
        Ok(verified) => json!({
            "image": image,
            "verified": verified.signatures().next().is_some(),
            "signatures": verified.signatures().map(|found| signature(found, image)).collect::<Vec<_>>(),
            "notices": verified.notices().iter().map(|notice| &notice.text).collect::<Vec<_>>(),
        }),
        Err(failure) => json!({"image": shown(image), "verified": false, "error": failure.json()}),
    }
}

/// Returns what `--json` says of a signature of `image` that holds.
pub(super) fn signature(signature: &VerifiedSignature, image: &str) -> Value {
    let found = signature.certificate();
    json!({
        "signer": signature.authority(),
        "key": found.is_none().then(|| signature.fingerprint().to_string()),
        "certificate": found.map(certificate),
        "times": signature.times().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "log_index": signature.log_index(),
        "digest": signature.image().to_string(),
        "format": signature.format().to_string(),
        "payload": signature.document(image),
    })
}

/// Returns what `--json` says of the certificate of a signature that holds.
pub(super) fn certificate(certificate: &Certificate) -> Value {
    json!({
        "subject": certificate.subject().as_str(),
        "issuer": certificate.issuer(),
        "source": certificate.source().uri,
    })
}

pub(super) fn triangulate(
    command: &TriangulateArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let reference: Reference = command.image.parse()?;
    let options = command.network.options(std::slice::from_ref(&command.image))?;
    let digest = match reference.digest() {
        Some(digest) => *digest,
        None => Connections::run(environment, &options, async |connections| {
            Ok(connections.client().resolve(&reference).await?.digest)
        })?,
    };
    let place = if command.kind == "digest" {
        format!("{}@{digest}", reference.repository().cosign_name())
    } else {
        let repository = Machine::open(environment)?
            .signature_repository()?
            .unwrap_or_else(|| reference.repository().clone());
        format!("{}:{}", repository.cosign_name(), Tag::of_signatures(&digest))
    };
    if as_json {
        streams.json(json!({"image": command.image, "type": command.kind, "reference": place}))?
    } else {
        streams.say(place)?
    }
    Ok(0)
}

/// Reads `KEY=VALUE` pairs.
pub(super) fn annotations(pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::new(Class::Usage, format!("the annotation `{text}` is not KEY=VALUE"))),
    };
    pairs
        .iter()
        .flat_map(|text| text.split(',').map(ToOwned::to_owned).collect::<Vec<_>>())
        .map(|text| pair(&text))
        .collect()
}

/// Whom the options name.
pub(super) enum SignerOption<'a> {
    Key(&'a str),
    Identity(Identity),
}

/// Returns whom the options name, and warns of names that let in more than it looks like.
pub(super) fn asked<'a>(
    key: Option<&'a str>,
    identity: &arguments::IdentityArgs,
    streams: &mut Streams,
) -> Result<Option<SignerOption<'a>>, Failure> {
    let asked = match key {
        Some(key) => Some(SignerOption::Key(key)),
        None => identity.identity()?.map(SignerOption::Identity),
    };
    if let Some(SignerOption::Identity(identity)) = &asked {
        for warning in identity.warnings() {
            streams.note(format!("warning: {warning}"));
        }
    }
    Ok(asked)
}

impl SignerOption<'_> {
    /// Returns whose signatures count, with the options as they are to be shown.
    pub(super) async fn authority(
        self,
        connections: &Connections,
    ) -> Result<(Authority, String), Failure> {
        match self {
            Self::Key(key) => {
                let location = Location::parse("--key", key)?;
                let pem = connections.read_key(&location).await?;
                let key = PublicKey::from_pem(&pem)
                    .map_err(|failure| failure.within(format!("`{location}`")))?;
                let option = format!("--key {location}");
                Ok((Authority::of_key(location.to_string(), key), option))
            }
            Self::Identity(identity) => {
                // It stands between backticks itself.
                let who = identity.to_string().replace('`', "");
                let option = format!("--certificate-identity {who}");
                Ok((Authority::of_identity(identity), option))
            }
        }
    }
}
