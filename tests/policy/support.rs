//! What the tests of the policy share: keys, a fixed time, policies and evidence in one line.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use jiff::Timestamp;
use luet_cosign::name::{Digest, Reference};
use luet_cosign::policy::{
    Decision, Diagnostic, Document, Evidence, Matched, PlaceAnswer, PlaceKind, PlaceReport, Policy,
    PolicyOrigin, Severity, SignatureReport,
};
use luet_cosign::trust::{Authority, Checker, Held, PublicKey, Requirements, VerifiedSignature};
use luet_cosign::wire::{Payload, Signatures, Signed, SignerClaims};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The image of every decision.
pub const IMAGE: &str = "quay.io/acme/packages:yip-1.0";

/// A key that signs. Not `trust::PrivateKey`, which only opens with scrypt: without optimisation
/// that takes ten seconds.
pub struct Key {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

pub static ACME: LazyLock<Key> = LazyLock::new(Key::new);
pub static OTHER: LazyLock<Key> = LazyLock::new(Key::new);
pub static SITE: LazyLock<Key> = LazyLock::new(Key::new);

impl Key {
    fn new() -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref()).unwrap();
        let public = PublicKey::from_spki(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        Self { pair, public }
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }
}

pub fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

pub fn file() -> PolicyOrigin {
    PolicyOrigin::File { path: "policy.yaml".to_owned() }
}

/// What `policy lint` prints, without the lines of the policy.
pub fn lint_text(problems: &[Diagnostic], origin: &PolicyOrigin) -> String {
    let lines = luet_cosign::policy::lint_lines(problems, origin, "");
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The head of a policy with the signers `acme` and `other`.
pub fn with_rules(rules: &str) -> String {
    format!(
        "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\nsigners:\n  acme: {{key: acme.pub}}\n  other: {{key: other.pub}}\nrepositories:\n{rules}"
    )
}

pub fn key_of(signer: &str) -> PublicKey {
    match signer {
        "other" => OTHER.public().clone(),
        "site" => SITE.public().clone(),
        _ => ACME.public().clone(),
    }
}

/// Loads a policy at a given time; every signer but `other` and `site` has the key of `acme`.
pub fn load_at(
    text: &str,
    origin: PolicyOrigin,
    now: Timestamp,
) -> Result<(Policy, Vec<Diagnostic>), Vec<Diagnostic>> {
    let document = Document::parse(text)?;
    let keys: BTreeMap<_, _> = document
        .signers()
        .iter()
        .map(|signer| (signer.name.clone(), Ok(key_of(&signer.name))))
        .collect();
    Policy::new(document, origin, keys, now)
}

pub fn load(text: &str) -> Policy {
    load_at(text, file(), now()).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}")).0
}

/// Returns all codes of a policy with their lines, errors first.
pub fn problems(text: &str) -> Vec<(Severity, &'static str, usize)> {
    let found = match load_at(text, file(), now()) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    };
    found.iter().map(|problem| (problem.severity, problem.code, problem.line)).collect()
}

pub fn errors(text: &str) -> Vec<(&'static str, usize)> {
    problems(text)
        .into_iter()
        .filter(|(severity, ..)| *severity == Severity::Error)
        .map(|(_, code, line)| (code, line))
        .collect()
}

pub fn warnings(text: &str) -> Vec<(&'static str, usize)> {
    problems(text)
        .into_iter()
        .filter(|(severity, ..)| *severity == Severity::Warning)
        .map(|(_, code, line)| (code, line))
        .collect()
}

/// A real signature of `image` by `key`, under the name `signer`. It names no repository and tag,
/// as cosign's.
pub fn signature(signer: &str, key: &Key, image: &Digest) -> VerifiedSignature {
    signature_for(signer, key, image, &SignerClaims::default())
}

/// A signature that names something.
pub fn signature_for(
    signer: &str,
    key: &Key,
    image: &Digest,
    claims: &SignerClaims,
) -> VerifiedSignature {
    let payload = payload(image, claims);
    checked(signer, key, image, &payload, &key.sign(&payload))
}

