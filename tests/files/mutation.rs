//! One bit at a time: no change of what comes with a file is accepted, but in bytes that nobody
//! signed, and these are listed here.
//!
//! `LUET_COSIGN_MUTANTS=all` changes two bits of every byte, as `.ci/run` does; without it, one bit
//! of every fifth byte: unoptimised, each takes milliseconds.

use super::*;
use luet_cosign::trust::{
    Attestation, CertificateLog, Hasher, Identity, Message, PredicateType, PublicKey, TextMatcher,
    TrustedRoot, needs,
};
use luet_cosign::wire::{
    Detached, FileSignature, read_attestations, read_bundle, read_certificate_file, read_signature,
};
use std::ops::Range;
use testkit::sigstore::{Key, LogKind};

fn dev(issuer: &str) -> Identity {
    Identity::Named {
        issuer: TextMatcher::Exact(issuer.to_owned()),
        subject: TextMatcher::Exact("dev@example.com".to_owned()),
    }
}

fn hashed(signature: &FileSignature, file: &[u8]) -> Message {
    let mut hasher = Hasher::new(needs(signature, None));
    hasher.update(file);
    hasher.finish()
}

/// Who checks: by a root and an identity.
struct Judge {
    root: TrustedRoot,
    identity: Identity,
    file: Vec<u8>,
}

impl Judge {
    fn accepts(&self, signature: &FileSignature) -> bool {
        let message = hashed(signature, &self.file);
        let signed = self.root.certify_file(signature, &message, CertificateLog::Required);
        signed.is_ok_and(|signed| signed.by(&self.identity).is_ok())
    }

    /// Whether it accepts what was changed in a bundle. Where other bytes are the same signature,
    /// such as another end of a line in PEM, nothing was.
    fn accepts_bundle(&self, original: &[u8], bytes: &[u8]) -> bool {
        let known = read_bundle(original).unwrap();
        read_bundle(bytes).is_ok_and(|signature| {
            (bytes == original || signature != known) && self.accepts(&signature)
        })
    }
}

/// Whether every mutant is wanted.
fn all() -> bool {
    std::env::var_os("LUET_COSIGN_MUTANTS").is_some()
}

/// Changes bytes, and returns those in which a change was accepted.
fn accepted(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) -> Vec<usize> {
    assert!(accepts(bytes), "unchanged it is good");
    let mut changed = bytes.to_vec();
    let mut found = Vec::new();
    for at in (0..bytes.len()).step_by(if all() { 1 } else { 5 }) {
        let bits = if all() { vec![at % 8, (at + 3) % 8] } else { vec![at % 7] };
        for bit in bits {
            changed[at] ^= 1 << bit;
            if accepts(&changed) && found.last() != Some(&at) {
                found.push(at);
            }
            changed[at] = bytes[at];
        }
    }
    found
}

/// Where the values of these keys are in a text of JSON, each time that they do.
fn values(text: &str, keys: &[&str]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for key in keys {
        let key = format!("\"{key}\":");
        for (at, _) in text.match_indices(&key) {
            let start = at + key.len();
            let rest = &text[start..];
            let length = match rest.strip_prefix('"') {
                Some(inner) => inner.find('"').unwrap() + 2,
                None => rest.find([',', '}']).unwrap(),
            };
            found.push(start..start + length);
        }
    }
    found
}

#[track_caller]
fn only_in(what: &str, found: &[usize], text: &str, free: &[Range<usize>]) {
    for at in found {
        let near = &text[at.saturating_sub(30)..(at + 30).min(text.len())];
        assert!(
            free.iter().any(|span| span.contains(at)),
            "{what}: byte {at} is not authenticated: {near}"
        );
    }
}

/// What nobody signed in a bundle of Rekor v2: never printed,
/// never compared. Of a time stamp only the token is signed, and of a checkpoint's last line only
/// the signature.
fn free(text: &str, v2: bool) -> Vec<Range<usize>> {
    let mut free = values(text, &["signedTimestamp", "envelope"]);
    // A hint, in the spelling of another case: the digest is compared with it in any case.
    free.extend(values(text, &["algorithm"]));
    // Authorities above the signer's certificate: the trusted root has them, so these are not
    // needed.
    free.extend(values(text, &["rawBytes"]).into_iter().skip(1));
    if v2 {
        free.extend(values(text, &["keyId", "rootHash", "treeSize"]));
        let proof = text.find("\"inclusionProof\"").unwrap();
        free.extend(
            values(&text[proof..], &["logIndex"])
                .into_iter()
                .take(1)
                .map(|span| span.start + proof..span.end + proof),
        );
    }
    free
}

#[test]
fn our_own_bundles_have_no_byte_that_is_not_signed() {
    let sigstore = Sigstore::new();
    let root = TrustedRoot::parse(sigstore.trusted_root().to_string().as_bytes(), "test").unwrap();
    let judge = Judge { root, identity: dev("https://issuer.example"), file: FILE.to_vec() };
    let (v1, v2) = (sigstore.sign().blob(FILE), sigstore.sign().log(LogKind::V2).blob(FILE));
    for (what, text, is_v2) in [
        ("bundle, v1", v1.bundle().to_string(), false),
        ("bundle 0.1", v1.bundle_of(testkit::sigstore::Version::V01).to_string(), false),
        ("bundle, v2", v2.bundle().to_string(), true),
        ("bundle of cosign 2", v1.blob_bundle().to_string(), false),
    ] {
        let found = accepted(text.as_bytes(), |bytes| judge.accepts_bundle(text.as_bytes(), bytes));
        only_in(what, &found, &text, &free(&text, is_v2));
    }
}

