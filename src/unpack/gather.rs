//! Gathering: everything that can be found out about the signatures of an image, as facts.
//!
//! Three places hold signatures of a subject: the `.sig` tag, the referrers API and its fallback
//! tag. All three are asked at the same time, always, and signatures of both formats count alike,
//! wherever they lie. What is found is checked here, by the checker of `trust`; what it comes to is
//! decided elsewhere.

use super::{Resolved, platform};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Reference, Repository, Subject, Tag};
use crate::policy::{
    Evidence, Matched, PlaceAnswer, PlaceKind, PlaceReport, Remembered, SignatureReport,
};
use crate::registry::{
    Absence, Descriptor, Manifest, ManifestKind, Presence, Referrers, ReferrersList, Role,
};
use crate::sigstore::ProcessRoots;
use crate::trust::{
    self, Budget, CertificateLog, Checker, Rejected, Requirements, VerifiedSignature,
};
use crate::wire::{Bundle, BundleSource, Referrer, Signatures};
use futures_util::stream::{self, StreamExt as _};
use std::collections::BTreeSet;
use std::sync::Arc;

mod legacy;
mod source;

pub(super) use source::ManifestSource;

/// What to look for, and where.
pub(super) struct Look<'a> {
    pub(super) client: ManifestSource<'a>,
    /// Which image of an index.
    pub(super) platform: Option<&'a str>,
    pub(super) matched: &'a Matched,
    /// What is remembered of this repository.
    pub(super) memory: &'a Remembered,
    pub(super) requirements: &'a Requirements,
    /// Where trusted roots come from, and whether certificates must have been logged.
    pub(super) roots: &'a ProcessRoots,
    pub(super) certificate_log: CertificateLog,
    /// Whether to look at everything also after a good signature was found.
    pub(super) thorough: bool,
    /// What may still be done for this image.
    pub(super) budget: Arc<Budget>,
}

/// So many places hold the signatures of a subject, and are asked at the same time.
const PLACES: usize = 3;

/// What became of one thing that calls itself a signature: its form, and the checker's answer.
type Found = (&'static str, Result<VerifiedSignature, Failure>);

/// One place about one subject.
#[derive(Clone, Copy)]
struct Spot<'a> {
    repository: &'a Repository,
    subject: Digest,
    kind: PlaceKind,
}

