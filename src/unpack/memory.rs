//! What was verified here before: read before deciding, written when the bytes on disk were found
//! right.

use crate::class::{Class, Failure};
use crate::dest::Dest;
use crate::limits;
use crate::name::{Reference, Repository, Tag};
use crate::policy::{self, Applies, Matched, Pin, SeenFact};
use crate::session::{Connections, Session};
use crate::store::{self, KnownRepository, Memory, Seen, SignerKey, Verified};
use crate::trust::{self, Recognition, SignerId};
use std::io::{BufRead as _, BufReader, Read as _};

/// The tag of the description of a luet repository, and the end of those of its snapshots.
const REPOSITORY: &str = "repository.yaml";
const SNAPSHOT: &str = "-repository.yaml";

/// Returns what is remembered of the repository of an image, as the policy asks for it.
///
/// # Errors
/// `state`: there is a memory, and it cannot be read.
pub(super) fn recall(
    connections: &Connections,
    matched: &Matched,
) -> Result<policy::Remembered, Failure> {
    let reference = matched.reference();
    // Only a signer that must be remembered makes it matter whether one can be.
    let durable = matched.pins() && Memory::open(connections.locations()).is_ok();
    let Some(memory) = Memory::open_existing(connections.locations())? else {
        return Ok(policy::Remembered { durable, ..policy::Remembered::default() });
    };
    let known = under_all_names(&memory, matched)?;
    let seen = || known.iter().flat_map(|known| &known.seen);
    let fact = |seen: &Seen| SeenFact {
        signer: seen.signers.first.name.clone(),
        digest: seen.digest,
        seconds: seen.seconds,
    };
    let tag = reference.tag().map(ToString::to_string);
    Ok(policy::Remembered {
        tag_verified: seen()
            .filter(|seen| tag.is_some() && seen.tag == tag)
            .max_by_key(|seen| seen.seconds)
            .map(fact),
        repository_verified: seen().max_by_key(|seen| seen.seconds).map(fact),
        binders: known.iter().flat_map(|known| &known.binders).map(signer_of).collect(),
        pins: known
            .iter()
            .filter_map(|known| known.first.as_ref())
            .map(|first| Pin { signer: signer_of(&first.key), name: first.name.clone() })
            .collect(),
        durable,
    })
}

/// Returns a signer as it is remembered.
pub(super) fn key_of(signer: &SignerId) -> SignerKey {
    let trust::SourceRepository { uri, repository, owner } = signer.source().clone();
    let source = store::RememberedSource { uri, repository, owner };
    let known = signer.source() != &trust::SourceRepository::default();
    SignerKey { fingerprint: *signer.name(), source: known.then_some(source) }
}

fn signer_of(key: &SignerKey) -> SignerId {
    let source = key.source.clone().map(|source| trust::SourceRepository {
        uri: source.uri,
        repository: source.repository,
        owner: source.owner,
    });
    SignerId::remembered(key.fingerprint, source.unwrap_or_default())
}

/// Returns what is known of a repository, under the name that it is signed for, and where that is
/// a mirror's also under its own: 1.0.0-alpha.1 remembered it so, and so does whoever had not
/// written yet that it is one.
fn under_all_names(memory: &Memory, matched: &Matched) -> Result<Vec<KnownRepository>, Failure> {
    matched.names().into_iter().map(|name| memory.of(name)).collect()
}

/// Judges the revision of a repository's description, then remembers what was verified. Returns
/// what is to be said.
///
/// # Errors
/// `rollback`: the revision went back, and the policy denies that. `malformed`, `limit`: a
/// description whose revision cannot be read. `state`: the memory cannot be read, or not written
/// where the first signer must be remembered. `identity`: someone else was the first meanwhile.
pub(super) fn remember(
    session: &Session,
    image: &str,
    dest: &Dest,
    verified: &Verified,
) -> Result<Vec<String>, Failure> {
    let reference: Reference = image.parse()?;
    let mut notices = Vec::new();
    let revision = match reference.tag().filter(|tag| describes_repository(tag)) {
        Some(tag) => revision(dest, tag)?,
        None => None,
    };
    let matched = session.policy().matching(&reference, session.now());
    let repository = matched.signed_as();
    let seen = seen(session, &reference, repository, verified, revision);
    let memory = match Memory::open(session.locations()) {
        Ok(memory) => memory,
        Err(failure) if seen.pinned.is_some() => return Err(failure),
        Err(failure) => return Ok(vec![unremembered(&reference, &failure)]),
    };
    if let Some(found) = revision {
        let known = under_all_names(&memory, &matched)?
            .into_iter()
            .flat_map(|known| known.seen)
            .filter(|known| known.tag == seen.tag)
            .filter_map(|known| known.revision)
            .max();
        if let Applies::Rule(rule) = matched.applies() {
            notices.extend(
                policy::judge_revision(rule, &reference, known, found)?.map(|notice| notice.text),
            );
        }
    }
    match memory.remember(repository, &seen, recognizes) {
        Ok(()) => {}
        Err(failure) if seen.pinned.is_some() => return Err(failure),
        Err(failure) => notices.push(unremembered(&reference, &failure)),
    }
    Ok(notices)
}

