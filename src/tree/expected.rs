//! What the layers of an image may look like on disk, and whether a directory does.

use super::difference::{Terms, difference};
use super::entry::Tree;
use super::{Layer, host, oci};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;

/// Which reading of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// That of the OCI image specification.
    Oci,
    /// What the host makes of them.
    Host,
}

/// Returns the tree that the layers make, the lowest first.
///
/// # Errors
/// `malformed`: the layers can't be unpacked in this meaning, or only in ways on which unpackers
/// disagree.
pub fn flatten(layers: &[Layer], meaning: Meaning) -> Result<Tree, Failure> {
    match meaning {
        Meaning::Host => host::flatten(layers),
        Meaning::Oci => oci::flatten(layers),
    }
}

/// Checks the layers against the `diff_ids` of the image's configuration.
///
/// # Errors
/// `digest`: another number of layers, or a layer with another digest.
pub fn check_diff_ids(layers: &[Layer], diff_ids: &[Digest]) -> Result<(), Failure> {
    if layers.len() != diff_ids.len() {
        return Err(Failure::new(
            Class::Digest,
            format!(
                "the manifest has {} layers, the configuration {} `diff_ids`",
                layers.len(),
                diff_ids.len()
            ),
        ));
    }
    match layers
        .iter()
        .map(Layer::diff_id)
        .zip(diff_ids)
        .enumerate()
        .find(|(_, (found, listed))| found != *listed)
    {
        None => Ok(()),
        Some((number, (found, listed))) => Err(Failure::new(
            Class::Digest,
            format!(
                "layer {} is {found} uncompressed, the configuration says {listed}",
                number + 1
            ),
        )),
    }
}

/// What the layers of one image mean.
#[derive(Debug)]
pub struct ExpectedTree {
    oci: Result<Tree, Failure>,
    host: Result<Tree, Failure>,
}

/// Which tree a directory equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Both: the meanings do not differ.
    Both,
    /// Only one of the two; a report names it.
    Only(Meaning),
}

impl ExpectedTree {
    /// Reads the layers in both ways.
    #[must_use]
    pub fn of(layers: &[Layer]) -> Self {
        Self { oci: oci::flatten(layers), host: host::flatten(layers) }
    }

    /// Returns the tree of one meaning.
    ///
    /// # Errors
    /// As [`flatten`].
    pub fn tree(&self, meaning: Meaning) -> Result<&Tree, Failure> {
        match meaning {
            Meaning::Host => self.host.as_ref(),
            Meaning::Oci => self.oci.as_ref(),
        }
        .map_err(Clone::clone)
    }

    /// Returns the digest that a signer may claim: of the one tree that the layers make, whoever
    /// unpacks them.
    ///
    /// `None`: the meanings differ, or the tree has no digest ([`Tree::digest`]).
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match (&self.oci, &self.host) {
            (Ok(oci), Ok(host)) if oci == host => oci.digest_of_layers(),
            _ => None,
        }
    }

    /// Decides whether what was found is what the layers say, in either meaning.
    ///
    /// # Errors
    /// `tree`: it is neither; the text names the first paths that differ from the nearer one. What
    /// [`flatten`] says where the layers have no meaning at all.
    pub fn accepts(&self, found: &Tree, terms: &Terms) -> Result<Accepted, Failure> {
        let (host, oci) = match (&self.host, &self.oci) {
            (Err(_), Err(failure)) => return Err(failure.clone()),
            (host, oci) => (host.as_ref().ok(), oci.as_ref().ok()),
        };
        let host = host.map(|tree| difference(tree, found, terms));
        let oci = oci.map(|tree| difference(tree, found, terms));
        let equal = |side: &Option<super::Difference>| {
            side.as_ref().is_some_and(|difference| difference.total == 0)
        };
        match (equal(&host), equal(&oci)) {
            (true, true) => return Ok(Accepted::Both),
            (true, false) => return Ok(Accepted::Only(Meaning::Host)),
            (false, true) => return Ok(Accepted::Only(Meaning::Oci)),
            (false, false) => {}
        }
        let nearer = host
            .into_iter()
            .chain(oci)
            .min_by_key(|difference| difference.total)
            .unwrap_or_default();
        let differing = if nearer.total == 1 {
            "1 path differs".to_owned()
        } else {
            format!("{} paths differ", nearer.total)
        };
        let message = format!("what was unpacked is not what was verified: {}", differing);
        let mut failure = Failure::new(Class::Tree, message);
        for line in nearer.lines() {
            failure = failure.detail(line);
        }
        if nearer.total > limits::REPORT_PATHS {
            failure = failure.detail(format!("and {} more", nearer.total - limits::REPORT_PATHS));
        }
        if nearer.has_access_list() {
            failure = failure
                .detail("access lists that no layer has are also handed down by a directory with a default one (`setfacl -k` removes it)");
        }
        Err(failure)
    }
}
