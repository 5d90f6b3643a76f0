//! S28 with `sigstore-verify` as the judge.

use super::judge::{keyless, legacy};
use super::model::mixing::misjudged;
use super::model::{Key, Kind, LogKind, Signature, Signing};
use super::{IMAGE, sigstore};
use serde_json::Value;

/// Three people sign one thing with these keys, at the same time: so no time speaks against a mixture.
fn three<'a>(keys: [&'a Key; 3], sign: impl Fn(Signing<'a>) -> Signature) -> [Signature; 3] {
    [("dev@example.com", keys[0]), ("eve@example.com", keys[1]), ("mallory@example.com", keys[2])]
        .map(|(identity, key)| sign(sigstore().sign().identity(identity).with_key(key)))
}

/// The forms that have a certificate, a signature, an entry and a time stamp.
const FORMS: [(&str, fn(Signing<'_>) -> Signature); 5] = [
    ("legacy", |sign| sign.tsa(true).legacy(IMAGE)),
    ("envelope, v1", |sign| sign.tsa(true).image(IMAGE)),
    ("envelope, v1, intoto", |sign| sign.tsa(true).entry(Kind::Intoto).image(IMAGE)),
    ("envelope, v2", |sign| sign.log(LogKind::V2).image(IMAGE)),
    ("message, v2", |sign| sign.log(LogKind::V2).blob(b"file")),
];

/// A legacy signature has no proof, only the log's promise, so it is judged as what it is.
fn verdict(form: &str, root: &Value, signature: &Signature) -> Result<(), String> {
    let verdict = match form {
        "legacy" => legacy(root, signature.payload(), &signature.annotations()),
        _ => keyless(root, signature),
    };
    verdict.map(|_| ())
}

#[test]
fn no_mixture_of_three_signatures_is_accepted() {
    let root = sigstore().trusted_root();
    let keys = [Key::p256(), Key::p256(), Key::p256()];
    for (form, sign) in FORMS {
        let wrong = misjudged(&three(keys.each_ref(), sign), |signature| verdict(form, &root, signature));
        assert!(wrong.is_empty(), "{form}: {wrong:?}");
    }
}

/// The same where all certificates are for one key: only the entry says which of them was used.
#[test]
fn a_certificate_for_the_same_key_cannot_be_put_in_place_of_another() {
    let root = sigstore().trusted_root();
    let key = Key::p256();
    for (form, sign) in FORMS {
        let wrong = misjudged(&three([&key; 3], sign), |signature| verdict(form, &root, signature));
        // Known, wrong, and for our own checker to mend: of an `intoto` entry the crate compares the key alone.
        let expected = if form.ends_with("intoto") { 6 } else { 0 };
        assert_eq!(wrong.len(), expected, "{form}: {wrong:?}");
    }
}
