//! `verify-blob`, `tlog get`, and `verify-bundle` for the conformance suite.
//!
//! `verify-blob` says what cosign says, where it says it: `Verified OK` on stderr, nothing on
//! stdout.

use super::arguments::{IdentityArgs, TlogCommand, VerifyBlobArgs, VerifyBundleArgs, named};
use super::images::{certificate, severity};
use super::progress::Bar;
use super::{Outcome, Streams, attestation, blob_files};
use crate::blob::{
    self, AttestationRequest, EntryName, ExpectedSigner, FileOutcome, FileRequest, FileSubject,
    ListedFile, Sources,
};
use crate::class::{Class, Failure};
use crate::config::{Environment, Location};
use crate::limits;
use crate::session::{Connections, SessionOptions, wanted_identity};
use crate::trust::{Certificate, Identity, PredicateType, PublicKey, VerifiedFile};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn verify(
    command: &VerifyBlobArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    if let Some(suffix) = &command.bundle_suffix {
        return blob_files::verify(command, suffix, as_json, environment, streams);
    }
    // A list is read once: what is verified is what is then followed.
    let patience = environment.deadline()?;
    let list = command
        .all
        .as_deref()
        .map(|path| FileSubject::whole(path, limits::SUMS_BYTES, patience))
        .transpose()?;
    let subject: FileSubject = match (&list, &command.file) {
        (Some(bytes), _) => FileSubject::Read(bytes.clone()),
        (None, file) => file.as_deref().unwrap_or("-").parse()?,
    };
    if command.key.is_none() {
        warn(&command.identity, environment, streams)?;
    }
    let (verified, files, warning) =
        Connections::run(environment, &options(&command.identity), async |connections| {
            let wanted = wanted(command, connections).await?;
            let request = FileRequest { wanted, log: command.rekor_url.clone() };
            let bar = Bar::new(size(&subject), !as_json);
            let answer =
                blob::verify(connections, &subject, &sources(command), &request, &|bytes| {
                    bar.add(bytes)
                })
                .await?;
            let verified = asked_for(answer, command)?;
            let files = match (&command.all, &list) {
                (Some(path), Some(bytes)) => {
                    check_list(connections, path, bytes, command.ignore_missing, !as_json)?
                }
                _ => Vec::new(),
            };
            Ok((verified, files, connections.warning()))
        })?;
    // Nothing of a policy concerns a file and a key.
    warning.iter().filter(|_| command.key.is_none()).for_each(|warning| streams.note(warning));
    let failures = files.iter().filter_map(|(_, result)| result.as_ref().err());
    let worst = worst(failures);
    if as_json {
        let name = command
            .file
            .clone()
            .or_else(|| command.all.as_ref().map(|path| path.display().to_string()));
        streams.json(document(&name.unwrap_or_default(), &verified, &files))?;
        return Ok(worst.map_or(0, |failure| failure.class().exit()));
    }
    if let Some(logged) = verified.logged() {
        streams.note(format!(
            "tlog entry verified with uuid: {} index: {}",
            logged.leaf.hex(),
            logged.index
        ));
    }
    if !is_asked(command, environment)? {
        streams.note_lines(anyone(&verified));
    }
    for (listed, result) in &files {
        show(&listed.name, result.as_ref().err(), streams);
    }
    conclude(worst, streams)
}

/// Returns the worst of several failures; of equals the first.
pub(super) fn worst<'a>(failures: impl DoubleEndedIterator<Item = &'a Failure>) -> Option<Failure> {
    failures.rev().max_by_key(|failure| severity(failure.class())).cloned()
}

/// Says what became of one file of several.
pub(super) fn show(name: &str, failure: Option<&Failure>, streams: &mut Streams) {
    let name = crate::class::printable(name);
    streams.note(match failure {
        None => format!("{name}: OK"),
        Some(failure) => format!("{name}: FAILED ({})", failure.line()),
    });
}

pub(super) fn conclude(worst: Option<Failure>, streams: &mut Streams) -> Outcome {
    if let Some(failure) = worst {
        return Err(failure);
    }
    streams.note("Verified OK");
    Ok(0)
}

pub(super) fn options(identity: &IdentityArgs) -> SessionOptions {
    identity.options(SessionOptions::default())
}

/// Takes success for an answer, and says how to name the signer where nobody was asked for.
pub(super) fn asked_for(
    answer: FileOutcome,
    command: &VerifyBlobArgs,
) -> Result<VerifiedFile, Failure> {
    match answer {
        FileOutcome::Verified(verified) => Ok(verified),
        FileOutcome::Unasked(certificate) => {
            Err(blob::unasked(&certificate).hint(advice(&certificate, command)))
        }
    }
}

fn sources(command: &VerifyBlobArgs) -> Sources {
    Sources {
        signature: command.signature.clone(),
        certificate: command.certificate.clone(),
        chain: command.certificate_chain.clone(),
        bundle: command.bundle.clone(),
        timestamp: command.rfc3161_timestamp.clone(),
    }
}

