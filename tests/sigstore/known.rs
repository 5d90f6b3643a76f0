//! What `sigstore-verify` 0.15.1 accepts and should not. Our own checker has to refuse each of
//! these itself; where a newer crate does, the assertion here fails and our check may go.

use super::judge::{bundle, keyless};
use super::{IMAGE, judge, sigstore};
use jiff::SignedDuration;
use serde_json::json;
use sigstore::VerificationPolicy;
use testkit::sigstore::{
    CODE_SIGNING, Kind, Leaf, LogKind, San, Signature, Sigstore, TIME_STAMPING, Version, Window, ca,
};
use x509_cert::der::asn1::OctetString;
use x509_cert::ext::Extension;

/// A window that was over an hour before anything is signed.
fn over() -> Window {
    Window { from: sigstore().window.from, until: sigstore().now - SignedDuration::from_hours(2) }
}

/// T12: checkpoints say no time, so the crate takes any key that has begun.
#[test]
fn a_log_s_retired_key_signs_checkpoints() {
    let signature = sigstore().sign().log(LogKind::V2).image(IMAGE);
    let mut root = sigstore().trusted_root();
    root["tlogs"][1]["publicKey"]["validFor"]["end"] = json!(over().until.to_string());
    keyless(&root, &signature).unwrap();
}

/// S12: each certificate of the trusted root is an anchor, and what an anchor says of itself is not
/// looked at.
#[test]
fn an_intermediate_of_the_trusted_root_may_be_over_or_for_something_else() {
    for (window, purposes) in [(over(), CODE_SIGNING), (sigstore().window, TIME_STAMPING)] {
        let mut model = Sigstore::new();
        model.fulcio = model.root.intermediate(
            "CN=test-fulcio-intermediate,O=sigstore.test",
            &[purposes],
            window,
        );
        keyless(&model.trusted_root(), &model.sign().image(IMAGE)).unwrap();
    }
}

/// S05: the bundle says what kind a body is, the body's own word does not count.
#[test]
fn a_body_is_read_as_what_the_bundle_calls_it() {
    let mut signature = sigstore().sign().entry(Kind::Rekord).blob(b"file");
    signature.entry.as_mut().unwrap().kind = Kind::HashedRekord;
    keyless(&sigstore().trusted_root(), &signature).unwrap();
}

/// S08: whichever trusted log signed the checkpoint, the entry may name another.
#[test]
fn an_entry_may_name_another_log_than_its_checkpoint() {
    let mut signature = sigstore().sign().log(LogKind::V2).image(IMAGE);
    signature.entry.as_mut().unwrap().log = sigstore().rekor1.id();
    keyless(&sigstore().trusted_root(), &signature).unwrap();
    signature.entry.as_mut().unwrap().log = [7; 32];
    keyless(&sigstore().trusted_root(), &signature).unwrap();
}

/// The same in v1, where the promise names the log, and the other one signs the tree.
#[test]
fn a_checkpoint_may_be_another_log_s() {
    let mut signature = sigstore().sign().image(IMAGE);
    let proof = signature.entry.as_mut().unwrap().proof.as_mut().unwrap();
    proof.checkpoint = sigstore().rekor2.checkpoint(proof.size, &proof.root);
    keyless(&sigstore().trusted_root(), &signature).unwrap();
}

/// S14: RFC 5280 forbids to say a thing twice.
#[test]
fn of_two_issuers_the_first_counts() {
    let second = |leaf: &mut Leaf<'_>| {
        let value = OctetString::new(ca::claim(8, "https://other.example")).unwrap();
        leaf.others.push(Extension {
            extn_id: "1.3.6.1.4.1.57264.1.8".parse().unwrap(),
            critical: false,
            extn_value: value,
        });
    };
    let verdict =
        keyless(&sigstore().trusted_root(), &sigstore().sign().leaf(second).image(IMAGE)).unwrap();
    assert_eq!(verdict.issuer(), Some("https://issuer.example"));
}

/// S19: a bundle that calls itself old needs no proof.
#[test]
fn a_newer_bundle_loses_its_proof_by_calling_itself_old() {
    let signature = sigstore().sign().image(IMAGE);
    let mut old = signature.bundle();
    old["mediaType"] = json!(Version::V01.media_type());
    old["verificationMaterial"]["tlogEntries"][0]
        .as_object_mut()
        .unwrap()
        .shift_remove("inclusionProof");
    let digest = judge::artifact(&signature.content);
    bundle(&sigstore().trusted_root(), digest, &old, &VerificationPolicy::any_identity()).unwrap();
}

/// S13: a second name counts for nothing, so what is checked is not all that the certificate says.
#[test]
fn names_after_the_first_are_not_seen() {
    let names =
        ["dev@example.com", "eve@example.com"].map(|name| San::Email(name.to_owned())).to_vec();
    let signature: Signature = sigstore().sign().leaf(|leaf| leaf.names = names).image(IMAGE);
    assert_eq!(
        keyless(&sigstore().trusted_root(), &signature).unwrap().identity().unwrap().as_str(),
        "dev@example.com"
    );
}
