//! Reading: manifests by tag and digest, lists of referrers, small blobs.
//!
//! Every byte is hashed here; a digest in a header is never believed (`reference/security.md` R05).

use super::answer::{Absence, Answer, Reply, absence, refusal};
use super::body::Cap;
use super::manifest::{ACCEPT, Descriptor, Manifest, ManifestKind, essence};
use super::session::{Call, Session, Target};
use super::{Referrers, Role};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Reference, Repository, Subject, Tag};
use oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
use reqwest::header::{CONTENT_TYPE, LINK};
use reqwest::{StatusCode, Url};
use std::collections::BTreeSet;

impl Session {
    pub(super) async fn resolve(&self, reference: &Reference) -> Result<Manifest, Failure> {
        let repository = reference.repository();
        let answer = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => self.manifest(repository, digest, limits::MANIFEST_BYTES).await?,
            (None, Some(tag)) => self.by_tag(repository, tag, Role::Image).await?,
            (None, None) => {
                return Err(Failure::new(
                    Class::Reference,
                    format!("`{reference}` has neither tag nor digest"),
                ));
            }
        };
        match answer {
            Answer::There(manifest) => Ok(manifest),
            Answer::Absent(Absence { status, code }) => {
                let code = code.map(|code| format!(" `{code}`")).unwrap_or_default();
                Err(Failure::new(
                    Class::NotFound,
                    format!("`{reference}` does not exist (the registry answered {status}{code})"),
                ))
            }
        }
    }

    pub(super) async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        cap: u64,
    ) -> Result<Answer<Manifest>, Failure> {
        let call = Call::get(repository, format!("manifests/{digest}"), ACCEPT);
        let reply = self.ask(&call, Cap::of(cap), true).await?;
        match reply.status {
            StatusCode::OK => {
                check_digest(&reply.body, digest, repository)?;
                read(reply, repository).map(Answer::There)
            }
            StatusCode::NOT_FOUND => absence(&reply, repository, Role::Image).map(Answer::Absent),
            _ => Err(refusal(&reply, repository)),
        }
    }

    pub(super) async fn by_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        role: Role,
    ) -> Result<Answer<Manifest>, Failure> {
        let call = Call::get(repository, format!("manifests/{tag}"), ACCEPT);
        let reply = self.ask(&call, Cap::of(limits::MANIFEST_BYTES), true).await?;
        match reply.status {
            StatusCode::OK => read(reply, repository).map(Answer::There),
            StatusCode::NOT_FOUND => absence(&reply, repository, role).map(Answer::Absent),
            _ => Err(refusal(&reply, repository)),
        }
    }

    pub(super) async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        cap: u64,
    ) -> Result<Vec<u8>, Failure> {
        if size > cap {
            return Err(Failure::new(
                Class::Limit,
                format!("`{repository}@{digest}` has {size} bytes; at most {cap} are read"),
            ));
        }
        let call = Call::get(repository, format!("blobs/{digest}"), "*/*");
        let reply = self.ask(&call, Cap::announced(size), true).await?;
        check_blob(&reply, repository, digest)?;
        if u64::try_from(reply.body.len()) != Ok(size) {
            let found = reply.body.len();
            return Err(Failure::new(
                Class::Digest,
                format!("`{repository}@{digest}` has {found} bytes; expected {size}"),
            ));
        }
        check_digest(&reply.body, digest, repository)?;
        Ok(reply.body)
    }

    pub(super) async fn referrers(
        &self,
        subject: &Subject,
        role: Role,
    ) -> Result<Referrers, Failure> {
        let repository = &subject.repository;
        let mut call = Call::get(
            repository,
            format!("referrers/{}", subject.digest),
            OCI_IMAGE_INDEX_MEDIA_TYPE,
        );
        call.keep_see_other = true;
        let mut seen = BTreeSet::new();
        let mut list = Vec::new();
        loop {
            let reply = self.ask(&call, Cap::of(limits::REFERRERS_PAGE_BYTES), true).await?;
            match reply.status.as_u16() {
                200 => {}
                // The first page decides whether there is such an API; a later one that is missing
                // is a fault.
                404 if seen.is_empty() => return missing_api(&reply, repository, role),
                303 | 400 | 405 | 406 | 501 if seen.is_empty() => {
                    return Ok(Referrers::NoApi(said(&reply)));
                }
                _ => return Err(refusal(&reply, repository)),
            }
            page(&reply, repository, &mut list)?;
            let Some(link) = reply.header(LINK) else { return Ok(Referrers::Listed(list)) };
            let Some(next) = next(link).map_err(|why| broken_link(repository, &why))? else {
                return Ok(Referrers::Listed(list));
            };
            let url = self.page_url(repository, &call.target, next)?;
            if !seen.insert(url.to_string()) || seen.len() >= limits::REFERRERS_PAGES {
                return Err(Failure::new(
                    Class::Limit,
                    format!(
                        "`{subject}`: the list of referrers goes on after {} pages, or in a circle",
                        seen.len()
                    ),
                ));
            }
            call.target = Target::Given(url);
        }
    }

    /// Resolves the URL of a further page, which must lie at the registry itself: our pass goes
    /// there.
    fn page_url(&self, repository: &Repository, at: &Target, next: &str) -> Result<Url, Failure> {
        let base = self.known_base(repository)?;
        let at = match at {
            Target::Given(url) => url.clone(),
            Target::Path(path) => {
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

fn read(reply: Reply, repository: &Repository) -> Result<Manifest, Failure> {
    if reply.is_html() {
        return Err(Failure::new(
            Class::Registry,
            format!("`{repository}`: a web page came where a manifest was expected"),
        ));
    }
    let content_type = reply.header(CONTENT_TYPE).map(ToOwned::to_owned);
    Manifest::parse(reply.body, content_type.as_deref())
        .map_err(|failure| failure.within(format!("`{repository}`")))
}

fn check_digest(bytes: &[u8], digest: &Digest, repository: &Repository) -> Result<(), Failure> {
    let found = Digest::of(bytes);
    if found == *digest {
        Ok(())
    } else {
        Err(Failure::new(
            Class::Digest,
            format!("`{repository}`: asked for `{digest}`, got bytes with `{found}`"),
        ))
    }
}

/// Lets a blob pass. One that a manifest lists and the registry does not have says nothing about
/// the image.
pub(super) fn check_blob(
    reply: &Reply,
    repository: &Repository,
    digest: &Digest,
) -> Result<(), Failure> {
    match reply.status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND => Err(Failure::new(
            Class::Registry,
            format!(
                "`{repository}@{digest}` is listed by a manifest, and the registry does not have it"
            ),
        )),
        _ => Err(refusal(reply, repository)),
    }
}

fn missing_api(reply: &Reply, repository: &Repository, role: Role) -> Result<Referrers, Failure> {
    // A web page, a path that is not understood, or a 404 from elsewhere, is as good as any 404
    // here: it is the fallback tag that must answer.
    let not_understood = matches!(
        reply.code().as_deref(),
        Some("UNSUPPORTED" | "NAME_INVALID" | "DIGEST_INVALID" | "MANIFEST_INVALID")
    );
    if reply.is_html() || not_understood || reply.elsewhere.is_some() {
        return Ok(Referrers::NoApi(said(reply)));
    }
    absence(reply, repository, role).map(Referrers::NoApi)
}

fn said(reply: &Reply) -> Absence {
    Absence { status: reply.status.as_u16(), code: reply.code() }
}

fn page(reply: &Reply, repository: &Repository, list: &mut Vec<Descriptor>) -> Result<(), Failure> {
    let found = reply.header(CONTENT_TYPE).map(essence).unwrap_or_default();
    if found != OCI_IMAGE_INDEX_MEDIA_TYPE {
        return Err(Failure::new(
            Class::Registry,
            format!(
                "`{repository}`: the list of referrers came as `{found}`; expected `{OCI_IMAGE_INDEX_MEDIA_TYPE}`"
            ),
        ));
    }
    let manifest = Manifest::parse(reply.body.clone(), Some(OCI_IMAGE_INDEX_MEDIA_TYPE))
        .map_err(|failure| failure.within(format!("`{repository}`: the list of referrers")))?;
    let ManifestKind::Index(index) = manifest.kind else {
        return Err(Failure::new(
            Class::Malformed,
            format!("`{repository}`: the list of referrers is not an index"),
        ));
    };
    if list.len() + index.manifests.len() > limits::REFERRERS {
        return Err(Failure::new(
            Class::Limit,
            format!("`{repository}`: more than {} referrers of one image", limits::REFERRERS),
        ));
    }
    for entry in &index.manifests {
        list.push(Descriptor::try_from(entry)?);
    }
    Ok(())
}

fn broken_link(repository: &Repository, why: &str) -> Failure {
    Failure::new(Class::Registry, format!("`{repository}`: the `Link` to more referrers {why}"))
}

/// Returns the target of `rel="next"` (RFC 8288), the one relation that lists of referrers have.
fn next(link: &str) -> Result<Option<&str>, String> {
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
