//! Lists of tags, page by page.
//!
//! OCI distribution-spec 1.1, "Listing Tags". A list finds names to look at and proves nothing: a
//! registry can leave out what it likes.

use super::answer::refusal;
use super::body::Cap;
use super::session::{ClientCore, RegistryCall, RequestTarget};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Repository, Tag};
use reqwest::header::LINK;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Tags that are asked for at once.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
struct TagsWire {
    tags: Option<Vec<String>>,
}

impl ClientCore {
    /// Hands out the tags of a repository; what is not a tag is passed over.
    pub(super) async fn tags(
        &self,
        repository: &Repository,
        take: &mut dyn FnMut(Tag),
    ) -> Result<(), Failure> {
        let mut call =
            RegistryCall::get(repository, format!("tags/list?n={PAGE}"), "application/json");
        let mut seen = BTreeSet::new();
        loop {
            let reply = self.ask(&call, Cap::of(limits::TAGS_PAGE_BYTES), true).await?;
            if reply.status.as_u16() != 200 {
                return Err(refusal(&reply, repository));
            }
            let next = match reply.header(LINK).map(super::referrers::next) {
                None | Some(Ok(None)) => None,
                Some(Ok(Some(next))) => Some(next.to_owned()),
                Some(Err(why)) => return Err(super::referrers::broken_link(repository, &why)),
            };
            let page: TagsWire = serde_json::from_slice(&reply.body).map_err(|error| {
                Failure::new(
                    Class::Registry,
                    format!("`{repository}`: the list of tags cannot be read: {error}"),
                )
            })?;
            page.tags.iter().flatten().filter_map(|tag| tag.parse().ok()).for_each(&mut *take);
            let Some(next) = next else { return Ok(()) };
            let url = self.page_url(repository, &call.target, &next)?;
            if !seen.insert(url.to_string()) || seen.len() >= limits::TAGS_PAGES {
                return Err(Failure::new(
                    Class::Limit,
                    format!(
                        "`{repository}`: the list of tags goes on after {} pages, or in a circle",
                        seen.len()
                    ),
                ));
            }
            call.target = RequestTarget::Given(url);
        }
    }
}
