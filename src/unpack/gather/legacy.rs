//! Legacy signatures: the layers of a `.sig` tag, or of a referrer that is made like one.
//!
//! The signed payload of a stranger is not fetched where its digest shows that it is a stranger's.
//! With a trusted key that signs by another hash than SHA-256 the digest shows nothing: then
//! payloads are fetched whose signature has that key's shape, each once, a few at a time, and at
//! most [`limits::PAYLOADS`] of them; after those that are known to be good. A payload that the
//! manifest carries is not fetched at all.

use super::{Found, Look, Spot, put_signatures};
use crate::class::{Class, Failure};
use crate::cores;
use crate::limits;
use crate::name::Digest;
use crate::policy::Evidence;
use crate::trust::{Checker, Held};
use crate::wire::{LegacyCandidate, Signatures};
use futures_util::stream::{self, StreamExt as _};
use std::borrow::Cow;
use std::num::NonZero;

const FORMAT: &str = "legacy";

/// So many signatures are worth a thread.
const WORTH_A_THREAD: NonZero<usize> = NonZero::new(8).unwrap();

/// Signatures over one payload.
struct Group<'a> {
    payload: Digest,
    bytes: u64,
    embedded: Option<&'a [u8]>,
    held: Vec<Held<'a>>,
}

impl Group<'_> {
    fn is_proven(&self) -> bool {
        self.held.iter().any(Held::is_proven)
    }
}

impl Look<'_> {
    /// Checks every candidate, or until with what is in `evidence` nothing more has to be found.
    pub(super) async fn legacy(
        &self,
        spot: Spot<'_>,
        signatures: &Signatures,
        evidence: &Evidence,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        let candidates: Vec<LegacyCandidate> = signatures
            .candidates()
            .filter_map(|candidate| {
                candidate.map_err(|failure| found.push((FORMAT, Err(failure)))).ok()
            })
            .collect();
        let (mut first, mut later) = (Vec::new(), Vec::new());
        if candidates.is_empty() {
            return found;
        }
        let mut checker = self.checker().await;
        for group in self.groups(&candidates, &mut checker, &mut found).await {
            if group.is_proven() { first.push(group) } else { later.push(group) }
        }
        // One signature that holds could be listed a thousand times, each with another size of its
        // payload.
        let mut over = first.split_off(first.len().min(limits::PAYLOADS));
        over.extend(later.split_off(later.len().min(limits::PAYLOADS)));
        // One of those that hold is enough, so they are not all fetched at once.
        let width = if self.thorough { limits::PARALLEL } else { 1 };
        for (groups, width) in [(first, width), (later, limits::PARALLEL)] {
            if self.open_groups(spot, groups, width, &checker, evidence, &mut found).await {
                return found;
            }
        }
        found.extend(
            over.into_iter().flat_map(|group| group.held).map(|_| (FORMAT, Err(too_many()))),
        );
        found
    }

    /// Puts together what is signed over one payload; what nobody trusted can have signed is found
    /// to be that.
    async fn groups<'a>(
        &'a self,
        candidates: &'a [LegacyCandidate],
        checker: &mut Checker<'a>,
        found: &mut Vec<Found>,
    ) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let at_hand: &Checker<'a> = checker;
        let outcomes =
            cores::map(candidates, WORTH_A_THREAD, |candidate| Held::check(candidate, at_hand));
        // Where a newer trusted root may know more, one after another: the first brings it for
        // those after it.
        let newer =
            outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(|rejected| rejected.unknown));
        for (candidate, outcome) in candidates.iter().zip(outcomes) {
            let outcome = if newer {
                self.check(checker, |checker| Held::check(candidate, checker)).await
            } else {
                outcome.map_err(Failure::from)
            };
            let held = match outcome {
                Ok(held) => held,
                Err(failure) => {
                    found.push((FORMAT, Err(failure)));
                    continue;
                }
            };
            let (payload, bytes, embedded) =
                (candidate.payload, candidate.payload_bytes, candidate.embedded.as_deref());
            match groups.iter_mut().find(|group| group.payload == payload && group.bytes == bytes) {
                Some(group) => {
                    group.embedded = group.embedded.or(embedded);
                    group.held.push(held);
                }
                None => groups.push(Group { payload, bytes, embedded, held: vec![held] }),
            }
        }
        groups
    }

    /// Fetches the payloads and checks them. Whether that is enough.
    async fn open_groups(
        &self,
        spot: Spot<'_>,
        groups: Vec<Group<'_>>,
        width: usize,
        checker: &Checker<'_>,
        evidence: &Evidence,
        found: &mut Vec<Found>,
    ) -> bool {
        let fetch = async |group: Group<'_>| {
            let payload = match group.embedded {
                Some(payload) => Ok(Cow::Borrowed(payload)),
                None => self
                    .client
                    .blob(spot.repository, &group.payload, group.bytes, limits::PAYLOAD_BYTES)
                    .await
                    .map(Cow::Owned),
            };
            let check = |held: Held<'_>| match &payload {
                Ok(payload) => held.check_claims(payload, &spot.subject, checker),
                Err(failure) => Err(failure.clone()),
            };
            group.held.into_iter().map(check).collect::<Vec<_>>()
        };
        let mut opened = stream::iter(groups).map(fetch).buffered(width);
        while let Some(outcomes) = opened.next().await {
            let good = outcomes.iter().any(Result::is_ok);
            found.extend(outcomes.into_iter().map(|outcome| (FORMAT, outcome)));
            // One that holds may still be bound to another name, or be one of several that are
            // asked for.
            let mut so_far = evidence.clone();
            put_signatures(&mut so_far, spot, found.clone());
            if good && self.done(&so_far) {
                return true;
            }
        }
        false
    }
}

fn too_many() -> Failure {
    Failure::new(Class::Limit, format!("more than {} payloads would have to be read to know who signed them", limits::PAYLOADS))
        .hint("also trust an ECDSA P-256 or RSA key: its signatures can be recognised without the payload")
}