impl Look<'_> {
    /// Resolves the image once, and looks at it; where nobody who is trusted signed an index, also
    /// at this platform's image.
    ///
    /// Where the host resolved it already, the index itself must be signed. Such a host picks an
    /// image of it by rules of its own, and nobody compares afterwards which one: a signature of
    /// one image says nothing about the others.
    pub(super) async fn gather(
        &self,
        reference: &Reference,
        given: Option<&Resolved>,
    ) -> Result<Evidence, Failure> {
        self.open_ahead();
        let image = match given {
            Some(resolved) => self.given(resolved).await?,
            None => self.client.resolve(reference).await?,
        };
        let child = match &image.kind {
            ManifestKind::Index(_) if self.client.only_child(&image).is_some() => {
                self.client.only_child(&image)
            }
            ManifestKind::Index(index) if given.is_none() => {
                platform::chosen(index, self.platform)?
            }
            ManifestKind::Index(_) | ManifestKind::Image(_) => None,
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

    /// Opens the connections for the places while the tag is resolved, which takes one of them.
    fn open_ahead(&self) {
        let mut registries = BTreeSet::new();
        for repository in &self.matched.repositories() {
            if registries.insert(repository.registry().clone()) {
                self.client.ahead(repository, PLACES);
            }
        }
    }

    /// Fetches the manifest that the host resolved, and holds what it says of it against that.
    async fn given(&self, resolved: &Resolved) -> Result<Manifest, Failure> {
        let Resolved { reference, digest, size, media_type } = resolved;
        let pinned = Reference::pinned(reference.repository().clone(), *digest);
        let manifest = self.client.resolve(&pinned).await?;
        if u64::try_from(manifest.bytes.len()) != Ok(*size) {
            let found = manifest.bytes.len();
            let what = format!("`{pinned}` has {found} bytes; the host says {size}");
            return Err(Failure::new(Class::Digest, what));
        }
        if manifest.media_type != *media_type {
            let what =
                format!("`{pinned}` is a `{}`; the host says `{media_type}`", manifest.media_type);
            return Err(Failure::new(Class::Malformed, what));
        }
        Ok(manifest)
    }

    /// Returns what signatures are checked against, with the trusted roots that takes.
    async fn checker(&self) -> Checker<'_> {
        let authorities = self.matched.authorities();
        let needed = authorities
            .iter()
            .filter(|authority| authority.needs_root())
            .map(|authority| authority.root.as_ref());
        let roots = self.roots.load(needed).await;
        Checker {
            roots,
            certificate_log: self.certificate_log,
            budget: Arc::clone(&self.budget),
            ..Checker::new(authorities, self.requirements)
        }
    }

    /// Checks something, and where that met an authority or log that its trusted root does not
    /// know, once more with a newer one.
    async fn check<'a, T>(
        &'a self,
        checker: &mut Checker<'a>,
        check: impl Fn(&Checker<'a>) -> Result<T, Rejected>,
    ) -> Result<T, Failure> {
        let outcome = self.roots.judge(async || check(&self.checker().await)).await;
        // What is checked next is checked by what is known now.
        checker.roots = self.checker().await.roots;
        outcome
    }

    /// Returns whether nothing more has to be found.
    fn done(&self, evidence: &Evidence) -> bool {
        !self.thorough && self.matched.enough(evidence)
    }

    /// Looks at every place of one subject.
    async fn look(&self, reference: &Reference, subject: Digest, evidence: &mut Evidence) {
        for repository in &self.matched.repositories() {
            let role =
                if repository == reference.repository() { Role::Image } else { Role::Signatures };
            let place = Subject { repository: repository.clone(), digest: subject };
            let (signatures_tag, fallback_tag) =
                (Tag::of_signatures(&subject), Tag::of_referrers(&subject));
            let (signatures, referrers, fallback) = tokio::join!(
                self.client.by_tag(repository, &signatures_tag, role),
                self.client.referrers(&place, role),
                self.client.by_tag(repository, &fallback_tag, role),
            );
            let spot = |kind| Spot { repository, subject, kind };
            self.signatures(spot(PlaceKind::SigTag), signatures, evidence).await;
            let listed = listed(referrers);
            let tagged = tagged(subject, fallback);
            let mut seen = Vec::new();
            for (kind, found) in [(PlaceKind::Referrers, listed), (PlaceKind::FallbackTag, tagged)]
            {
                self.referrers(spot(kind), found, &mut seen, evidence).await;
            }
        }
    }

    /// Checks what is under the `.sig` tag.
    async fn signatures(
        &self,
        spot: Spot<'_>,
        answer: Result<Presence<Manifest>, Failure>,
        evidence: &mut Evidence,
    ) {
        let signatures = match answer {
            Ok(Presence::There(manifest)) => Signatures::parse(&manifest.bytes),
            Ok(Presence::Absent(absence)) => return put_place(evidence, spot, absent(&absence)),
            Err(failure) => Err(failure),
        };
        let found = match signatures {
            Ok(signatures) => self.legacy(spot, &signatures, evidence).await,
            Err(failure) => return put_place(evidence, spot, PlaceAnswer::Failed(failure)),
        };
        put_place(evidence, spot, PlaceAnswer::There { count: found.len() });
        put_signatures(evidence, spot, found);
    }

    /// Opens referrers, those that were not seen before, a few at a time, until a good signature is
    /// found.
    async fn referrers(
        &self,
        spot: Spot<'_>,
        listing: Result<ReferrersList, PlaceAnswer>,
        seen: &mut Vec<Digest>,
        evidence: &mut Evidence,
    ) {
        let listing = match listing {
            Ok(listing) => listing,
            Err(answer) => return put_place(evidence, spot, answer),
        };
        let mut listed: Vec<&Descriptor> =
            listing.candidates().filter(|descriptor| !seen.contains(&descriptor.digest)).collect();
        if self.done(evidence) {
            listed.clear();
        }
        seen.extend(listed.iter().map(|descriptor| descriptor.digest));
        let mut count = 0;
        // In the order of the list, so that two runs come to the same.
        let before = evidence.clone();
        let mut opened = stream::iter(listed)
            .map(|descriptor| self.open(spot, descriptor, &before))
            .buffered(limits::PARALLEL);
        while let Some(result) = opened.next().await {
            // One that cannot be had may be the good one, so it speaks against the image; but the
            // next may be good all the same.
            let found = result.unwrap_or_else(|failure| vec![("referrer", Err(failure))]);
            count += found.len();
            put_signatures(evidence, spot, found);
            if self.done(evidence) {
                break;
            }
        }
        // Where there may be more, what was not found is not known to be absent.
        let answer = match listing.cut() {
            Some(cut) if !self.done(evidence) => PlaceAnswer::Failed(cut),
            _ => PlaceAnswer::There { count },
        };
        put_place(evidence, spot, answer);
    }

    /// Opens one referrer. Nothing is found where it is not a signature.
    async fn open(
        &self,
        spot: Spot<'_>,
        descriptor: &Descriptor,
        evidence: &Evidence,
    ) -> Result<Vec<Found>, Failure> {
        let manifest = match self
            .client
            .manifest(spot.repository, &descriptor.digest, limits::REFERRER_BYTES)
            .await?
        {
            Presence::There(manifest) => manifest,
            Presence::Absent(absence) => {
                let message = format!(
                    "the registry lists the referrer `{}` but does not have it ({})",
                    descriptor.digest,
                    said(&absence)
                );
                return Err(Failure::new(Class::Registry, message));
            }
        };
        self.budget.spend(0, manifest.bytes.len())?;
        match Referrer::parse(&manifest.bytes, &spot.subject)? {
            Referrer::Other => Ok(Vec::new()),
            Referrer::Legacy => {
                let signatures = Signatures::parse(&manifest.bytes)?;
                drop(manifest);
                Ok(self.legacy(spot, &signatures, evidence).await)
            }
            Referrer::Bundle { digest, bytes } => {
                drop(manifest);
                let most = limits::IMAGE_BUNDLE_BYTES;
                let bundle = self.client.blob(spot.repository, &digest, bytes, most).await?;
                let parsed = Bundle::parse(&bundle, BundleSource::Registry);
                // The document keeps what it needs.
                drop(bundle);
                let outcome = match parsed {
                    Ok(bundle) => {
                        let mut checker = self.checker().await;
                        self.check(&mut checker, |checker| {
                            trust::check_bundle(&bundle, &spot.subject, checker)
                        })
                        .await
                    }
                    Err(failure) => Err(failure),
                };
                Ok(outcome.transpose().map(|outcome| ("bundle", outcome)).into_iter().collect())
            }
        }
    }
}

