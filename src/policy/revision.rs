//! Rollback: a luet repository whose revision goes back serves an old state of itself, signed as it
//! is (docs/threats.md R23).
//!
//! A luet repository may go back on purpose (`--reset-revision`), so by default it is only said.

use super::decide::{Notice, notice};
use super::matching::Effective;
use super::settings::Rollback;
use crate::class::{Class, Failure};
use crate::name::{Reference, Repository};

/// Judges the revision of a luet repository against the greatest that was seen here, under this
/// tag.
///
/// # Errors
/// `rollback`: it went back, and the rule says `rollback: deny`.
pub fn judge_revision(
    effective: &Effective,
    reference: &Reference,
    known: Option<u64>,
    found: u64,
) -> Result<Option<Notice>, Failure> {
    let Some(known) = known.filter(|known| found < *known) else { return Ok(None) };
    let text = format!(
        "`{reference}` is revision {found}, but revision {known} was seen here before: the repository was rolled back"
    );
    let rule = effective.title();
    match effective.rollback {
        Rollback::Off => Ok(None),
        Rollback::Warn => Ok(Some(notice(
            true,
            format!("{text}; {rule} lets it pass; {}", forget(effective, reference)),
        ))),
        Rollback::Deny => {
            Err(Failure::new(Class::Rollback, format!("{text}; {rule} says `rollback: deny`"))
                .hint(forget(effective, reference)))
        }
    }
}

/// What to do where going back is meant, for an image that is named by a tag: what is remembered of
/// a mirror can be under either name.
pub(super) fn forget(effective: &Effective, reference: &Reference) -> String {
    let Some(tag) = reference.tag() else { return forget_all(effective, reference) };
    let names = names(effective, reference).map(|name| format!(" {name}:{tag}"));
    format!("when this is meant: `luet-cosign seen forget{}`", names.collect::<String>())
}

/// What to do where it is meant that the repository is another one now.
pub(super) fn forget_all(effective: &Effective, reference: &Reference) -> String {
    let names = names(effective, reference).map(|name| format!(" {name}"));
    format!("when this is meant: `luet-cosign seen forget --all{}`", names.collect::<String>())
}

fn names<'a>(
    effective: &'a Effective,
    reference: &'a Reference,
) -> impl Iterator<Item = &'a Repository> {
    let own = reference.repository();
    let others = effective.signed_as.iter().chain(&effective.mirrors);
    others.filter(move |name| *name != own).chain([own])
}
