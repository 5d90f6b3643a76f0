//! What the tests of the policy share: keys, a fixed time, policies and evidence in one line.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use jiff::Timestamp;
use luet_cosign::name::{Digest, Reference};
use luet_cosign::policy::{
    Decision, Diagnostic, Document, Evidence, Matched, Origin, PlaceAnswer, PlaceKind, PlaceReport, Policy, Severity, SignatureReport,
};
use luet_cosign::trust::{Authority, Held, PublicKey, Requirements, VerifiedSignature};
use luet_cosign::wire::{Payload, Signatures};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The image of every decision.
pub const IMAGE: &str = "quay.io/acme/packages:yip-1.0";

/// A key that signs. Not `trust::PrivateKey`, which only opens with scrypt: without optimisation that takes ten seconds.
pub struct Key {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

pub static ACME: LazyLock<Key> = LazyLock::new(Key::new);
pub static OTHER: LazyLock<Key> = LazyLock::new(Key::new);

impl Key {
    fn new() -> Self {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref()).unwrap();
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

pub fn file() -> Origin {
    Origin::File { path: "policy.yaml".to_owned() }
}

/// The head of a policy with the signers `acme` and `other`.
pub fn with_rules(rules: &str) -> String {
    format!(
        "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\nsigners:\n  acme: {{key: acme.pub}}\n  other: {{key: other.pub}}\nrepositories:\n{rules}"
    )
}

pub fn key_of(signer: &str) -> PublicKey {
    if signer == "other" { OTHER.public().clone() } else { ACME.public().clone() }
}

/// Loads a policy at a given time; every signer but `other` has the key of `acme`.
pub fn load_at(text: &str, origin: Origin, now: Timestamp) -> Result<(Policy, Vec<Diagnostic>), Vec<Diagnostic>> {
    let document = Document::parse(text)?;
    let keys: BTreeMap<_, _> = document.key_sources().iter().map(|signer| (signer.name.clone(), Ok(key_of(&signer.name)))).collect();
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
    problems(text).into_iter().filter(|(severity, ..)| *severity == Severity::Error).map(|(_, code, line)| (code, line)).collect()
}

pub fn warnings(text: &str) -> Vec<(&'static str, usize)> {
    problems(text).into_iter().filter(|(severity, ..)| *severity == Severity::Warning).map(|(_, code, line)| (code, line)).collect()
}

/// A real signature of `image` by `key`, under the name `signer`.
pub fn signature(signer: &str, key: &Key, image: &Digest) -> VerifiedSignature {
    let payload = Payload { docker_reference: "x".to_owned(), manifest_digest: *image, annotations: BTreeMap::new() }.to_bytes();
    let mut signatures = Signatures::default();
    signatures.push(&payload, &key.sign(&payload));
    let candidate = signatures.candidates().next().unwrap().unwrap();
    let authorities = [Authority { name: signer.to_owned(), key: key.public().clone() }];
    Held::check(&candidate, &authorities).unwrap().check_claims(&payload, image, &Requirements::default()).unwrap()
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
                evidence.places.push(PlaceReport { kind, repository: repository.clone(), subject, answer });
            }
        }
    }
    evidence
}

/// Adds signatures under the `.sig` tag.
pub fn with_signatures(mut evidence: Evidence, outcomes: Vec<Result<VerifiedSignature, luet_cosign::class::Failure>>) -> Evidence {
    let subject = evidence.image.digest;
    let repository = evidence.places[0].repository.clone();
    evidence.places[0].answer = PlaceAnswer::There { count: outcomes.len() };
    for outcome in outcomes {
        let report =
            SignatureReport { place: PlaceKind::SigTag, repository: repository.clone(), subject, format: "legacy".to_owned(), outcome };
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