pub(super) fn size(subject: &FileSubject) -> u64 {
    match subject {
        FileSubject::File(path) => path.metadata().map_or(0, |found| found.len()),
        FileSubject::Digest(_) | FileSubject::Read(_) => 0,
    }
}

/// Returns whose signature counts: what the options say, else the variables that cosign reads too.
pub(super) async fn wanted(
    command: &VerifyBlobArgs,
    connections: &Connections,
) -> Result<ExpectedSigner, Failure> {
    if let Some(key) = &command.key {
        return read_key(key, connections).await.map(ExpectedSigner::Key);
    }
    if let Some(identity) = identity(&command.identity, connections.environment())? {
        return Ok(ExpectedSigner::Identity(identity));
    }
    // cosign 1 knew no identities; what is in the form that only later ones write was never
    // verified by it.
    let old = command.bundle.is_none() && command.certificate.is_some();
    Ok(if old && connections.environment().flag("COSIGN_EXPERIMENTAL")? {
        ExpectedSigner::Anyone
    } else {
        ExpectedSigner::Nobody
    })
}

pub(super) async fn read_key(key: &str, connections: &Connections) -> Result<PublicKey, Failure> {
    let location = Location::parse("--key", key)?;
    let pem = connections.read_key(&location).await?;
    PublicKey::from_pem(&pem).map_err(|failure| failure.within(format!("`{location}`")))
}

pub(super) fn identity(
    options: &IdentityArgs,
    environment: &Environment,
) -> Result<Option<Identity>, Failure> {
    if let Some(identity) = options.identity()? {
        return Ok(Some(identity));
    }
    let wanted = wanted_identity(environment)?;
    let identity = named(&wanted, "COSIGN_CERTIFICATE_IDENTITY", "COSIGN_CERTIFICATE_OIDC_ISSUER")?;
    options.narrowed(identity)
}

/// Says what is to be said of the expressions that say who is asked for.
pub(super) fn warn(
    options: &IdentityArgs,
    environment: &Environment,
    streams: &mut Streams,
) -> Result<(), Failure> {
    for warning in identity(options, environment)?.iter().flat_map(Identity::warnings) {
        streams.note(format!("warning: {warning}"));
    }
    Ok(())
}

pub(super) fn is_asked(
    command: &VerifyBlobArgs,
    environment: &Environment,
) -> Result<bool, Failure> {
    Ok(command.key.is_some() || identity(&command.identity, environment)?.is_some())
}

pub(super) fn anyone(verified: &VerifiedFile) -> String {
    let who = verified.certificate().map_or_else(String::new, |certificate| {
        format!("`{}` (issuer `{}`)", certificate.subject(), certificate.issuer())
    });
    let who = crate::class::printable(&who);
    format!(
        "WARNING: signed by {who}. No signer was named, so ANYONE's signature is accepted. If this is the expected signer, name it next time:\n  \
             --certificate-identity NAME --certificate-oidc-issuer URL"
    )
}

/// Returns the complete command that names the signer, if no one was named.
fn advice(certificate: &Certificate, command: &VerifyBlobArgs) -> String {
    let (subject, issuer) = (certificate.subject().as_str(), certificate.issuer());
    let file = command.file.clone().or_else(|| {
        command.all.as_ref().map(|path| format!("--all {}", quoted(&path.display().to_string())))
    });
    let options = [
        ("--signature", &command.signature),
        ("--certificate", &command.certificate),
        ("--certificate-chain", &command.certificate_chain),
        ("--bundle", &command.bundle),
        ("--bundle-suffix", &command.bundle_suffix),
        ("--rfc3161-timestamp", &command.rfc3161_timestamp),
        ("--rekor-url", &command.rekor_url),
    ];
    let mut words = vec!["luet-cosign verify-blob".to_owned()];
    words.extend(
        options
            .iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", quoted(value.as_ref()?)))),
    );
    words.extend(
        command
            .identity
            .trusted_root
            .iter()
            .map(|path| format!("--trusted-root {}", quoted(&path.display().to_string()))),
    );
    words.push(format!(
        "--certificate-identity {} --certificate-oidc-issuer {}",
        quoted(subject),
        quoted(issuer)
    ));
    words.extend(file.map(|file| if command.all.is_some() { file } else { quoted(&file) }));
    words.extend(command.more.iter().map(|file| quoted(file)));
    format!("if that is who releases this file: {}", words.join(" "))
}

/// Returns a word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

type CheckedFiles = Vec<(ListedFile, Result<(), Failure>)>;

