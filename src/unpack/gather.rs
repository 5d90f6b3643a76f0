//! Gathering: everything that can be found out about the signatures of an image, as facts.
//!
//! Three places hold signatures of a subject: the `.sig` tag, the referrers API and its fallback tag. All three are asked at
//! the same time, always. What is found is checked here, by the checker of `trust`; what it comes to is decided elsewhere.

use super::platform;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Reference, Repository, Subject, Tag};
use crate::policy::{Evidence, Matched, Memory, PlaceAnswer, PlaceKind, PlaceReport, SignatureReport};
use crate::registry::{Absence, Answer, Client, Descriptor, Manifest, ManifestKind, Referrers, Role};
use crate::trust::{Held, Requirements, VerifiedSignature};
use crate::wire::{LegacyCandidate, Referrer, SIGN_PREDICATE, Signatures, bundle_predicate};

/// What to look for, and where.
pub(super) struct Look<'a> {
    pub(super) client: &'a Client,
    pub(super) matched: &'a Matched,
    /// What is remembered of this repository.
    pub(super) memory: &'a Memory,
    pub(super) requirements: &'a Requirements,
    /// Whether to look at everything also after a good signature was found.
    pub(super) thorough: bool,
}

/// One place about one subject.
#[derive(Clone, Copy)]
struct Spot<'a> {
    repository: &'a Repository,
    subject: Digest,
    kind: PlaceKind,
}

impl Look<'_> {
    /// Resolves the image once, and looks at it; where nobody who is trusted signed an index, also at this platform's image.
    pub(super) async fn gather(&self, reference: &Reference) -> Result<Evidence, Failure> {
        let image = self.client.resolve(reference).await?;
        let child = match &image.kind {
            ManifestKind::Image(_) => None,
            ManifestKind::Index(index) => platform::child(index)?,
        };
        let mut evidence = Evidence::new(reference.clone(), image.digest, child);
        evidence.memory = self.memory.clone();
        self.look(reference, image.digest, &mut evidence).await;
        if let Some(child) = evidence.child
            && !self.done(&evidence)
        {
            self.look(reference, child, &mut evidence).await;
        }
        Ok(evidence)
    }

    /// Returns whether nothing more has to be found.
    fn done(&self, evidence: &Evidence) -> bool {
        !self.thorough && self.matched.enough(evidence)
    }

    /// Looks at every place of one subject.
    async fn look(&self, reference: &Reference, subject: Digest, evidence: &mut Evidence) {
        for repository in &self.matched.repositories() {
            let role = if repository == reference.repository() { Role::Image } else { Role::Signatures };
            let place = Subject { repository: repository.clone(), digest: subject };
            let (signatures_tag, fallback_tag) = (Tag::of_signatures(&subject), Tag::of_referrers(&subject));
            let (signatures, referrers, fallback) = tokio::join!(
                self.client.by_tag(repository, &signatures_tag, role),
                self.client.referrers(&place, role),
                self.client.by_tag(repository, &fallback_tag, role),
            );
            let spot = |kind| Spot { repository, subject, kind };
            self.legacy(spot(PlaceKind::SigTag), signatures, evidence).await;
            let listed = listed(referrers);
            let tagged = tagged(subject, fallback);
            let mut seen = Vec::new();
            for (kind, found) in [(PlaceKind::Referrers, listed), (PlaceKind::FallbackTag, tagged)] {
                self.referrers(spot(kind), found, &mut seen, evidence).await;
            }
        }
    }

    /// Checks what lies under the `.sig` tag. A stranger's signature costs no request: only the payload of one that holds is fetched.
    async fn legacy(&self, spot: Spot<'_>, answer: Result<Answer<Manifest>, Failure>, evidence: &mut Evidence) {
        let signatures = match answer {
            Ok(Answer::There(manifest)) => Signatures::parse(&manifest.bytes),
            Ok(Answer::Absent(absence)) => return put_place(evidence, spot, absent(&absence)),
            Err(failure) => Err(failure),
        };
        let signatures = match signatures {
            Ok(signatures) => signatures,
            Err(failure) => return put_place(evidence, spot, PlaceAnswer::Failed(failure)),
        };
        let before = evidence.signatures.len();
        for candidate in signatures.candidates() {
            let outcome = match candidate {
                Ok(candidate) => self.check_legacy(spot, &candidate).await,
                Err(failure) => Err(failure),
            };
            put_signature(evidence, spot, "legacy", outcome);
            if self.done(evidence) {
                break;
            }
        }
        let count = evidence.signatures.len() - before;
        put_place(evidence, spot, PlaceAnswer::There { count });
    }

    async fn check_legacy(&self, spot: Spot<'_>, candidate: &LegacyCandidate) -> Result<VerifiedSignature, Failure> {
        let held = Held::check(candidate, self.matched.authorities())?;
        let (digest, bytes) = held.payload();
        let payload = self.client.blob(spot.repository, digest, bytes, limits::PAYLOAD_BYTES).await?;
        held.check_claims(&payload, &spot.subject, self.requirements)
    }

    /// Opens referrers, those that were not seen before, until a good signature is found.
    async fn referrers(
        &self,
        spot: Spot<'_>,
        found: Result<Vec<Descriptor>, PlaceAnswer>,
        seen: &mut Vec<Digest>,
        evidence: &mut Evidence,
    ) {
        let found = match found {
            Ok(found) => found,
            Err(answer) => return put_place(evidence, spot, answer),
        };
        let before = evidence.signatures.len();
        for descriptor in found {
            if self.done(evidence) {
                break;
            }
            if seen.contains(&descriptor.digest) {
                continue;
            }
            seen.push(descriptor.digest);
            match self.open(spot, &descriptor).await {
                Ok(None) => {}
                Ok(Some((format, outcome))) => put_signature(evidence, spot, format, outcome),
                Err(failure) if failure.class().is_inconclusive() => return put_place(evidence, spot, PlaceAnswer::Failed(failure)),
                Err(failure) => put_signature(evidence, spot, "referrer", Err(failure)),
            }
        }
        let count = evidence.signatures.len() - before;
        put_place(evidence, spot, PlaceAnswer::There { count });
    }

    /// Opens one referrer. `None`: it is no signature.
    async fn open(
        &self,
        spot: Spot<'_>,
        descriptor: &Descriptor,
    ) -> Result<Option<(&'static str, Result<VerifiedSignature, Failure>)>, Failure> {
        let unread = |what: &str| Err(Failure::new(Class::Unsupported, format!("a signature as {what}, which this version does not read")));
        let manifest = match self.client.manifest(spot.repository, &descriptor.digest, limits::MANIFEST_BYTES).await? {
            Answer::There(manifest) => manifest,
            Answer::Absent(absence) => {
                let message = format!("the registry lists the referrer `{}` but does not have it ({})", descriptor.digest, said(&absence));
                return Err(Failure::new(Class::Registry, message));
            }
        };
        match Referrer::parse(&manifest.bytes, &spot.subject)? {
            Referrer::Other => Ok(None),
            Referrer::Legacy => Ok(Some(("referrer", unread("a legacy referrer")))),
            Referrer::Bundle { predicate: Some(_), .. } => Ok(Some(("bundle", unread("a Sigstore bundle")))),
            Referrer::Bundle { digest, bytes, predicate: None } => {
                let bundle = self.client.blob(spot.repository, &digest, bytes, limits::BUNDLE_BYTES).await?;
                Ok(match bundle_predicate(&bundle)?.as_deref() {
                    Some(SIGN_PREDICATE) | None => Some(("bundle", unread("a Sigstore bundle"))),
                    Some(_) => None,
                })
            }
        }
    }
}

