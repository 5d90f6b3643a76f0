//! Project Wycheproof, every vector of the kinds of signature there are, at the public keys of
//! `trust`.
//!
//! A key verifies by the fixed schemes of docs/keys.md. So for each set of vectors one of three
//! things is expected: the scheme is on the list, and every vector has exactly the answer that it
//! names; the key is read but the scheme is not on its list, and every vector is refused; or the
//! key is not read at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use luet_cosign::class::Class;
use luet_cosign::trust::PublicKey;
use wycheproof::{EllipticCurve, HashFunction, Mgf, TestResult};

/// What was seen of a number of sets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    accepted: usize,
    refused: usize,
    /// Vectors whose key is not read.
    unread: usize,
    /// Vectors that are wrong in their set because they are right by another scheme of the list:
    /// accepted.
    other: usize,
    /// Vectors that may go either way, and what happened to them: accepted, refused.
    either: (usize, usize),
}

impl Seen {
    /// Judges one vector.
    #[track_caller]
    fn judge(&mut self, vector: &Vector<'_>, key: &Result<PublicKey, Class>) {
        let name = &vector.name;
        let key = match key {
            Ok(key) => key,
            Err(class) => {
                assert!(matches!(class, Class::Unsupported | Class::Secret), "{name}: {class}");
                assert!(!vector.ours, "{name}: the key should be read");
                self.unread += 1;
                return;
            }
        };
        let accepted = key.verify(vector.message, vector.signature).is_ok();
        match (vector.expected, vector.ours) {
            (TestResult::Acceptable, true) if accepted => self.either.0 += 1,
            (TestResult::Acceptable, true) => self.either.1 += 1,
            (TestResult::Valid, true) => {
                assert!(accepted, "{name}: a valid signature was refused");
                self.accepted += 1;
            }
            _ if OTHERS.iter().any(|other| name.contains(other)) => {
                assert!(accepted, "{name}: refused, though another scheme of the list made it");
                self.other += 1;
            }
            _ => {
                assert!(!accepted, "{name}: accepted");
                self.refused += 1;
            }
        }
    }
}

/// A vector, where `ours` says that the scheme of its set is one that this type of key signs with.
struct Vector<'a> {
    name: String,
    ours: bool,
    message: &'a [u8],
    signature: &'a [u8],
    expected: TestResult,
}

/// What Wycheproof says of RSA signatures that are wrong for one scheme and right for another that
/// this key signs with.
const OTHERS: [&str; 6] = [
    "PKCS #1 v1.5 signature with SHA-256",
    "Rsa2048Sha256 257: RSASSA-PSS signature",
    "Rsa3072Sha256 258: RSASSA-PSS signature",
    "Rsa4096Sha256 258: RSASSA-PSS signature",
    "The message is hashed with SHA-256 instead of",
    "RsaPss2048Sha256Mgf1SaltLen0 69: s_len changed to 32",
];

fn key(der: &[u8]) -> Result<PublicKey, Class> {
    PublicKey::from_spki(der).map_err(|failure| failure.class())
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestGroupTypeId, TestName, TestSet};
    let mut seen = Seen::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = key(&group.der);
            let on_the_list = matches!(
                (group.key.curve, group.hash),
                (EllipticCurve::Secp256r1, HashFunction::Sha2_256)
                    | (EllipticCurve::Secp384r1, HashFunction::Sha2_256 | HashFunction::Sha2_384)
                    | (EllipticCurve::Secp521r1, HashFunction::Sha2_256 | HashFunction::Sha2_512)
            );
            let ours = on_the_list && group.test_type == TestGroupTypeId::Ecdsa;
            for test in group.tests {
                let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
                seen.judge(
                    &Vector {
                        name,
                        ours,
                        message: &test.msg,
                        signature: &test.sig,
                        expected: test.result,
                    },
                    &key,
                );
            }
        }
    }
    assert_eq!(
        seen,
        Seen { accepted: 762, refused: 8_890, unread: 20_251, other: 0, either: (0, 0) }
    );
}

#[test]
fn eddsa() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut seen = Seen::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = key(&group.der);
            for test in group.tests {
                let ours = matches!(name, TestName::Ed25519);
                let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
                seen.judge(
                    &Vector {
                        name,
                        ours,
                        message: &test.msg,
                        signature: &test.sig,
                        expected: test.result,
                    },
                    &key,
                );
            }
        }
    }
    assert_eq!(seen, Seen { accepted: 88, refused: 63, unread: 87, other: 0, either: (0, 0) });
}

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let mut seen = Seen::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = key(&group.der);
            let ours = group.hash == HashFunction::Sha2_256 && group.key_size <= 4096;
            for test in group.tests {
                let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
                seen.judge(
                    &Vector {
                        name,
                        ours,
                        message: &test.msg,
                        signature: &test.sig,
                        expected: test.result,
                    },
                    &key,
                );
            }
        }
    }
    // The three are signatures without the NULL after the hash's name, which old signers left out:
    // refused.
    assert_eq!(seen, Seen { accepted: 24, refused: 5_378, unread: 776, other: 21, either: (0, 3) });
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let mut seen = Seen::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = key(&group.der);
            // As Go makes them by default and key services always: the hash everywhere, and salt as
            // long as the hash.
            let scheme = group.hash == HashFunction::Sha2_256
                && group.mgf == Mgf::Mgf1
                && group.mgf_hash == Some(HashFunction::Sha2_256)
                && group.salt_size == 32;
            // Keys that fix the parameters of PSS in themselves have a type of their own, which no
            // signer here uses.
            let ours = scheme && group.key_size <= 4096 && !format!("{name:?}").contains("Params");
            for test in group.tests {
                let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
                seen.judge(
                    &Vector {
                        name,
                        ours,
                        message: &test.msg,
                        signature: &test.sig,
                        expected: test.result,
                    },
                    &key,
                );
            }
        }
    }
    assert_eq!(
        seen,
        Seen { accepted: 190, refused: 2_198, unread: 1_091, other: 18, either: (0, 0) }
    );
}

#[test]
fn dsa() {
    use wycheproof::dsa::{TestName, TestSet};
    let mut seen = Seen::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = key(&group.der);
            for test in group.tests {
                let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
                seen.judge(
                    &Vector {
                        name,
                        ours: false,
                        message: &test.msg,
                        signature: &test.sig,
                        expected: test.result,
                    },
                    &key,
                );
            }
        }
    }
    assert_eq!(seen, Seen { accepted: 0, refused: 0, unread: 1_956, other: 0, either: (0, 0) });
}
