//! What a policy is asked before an image is signed: would it look there, and would it accept this
//! signer? A signature that nobody would accept is better not made: the image is public by then.

use super::matching::{Applies, Effective, Matched, RequestedBy, Trust};
use crate::class::{Class, Failure};
use crate::name::Repository;
use crate::trust::{Authority, Identity, Prospect};

impl Matched {
    /// Refuses to sign into a repository where the rule for this image does not look.
    ///
    /// # Errors
    /// `policy`: the rule's `signatures_from` are other repositories.
    pub fn would_look_in(&self, repository: &Repository) -> Result<(), Failure> {
        let places = self.repositories();
        if !self.looks() || places.contains(repository) {
            return Ok(());
        }
        let places: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
        let image = &self.reference;
        Err(Failure::new(
            Class::Policy,
            format!("signatures of `{image}` would be written to `{repository}`, but the policy looks in {}", places.join(", ")),
        )
        .hint("set COSIGN_REPOSITORY to that repository, or change `signatures_from`"))
    }

    /// Refuses a signer whose signature would not count for this image. A rule that wants several
    /// signatures accepts each of those whom it names.
    ///
    /// Where nobody is named as a signer there is nobody to compare with, and it is accepted: no
    /// rule, one that does not look or trusts nobody, keyless variables without an identity.
    ///
    /// # Errors
    /// `policy`: the rule names signers, and it is none of them.
    pub fn would_accept(&self, prospect: &Prospect<'_>) -> Result<(), Failure> {
        let Applies::Rule(effective) = &self.applies else { return Ok(()) };
        let Trust::Signers { authorities, .. } = &effective.authorities else { return Ok(()) };
        let named = |authority: &&Authority| self.is_named(authority);
        let named: Vec<&Authority> = authorities.iter().filter(named).collect();
        if named.len() < authorities.len()
            || named.iter().any(|authority| authority.would_accept(prospect))
        {
            return Ok(());
        }
        Err(self.not_accepted(effective, &named, prospect))
    }

    /// Whether someone said who the signer is. In the environment, whoever the registry says that
    /// the name belongs to was not said by anyone.
    fn is_named(&self, authority: &Authority) -> bool {
        match authority.identity() {
            None | Some(Identity::Named { .. } | Identity::Github(_) | Identity::Narrowed(..)) => {
                true
            }
            Some(Identity::Any) => false,
            Some(Identity::Owner { .. } | Identity::RegistryOwner | Identity::Unnamed) => {
                self.asked == RequestedBy::ByFile
            }
        }
    }

    fn not_accepted(
        &self,
        effective: &Effective,
        named: &[&Authority],
        prospect: &Prospect<'_>,
    ) -> Failure {
        let listed = named.iter().map(|authority| {
            let signer = &authority.signer;
            format!("accepted: `{}`, {signer}", authority.name)
        });
        let message = format!(
            "`{}` would be signed by {prospect}, which {} does not accept",
            self.reference,
            effective.title()
        );
        let hint = if self.asked == RequestedBy::ByFile {
            "sign with an identity or key that the rule trusts, or add this signer to the policy"
        } else {
            "sign with the identity or key that the verification variables name, or change them"
        };
        listed.fold(Failure::new(Class::Policy, message), Failure::detail).hint(hint)
    }
}