/// Remembers what a host was let to fetch, where there is a place for it: a host such as containerd
/// runs also where nothing can be kept.
///
/// # Errors
/// `state`: the first signer must be remembered and cannot be. `identity`: someone else was the
/// first meanwhile.
pub(super) fn remember_admitted(
    session: &Session,
    reference: &Reference,
    verified: &Verified,
) -> Result<(), Failure> {
    let matched = session.policy().matching(reference, session.now());
    let repository = matched.signed_as();
    let seen = seen(session, reference, repository, verified, None);
    let remembered = Memory::open(session.locations())
        .and_then(|memory| memory.remember(repository, &seen, recognizes));
    if seen.pinned.is_some() { remembered } else { Ok(()) }
}

fn seen(
    session: &Session,
    reference: &Reference,
    repository: &Repository,
    verified: &Verified,
    revision: Option<u64>,
) -> Seen {
    Seen {
        repository: repository.to_string(),
        tag: reference.tag().map(ToString::to_string),
        digest: verified.image,
        signers: verified.signers.clone(),
        pinned: verified.pinned.clone(),
        revision,
        seconds: session.now().as_second(),
    }
}

fn recognizes(known: &SignerKey, found: &SignerKey) -> bool {
    signer_of(known).recognize(&signer_of(found)) != Recognition::Another
}

/// What is right stays right where it cannot be remembered; the next time is then judged without
/// this one, so it is said.
fn unremembered(reference: &Reference, failure: &Failure) -> String {
    format!(
        "warning: that `{reference}` was verified could not be remembered: {}",
        failure.message()
    )
}

fn describes_repository(tag: &Tag) -> bool {
    tag.as_str() == REPOSITORY || tag.as_str().ends_with(SNAPSHOT)
}

/// Reads the revision in the description, which is a file called like the tag. luet writes it as a
/// line of its own.
fn revision(dest: &Dest, tag: &Tag) -> Result<Option<u64>, Failure> {
    let malformed = |what: &str| Failure::new(Class::Malformed, format!("`{tag}` {what}"));
    let Some(file) = dest.file(tag.as_str())? else { return Ok(None) };
    let mut text = BufReader::new(file).take(limits::REPOSITORY_BYTES + 1);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = text
            .read_until(b'\n', &mut line)
            .map_err(|error| malformed(&format!("could not be read: {error}")))?;
        if text.limit() == 0 {
            let what =
                format!("`{tag}` has no revision in its first {} bytes", limits::REPOSITORY_BYTES);
            return Err(Failure::new(Class::Limit, what));
        }
        if read == 0 {
            // luet leaves out a revision that is 0.
            return Ok(Some(0));
        }
        if let Some(value) = line.strip_prefix(b"revision:") {
            let text = std::str::from_utf8(value).unwrap_or_default().trim();
            return text
                .parse()
                .map(Some)
                .map_err(|_| malformed(&format!("has the revision `{text}`; expected a number")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Digest;
    use crate::store::RememberedSource;

    /// Two processes may see the first signer at the same time: the second finds what the first
    /// remembered, and has to tell whether it is who it saw.
    #[test]
    fn a_first_signer_is_recognized_by_who_it_is() {
        let key = |name: &[u8], owner: Option<&str>| SignerKey {
            fingerprint: Digest::of(name),
            source: owner.map(|owner| RememberedSource {
                uri: Some("https://github.com/acme/os".to_owned()),
                repository: Some("1".to_owned()),
                owner: Some(owner.to_owned()),
            }),
        };
        let known = key(b"acme", Some("2"));
        assert!(recognizes(&known, &known));
        assert!(recognizes(&key(b"acme", None), &known), "what alpha.1 remembered");
        assert!(!recognizes(&known, &key(b"acme", Some("3"))), "another owner");
        assert!(!recognizes(&known, &key(b"eve", Some("2"))));
    }
}
