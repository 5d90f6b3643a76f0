//! Types of keys, and for each the fixed list of signature schemes that a real signer uses with it.
//!
//! The list is the table of `docs/keys.md`. A scheme over SHA-256 can be checked where only the
//! payload's digest is known; the others need the payload itself. Nothing in a signature chooses a
//! scheme: the key does.

use super::entry::MessageDigests;
use super::message::{Ed25519, Message, Needs};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sha2::digest::consts::U64;
use sha2::digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update};
use std::fmt;
use std::ops::RangeInclusive;

/// The type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA with the curve P-256, cosign's default.
    EcdsaP256,
    /// ECDSA with the curve P-384.
    EcdsaP384,
    /// ECDSA with the curve P-521.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa {
        /// The length of the modulus, in bits: 2,048 to 4,096.
        bits: usize,
    },
}

/// One way in which a signer turns a message into a signature.
#[derive(Clone, Copy)]
enum Scheme {
    /// Over the SHA-256 of the message.
    Sha256(&'static dyn VerificationAlgorithm),
    /// Over its SHA-384.
    Sha384(&'static dyn VerificationAlgorithm),
    /// Over its SHA-512.
    Sha512(&'static dyn VerificationAlgorithm),
    /// Over the message itself.
    Whole(&'static dyn VerificationAlgorithm),
    /// Ed25519ph of RFC 8032 section 5.1, without a context: over the SHA-512 of the message.
    Ed25519ph,
}

// cosign 1.0 to 2.5 and skopeo sign with SHA-256 whatever the curve is; cosign 2.6 and 3 with the
// hash of the curve.
static P256: &[Scheme] = &[Scheme::Sha256(&signature::ECDSA_P256_SHA256_ASN1)];
static P384: &[Scheme] = &[
    Scheme::Sha256(&signature::ECDSA_P384_SHA256_ASN1),
    Scheme::Sha384(&signature::ECDSA_P384_SHA384_ASN1),
];
static P521: &[Scheme] = &[
    Scheme::Sha256(&signature::ECDSA_P521_SHA256_ASN1),
    Scheme::Sha512(&signature::ECDSA_P521_SHA512_ASN1),
];
// cosign before 2.6, and skopeo, sign plainly; cosign 2.6 and 3 with Ed25519ph.
static ED25519: &[Scheme] = &[Scheme::Whole(&signature::ED25519), Scheme::Ed25519ph];
// cosign with a key file uses PKCS#1 v1.5, with a key service of AWS or Google PSS as well.
static RSA: &[Scheme] = &[
    Scheme::Sha256(&signature::RSA_PKCS1_2048_8192_SHA256),
    Scheme::Sha256(&signature::RSA_PSS_2048_8192_SHA256),
];

impl KeyAlgorithm {
    fn schemes(self) -> &'static [Scheme] {
        match self {
            Self::EcdsaP256 => P256,
            Self::EcdsaP384 => P384,
            Self::EcdsaP521 => P521,
            Self::Ed25519 => ED25519,
            Self::Rsa { .. } => RSA,
        }
    }

    /// Returns the lengths that a signature of such a key has, in bytes. Two integers in DER are
    /// shorter than the least given here once in 2^100 signatures.
    fn signature_bytes(self) -> RangeInclusive<usize> {
        match self {
            Self::EcdsaP256 => 8..=72,
            Self::EcdsaP384 => 78..=104,
            Self::EcdsaP521 => 110..=139,
            Self::Ed25519 => 64..=64,
            Self::Rsa { bits } => bits.div_ceil(8)..=bits.div_ceil(8),
        }
    }

    /// Whether such a key could have made the signature by a scheme that needs the message. Says
    /// nothing about trust: it keeps the payloads of strangers from being fetched.
    pub(super) fn may_need_message(self, signature: &[u8]) -> bool {
        self.signature_bytes().contains(&signature.len())
            && self.schemes().iter().any(|scheme| !matches!(scheme, Scheme::Sha256(_)))
    }

    /// Whether `key` made `signature` over a message with this SHA-256, by a scheme that sees no
    /// more of it.
    pub(super) fn verifies_digest(
        self,
        key: &[u8],
        message: &digest::Digest,
        signature: &[u8],
    ) -> bool {
        self.schemes().iter().any(|scheme| match scheme {
            Scheme::Sha256(algorithm) => {
                UnparsedPublicKey::new(*algorithm, key).verify_digest(message, signature).is_ok()
            }
            Scheme::Sha384(_) | Scheme::Sha512(_) | Scheme::Whole(_) | Scheme::Ed25519ph => false,
        })
    }

    /// Returns what of a message shows whether `key` made `signature`.
    pub(super) fn needs(self, key: &[u8], signature: &[u8]) -> Needs {
        let any = |wanted: fn(&Scheme) -> bool| self.schemes().iter().any(wanted);
        Needs {
            sha256: any(|scheme| matches!(scheme, Scheme::Sha256(_))),
            sha384: any(|scheme| matches!(scheme, Scheme::Sha384(_))),
            sha512: any(|scheme| matches!(scheme, Scheme::Sha512(_) | Scheme::Ed25519ph)),
            ed25519: Ed25519::new(key, signature)
                .filter(|_| any(|scheme| matches!(scheme, Scheme::Whole(_)))),
        }
    }

    /// Whether `key` made `signature` over a message that was hashed, by any scheme of the list for
    /// which enough of it is known.
    pub(super) fn verifies_hashed(self, key: &[u8], message: &Message, signature: &[u8]) -> bool {
        let over = |scheme: &'static dyn VerificationAlgorithm,
                    bytes: Option<&[u8]>,
                    algorithm: &'static digest::Algorithm| {
            let digest =
                bytes.and_then(|bytes| digest::Digest::import_less_safe(bytes, algorithm).ok());
            digest.is_some_and(|digest| {
                UnparsedPublicKey::new(scheme, key).verify_digest(&digest, signature).is_ok()
            })
        };
        let digests = message.digests();
        self.schemes().iter().any(|scheme| match *scheme {
            Scheme::Sha256(scheme) => over(
                scheme,
                digests.sha256.as_ref().map(|digest| digest.bytes().as_slice()),
                &digest::SHA256,
            ),
            Scheme::Sha384(scheme) => {
                over(scheme, digests.sha384.as_ref().map(<[u8; 48]>::as_slice), &digest::SHA384)
            }
            Scheme::Sha512(scheme) => {
                over(scheme, digests.sha512.as_ref().map(<[u8; 64]>::as_slice), &digest::SHA512)
            }
            Scheme::Whole(_) => Ed25519::new(key, signature)
                .is_some_and(|asked| message.is_signed_as_it_is(&asked) == Some(true)),
            Scheme::Ed25519ph => digests
                .sha512
                .is_some_and(|sha512| verifies_prehashed(key, Prehashed(sha512), signature)),
        })
    }

    /// Returns what of a message would have to be known to try the schemes that could not be tried.
    pub(super) fn lacks(self, key: &[u8], message: &Message, signature: &[u8]) -> Needs {
        let (needs, known) = (self.needs(key, signature), message.digests());
        let unasked = |asked: &Ed25519| message.is_signed_as_it_is(asked).is_none();
        Needs {
            sha256: needs.sha256 && known.sha256.is_none(),
            sha384: needs.sha384 && known.sha384.is_none(),
            sha512: needs.sha512 && known.sha512.is_none(),
            ed25519: needs.ed25519.filter(unasked),
        }
    }

    /// Returns the hash by which `key` made `signature` over a message with these digests.
    pub(super) fn hash_of(
        self,
        key: &[u8],
        message: &MessageDigests,
        signature: &[u8],
    ) -> Option<&'static str> {
        let over = |scheme: &'static dyn VerificationAlgorithm,
                    bytes: Option<&[u8]>,
                    algorithm: &'static digest::Algorithm| {
            let digest = digest::Digest::import_less_safe(bytes?, algorithm).ok()?;
            UnparsedPublicKey::new(scheme, key).verify_digest(&digest, signature).ok()
        };
        self.schemes().iter().find_map(|scheme| match *scheme {
            Scheme::Sha256(scheme) => {
                let sha256 = message.sha256.as_ref().map(|digest| digest.bytes().as_slice());
                over(scheme, sha256, &digest::SHA256).map(|()| "sha256")
            }
            Scheme::Sha384(scheme) => {
                over(scheme, message.sha384.as_ref().map(<[u8; 48]>::as_slice), &digest::SHA384)
                    .map(|()| "sha384")
            }
            Scheme::Sha512(scheme) => {
                over(scheme, message.sha512.as_ref().map(<[u8; 64]>::as_slice), &digest::SHA512)
                    .map(|()| "sha512")
            }
            Scheme::Ed25519ph => message
                .sha512
                .is_some_and(|sha512| verifies_prehashed(key, Prehashed(sha512), signature))
                .then_some("sha512"),
            Scheme::Whole(_) => None,
        })
    }