fn check_list(
    connections: &Connections,
    path: &Path,
    bytes: &[u8],
    ignore_missing: bool,
    show: bool,
) -> Result<CheckedFiles, Failure> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut list = ListedFile::parse_all(bytes)
        .map_err(|failure| failure.within(format!("`{}`", path.display())))?;
    if ignore_missing {
        list.retain(|listed| listed.path(folder).exists());
        if list.is_empty() {
            return Err(Failure::new(
                Class::NotFound,
                format!("none of the files in `{}` is here", path.display()),
            )
            .hint("download one of them into the same directory"));
        }
    }
    let total = list
        .iter()
        .map(|listed| listed.path(folder).metadata().map_or(0, |found| found.len()))
        .sum();
    let bar = Bar::new(total, show);
    let results = blob::check_sums(connections, &list, folder, &|bytes| bar.add(bytes));
    Ok(list.into_iter().zip(results).collect())
}

fn document(
    name: &str,
    verified: &VerifiedFile,
    files: &[(ListedFile, Result<(), Failure>)],
) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|(listed, result)| {
            let error = result.as_ref().err().map(Failure::json);
            json!({"file": listed.name, "digest": listed.digest.to_string(), "verified": result.is_ok(), "error": error})
        })
        .collect();
    let good = files.iter().all(|file| file["verified"] == true);
    document_of(
        [("file", name.into()), ("verified", good.into())],
        Some(verified),
        [("files", files.into())],
    )
}

/// Returns what is known of a file whose signature holds, of another one that nothing is, between
/// what else is said of it.
pub(super) fn document_of<const BEFORE: usize, const AFTER: usize>(
    before: [(&str, Value); BEFORE],
    verified: Option<&VerifiedFile>,
    after: [(&str, Value); AFTER],
) -> Value {
    let logged = verified.and_then(VerifiedFile::logged);
    let times = verified.map_or(&[][..], VerifiedFile::times);
    let times: Vec<String> = times.iter().map(ToString::to_string).collect();
    let found = [
        ("digest", json!(verified.map(|verified| verified.digest().to_string()))),
        ("key", json!(verified.and_then(VerifiedFile::key).map(ToString::to_string))),
        ("certificate", json!(verified.and_then(VerifiedFile::certificate).map(certificate))),
        ("times", json!(times)),
        ("log_index", json!(logged.map(|logged| logged.index))),
        ("log_uuid", json!(logged.map(|logged| logged.leaf.hex()))),
    ];
    let all = before.into_iter().chain(found).chain(after);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn tlog(
    command: &TlogCommand,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    let TlogCommand::Get { uuid, log_index, rekor_url, trusted_root } = command;
    let name = match (uuid, log_index) {
        (Some(uuid), _)
            if matches!(uuid.len(), 64 | 80)
                && uuid.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) =>
        {
            EntryName::Uuid(uuid.clone())
        }
        (Some(uuid), _) => {
            return Err(Failure::new(
                Class::Usage,
                format!("`{uuid}` is not a valid entry UUID; expected 64 or 80 hexadecimal digits"),
            ));
        }
        (None, index) => EntryName::Index(index.unwrap_or_default()),
    };
    let options =
        SessionOptions { trusted_root: trusted_root.clone(), ..SessionOptions::default() };
    let (entry, warning) = Connections::run(environment, &options, async |connections| {
        let entry = blob::print_entry(connections, &name, rekor_url.as_deref()).await?;
        Ok((entry, connections.warning()))
    })?;
    warning.iter().for_each(|warning| streams.note(warning));
    if as_json {
        streams.json(entry.json())?;
    } else {
        streams.say_lines(&entry)?;
    }
    Ok(0)
}

pub(super) fn conformance(
    command: &VerifyBundleArgs,
    as_json: bool,
    environment: &Environment,
    streams: &mut Streams,
) -> Outcome {
    if command.staging && command.identity.trusted_root.is_none() {
        return Err(Failure::new(
            Class::Trustroot,
            "the trusted root of the staging instance is not part of this program",
        )
        .hint("give it with --trusted-root"));
    }
    let subject: FileSubject = command.file.parse()?;
    let sources = Sources { bundle: Some(command.bundle.clone()), ..Sources::default() };
    let answer = Connections::run(environment, &options(&command.identity), async |connections| {
        let wanted = match (&command.key, command.identity.identity()?) {
            (Some(key), _) => ExpectedSigner::Key(read_key(key, connections).await?),
            (None, Some(identity)) => ExpectedSigner::Identity(identity),
            (None, None) => ExpectedSigner::Nobody,
        };
        // The suite asks the same of both kinds; what comes of them stays apart.
        if blob::holds_attestation(connections, &command.bundle).await {
            let bundle = command.bundle.clone();
            let request = AttestationRequest { bundle, wanted, predicate_type: PredicateType::Any };
            let attested =
                blob::verify_attestation(connections, &subject, &request, &|_| {}).await?;
            return Ok(attestation::document(&command.file, &attested.verified()?));
        }
        let request = FileRequest { wanted, log: None };
        let answer = blob::verify(connections, &subject, &sources, &request, &|_| {}).await?;
        Ok(document(&command.file, &answer.verified()?, &[]))
    })?;
    if as_json {
        streams.json(answer)?;
    }
    Ok(0)
}