/// Reads the answer of the referrers API.
fn listed(answer: Result<Referrers, Failure>) -> Result<Vec<Descriptor>, PlaceAnswer> {
    match answer {
        Ok(Referrers::Listed(found)) if found.is_empty() => Err(PlaceAnswer::Absent { detail: "an empty list".to_owned() }),
        Ok(Referrers::Listed(found)) => Ok(found),
        Ok(Referrers::NoApi(absence)) => Err(PlaceAnswer::NoApi { detail: said(&absence) }),
        Err(failure) => Err(PlaceAnswer::Failed(failure)),
    }
}

/// Reads the index under the fallback tag. Its descriptors say nothing that can be relied on: every manifest is opened.
fn tagged(subject: Digest, answer: Result<Answer<Manifest>, Failure>) -> Result<Vec<Descriptor>, PlaceAnswer> {
    let manifest = match answer {
        Ok(Answer::There(manifest)) => manifest,
        Ok(Answer::Absent(absence)) => return Err(absent(&absence)),
        Err(failure) => return Err(PlaceAnswer::Failed(failure)),
    };
    let ManifestKind::Index(index) = &manifest.kind else {
        let message = format!("what lies under the fallback tag of `{subject}` is no index");
        return Err(PlaceAnswer::Failed(Failure::new(Class::Malformed, message)));
    };
    let found: Result<Vec<Descriptor>, Failure> = index.manifests.iter().map(Descriptor::try_from).collect();
    let found = found.map_err(PlaceAnswer::Failed)?;
    if found.len() > limits::REFERRERS {
        let message = format!("{} referrers of `{subject}`; at most {} are looked at", found.len(), limits::REFERRERS);
        return Err(PlaceAnswer::Failed(Failure::new(Class::Limit, message)));
    }
    Ok(found)
}

fn put_place(evidence: &mut Evidence, spot: Spot<'_>, answer: PlaceAnswer) {
    evidence.places.push(PlaceReport { kind: spot.kind, repository: spot.repository.clone(), subject: spot.subject, answer });
}

fn put_signature(evidence: &mut Evidence, spot: Spot<'_>, format: &str, outcome: Result<VerifiedSignature, Failure>) {
    evidence.signatures.push(SignatureReport {
        place: spot.kind,
        repository: spot.repository.clone(),
        subject: spot.subject,
        format: format.to_owned(),
        outcome,
    });
}

fn absent(absence: &Absence) -> PlaceAnswer {
    PlaceAnswer::Absent { detail: said(absence) }
}

fn said(absence: &Absence) -> String {
    absence.code.as_ref().map_or_else(|| absence.status.to_string(), |code| format!("{} {code}", absence.status))
}