/// Reads the answer of the referrers API.
fn listed(answer: Result<Referrers, Failure>) -> Result<ReferrersList, PlaceAnswer> {
    match answer {
        Ok(Referrers::Listed(found))
            if found.candidates().next().is_none() && found.cut().is_none() =>
        {
            Err(PlaceAnswer::Absent { detail: "no signature listed".to_owned() })
        }
        Ok(Referrers::Listed(found)) => Ok(found),
        Ok(Referrers::NoApi(absence)) => Err(PlaceAnswer::NoApi { detail: said(&absence) }),
        Err(failure) => Err(PlaceAnswer::Failed(failure)),
    }
}

/// Reads the index under the fallback tag.
fn tagged(
    subject: Digest,
    answer: Result<Presence<Manifest>, Failure>,
) -> Result<ReferrersList, PlaceAnswer> {
    let manifest = match answer {
        // GitLab takes the name of this tag for the digest in it, and so has no such tag.
        Ok(Presence::There(manifest)) if manifest.digest == subject => {
            return Err(PlaceAnswer::Absent {
                detail: "the registry answered with the image itself".to_owned(),
            });
        }
        Ok(Presence::There(manifest)) => manifest,
        Ok(Presence::Absent(absence)) => return Err(absent(&absence)),
        Err(failure) => return Err(PlaceAnswer::Failed(failure)),
    };
    let ManifestKind::Index(index) = &manifest.kind else {
        let message = format!("the fallback tag of `{subject}` is not an index");
        return Err(PlaceAnswer::Failed(Failure::new(Class::Malformed, message)));
    };
    ReferrersList::of_fallback(index).map_err(PlaceAnswer::Failed)
}

fn put_place(evidence: &mut Evidence, spot: Spot<'_>, answer: PlaceAnswer) {
    evidence.places.push(PlaceReport {
        kind: spot.kind,
        repository: spot.repository.clone(),
        subject: spot.subject,
        answer,
    });
}

fn put_signatures(evidence: &mut Evidence, spot: Spot<'_>, found: Vec<Found>) {
    evidence.signatures.extend(found.into_iter().map(|(format, outcome)| SignatureReport {
        place: spot.kind,
        repository: spot.repository.clone(),
        subject: spot.subject,
        format: format.to_owned(),
        outcome,
    }));
}

fn absent(absence: &Absence) -> PlaceAnswer {
    PlaceAnswer::Absent { detail: said(absence) }
}

fn said(absence: &Absence) -> String {
    absence
        .code
        .as_ref()
        .map_or_else(|| absence.status.to_string(), |code| format!("{} {code}", absence.status))
}
