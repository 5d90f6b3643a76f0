//! Going through a repository: what is done with an image is the caller's.
//!
//! 1. The description is looked at, then read.
//! 2. So are the files that it names.
//! 3. The index is read from one of them, and held against the digest that the description names.
//! 4. The snapshot of this very state is looked for.
//! 5. Every package is looked at, and its metadata.
//!
//! A description or index that is refused is read all the same, for the rest may be worth knowing;
//! it is then said of the whole list that nobody vouches for it.

use super::contents::{self, ImageRole, Index, NamedImage, Names};
use super::{ListedImages, RepositoryRequest, Standing, Told, in_time};
use crate::class::{Class, Failure};
use crate::limits;
use crate::luet::{self, Description};
use crate::name::{Digest, Reference, Tag};
use crate::session::Connections;
use futures_util::stream::{self, Stream, StreamExt as _};

/// What is done with each image.
pub(super) trait Process {
    /// What comes of it.
    type Value;

    /// Does it.
    async fn one(&self, image: Reference, what: ImageRole) -> Done<Self::Value>;
}

/// One image that was looked at.
pub(super) struct Done<T> {
    pub(super) image: Reference,
    /// What the tag meant; or why that is not known, where it was asked.
    pub(super) digest: Result<Option<Digest>, Class>,
    /// Whether someone vouches for what is read from it.
    pub(super) standing: Standing,
    pub(super) value: T,
}

/// Where things are told.
pub(super) type Tell<'a, T> = &'a mut dyn FnMut(Told<'_, T>) -> Result<(), Failure>;

pub(super) struct RepositoryWalk<'a, P> {
    pub(super) connections: &'a Connections,
    pub(super) request: &'a RepositoryRequest,
    pub(super) process: P,
    /// Descriptions of snapshots that are known to belong to the repository.
    pub(super) snapshots: Vec<Tag>,
}

