//! S28 with `sigstore-verify` as the judge.

use super::judge::{Form, signed, verifier};
use super::{IMAGE, sigstore};
use testkit::sigstore::mixing::misjudged;
use testkit::sigstore::{Key, Kind, LogKind, Signature, Signing};

/// Three people sign one thing with these keys, at the same time: so no time speaks against a
/// mixture.
fn three<'a>(keys: [&'a Key; 3], sign: impl Fn(Signing<'a>) -> Signature) -> [Signature; 3] {
    [("dev@example.com", keys[0]), ("eve@example.com", keys[1]), ("mallory@example.com", keys[2])]
        .map(|(identity, key)| sign(sigstore().sign().identity(identity).with_key(key)))
}

/// The forms that have a certificate, a signature, an entry and a time stamp.
const FORMS: [(&str, Form, fn(Signing<'_>) -> Signature); 5] = [
    ("legacy", Form::Legacy, |sign| sign.tsa(true).legacy(IMAGE)),
    ("envelope, v1", Form::Bundle, |sign| sign.tsa(true).image(IMAGE)),
    ("envelope, v1, intoto", Form::Bundle, |sign| sign.tsa(true).entry(Kind::Intoto).image(IMAGE)),
    ("envelope, v2", Form::Bundle, |sign| sign.log(LogKind::V2).image(IMAGE)),
    ("message, v2", Form::Bundle, |sign| sign.log(LogKind::V2).blob(b"file")),
];

#[test]
fn no_mixture_of_three_signatures_is_accepted() {
    let verifier = verifier(&sigstore().trusted_root()).unwrap();
    let keys = [Key::p256(), Key::p256(), Key::p256()];
    for (name, form, sign) in FORMS {
        let wrong = misjudged(&three(keys.each_ref(), sign), |signature| {
            signed(&verifier, form, signature)
        });
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}

/// The same where all certificates are for one key: only the entry says which of them was used.
#[test]
fn a_certificate_for_the_same_key_cannot_be_put_in_place_of_another() {
    let verifier = verifier(&sigstore().trusted_root()).unwrap();
    let key = Key::p256();
    for (name, form, sign) in FORMS {
        let wrong =
            misjudged(&three([&key; 3], sign), |signature| signed(&verifier, form, signature));
        // Known, wrong, and for our own checker to fix: of an `intoto` entry the crate compares
        // the key alone.
        let expected = if name.ends_with("intoto") { 6 } else { 0 };
        assert_eq!(wrong.len(), expected, "{name}: {wrong:?}");
    }
}
