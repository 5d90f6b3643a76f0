//! An archive that is there already: the same decision, without asking a registry.
//!
//! The author of the archive chose the name that it records. So that name may choose a rule, but
//! only one that demands a signature; what lets an image pass unsigned counts for a name that came
//! from outside.

use super::gather::ManifestSource;
use super::{Judged, Provisional};
use crate::archive::{ArchivePlace, Contents, Layout};
use crate::class::{Class, Failure};
use crate::name::Reference;
use crate::policy::{Grounds, Policy};
use crate::session::Connections;
use crate::trust::Requirements;

/// Reads an archive to its last byte, and decides about it under the name `named`, or the one that it
/// records. Returns what is to be said besides.
///
/// # Errors
/// The decision, where it refuses. `digest`, `malformed`: the archive is not whole, or not one
/// image. `usage`: it has no name. `policy`: its own name chose a rule that demands no signature.
pub async fn by_archive(
    connections: &Connections,
    policy: &Policy,
    place: &ArchivePlace,
    named: Option<&Reference>,
    requirements: &Requirements,
) -> Result<(Provisional, Vec<String>), Failure> {
    let layout = Layout::open(place)?;
    let contents = Contents::of(&layout)
        .map_err(|failure| failure.within(format!("`{}`", place.path().display())))?;
    let pause = connections.client().pause();
    contents.check_image(&layout, &|_| {})?;
    drop(pause);
    let reference = named.or(contents.name.as_ref()).ok_or_else(|| {
        Failure::new(Class::Usage, "the archive records no name").hint("give it one: `--as IMAGE`")
    })?;
    let judged = Judged {
        reference,
        source: ManifestSource::Archive { layout: &layout, contents: &contents },
        given: None,
        platform: None,
        requirements,
        thorough: true,
    };
    let provisional = judged.judge(connections, policy).await?.decision.into_result()?;
    if named.is_none() {
        check_signed(reference, &provisional)?;
    }
    let notice = contents.name.as_ref().filter(|own| *own != reference).map(|own| {
        format!("warning: the archive calls itself `{own}`, and is imported under that name")
    });
    Ok((provisional, notice.into_iter().collect()))
}

fn check_signed(reference: &Reference, provisional: &Provisional) -> Result<(), Failure> {
    let (class, rule) = match provisional.grounds() {
        Grounds::Signature { .. } => return Ok(()),
        Grounds::Unsigned { rule } => (Class::Unsigned, rule.as_str()),
        Grounds::Skipped { rule } | Grounds::LocalFiles { rule } => (Class::Policy, rule.as_str()),
        Grounds::Unmatched => (Class::Policy, "`unmatched`"),
    };
    let what = format!(
        "{rule} lets `{reference}` pass without a signature, but that name is only claimed by the archive"
    );
    Err(Failure::new(class, what).hint("say what it has to be: `--as IMAGE`"))
}
