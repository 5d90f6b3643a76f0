//! One bit at a time: no change of a signed image is accepted but in bytes that nobody signs, and
//! these are listed here.

use super::*;
use std::ops::Range;

/// Where `part` is in `text`, every time.
fn spans(text: &str, part: &str) -> Vec<Range<usize>> {
    assert!(!part.is_empty() && text.contains(part), "{part}");
    text.match_indices(part).map(|(at, _)| at..at + part.len()).collect()
}

/// The value of a key in compact JSON, with the key and its quotes.
fn field(text: &str, key: &str) -> Vec<Range<usize>> {
    let start = |at: usize| at + key.len() + 3;
    text.match_indices(&format!("\"{key}\":"))
        .map(|(at, _)| at..start(at) + text[start(at)..].find([',', '}']).unwrap())
        .collect()
}

/// Flips one bit of each byte, which one by its place, and returns where that was accepted. Of
/// every fifth byte where nobody asked for all of them (`LUET_COSIGN_MUTANTS=all`, as `.ci/run`
/// does): unoptimised, each takes milliseconds.
fn accepted(text: &str, accepts: impl Fn(&[u8]) -> bool) -> Vec<usize> {
    assert!(accepts(text.as_bytes()), "unchanged it is good");
    let mut changed = text.as_bytes().to_vec();
    let mut found = Vec::new();
    let step = if std::env::var_os("LUET_COSIGN_MUTANTS").is_some() { 1 } else { 5 };
    for at in (0..changed.len()).step_by(step) {
        let byte = changed[at];
        changed[at] ^= 1 << (at % 7);
        if accepts(&changed) {
            found.push(at);
        }
        changed[at] = byte;
    }
    found
}

#[track_caller]
fn only_in(found: &[usize], text: &str, free: &[Range<usize>]) {
    for at in found {
        let near = &text[at.saturating_sub(40)..(at + 40).min(text.len())];
        assert!(
            free.iter().any(|span| span.contains(at)),
            "byte {at} is not authenticated: {near}"
        );
    }
}

#[test]
fn bundles_have_no_byte_that_is_not_checked_but_these() {
    for form in [Form::BundleV1, Form::BundleV2] {
        let signature = form.sign(form.signing(sigstore()).tsa(form == Form::BundleV2));
        let text = signature.bundle().to_string();
        let judge = Judge::new();
        let accepts = |bytes: &[u8]| {
            let Ok(bundle) = Bundle::parse(bytes, BundleSource::Registry) else { return false };
            judge
                .with(|checker| Ok(check_bundle(&bundle, &image(), checker)?))
                .is_ok_and(|found| found.is_some())
        };
        // Nobody signs the name on a signature's line in a checkpoint, and of version 2 what stands
        // beside the checkpoint. The status of a time stamp and the version of its request are
        // outside of what is signed.
        let mut free = field(&text, "envelope");
        free.extend(field(&text, "keyId"));
        if form == Form::BundleV2 {
            for key in ["rootHash", "treeSize", "signedTimestamp", "logIndex"] {
                free.extend(field(&text, key));
            }
        }
        only_in(&accepted(&text, accepts), &text, &free);
    }
}

#[test]
fn legacy_signatures_have_no_byte_that_is_not_checked() {
    let signature = sigstore().sign().legacy(IMAGE);
    let judge = Judge::new();
    let layer = layer(&signature);
    let text = layer.to_string();
    let found = accepted(&text, |bytes| {
        let Ok(layer) = serde_json::from_slice::<Value>(bytes) else { return false };
        // As the registry's client does: exactly as many bytes as are named.
        layer["size"] == json!(signature.payload().len())
            && judge.legacy(&layer, signature.payload()).is_ok()
    });
    // The chain is only what may help to reach a root that is known.
    let chain = spans(&text, &serde_json::to_string(&signature.chain_pem()).unwrap());
    let mut free: Vec<Range<usize>> = chain;
    free.extend(field(&text, "dev.sigstore.cosign/chain"));
    // In PEM one blank is like another.
    free.extend(spans(&text, "\\n"));
    only_in(&found, &text, &free);
    let changed = |payload: &[u8]| judge.legacy(&layer, payload).is_ok();
    assert_eq!(
        accepted(std::str::from_utf8(signature.payload()).unwrap(), changed),
        Vec::<usize>::new()
    );
}
