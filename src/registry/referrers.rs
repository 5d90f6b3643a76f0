//! Lists of referrers: of all that refers to an image, what may be a signature.
//!
//! OCI distribution-spec 1.1, "Listing Referrers". Anyone who may push can add referrers, and
//! daily scans add one a day, so a long list must neither hide a signature nor refuse the image.
//! The whole list is asked for first; where it does not end within its caps, it is asked for again
//! by type, which counts only where the registry says that it filtered. That finds more, and never
//! makes the list complete: a signature may have a type that nobody can ask for, or none. What a
//! list says of types only decides what is looked at.

use super::answer::{Absence, Reply, absence, refusal};
use super::body::Cap;
use super::manifest::{Descriptor, Manifest, ManifestKind, essence};
use super::session::{ClientCore, RegistryCall, RequestTarget};
use super::{Referrers, Role};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Repository, Subject};
use crate::wire::{SIGNATURE_TYPES, TypeHint};
use oci_distribution::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OciImageIndex};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, LINK};
use std::collections::BTreeSet;

/// By what a registry says that it filtered the list.
const FILTERS_APPLIED: &str = "oci-filters-applied";
const ARTIFACT_TYPE: &str = "artifactType";

/// Of a list of referrers, those that are looked at: what names itself a signature, then what does
/// not say what it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferrersList {
    signatures: Vec<Descriptor>,
    unnamed: Vec<Descriptor>,
    others: Vec<Descriptor>,
    cut: Option<Failure>,
    /// Whether everything of the types that are asked for is here, although the list was cut.
    asked_for_all: bool,
}

impl ReferrersList {
    /// Reads the index under a fallback tag. Tools are known to write wrong types there (cosign
    /// #4641), so what names itself something else is looked at as well, after all others.
    ///
    /// # Errors
    /// `malformed`: an entry has no digest and size.
    pub fn of_fallback(index: &OciImageIndex) -> Result<Self, Failure> {
        let mut listing = Self::default();
        for entry in &index.manifests {
            listing.add(TypeHint::of(entry.artifact_type.as_deref()), Descriptor::try_from(entry)?);
        }
        Ok(listing)
    }

    /// Returns what is to be looked at, the likeliest first: at most [`limits::REFERRERS`].
    pub fn candidates(&self) -> impl Iterator<Item = &Descriptor> {
        self.signatures.iter().chain(&self.unnamed).chain(&self.others).take(limits::REFERRERS)
    }

    /// Returns why there may be signatures that are not among the candidates: what is not found
    /// then is not known to be absent.
    #[must_use]
    pub fn cut(&self) -> Option<Failure> {
        let found = self.signatures.len() + self.unnamed.len() + self.others.len();
        let over = || {
            Failure::new(
                Class::Limit,
                format!(
                    "more than {} referrers that may be signatures; the others were not looked at",
                    limits::REFERRERS
                ),
            )
        };
        self.cut.clone().or_else(|| (found > limits::REFERRERS).then(over))
    }

    /// Whether one more bundle, under the type that this program writes, would be a candidate.
    #[must_use]
    pub fn has_room(&self) -> bool {
        (self.cut.is_none() || self.asked_for_all) && self.signatures.len() < limits::REFERRERS
    }

    /// Puts what the whole list has behind what was found by type, so that a crowd at the start of
    /// the list pushes nothing aside. Where the whole list was cut, so is the result.
    fn followed_by(mut self, whole: Self) -> Self {
        for (hint, entries) in [
            (TypeHint::Signature, whole.signatures),
            (TypeHint::Unknown, whole.unnamed),
            (TypeHint::Other, whole.others),
        ] {
            for entry in entries {
                self.add(hint, entry);
            }
        }
        self.cut = whole.cut;
        self
    }

    fn add(&mut self, hint: TypeHint, entry: Descriptor) {
        let list = match hint {
            TypeHint::Signature => &mut self.signatures,
            TypeHint::Unknown => &mut self.unnamed,
            TypeHint::Other => &mut self.others,
        };
        // One more than is looked at shows that there are more.
        if list.len() <= limits::REFERRERS && !list.iter().any(|kept| kept.digest == entry.digest) {
            list.push(entry);
        }
    }
}

/// One list as far as it was read, or that there is none.
enum Pages {
    Listed {
        /// Whether the registry says of every page that it holds the asked type alone.
        filtered: bool,
        /// Why it was not read to its end.
        cut: Option<Failure>,
    },
    NoApi(Absence),
}

