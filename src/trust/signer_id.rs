//! Who a signer is, where signers are counted and remembered: what does not change from one run
//! of a workflow to the next.
//!
//! Issuer and name are not enough. The certificate of a reusable workflow names the workflow, so
//! everybody who calls it has the same name, and anyone may call it. What tells its callers apart
//! is the repository that a run was for. Fulcio gives that as a name, which can be given up and
//! taken by someone else, and as numbers, which a forge gives out once. The numbers are compared;
//! names are for people. Only between certificates that have no numbers, as those that GitHub's
//! workflows got before Fulcio knew them, the name stands in.

use crate::name::Digest;

/// The repository that a workflow ran for, as far as its certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceRepository {
    /// Its address.
    pub uri: Option<String>,
    /// Its number, by the issuer.
    pub repository: Option<String>,
    /// The number of its owner, by the issuer.
    pub owner: Option<String>,
}

impl SourceRepository {
    /// Whether the numbers are known: the address alone says who owned the name then.
    fn is_numbered(&self) -> bool {
        self.repository.is_some() || self.owner.is_some()
    }

    fn knowledge(&self) -> Knowledge<'_> {
        if self.is_numbered() {
            Knowledge::Numbers(self.repository.as_deref(), self.owner.as_deref())
        } else {
            self.uri.as_deref().map_or(Knowledge::Nothing, Knowledge::Address)
        }
    }
}

/// What two sources are compared by: the best that each has.
#[derive(PartialEq, Eq)]
enum Knowledge<'a> {
    Nothing,
    Address(&'a str),
    Numbers(Option<&'a str>, Option<&'a str>),
}

/// What stands for a signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerId {
    name: Digest,
    source: SourceRepository,
}

/// What someone who is remembered and the signer of a signature have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// They are the same.
    Same,
    /// Nothing speaks against it, and more is known of the signer than is remembered.
    Learned,
    /// They are different, or it cannot be told that they are not.
    Another,
}

impl SignerId {
    /// Returns who signs by this key.
    #[must_use]
    pub fn of_key(fingerprint: Digest) -> Self {
        Self { name: fingerprint, source: SourceRepository::default() }
    }

    /// Returns whose certificates have this issuer and this name, without what one run adds, and
    /// are for this source.
    pub(super) fn of_certificate(
        issuer: &str,
        lasting_name: &str,
        source: SourceRepository,
    ) -> Self {
        let name = Digest::of(format!("keyless\n{issuer}\n{lasting_name}").as_bytes());
        Self { name, source }
    }

    /// Returns who was remembered: [`Self::name`], with [`Self::source`] where that was known.
    #[must_use]
    pub fn remembered(name: Digest, source: SourceRepository) -> Self {
        Self { name, source }
    }

    /// Returns what stands for the key, or for issuer and name: what 1.0.0-alpha.1 knew signers by.
    #[must_use]
    pub fn name(&self) -> &Digest {
        &self.name
    }

    /// Returns the repository that a workflow ran for. Nothing is known of it of keys and people.
    #[must_use]
    pub fn source(&self) -> &SourceRepository {
        &self.source
    }

