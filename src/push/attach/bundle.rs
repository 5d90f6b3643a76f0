//! Attaching a bundle: a referrer of its own, and where the registry does not list referrers, a
//! line in the fallback index.
//!
//! OCI distribution-spec 1.1, "Pushing Manifests with Subject" and "Referrers Tag Schema". A
//! registry that lists referrers needs no order between signers; the fallback index is a tag like
//! any other, and is written as the `.sig` tag is.

use super::super::late::Late;
use super::{AttachTarget, Attached, ROUNDS, stays};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository, Subject, Tag};
use crate::registry::{ManifestKind, Presence, Referrers, ReferrersList, Role};
use crate::signer::{Signer, ToSign};
use crate::trust::{self, Checker, VerifiedSignature};
use crate::wire::{self, Bundle, BundleSource, FallbackIndex, Referrer, SubjectDescriptor};
use futures_util::stream::{self, StreamExt as _};
use oci_distribution::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use std::collections::{BTreeMap, BTreeSet};

impl AttachTarget<'_> {
    /// Signs a statement about `subject` and attaches it, unless the same signer already signed
    /// exactly that.
    ///
    /// # Errors
    /// Those of the registry; `state` where no lock can be had; `limit` where so many are there
    /// that nobody would look at one more; `registry` where what was written does not come back.
    pub async fn attach_bundle(
        &self,
        subject: &SubjectDescriptor,
        annotations: &BTreeMap<String, String>,
        signer: &Signer,
    ) -> Result<Attached, Failure> {
        let tag = Tag::of_referrers(&subject.digest);
        let _lock = self.lock(&tag).await?;
        let own = signer.own(self.connections).await?;
        let checker = own.checker();
        let listings = self.listed(&subject.digest, &tag).await?;
        let candidates: BTreeSet<&Digest> = listings
            .iter()
            .flat_map(ReferrersList::candidates)
            .map(|entry| &entry.digest)
            .collect();
        let mut opened = stream::iter(candidates)
            .map(|manifest| self.verified(manifest, &subject.digest, &checker))
            .buffered(limits::PARALLEL);
        let mut holes = BTreeSet::new();
        while let Some(found) = opened.next().await {
            match found {
                Ok(Opened::Signature(signature))
                    if signature.payload().annotations == *annotations =>
                {
                    return Ok(Attached { signature: *signature, already: true });
                }
                Ok(Opened::Hole(manifest)) => drop(holes.insert(manifest)),
                // What cannot be read is not ours; that is for those who verify to complain about.
                Ok(Opened::Signature(_) | Opened::Other) | Err(_) => {}
            }
        }
        if !listings.iter().all(ReferrersList::has_room) {
            return Err(too_many(&subject.digest));
        }
        let bundle = self.write(subject, annotations, signer, &holes).await?;
        // Our own checker has the last word. The registry was asked for the manifest again; the
        // bundle has the digest of these bytes.
        let bundle = Bundle::parse(&bundle, BundleSource::Registry)?;
        // Signing may have needed a newer trusted root.
        let own = signer.own(self.connections).await?;
        let signature = trust::check_bundle(&bundle, &subject.digest, &own.checker())?
            .ok_or_else(|| Failure::new(Class::Internal, "what was written is not a signature"))?;
        Ok(Attached { signature, already: false })
    }

    /// Writes bundle and manifest, and the index where the registry does not say that it lists
    /// referrers; reads the manifest back. Returns the bundle.
    async fn write(
        &self,
        subject: &SubjectDescriptor,
        annotations: &BTreeMap<String, String>,
        signer: &Signer,
        holes: &BTreeSet<Digest>,
    ) -> Result<Vec<u8>, Failure> {
        let statement = wire::write_statement(&subject.digest, annotations);
        let signed =
            signer.sign(self.connections, ToSign::Statement(&statement, &subject.digest)).await?;
        let bundle = wire::write_bundle(&statement, &signed);
        let manifest = wire::write_referrer(&bundle, subject, self.connections.now());
        let write = async {
            tokio::try_join!(
                self.client().put_blob(self.repository, &bundle),
                self.client().put_blob(self.repository, wire::EMPTY_CONFIG)
            )?;
            let pushed = self
                .client()
                .put_manifest(self.repository, None, OCI_IMAGE_MEDIA_TYPE, &manifest)
                .await?;
            let list = async {
                if pushed.subject_acknowledged {
                    return Ok(());
                }
                self.list(&subject.digest, &manifest, holes).await
            };
            let read_back = async {
                let cap = limits::REFERRER_BYTES;
                let mut late = Late::new(self.client());
                loop {
                    let found =
                        self.client().manifest(self.repository, &pushed.digest, cap).await?;
                    if let Presence::There(_) = found {
                        return Ok(());
                    }
                    if !late.again().await {
                        return Err(late.over(not_there(self.repository, &pushed.digest)));
                    }
                }
            };
            tokio::try_join!(list, read_back).map(|_| ())
        };
        write.await.map_err(|failure| stays(failure, &signed, signer))?;
        Ok(bundle)
    }

    /// Adds a manifest to the fallback index, and reads it again until it is there. What is listed
    /// there and is not there (`holes`) is taken out: some registries take no index that has such.
    async fn list(
        &self,
        subject: &Digest,
        manifest: &[u8],
        holes: &BTreeSet<Digest>,
    ) -> Result<(), Failure> {
        let mut holes = self.confirmed(holes).await?;
        let tag = &Tag::of_referrers(subject);
        let mut written_over: Option<Option<Digest>> = None;
        let (mut rounds, mut late) = (0, Late::new(self.client()));
        loop {
            let found = self.client().by_tag(self.repository, tag, Role::Image).await?;
            let there = match &found {
                Presence::There(index) => Some(index.digest),
                Presence::Absent(_) => None,
            };
            let mut index = match found {
                // GitLab takes the name of this tag for the digest in it: what is put there can
                // never be read.
                Presence::There(index) if index.digest == *subject => {
                    return Err(nowhere_to_list(self.repository));
                }
                Presence::There(index) => FallbackIndex::parse(&index.bytes)?,
                Presence::Absent(_) => FallbackIndex::default(),
            };
            if index.lists(&Digest::of(manifest)) {
                return Ok(());
            }
            // What was there before is not an answer to what was written since.
            if written_over == Some(there) {
                if late.again().await {
                    continue;
                }
                return Err(late.over(super::not_shown(self.repository, tag)));
            }
            if rounds == ROUNDS {
                return Err(super::replaced(self.repository, tag));
            }
            rounds += 1;
            index.remove(&holes);
            index.push(manifest)?;
            let written = self
                .client()
                .put_manifest(
                    self.repository,
                    Some(tag),
                    OCI_IMAGE_INDEX_MEDIA_TYPE,
                    &index.to_bytes(),
                )
                .await;
            match written {
                Ok(_) => {
                    written_over = Some(there);
                    late = Late::new(self.client());
                }
                Err(failure) => {
                    let known = holes.len();
                    self.find_holes(&index, &mut holes).await?;
                    if holes.len() == known {
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// Asks once more, a while later: what someone else published just now may not be visible yet,
    /// and must not be taken out.
    async fn confirmed(&self, holes: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Failure> {
        let mut confirmed = BTreeSet::new();
        if holes.is_empty() || !Late::new(self.client()).again().await {
            return Ok(confirmed);
        }
        for manifest in holes {
            let cap = limits::REFERRER_BYTES;
            if let Presence::Absent(_) =
                self.client().manifest(self.repository, manifest, cap).await?
            {
                confirmed.insert(*manifest);
            }
        }
        Ok(confirmed)
    }

    /// Finds what an index lists that the registry says it has not.
    async fn find_holes(
        &self,
        index: &FallbackIndex,
        holes: &mut BTreeSet<Digest>,
    ) -> Result<(), Failure> {
        let listed = index.digests();
        let mut asked = stream::iter(&listed)
            .map(async |manifest| {
                let cap = limits::REFERRER_BYTES;
                (manifest, self.client().manifest(self.repository, manifest, cap).await)
            })
            .buffered(limits::PARALLEL);
        while let Some((manifest, answer)) = asked.next().await {
            match answer {
                Ok(Presence::Absent(_)) => drop(holes.insert(*manifest)),
                // One that is too large, or is not a manifest, is there.
                Ok(Presence::There(_)) => {}
                Err(failure) if matches!(failure.class(), Class::Limit | Class::Malformed) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Returns what the registry and the fallback index list.
    async fn listed(&self, digest: &Digest, tag: &Tag) -> Result<Vec<ReferrersList>, Failure> {
        let subject = Subject { repository: self.repository.clone(), digest: *digest };
        let (listed, tagged) = tokio::join!(
            self.client().referrers(&subject, Role::Image),
            self.client().by_tag(self.repository, tag, Role::Image)
        );
        let mut all = Vec::new();
        if let Referrers::Listed(listed) = listed? {
            all.push(listed);
        }
        if let Presence::There(manifest) = tagged?
            && manifest.digest != *digest
            && let ManifestKind::Index(index) = &manifest.kind
        {
            all.push(ReferrersList::of_fallback(index)?);
        }
        Ok(all)
    }

    /// Opens one referrer.
    async fn verified(
        &self,
        manifest: &Digest,
        image: &Digest,
        checker: &Checker<'_>,
    ) -> Result<Opened, Failure> {
        let Presence::There(manifest) =
            self.client().manifest(self.repository, manifest, limits::REFERRER_BYTES).await?
        else {
            return Ok(Opened::Hole(*manifest));
        };
        let Referrer::Bundle { digest, bytes } = Referrer::parse(&manifest.bytes, image)? else {
            return Ok(Opened::Other);
        };
        let bundle =
            self.client().blob(self.repository, &digest, bytes, limits::IMAGE_BUNDLE_BYTES).await?;
        let bundle = Bundle::parse(&bundle, BundleSource::Registry)?;
        let signature = trust::check_bundle(&bundle, image, checker)?;
        Ok(signature.map_or(Opened::Other, |signature| Opened::Signature(Box::new(signature))))
    }
}

/// What a referrer is.
enum Opened {
    /// A signature that holds.
    Signature(Box<VerifiedSignature>),
    /// It is listed, and the registry says that it is not there.
    Hole(Digest),
    /// No bundle, or an attestation.
    Other,
}

fn not_there(repository: &Repository, manifest: &Digest) -> Failure {
    let message = format!("`{repository}@{manifest}` is listed or was just pushed, and not there");
    Failure::new(Class::Registry, message)
}

fn too_many(image: &Digest) -> Failure {
    let message =
        format!("`{image}` has so many referrers that one more signature would not be looked at");
    Failure::new(Class::Limit, message)
        .hint("remove referrers that are not needed, or sign with `--format legacy`")
}

fn nowhere_to_list(repository: &Repository) -> Failure {
    Failure::new(
        Class::Unsupported,
        format!("`{repository}`: the registry lists no referrers, and takes their fallback tag for the image's own digest"),
    )
    .hint("sign with `--format legacy`, which needs neither")
}