/// The same signature as bytes go that differ: s and n - s hold alike (docs/threats.md R18).
pub fn malleated(signer: &str, key: &Key, image: &Digest) -> [VerifiedSignature; 2] {
    let payload = payload(image, &SignerClaims::default());
    let signed = key.sign(&payload);
    let other = with_the_other_s(&signed);
    assert_ne!(signed, other);
    [signed, other].map(|bytes| checked(signer, key, image, &payload, &bytes))
}

fn payload(image: &Digest, claims: &SignerClaims) -> Vec<u8> {
    Payload {
        docker_reference: "x".to_owned(),
        manifest_digest: *image,
        annotations: claims.annotations(),
    }
    .to_bytes()
}

fn checked(
    signer: &str,
    key: &Key,
    image: &Digest,
    payload: &[u8],
    signature: &[u8],
) -> VerifiedSignature {
    let mut signatures = Signatures::default();
    signatures.push(payload, &Signed::by_key(signature.to_vec(), &[0; 32])).unwrap();
    let candidate = signatures.candidates().next().unwrap().unwrap();
    let (authorities, requirements) =
        ([Authority::of_key(signer, key.public().clone())], Requirements::default());
    let checker = Checker::new(&authorities, &requirements);
    Held::check(&candidate, &checker).unwrap().check_claims(payload, image, &checker).unwrap()
}

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Replaces s by n - s in a signature in DER: two integers in a sequence.
fn with_the_other_s(der: &[u8]) -> Vec<u8> {
    let (r, rest) = der[2..].split_at(2 + usize::from(der[3]));
    let s = &rest[2..];
    let mut wide = [0; 32];
    let digits = &s[s.len().saturating_sub(32)..];
    wide[32 - digits.len()..].copy_from_slice(digits);
    let mut borrow = 0;
    let mut other = vec![0; 32];
    for at in (0..32).rev() {
        let difference = i32::from(ORDER[at]) - i32::from(wide[at]) - borrow;
        borrow = i32::from(difference < 0);
        other[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let start = other.iter().position(|byte| *byte != 0).unwrap();
    other.drain(..start);
    if other[0] >= 0x80 {
        other.insert(0, 0);
    }
    let mut signature = r.to_vec();
    signature.extend([2, u8::try_from(other.len()).unwrap()]);
    signature.extend(other);
    signature.splice(0..0, [0x30, u8::try_from(signature.len()).unwrap()]);
    signature
}

pub fn image_digest() -> Digest {
    Digest::of(b"image")
}

/// Evidence in which every place that `matched` asks for is authoritatively absent.
pub fn absent(matched: &Matched, child: Option<Digest>) -> Evidence {
    let mut evidence = Evidence::new(matched.reference().clone(), image_digest(), child);
    for repository in matched.repositories() {
        for subject in evidence.subjects() {
            for kind in PlaceKind::ALL {
                let answer = PlaceAnswer::Absent { detail: "404 MANIFEST_UNKNOWN".to_owned() };
                evidence.places.push(PlaceReport {
                    kind,
                    repository: repository.clone(),
                    subject,
                    answer,
                });
            }
        }
    }
    evidence
}

/// Adds signatures under the `.sig` tag.
pub fn with_signatures(
    mut evidence: Evidence,
    outcomes: Vec<Result<VerifiedSignature, luet_cosign::class::Failure>>,
) -> Evidence {
    let subject = evidence.image.digest;
    let repository = evidence.places[0].repository.clone();
    evidence.places[0].answer = PlaceAnswer::There { count: outcomes.len() };
    for outcome in outcomes {
        let report = SignatureReport {
            place: PlaceKind::SigTag,
            repository: repository.clone(),
            subject,
            format: "legacy".to_owned(),
            outcome,
        };
        evidence.signatures.push(report);
    }
    evidence
}

/// Returns a decision in one word: `verified`, `allowed`, or the class of the refusal.
pub fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Verified(_) => "verified",
        Decision::Allowed(_) => "allowed",
        Decision::Refused(failure) => failure.class().word(),
    }
}