    /// Returns one digest that stands for all of it.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        // Each text with its length in front, for a certificate may hold any text.
        let part = |text: Option<&str>| match text {
            Some(text) => format!("{}:{text}", text.len()),
            None => "-".to_owned(),
        };
        let name = &self.name;
        match self.source.knowledge() {
            Knowledge::Nothing => *name,
            Knowledge::Address(uri) => {
                Digest::of(format!("address\n{name}\n{}", part(Some(uri))).as_bytes())
            }
            Knowledge::Numbers(repository, owner) => {
                let (repository, owner) = (part(repository), part(owner));
                Digest::of(format!("numbers\n{name}\n{repository}\n{owner}").as_bytes())
            }
        }
    }

    /// Whether a signature by `found` is by this one, who is remembered.
    ///
    /// Who is remembered by numbers is never recognized without them. Issuer and name prove nothing
    /// about a reusable workflow, and an old certificate, or one by an authority that leaves the
    /// numbers out, would then be a way around them.
    #[must_use]
    pub fn recognize(&self, found: &Self) -> Recognition {
        if self.name != found.name {
            return Recognition::Another;
        }
        match (self.source.knowledge(), found.source.knowledge()) {
            (known, found) if known == found => Recognition::Same,
            (Knowledge::Nothing, _) => Recognition::Learned,
            (Knowledge::Address(known), Knowledge::Numbers(..))
                if found.source.uri.as_deref() == Some(known) =>
            {
                Recognition::Learned
            }
            _ => Recognition::Another,
        }
    }

    /// Returns the fingerprint that it counts by among others: two that may be one count once, as
    /// the one of whom more is known.
    pub fn counted_among<'a>(&'a self, all: impl Iterator<Item = &'a Self>) -> Digest {
        let level = |signer: &&Self| match signer.source.knowledge() {
            Knowledge::Numbers(..) => 0,
            Knowledge::Address(_) => 1,
            Knowledge::Nothing => 2,
        };
        all.filter(|other| other.may_be(self)).min_by_key(level).unwrap_or(self).fingerprint()
    }

    /// Whether both may be one signer: it is not proven that they are two. Where several must have
    /// signed, two such count once. A repository that went to another owner is still one.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let differ = |ours: &Option<String>, theirs: &Option<String>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(ours != theirs),
            _ => None,
        };
        let (ours, theirs) = (&self.source, &other.source);
        let addresses = || differ(&ours.uri, &theirs.uri);
        let two = match (ours.is_numbered(), theirs.is_numbered()) {
            (true, true) => differ(&ours.repository, &theirs.repository)
                .or_else(|| differ(&ours.owner, &theirs.owner)),
            (false, false) => addresses(),
            _ => None,
        };
        self.name == other.name && two != Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(uri: &str, repository: &str, owner: &str) -> SignerId {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let source = SourceRepository {
            uri: given(uri),
            repository: given(repository),
            owner: given(owner),
        };
        SignerId::of_certificate("https://issuer.example", "https://forge.example/shared", source)
    }

    #[test]
    fn callers_of_one_workflow_are_told_apart_by_numbers() {
        let acme = signer("https://forge.example/acme/os", "1", "7");
        for (found, recognized) in [
            (signer("https://forge.example/acme/os", "1", "7"), Recognition::Same),
            // It was renamed.
            (signer("https://forge.example/acme/linux", "1", "7"), Recognition::Same),
            // Someone took the name, or the owner's name, or got the repository.
            (signer("https://forge.example/acme/os", "2", "7"), Recognition::Another),
            (signer("https://forge.example/acme/os", "1", "8"), Recognition::Another),
            (signer("https://forge.example/evil/x", "3", "9"), Recognition::Another),
            // Numbers that are left out are not those that are known.
            (signer("https://forge.example/acme/os", "", ""), Recognition::Another),
            (signer("https://forge.example/acme/os", "1", ""), Recognition::Another),
            (signer("", "", ""), Recognition::Another),
        ] {
            assert_eq!(acme.recognize(&found), recognized, "{found:?}");
            let same = acme.fingerprint() == found.fingerprint();
            assert_eq!(same, recognized == Recognition::Same, "{found:?}");
        }
    }

    #[test]
    fn what_is_remembered_without_a_source_learns_it_and_what_contradicts_it_is_refused() {
        let (nothing, address) = (signer("", "", ""), signer("https://forge.example/a/b", "", ""));
        let numbered = signer("https://forge.example/a/b", "1", "7");
        assert_eq!(nothing.recognize(&nothing), Recognition::Same);
        assert_eq!(nothing.recognize(&address), Recognition::Learned);
        assert_eq!(nothing.recognize(&numbered), Recognition::Learned);
        assert_eq!(address.recognize(&address), Recognition::Same);
        assert_eq!(address.recognize(&numbered), Recognition::Learned);
        let evil = signer("https://forge.example/evil/x", "3", "9");
        let unnamed = signer("", "1", "7");
        for other in [nothing.clone(), evil, unnamed, signer("https://forge.example/e/x", "", "")] {
            assert_eq!(address.recognize(&other), Recognition::Another, "{other:?}");
        }
        let key = SignerId::of_key(Digest::of(b"key"));
        assert_eq!(nothing.recognize(&key), Recognition::Another);
        assert_eq!((key.name(), key.fingerprint()), (&Digest::of(b"key"), Digest::of(b"key")));
    }

    #[test]
    fn who_may_be_one_signer_is_not_counted_as_two() {
        let known = |uri, repository, owner| signer(uri, repository, owner);
        let acme = known("https://forge.example/acme/os", "1", "7");
        for (other, one) in [
            (acme.clone(), true),
            (known("", "", ""), true),
            (known("https://forge.example/evil/x", "", ""), true),
            (known("", "1", "8"), true),
            (known("", "", "7"), true),
            (known("", "2", "7"), false),
            (known("", "", "8"), false),
        ] {
            assert_eq!((acme.may_be(&other), other.may_be(&acme)), (one, one), "{other:?}");
        }
        let (a, b) = (known("a", "", ""), known("b", "", ""));
        assert!(!a.may_be(&b) && a.may_be(&a) && a.may_be(&known("", "", "")));
        assert!(!SignerId::of_key(Digest::of(b"key")).may_be(&acme));
    }

    #[test]
    fn no_two_sources_have_one_fingerprint() {
        let texts = ["", "1", "1:1", "-", "1\n1:1"];
        let mut seen = std::collections::HashMap::new();
        for repository in texts {
            for owner in texts {
                for uri in texts {
                    let signer = signer(uri, repository, owner);
                    // The address counts only where there are no numbers.
                    let uri = if (repository, owner) == ("", "") { uri } else { "" };
                    let compared = (uri, repository, owner);
                    let first = seen.entry(signer.fingerprint()).or_insert(compared);
                    assert_eq!(*first, compared);
                }
            }
        }
    }
}
