//! Row S28 of docs/threats.md: parts of three good signatures of the same thing, put
//! together in every way. A verifier that accepts one of the mixtures lets someone put their name,
//! or an old time, on another's signature.

use super::sign::Signature;

/// All 81 ways to take certificate, signature, entry and time stamp from three signatures, and from
/// which each was taken.
pub fn mixtures(three: &[Signature; 3]) -> impl Iterator<Item = ([usize; 4], Signature)> {
    (0..81).map(|number| {
        let from = [number / 27, number / 9 % 3, number / 3 % 3, number % 3];
        let [signer, signature, entry, timestamp] = from.map(|source| &three[source]);
        let mixed = Signature {
            content: three[0].content.clone(),
            algorithm: three[0].algorithm,
            digest: three[0].digest.clone(),
            signature: signature.signature.clone(),
            signer: signer.signer.clone(),
            entry: entry.entry.clone(),
            timestamp: timestamp.timestamp.clone(),
        };
        (from, mixed)
    })
}

/// The mixtures on which a judge is wrong, where those are bad that differ from all three. A part
/// that the three share makes some mixtures the same as an original: without time stamps 27 are
/// good, not 3.
pub fn misjudged(
    three: &[Signature; 3],
    judge: impl Fn(&Signature) -> Result<(), String>,
) -> Vec<([usize; 4], Result<(), String>)> {
    mixtures(three)
        .map(|(from, mixed)| (from, three.contains(&mixed), judge(&mixed)))
        .filter(|(_, good, verdict)| verdict.is_ok() != *good)
        .map(|(from, _, verdict)| (from, verdict))
        .collect()
}