impl ClientCore {
    pub(super) async fn referrers(
        &self,
        subject: &Subject,
        role: Role,
    ) -> Result<Referrers, Failure> {
        let mut listing = ReferrersList::default();
        // (1) All of it.
        match self.pages(subject, None, role, &mut listing).await? {
            Pages::Listed { cut, .. } => listing.cut = cut,
            Pages::NoApi(absence) => return Ok(Referrers::NoApi(absence)),
        }
        // (2) Where that is too much, also type by type, of a registry that can.
        if listing.cut.is_some() {
            let mut by_type = ReferrersList::default();
            by_type.asked_for_all = self.by_type(subject, role, &mut by_type).await;
            listing = by_type.followed_by(listing);
        }
        Ok(Referrers::Listed(listing))
    }

    /// Reads what has one of the types that signatures have. Returns whether that was all of it:
    /// `false` where the registry does not filter, does not answer, or lists too many.
    async fn by_type(&self, subject: &Subject, role: Role, listing: &mut ReferrersList) -> bool {
        let mut all = true;
        for kind in SIGNATURE_TYPES {
            match self.pages(subject, Some(kind), role, listing).await {
                Ok(Pages::Listed { filtered: true, cut }) => all &= cut.is_none(),
                _ => return false,
            }
        }
        all
    }

    /// Reads a list, page by page, and keeps what may be a signature.
    async fn pages(
        &self,
        subject: &Subject,
        kind: Option<&str>,
        role: Role,
        listing: &mut ReferrersList,
    ) -> Result<Pages, Failure> {
        let repository = &subject.repository;
        let query = kind.map(query_of).unwrap_or_default();
        let path = format!("referrers/{}{query}", subject.digest);
        let mut call = RegistryCall::get(repository, path, OCI_IMAGE_INDEX_MEDIA_TYPE);
        call.keep_see_other = true;
        let mut seen = BTreeSet::new();
        let mut filtered = true;
        let cut = |filtered, why| Ok(Pages::Listed { filtered, cut: Some(why) });
        loop {
            let page = match self.page(&call, subject, role, seen.is_empty()).await {
                Ok(Page::There(page)) => page,
                Ok(Page::NoApi(absence)) => return Ok(Pages::NoApi(absence)),
                // What is too large is a list that goes on, and no reason to forget what was read. A
                // first page that is has not said whether it would be filtered.
                Err(failure) if failure.class() == Class::Limit => {
                    return cut(filtered && !seen.is_empty(), failure);
                }
                Err(failure) => return Err(failure),
            };
            filtered &= page.filtered;
            if kind.is_some() && !filtered {
                return Ok(Pages::Listed { filtered, cut: None });
            }
            for (hint, entry) in page.entries {
                listing.add(hint, entry);
            }
            let Some(next) = page.next else {
                return Ok(Pages::Listed { filtered, cut: None });
            };
            let url = self.page_url(repository, &call.target, &next)?;
            if !seen.insert(url.to_string()) || seen.len() >= limits::REFERRERS_PAGES {
                let message = format!(
                    "`{subject}`: the list of referrers goes on after {} pages, or in a circle",
                    seen.len()
                );
                return cut(filtered, Failure::new(Class::Limit, message));
            }
            call.target = RequestTarget::Given(url);
        }
    }

    async fn page(
        &self,
        call: &RegistryCall<'_>,
        subject: &Subject,
        role: Role,
        first: bool,
    ) -> Result<Page, Failure> {
        let repository = &subject.repository;
        let reply = self.ask(call, Cap::of(limits::REFERRERS_PAGE_BYTES), true).await?;
        match reply.status.as_u16() {
            200 => {}
            // The first page decides whether there is such an API; a later one that is missing is a
            // fault.
            404 if first => return missing_api(&reply, repository, role).map(Page::NoApi),
            303 | 400 | 405 | 406 | 501 if first => return Ok(Page::NoApi(said(&reply))),
            _ => return Err(refusal(&reply, repository)),
        }
        let applied = reply.header(FILTERS_APPLIED).unwrap_or_default();
        let filtered = applied.split(',').any(|name| name.trim() == ARTIFACT_TYPE);
        let next = match reply.header(LINK).map(next) {
            None => None,
            Some(link) => link.map_err(|why| broken_link(repository, &why))?,
        };
        let next = next.map(ToOwned::to_owned);
        Ok(Page::There(PageRead { entries: entries(reply, repository)?, filtered, next }))
    }

