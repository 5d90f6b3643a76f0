//! Every byte of a certificate that Fulcio could answer with, changed: none of them is signed with.

use jiff::Timestamp;
use luet_cosign::trust::{CertificateLog, ExpectedCertificate, PrivateKey, TrustedRoot};
use serde_json::json;
use testkit::sigstore::Sigstore;
use testkit::sigstore::services::{ISSUER, certificate};

#[test]
fn a_certificate_with_one_bit_changed_is_never_ours() {
    let sigstore = Sigstore::new();
    let root = sigstore.trusted_root().to_string();
    let root = TrustedRoot::parse(root.as_bytes(), "of the test").unwrap().at(Timestamp::now());
    let key = PrivateKey::ephemeral().unwrap();
    let claims = json!({"iss": ISSUER, "sub": "dev@example.com", "email": "dev@example.com"});
    let leaf = certificate(&sigstore, &claims, key.public().spki(), |_| {});
    let asked = ExpectedCertificate {
        key: key.public(),
        name: None,
        names: &["dev@example.com"],
        issuer: ISSUER,
        subject: "dev@example.com",
    };
    let above = [sigstore.fulcio.der(), sigstore.root.der()];
    let check = |leaf: &[u8]| root.check_issued(leaf, &above, &asked, CertificateLog::Required);
    assert!(check(&leaf).is_ok());
    for at in 0..leaf.len() {
        let mut changed = leaf.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(check(&changed).is_err(), "byte {at} of {}", leaf.len());
    }
    // What came with it proves nothing by itself.
    assert!(root.check_issued(&leaf, &[], &asked, CertificateLog::Required).is_ok());
    let other = Sigstore::new();
    let strange = certificate(&other, &claims, key.public().spki(), |_| {});
    let above = [other.fulcio.der(), other.root.der()];
    assert!(root.check_issued(&strange, &above, &asked, CertificateLog::Required).is_err());
}

#[test]
fn who_a_certificate_is_for_has_to_follow_from_the_token() {
    let sigstore = Sigstore::new();
    let root = sigstore.trusted_root().to_string();
    let root = TrustedRoot::parse(root.as_bytes(), "of the test").unwrap().at(Timestamp::now());
    let key = PrivateKey::ephemeral().unwrap();
    let check = |claims: serde_json::Value, name: Option<&str>, subject: bool| {
        let leaf = certificate(&sigstore, &claims, key.public().spki(), |leaf| {
            if !subject {
                leaf.claims.remove(&24);
            }
        });
        let names = ["dev@example.com", "user"];
        let asked = ExpectedCertificate {
            key: key.public(),
            name,
            names: &names,
            issuer: ISSUER,
            subject: "user",
        };
        root.check_issued(&leaf, &[], &asked, CertificateLog::Required).is_ok()
    };
    let claims = |email: &str, sub: &str| json!({"iss": ISSUER, "sub": sub, "email": email});
    let dev = "dev@example.com";
    // Where the name follows from the token, it is that name and no other.
    assert!(check(claims(dev, "user"), Some(dev), true));
    assert!(!check(claims("eve@example.com", "user"), Some(dev), true));
    assert!(!check(claims("DEV@example.com", "user"), Some(dev), false));
    // Where it does not, the subject says whose it is; without it the name has to be the token's.
    assert!(check(claims("robot@example.com", "user"), None, true));
    assert!(!check(claims("robot@example.com", "user"), None, false));
    assert!(!check(claims(dev, "eve"), None, true));
    assert!(check(claims(dev, "user"), None, false));
    let user = |name: &str| json!({"iss": ISSUER, "sub": name});
    assert!(check(user("user"), None, false));
    assert!(!check(user("user!x.example"), None, true), "the subject is another");
    assert!(check(user("user!x.example"), None, false), "a user of a domain");
    assert!(!check(user("another!x.example"), None, false));
}
