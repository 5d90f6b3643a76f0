//! Attaching a bundle: a referrer of its own, and where the registry does not list referrers, a
//! line in the fallback index.
//!
//! OCI distribution-spec 1.1, "Pushing Manifests with Subject" and "Referrers Tag Schema". A
//! registry that lists referrers needs no order between signers; the fallback index is a tag like
//! any other, and is written as the `.sig` tag is.

use super::super::late::Late;
use super::{Attached, Place, ROUNDS, stays};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository, Subject, Tag};
use crate::registry::{Answer, Listing, ManifestKind, Referrers, Role};
use crate::signer::{Signer, ToSign};
use crate::trust::{self, Checker, VerifiedSignature};
use crate::wire::{self, Bundle, BundleSource, FallbackIndex, Referrer, SubjectDescriptor};
use futures_util::stream::{self, StreamExt as _};
use oci_distribution::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use std::collections::{BTreeMap, BTreeSet};

impl Place<'_> {
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
        let candidates: BTreeSet<&Digest> =
            listings.iter().flat_map(Listing::candidates).map(|entry| &entry.digest).collect();
        let mut opened = stream::iter(candidates)
            .map(|manifest| self.verified(manifest, &subject.digest, &checker))
            .buffered(limits::PARALLEL);
        while let Some(found) = opened.next().await {
            // What cannot be read is not ours; that is for whoever verifies to complain about.
            if let Ok(Some(signature)) = found
                && signature.payload().annotations == *annotations
            {
                return Ok(Attached { signature, already: true });
            }
        }
        if !listings.iter().all(Listing::has_room) {
            return Err(too_many(&subject.digest));
        }
        let bundle = self.write(subject, annotations, signer).await?;
        // Our own checker has the last word. The registry was asked for the manifest again; the
        // bundle has the digest of these bytes.
        let bundle = Bundle::parse(&bundle, BundleSource::Registry)?;
        // Signing may have needed a newer trusted root.
        let own = signer.own(self.connections).await?;
        let signature = trust::check_bundle(&bundle, &subject.digest, &own.checker())?
            .ok_or_else(|| Failure::new(Class::Internal, "what was written is no signature"))?;
        Ok(Attached { signature, already: false })
    }

    /// Writes bundle and manifest, and the index where the registry does not say that it lists
    /// referrers; reads the manifest back. Returns the bundle.
    async fn write(
        &self,
        subject: &SubjectDescriptor,
        annotations: &BTreeMap<String, String>,
        signer: &Signer,
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
                self.list(&subject.digest, &manifest).await
            };
            let read_back = async {
                let cap = limits::REFERRER_BYTES;
                let mut late = Late::new(self.client());
                loop {
                    let found =
                        self.client().manifest(self.repository, &pushed.digest, cap).await?;
                    if let Answer::There(_) = found {
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

    /// Adds a manifest to the fallback index, and reads it again until it is there.
    async fn list(&self, subject: &Digest, manifest: &[u8]) -> Result<(), Failure> {
        let tag = &Tag::of_referrers(subject);
        let mut written_over: Option<Option<Digest>> = None;
        let (mut rounds, mut late) = (0, Late::new(self.client()));
        loop {
            let found = self.client().by_tag(self.repository, tag, Role::Image).await?;
            let there = match &found {
                Answer::There(index) => Some(index.digest),
                Answer::Absent(_) => None,
            };
            let mut index = match found {
                // GitLab takes the name of this tag for the digest in it: what is put there can
                // never be read.
                Answer::There(index) if index.digest == *subject => {
                    return Err(nowhere_to_list(self.repository));
                }
                Answer::There(index) => FallbackIndex::parse(&index.bytes)?,
                Answer::Absent(_) => FallbackIndex::default(),
            };
            if index.lists(&Digest::of(manifest)) {
                return Ok(());
            }
            // What was there before is no answer to what was written since.
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
            written_over = Some(there);
            index.push(manifest)?;
            self.client()
                .put_manifest(
                    self.repository,
                    Some(tag),
                    OCI_IMAGE_INDEX_MEDIA_TYPE,
                    &index.to_bytes(),
                )
                .await?;
            late = Late::new(self.client());
        }
    }

    /// Returns what the registry and the fallback index list.
    async fn listed(&self, digest: &Digest, tag: &Tag) -> Result<Vec<Listing>, Failure> {
        let subject = Subject { repository: self.repository.clone(), digest: *digest };
        let (listed, tagged) = tokio::join!(
            self.client().referrers(&subject, Role::Image),
            self.client().by_tag(self.repository, tag, Role::Image)
        );
        let mut all = Vec::new();
        if let Referrers::Listed(listed) = listed? {
            all.push(listed);
        }
        if let Answer::There(manifest) = tagged?
            && manifest.digest != *digest
            && let ManifestKind::Index(index) = &manifest.kind
        {
            all.push(Listing::of_fallback(index)?);
        }
        Ok(all)
    }

    /// Opens one referrer; `None` where it is no bundle, or an attestation.
    async fn verified(
        &self,
        manifest: &Digest,
        image: &Digest,
        checker: &Checker<'_>,
    ) -> Result<Option<VerifiedSignature>, Failure> {
        let Answer::There(manifest) =
            self.client().manifest(self.repository, manifest, limits::REFERRER_BYTES).await?
        else {
            return Err(not_there(self.repository, manifest));
        };
        let Referrer::Bundle { digest, bytes } = Referrer::parse(&manifest.bytes, image)? else {
            return Ok(None);
        };
        let bundle =
            self.client().blob(self.repository, &digest, bytes, limits::IMAGE_BUNDLE_BYTES).await?;
        Ok(trust::check_bundle(&Bundle::parse(&bundle, BundleSource::Registry)?, image, checker)?)
    }
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
