//! One bit at a time: no change of a signed image is accepted but in bytes that nobody signed, and
//! these are listed here.

use super::*;
use luet_cosign::trust::{Authority, Checker, Held, Requirements, check_bundle};
use luet_cosign::wire::{Bundle, BundleSource, Signatures};
use std::ops::Range;

fn authorities() -> [Authority; 1] {
    [Authority::of_key("acme", pair("acme").key.public().clone())]
}

/// Where `part` is in `text`.
fn span(text: &str, part: &str) -> Range<usize> {
    let start = text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
    start..start + part.len()
}

/// Flips every bit, and returns the bytes in which a change was accepted.
fn accepted(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) -> Vec<usize> {
    assert!(accepts(bytes), "unchanged it is good");
    let mut found = Vec::new();
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            if accepts(&changed) && found.last() != Some(&at) {
                found.push(at);
            }
            changed[at] = bytes[at];
        }
    }
    found
}

#[track_caller]
fn only_in(found: &[usize], text: &str, free: &[Range<usize>]) {
    for at in found {
        assert!(
            free.iter().any(|span| span.contains(at)),
            "byte {at} is not authenticated: {}",
            &text[at.saturating_sub(20)..(at + 20).min(text.len())]
        );
    }
}

#[test]
fn a_bundle_has_no_byte_that_is_not_signed_but_the_hint() {
    let image = Digest::of(b"image");
    let annotations = BTreeMap::from([
        ("luet-cosign.repository".to_owned(), "quay.io/a/b".to_owned()),
        ("x".to_owned(), "1".to_owned()),
    ]);
    let statement: Value =
        serde_json::from_slice(&wire::write_statement(&image, &annotations)).unwrap();
    let text = bundle(&pair("acme").key, &statement).to_string();
    let (authorities, requirements) = (authorities(), Requirements::default());
    let checker = Checker::new(&authorities, &requirements);
    let accepts = |bytes: &[u8]| {
        let checked = Bundle::parse(bytes, BundleSource::Registry)
            .and_then(|bundle| Ok(check_bundle(&bundle, &image, &checker)?));
        matches!(checked, Ok(Some(signature)) if signature.payload().annotations == annotations)
    };
    let hint = STANDARD.encode(pair("acme").key.public().fingerprint().bytes());
    only_in(&accepted(text.as_bytes(), accepts), &text, &[span(&text, &hint)]);
}

#[test]
fn a_legacy_signature_has_no_byte_that_is_not_signed_within_its_layer_and_payload() {
    let image = Digest::of(b"image");
    let payload = wire::Payload {
        docker_reference: "quay.io/a/b".to_owned(),
        manifest_digest: image,
        annotations: BTreeMap::new(),
    }
    .to_bytes();
    let mut signatures = Signatures::default();
    signatures.push(&payload, &pair("acme").key.signed(&payload).unwrap()).unwrap();
    let text = String::from_utf8(signatures.manifest()).unwrap();
    // That the manifest carries the payload spares a request and says nothing: without the key it
    // is asked for.
    let embedded = text.find("\"data\"").unwrap();
    let embedded = embedded..embedded + "\"data\"".len();
    let (authorities, requirements) = (authorities(), Requirements::default());
    let checker = Checker::new(&authorities, &requirements);
    let check = |manifest: &[u8], payload: &[u8]| {
        let Ok(signatures) = Signatures::parse(manifest) else { return false };
        signatures.candidates().flatten().any(|candidate| {
            // As the registry's client does: exactly as many bytes as are named.
            candidate.payload_bytes == payload.len() as u64
                && Held::check(&candidate, &checker)
                    .map_err(luet_cosign::class::Failure::from)
                    .and_then(|held| held.check_claims(payload, &image, &checker))
                    .is_ok()
        })
    };
    assert_eq!(accepted(&payload, |payload| check(text.as_bytes(), payload)), Vec::<usize>::new());
    // Nobody signs the manifest: what is not the layer says nothing about the image, and is not
    // read.
    let layers = text.find("\"layers\":").unwrap();
    only_in(
        &accepted(text.as_bytes(), |manifest| check(manifest, &payload)),
        &text,
        &[0..layers, embedded],
    );
}

/// Every part of one signature with every part of another, both by the same key and both good.
#[test]
fn parts_of_two_good_bundles_make_no_third() {
    let image = Digest::of(b"image");
    let of = |digest: &Digest| {
        let statement: Value =
            serde_json::from_slice(&wire::write_statement(digest, &BTreeMap::new())).unwrap();
        bundle(&pair("acme").key, &statement)
    };
    let (ours, theirs) = (of(&image), of(&Digest::of(b"other")));
    let (authorities, requirements) = (authorities(), Requirements::default());
    let checker = Checker::new(&authorities, &requirements);
    for pointer in ["/dsseEnvelope/payload", "/dsseEnvelope/signatures", "/dsseEnvelope"] {
        let mut mixed = ours.clone();
        set(&mut mixed, pointer, theirs.pointer(pointer).unwrap().clone());
        let parsed = Bundle::parse(mixed.to_string().as_bytes(), BundleSource::Registry).unwrap();
        let class = check_bundle(&parsed, &image, &checker).unwrap_err().failure.class().word();
        assert_eq!(class, if pointer == "/dsseEnvelope" { "binding" } else { "identity" });
    }
}