    /// Resolves the URL of a further page, which must be at the registry itself: our pass goes
    /// there.
    pub(super) fn page_url(
        &self,
        repository: &Repository,
        at: &RequestTarget,
        next: &str,
    ) -> Result<Url, Failure> {
        let base = self.known_base(repository)?;
        let at = match at {
            RequestTarget::Given(url) => url.clone(),
            RequestTarget::Path(path) => {
                base.join(path).map_err(|error| broken_link(repository, &error.to_string()))?
            }
        };
        let url = at.join(next).map_err(|_| broken_link(repository, "is not a URL"))?;
        if url.origin() != base.origin() || !url.username().is_empty() || url.password().is_some() {
            return Err(broken_link(repository, "leads to another host"));
        }
        Ok(url)
    }
}

enum Page {
    There(PageRead),
    NoApi(Absence),
}

struct PageRead {
    /// What may be a signature.
    entries: Vec<(TypeHint, Descriptor)>,
    filtered: bool,
    next: Option<String>,
}

/// Returns the query that asks for one type, encoded: media types have a `+`.
fn query_of(kind: &str) -> String {
    let encoded = kind.replace('+', "%2B").replace(';', "%3B").replace('=', "%3D");
    format!("?{ARTIFACT_TYPE}={encoded}")
}

fn missing_api(reply: &Reply, repository: &Repository, role: Role) -> Result<Absence, Failure> {
    // A web page, a path that is not understood, or a 404 from elsewhere, is as good as any 404
    // here: it is the fallback tag that must answer.
    let not_understood = matches!(
        reply.code().as_deref(),
        Some("UNSUPPORTED" | "NAME_INVALID" | "DIGEST_INVALID" | "MANIFEST_INVALID")
    );
    if reply.is_html() || not_understood || reply.elsewhere.is_some() {
        return Ok(said(reply));
    }
    absence(reply, repository, role)
}

fn said(reply: &Reply) -> Absence {
    Absence { status: reply.status.as_u16(), code: reply.code() }
}

/// Returns what of a page may be a signature. Every entry is read: one that makes no sense spoils
/// the list.
fn entries(reply: Reply, repository: &Repository) -> Result<Vec<(TypeHint, Descriptor)>, Failure> {
    let found = reply.header(CONTENT_TYPE).map(essence).unwrap_or_default();
    if found != OCI_IMAGE_INDEX_MEDIA_TYPE {
        return Err(Failure::new(
            Class::Registry,
            format!(
                "`{repository}`: the list of referrers came as `{found}`; expected `{OCI_IMAGE_INDEX_MEDIA_TYPE}`"
            ),
        ));
    }
    let manifest = Manifest::parse(reply.body, Some(OCI_IMAGE_INDEX_MEDIA_TYPE))
        .map_err(|failure| failure.within(format!("`{repository}`: the list of referrers")))?;
    let ManifestKind::Index(index) = manifest.kind else {
        return Err(Failure::new(
            Class::Malformed,
            format!("`{repository}`: the list of referrers is not an index"),
        ));
    };
    index
        .manifests
        .iter()
        .map(|entry| (TypeHint::of(entry.artifact_type.as_deref()), entry))
        .filter(|(hint, _)| *hint != TypeHint::Other)
        .map(|(hint, entry)| Ok((hint, Descriptor::try_from(entry)?)))
        .collect()
}

pub(super) fn broken_link(repository: &Repository, why: &str) -> Failure {
    Failure::new(Class::Registry, format!("`{repository}`: the `Link` to the next page {why}"))
}

/// Returns the target of `rel="next"` (RFC 8288), the one relation that such lists have.
pub(super) fn next(link: &str) -> Result<Option<&str>, String> {
    for part in link.split(",<").flat_map(|part| part.split(", <")) {
        let part = part.trim().trim_start_matches('<');
        let (target, parameters) = part.split_once('>').ok_or("cannot be read")?;
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value
                    .trim()
                    .trim_matches('"')
                    .split(' ')
                    .any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Ok(Some(target));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        for (link, expected) in [
            ("</v2/a/referrers/x?n=2>; rel=\"next\"", Ok(Some("/v2/a/referrers/x?n=2"))),
            ("</p>; rel=next", Ok(Some("/p"))),
            ("</a>; rel=\"prev\", </b>; rel=\"next\"", Ok(Some("/b"))),
            ("</a>; rel=\"prev\"", Ok(None)),
            ("</a?x=1,2>; title=\"x\"; REL=\"last next\"", Ok(Some("/a?x=1,2"))),
            ("nonsense", Err(())),
        ] {
            assert_eq!(next(link).map_err(|_| ()), expected, "{link}");
        }
    }
}