#[test]
fn detached_files_have_no_byte_that_is_not_signed() {
    let sigstore = Sigstore::new();
    let root = TrustedRoot::parse(sigstore.trusted_root().to_string().as_bytes(), "test").unwrap();
    let judge = Judge { root, identity: dev("https://issuer.example"), file: FILE.to_vec() };
    let made = sigstore.sign().blob(FILE);
    let FileSignature::Detached(whole) =
        read_bundle(made.blob_bundle().to_string().as_bytes()).unwrap()
    else {
        panic!("an old bundle")
    };
    let (sig, pem) = (made.detached().0, made.signer.pem());
    let signature = |bytes: &[u8]| {
        read_signature(bytes).is_ok_and(|signature| {
            judge.accepts(&FileSignature::Detached(Detached { signature, ..whole.clone() }))
        })
    };
    assert_eq!(accepted(sig.as_bytes(), signature), Vec::<usize>::new());
    let certificate = |bytes: &[u8]| {
        // Another end of a line in PEM changes nothing.
        read_certificate_file(bytes).is_ok_and(|certificates| {
            (bytes == pem.as_bytes() || certificates != whole.certificates)
                && judge
                    .accepts(&FileSignature::Detached(Detached { certificates, ..whole.clone() }))
        })
    };
    assert_eq!(accepted(pem.as_bytes(), certificate), Vec::<usize>::new());
    let file = |bytes: &[u8]| {
        let signature = FileSignature::Detached(whole.clone());
        judge
            .root
            .certify_file(&signature, &hashed(&signature, bytes), CertificateLog::Required)
            .is_ok()
    };
    assert_eq!(accepted(FILE, file), Vec::<usize>::new());
}

#[test]
fn signatures_by_keys_have_no_byte_that_is_not_signed() {
    let sigstore = Sigstore::new();
    for key in [Key::p256(), Key::p384(), Key::ed25519()] {
        let public = PublicKey::from_pem(key.pem().as_bytes()).unwrap();
        let text = sigstore.sign().keyed(&key).without_log().blob(FILE).bundle().to_string();
        let accepts = |bytes: &[u8]| {
            read_bundle(bytes).is_ok_and(|signature| {
                let mut hasher = Hasher::new(needs(&signature, Some(&public)));
                hasher.update(FILE);
                public.check_file(&signature, &hasher.finish()).is_ok()
            })
        };
        // A key's bundle names it and the digest as hints.
        only_in(
            "keyed",
            &accepted(text.as_bytes(), accepts),
            &text,
            &values(&text, &["hint", "algorithm", "digest"]),
        );
    }
}

#[test]
fn what_cosign_wrote_has_no_byte_that_is_not_signed() {
    let read = |path: &str| std::fs::read(shared("cosign-images").join(path)).unwrap();
    let root = TrustedRoot::parse(&read("trust/trusted_root.json"), "of the vectors").unwrap();
    let judge = Judge { root, identity: dev("http://127.0.0.1:8888"), file: read("blobs/blob") };
    for name in vectors::bundles() {
        let text = String::from_utf8(read(&format!("blobs/{name}.json"))).unwrap();
        let found = accepted(text.as_bytes(), |bytes| judge.accepts_bundle(text.as_bytes(), bytes));
        only_in(name, &found, &text, &free(&text, name.contains("nb2") || name.contains("sc2")));
    }
}

/// Of every form in which attestations are published. What is attested is compared too: a change
/// that is accepted must not have changed it.
#[test]
fn attestations_have_no_byte_that_is_not_signed() {
    let sigstore = Sigstore::new();
    let root = TrustedRoot::parse(sigstore.trusted_root().to_string().as_bytes(), "test").unwrap();
    let identity = dev("https://issuer.example");
    let statement = attestations::statement();
    let (v1, v2) = (
        sigstore.sign().statement(&statement),
        sigstore.sign().log(LogKind::V2).statement(&statement),
    );
    let mut old = v1.blob_bundle();
    let envelope = v1.content.envelope(&v1.signature).to_string();
    old["base64Signature"] = testkit::sigstore::b64(envelope.as_bytes()).into();
    let message = Message::from(luet_cosign::name::Digest::of(FILE));
    let wanted: PredicateType = "slsaprovenance1".parse().unwrap();
    for (what, text, is_v2) in [
        ("bundle, v1", v1.bundle().to_string(), false),
        ("bundle, v2", v2.bundle().to_string(), true),
        ("attestation of PyPI", attestations::pep740(&v1.bundle()).to_string(), false),
        ("bundle of cosign 2", old.to_string(), false),
    ] {
        let known = read_attestations(text.as_bytes()).unwrap().bundles.remove(0).unwrap();
        let accepts = |bytes: &[u8]| {
            let bundle = read_attestations(bytes).and_then(|mut found| found.bundles.remove(0));
            // Where other bytes are the same attestation, nothing was changed.
            let Ok(bundle) = bundle else { return false };
            let same = bundle == known && bytes != text.as_bytes();
            let Ok(attestation) = Attestation::new(bundle) else { return false };
            let sct = CertificateLog::Required;
            let signed = root.certify_attestation(&attestation, &message, &wanted, sct);
            let Ok(attested) = signed.map(|signed| signed.by(&identity)) else { return false };
            let attested = attested.unwrap();
            assert_eq!(attested.predicate(), &statement["predicate"]);
            assert_eq!(attested.names(), ["f"]);
            !same
        };
        let found = accepted(text.as_bytes(), accepts);
        only_in(what, &found, &text, &free(&text, is_v2));
    }
}