impl<P: Process> RepositoryWalk<'_, P> {
    /// Goes through everything.
    pub(super) async fn run(&self, tell: Tell<'_, P::Value>) -> ListedImages {
        let mut listed = ListedImages::default();
        // What comes after a failure is not known.
        if let Err(failure) = self.all(&mut listed, tell).await {
            listed.incomplete.push(failure);
        }
        listed
    }

    async fn all(
        &self,
        listed: &mut ListedImages,
        tell: Tell<'_, P::Value>,
    ) -> Result<(), Failure> {
        let mut names = Names::default();
        let (connections, mut seen) = (self.connections, 1);
        let Some(first) = names.once(ImageRole::Description, self.request.description.clone())
        else {
            return Ok(());
        };
        // (1)
        let done = self.one(first).await;
        tell(Told::Image(&done.value))?;
        let described = done.standing;
        let (image, digest) = self.resolved(done).await?;
        let description =
            in_time(connections, contents::description(connections, &image, &digest)).await?;
        // (2)
        let mut files = Vec::new();
        for file in &description.files {
            files.extend(names.once(ImageRole::File, luet::tag(&file.name)?));
        }
        let meta = description
            .file(luet::META)
            .ok_or_else(|| Failure::new(Class::Malformed, format!("`{image}` names no index")))?;
        let meta_tag = luet::tag(&meta.name)?;
        let mut index_image = None;
        let mut all = self.several(files);
        while let Some(done) = all.next().await {
            seen += 1;
            tell(Told::Image(&done.value))?;
            if done.image.tag() == Some(&meta_tag) {
                index_image = Some(done);
            }
        }
        drop(all);
        let index_image = index_image
            .ok_or_else(|| Failure::new(Class::Malformed, format!("`{image}` is its own index")))?;
        let indexed = index_image.standing;
        // (3)
        let (index_name, digest) = self.resolved(index_image).await?;
        let index = contents::index(connections, &index_name, &digest, meta);
        let Index { images, unusable, archive } = in_time(connections, index).await?;
        let differs = meta.sha256.is_some_and(|sum| sum != archive);
        listed.standing = if differs { Standing::Unverified } else { described.min(indexed) };
        if differs {
            listed.incomplete.push(
                Failure::new(
                    Class::Digest,
                    format!("`{index_name}` holds another index than `{image}` names"),
                )
                .hint("when it was published just now, run this again; else luet refuses it too"),
            );
        }
        if listed.standing != Standing::Verified {
            tell(Told::Unvouched {
                description: &image,
                index: &index_name,
                standing: listed.standing,
            })?;
        }
        listed.incomplete.extend(unusable);
        // (4)
        let snapshots = self.snapshots(&description, &mut names, tell).await?;
        // (5)
        let rest: Vec<NamedImage> = snapshots
            .into_iter()
            .chain(images.into_iter().filter_map(|named| names.once(named.what, named.tag)))
            .collect();
        tell(Told::Total(seen + rest.len()))?;
        let mut all = self.several(rest);
        while let Some(done) = all.next().await {
            tell(Told::Image(&done.value))?;
        }
        Ok(())
    }

    fn several(&self, images: Vec<NamedImage>) -> impl Stream<Item = Done<P::Value>> + Unpin {
        let jobs = self.request.jobs.get();
        Box::pin(stream::iter(images).map(|named| self.one(named)).buffered(jobs))
    }

    async fn one(&self, named: NamedImage) -> Done<P::Value> {
        let image = Reference::tagged(self.request.repository.clone(), named.tag);
        self.process.one(image, named.what).await
    }

    /// Returns what was looked at; where nothing was, what the tag means now.
    async fn resolved(&self, done: Done<P::Value>) -> Result<(Reference, Digest), Failure> {
        let digest = match done.digest {
            Ok(Some(digest)) => digest,
            Ok(None) => {
                in_time(self.connections, self.connections.client().resolve(&done.image))
                    .await?
                    .digest
            }
            // Why is told already.
            Err(class) => {
                let what = format!("what `{}` names could not be looked at", done.image);
                return Err(Failure::new(class, what));
            }
        };
        Ok((done.image, digest))
    }

    /// Finds the snapshot of this state: the same images once more, under names of their own. A
    /// list of tags finds it; whether it is the one, its content says.
    async fn snapshots(
        &self,
        description: &Description,
        names: &mut Names,
        tell: Tell<'_, P::Value>,
    ) -> Result<Vec<NamedImage>, Failure> {
        let repository = &self.request.repository;
        if self.request.description.as_str() != luet::DESCRIPTION {
            return Ok(Vec::new());
        }
        let mut newest: Vec<Tag> = Vec::new();
        let mut take = |tag: Tag| {
            if tag.as_str().ends_with(luet::SNAPSHOT) {
                newest.push(tag);
                newest.sort_unstable_by(|a, b| b.cmp(a));
                newest.truncate(limits::REPOSITORY_SNAPSHOTS);
            }
        };
        let listed = self.connections.client().tags(repository, &mut take);
        if let Err(failure) = in_time(self.connections, listed).await {
            newest.clear();
            tell(Told::Note(format!(
                "note: the snapshot of this state was not looked for, because the tags could not be listed: {}",
                failure.message()
            )))?;
        }
        let mut images = Vec::new();
        let mut found_one = false;
        newest.retain(|tag| !self.snapshots.contains(tag));
        for (tag, known) in self
            .snapshots
            .iter()
            .map(|tag| (tag, true))
            .chain(newest.iter().map(|tag| (tag, false)))
        {
            if found_one && !known {
                break;
            }
            let image = Reference::tagged(repository.clone(), tag.clone());
            let read = async {
                let digest = self.connections.client().resolve(&image).await?.digest;
                contents::description(self.connections, &image, &digest).await
            };
            // One that cannot be read is not the one of this state.
            let Ok(found) = in_time(self.connections, read).await else { continue };
            let same = found.revision == description.revision
                && found.last_update == description.last_update;
            found_one |= same;
            if same || known {
                images.extend(names.once(ImageRole::Description, tag.clone()));
                for file in &found.files {
                    images.extend(names.once(ImageRole::File, luet::tag(&file.name)?));
                }
            }
        }
        Ok(images)
    }
}