    /// Whether `key` made `signature` over `message`, by any scheme of the list.
    pub(super) fn verifies(self, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self.schemes().iter().any(|scheme| match scheme {
            Scheme::Sha256(algorithm)
            | Scheme::Sha384(algorithm)
            | Scheme::Sha512(algorithm)
            | Scheme::Whole(algorithm) => {
                UnparsedPublicKey::new(*algorithm, key).verify(message, signature).is_ok()
            }
            Scheme::Ed25519ph => {
                let sha512 = digest::digest(&digest::SHA512, message);
                <[u8; 64]>::try_from(sha512.as_ref())
                    .is_ok_and(|sha512| verifies_prehashed(key, Prehashed(sha512), signature))
            }
        })
    }
}

/// The SHA-512 of a message, in the place of the hasher that computed it, which is what the library
/// asks for.
pub(super) struct Prehashed(pub(super) [u8; 64]);

impl Default for Prehashed {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl HashMarker for Prehashed {}

impl OutputSizeUser for Prehashed {
    type OutputSize = U64;
}

impl Update for Prehashed {
    /// Nothing is added to a message that is hashed.
    fn update(&mut self, _: &[u8]) {}
}

impl FixedOutput for Prehashed {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}

fn verifies_prehashed(key: &[u8], message: Prehashed, signature: &[u8]) -> bool {
    let key = <[u8; 32]>::try_from(key)
        .ok()
        .and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(&key).ok());
    let signature = ed25519_dalek::Signature::from_slice(signature).ok();
    // Strict: no points of small order (docs/threats.md S22).
    matches!((key, signature), (Some(key), Some(signature)) if key.verify_prehashed_strict(message, None, &signature).is_ok())
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
        }
    }
}
