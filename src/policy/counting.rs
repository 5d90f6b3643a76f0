//! Counting: one matching for everything that counts - whether an image is verified, which tree was
//! claimed by enough parties, whether it takes the first signer to have enough.
//!
//! Each authority takes at most one signer, and each signer stands for at most one authority. Were
//! signers counted, two workflows of one authority would make up for another authority; were
//! authorities counted, one key under two names would be two.

use crate::name::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// One signature that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vote<'a> {
    /// Who made it: two with one fingerprint are one signer.
    pub(super) signer: Digest,
    /// The authorities that this signer can stand for, by their place.
    pub(super) fits: &'a [usize],
}

/// Returns the authorities that are satisfied, as many as possible: a maximum matching of signers
/// and authorities, by augmenting paths.
pub(super) fn satisfied<'a>(votes: impl IntoIterator<Item = Vote<'a>>) -> BTreeSet<usize> {
    let mut fits: BTreeMap<Digest, BTreeSet<usize>> = BTreeMap::new();
    for vote in votes {
        fits.entry(vote.signer).or_default().extend(vote.fits);
    }
    let signers: Vec<BTreeSet<usize>> = fits.into_values().collect();
    let mut taken = BTreeMap::new();
    for signer in 0..signers.len() {
        place(signer, &signers, &mut taken, &mut BTreeSet::new());
    }
    taken.into_keys().collect()
}

/// Finds an authority for a signer. One that is taken is taken over where its holder finds another.
fn place(
    signer: usize,
    signers: &[BTreeSet<usize>],
    taken: &mut BTreeMap<usize, usize>,
    tried: &mut BTreeSet<usize>,
) -> bool {
    for authority in signers.get(signer).into_iter().flatten() {
        if !tried.insert(*authority) {
            continue;
        }
        let holder = taken.get(authority).copied();
        if holder.is_none_or(|holder| place(holder, signers, taken, tried)) {
            taken.insert(*authority, signer);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator of numbers, so that a failure can be repeated.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    /// Every set of authorities that these signers can satisfy, by trying everything.
    fn possible(signers: &[BTreeSet<usize>]) -> BTreeSet<BTreeSet<usize>> {
        let Some((first, rest)) = signers.split_first() else {
            return BTreeSet::from([BTreeSet::new()]);
        };
        let mut all = possible(rest);
        for set in all.clone() {
            for authority in first {
                let mut more = set.clone();
                if more.insert(*authority) {
                    all.insert(more);
                }
            }
        }
        all
    }

    #[test]
    fn it_is_what_trying_everything_finds() {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let keys: Vec<Digest> = (0_u8..5).map(|key| Digest::of(&[key])).collect();
        for round in 0..5_000 {
            let authorities = numbers.below(6);
            let mut made: Vec<(usize, Vec<usize>)> = Vec::new();
            for _ in 0..numbers.below(8) {
                let signer = usize::try_from(numbers.below(5)).unwrap();
                let bits = numbers.below(1 << authorities);
                let fits = (0..6).filter(|authority| bits >> authority & 1 == 1).collect();
                made.push((signer, fits));
            }
            let votes = made.iter().map(|(signer, fits)| Vote { signer: keys[*signer], fits });
            let found = satisfied(votes);
            // A signer fits whatever one of its signatures fits.
            let mut signers = vec![BTreeSet::new(); 5];
            for (signer, fits) in &made {
                signers[*signer].extend(fits.iter().copied());
            }
            let possible = possible(&signers);
            assert!(possible.contains(&found), "{round}: {made:?} {found:?}");
            let most = possible.iter().map(BTreeSet::len).max();
            assert_eq!(Some(found.len()), most, "{round}: {made:?} {found:?}");
        }
    }

    #[test]
    fn the_order_of_the_signatures_changes_nothing() {
        let keys = [Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c")];
        let fits: [&[usize]; 3] = [&[0, 1], &[0], &[1, 2]];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let votes = order.map(|at: usize| Vote { signer: keys[at], fits: fits[at] });
            assert_eq!(satisfied(votes), BTreeSet::from([0, 1, 2]), "{order:?}");
        }
    }
}
