//! Every form that the model makes is accepted.

use super::model::{Key, Kind, LogKind, Version};
use super::{IMAGE, judge, sigstore};
use sigstore::VerificationPolicy;

#[test]
fn a_legacy_signature_is_accepted_with_and_without_a_time_stamp() {
    let root = sigstore().trusted_root();
    for tsa in [false, true] {
        let signature = sigstore().sign().tsa(tsa).legacy(IMAGE);
        let verdict = judge::legacy(&root, signature.payload(), &signature.annotations()).unwrap();
        assert_eq!(verdict.identity().unwrap().as_str(), "dev@example.com");
        assert_eq!(verdict.issuer(), Some("https://issuer.example"));
        assert!(verdict.certificate_verified() && verdict.sct_verified() && verdict.tlog_verified());
        assert_eq!(verdict.verified_timestamps().len(), 1 + usize::from(tsa));
    }
}

#[test]
fn a_bundle_is_accepted_with_an_entry_of_each_kind() {
    let root = sigstore().trusted_root();
    let sign = || sigstore().sign();
    judge::keyless(&root, &sign().image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().tsa(true).image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().entry(Kind::Intoto).image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().log(LogKind::V2).image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().log(LogKind::V2).certificate_in_token().image(IMAGE)).unwrap();
    judge::keyless(&root, &sign().blob(b"file")).unwrap();
    judge::keyless(&root, &sign().log(LogKind::V2).blob(b"file")).unwrap();
}

#[test]
fn blobs_are_accepted_in_all_versions_of_the_bundle() {
    let root = sigstore().trusted_root();
    let signature = sigstore().sign().blob(b"file");
    for version in [Version::V01, Version::V02, Version::V03] {
        judge::bundle(&root, judge::artifact(&signature.content), &signature.bundle_of(version), &VerificationPolicy::any_identity())
            .unwrap_or_else(|error| panic!("{version:?}: {error}"));
    }
}

#[test]
fn a_key_s_signature_is_accepted_with_an_entry_of_each_kind() {
    let root = sigstore().trusted_root();
    let key = Key::p256();
    let sign = || sigstore().sign().keyed(&key);
    let check = |signature| judge::keyed(&root, &signature, &key.spki()).unwrap();
    check(sign().blob(b"file"));
    check(sign().legacy(IMAGE));
    check(sign().image(IMAGE));
    check(sign().entry(Kind::Intoto).image(IMAGE));
    check(sign().log(LogKind::V2).blob(b"file"));
    check(sign().log(LogKind::V2).image(IMAGE));
}
