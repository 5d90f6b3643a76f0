//! Attestations: what holds, what does not count as one, and that they never count as a signature.

use super::*;
use luet_cosign::name::Digest;
use serde_json::json;
use std::fmt::Write as _;
use testkit::sigstore::{self as model, Content, Key, Signing};

const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// A statement about the released file.
pub(super) fn statement() -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "f", "digest": {"sha256": Digest::of(FILE).hex()}}],
        "predicateType": PROVENANCE,
        "predicate": {"buildDefinition": {}},
    })
}

/// Digests of the released file, as statements name them.
fn digests() -> [(&'static str, String); 3] {
    digests_of(FILE)
}

pub(super) fn digests_of(bytes: &[u8]) -> [(&'static str, String); 3] {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
    [("sha256", &SHA256), ("sha384", &SHA384), ("sha512", &SHA512)].map(|(name, algorithm)| {
        let mut hex = String::new();
        digest(algorithm, bytes)
            .as_ref()
            .iter()
            .for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        (name, hex)
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut statement = statement();
    change(&mut statement);
    statement
}

impl World {
    /// `verify-blob-attestation` of provenance by dev.
    fn attested(&self, words: &str) -> Said {
        self.attested_as("slsaprovenance1", words)
    }

    fn attested_as(&self, kind: &str, words: &str) -> Said {
        let who = DEV.join(" ");
        let words = format!("verify-blob-attestation --type {kind} {who} {words}");
        self.run(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Writes the bundle of dev's statement as `b.json`.
    fn attest(&self, statement: &Value) -> Signature {
        self.attest_by(self.sigstore.sign(), statement)
    }

    fn attest_by(&self, signing: Signing<'_>, statement: &Value) -> Signature {
        let signature = signing.statement(statement);
        self.plugin.write("b.json", signature.bundle().to_string());
        signature
    }
}

impl Said {
    #[track_caller]
    fn assert_attested(&self, kind: &str) {
        assert_eq!(self.code, 0, "{self:?}");
        assert!(self.stdout.contains(&format!("attested: {kind}\n")), "{self:?}");
        assert_eq!(self.stderr.lines().last(), Some("Verified OK"), "{self:?}");
    }
}

#[test]
fn what_was_attested_of_what_and_by_whom_is_said() {
    let world = World::new();
    world.attest(&statement());
    for kind in ["slsaprovenance1", PROVENANCE, "any"] {
        let said = world.attested_as(kind, "--bundle b.json f");
        said.assert_attested(PROVENANCE);
        let hex = Digest::of(FILE);
        assert!(said.stdout.contains(&format!("of: {hex} (`f`)")), "{said:?}");
        assert!(
            said.stdout.contains("by: `dev@example.com` (issuer `https://issuer.example`)"),
            "{said:?}"
        );
    }
    let document = json_of(&world.attested("--json --bundle b.json f").stdout);
    assert_eq!((&document["version"], &document["verified"]), (&json!(1), &json!(true)));
    let found = &document["attestations"][0];
    assert_eq!(found["type"], PROVENANCE);
    assert_eq!(found["subjects"], json!(["f"]));
    assert_eq!(found["certificate"]["subject"], "dev@example.com");
    assert_eq!(found["predicate"], json!({"buildDefinition": {}}));
    assert_eq!(world.asked(), 0, "the log is never asked");
}

#[test]
fn a_type_must_be_asked_for_and_be_the_one_that_is_attested() {
    let world = World::new();
    world.attest(&statement());
    let said = world.run(&["verify-blob-attestation", "--bundle", "b.json", "f"]);
    said.assert_refused("usage");
    assert!(said.stderr.contains("cosign assumes `custom`"), "{said:?}");
    for kind in ["slsaprovenance", "spdx", "custom", "https://slsa.dev/provenance/v1/"] {
        let said = world.attested_as(kind, "--bundle b.json f");
        said.assert_refused("binding");
        assert!(said.stderr.contains("slsaprovenance1"), "what it is: {said:?}");
    }
    world.attested_as("provenance", "--bundle b.json f").assert_refused("usage");
    world
        .attested_as("https://sigstore.dev/cosign/sign/v1", "--bundle b.json f")
        .assert_refused("usage");
}

#[test]
fn subjects_count_by_sha256_sha384_and_sha512_and_whole() {
    let world = World::new();
    world.plugin.write("g", "another file");
    let key = Key::p256();
    world.plugin.write("k.pub", key.pem());
    let verify = |file: &str| {
        let words = ["verify-blob-attestation", "--type", "any", "--key", "k.pub"];
        world.run(&[&words[..], &["--bundle", "b.json", file]].concat())
    };
    for (algorithm, hex) in digests() {
        let statement = changed(|statement| {
            statement["subject"][0]["digest"] = json!({algorithm: hex});
        });
        world.attest_by(world.sigstore.sign().keyed(&key), &statement);
        verify("f").assert_attested(PROVENANCE);
        verify(&format!("{algorithm}:{hex}")).assert_attested(PROVENANCE);
        verify("g").assert_refused("binding");
        for (other, digest) in digests() {
            if other != algorithm {
                verify(&format!("{other}:{digest}")).assert_refused("unsupported");
            }
        }
        let cut = &hex[..hex.len() - 2];
        verify(&format!("{algorithm}:{cut}")).assert_refused("malformed");
        let statement = changed(|statement| {
            statement["subject"][0]["digest"] = json!({algorithm: cut});
        });
        world.attest_by(world.sigstore.sign().keyed(&key), &statement);
        verify("f").assert_refused("malformed");
    }
    for weak in ["sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "gitCommit:da39a3ee"] {
        let said = verify(weak);
        said.assert_refused("unsupported");
        assert!(said.stderr.contains(weak.split(':').next().unwrap()), "{said:?}");
    }
    let statement = changed(|statement| {
        statement["subject"] = json!([{"digest": {"gitCommit": "da39a3ee"}}]);
    });
    world.attest_by(world.sigstore.sign().keyed(&key), &statement);
    verify("f").assert_refused("unsupported");
}

/// npm names its packages by SHA-512 alone.
#[test]
fn a_keyless_attestation_counts_by_sha512_alone_and_in_every_version() {
    let world = World::new();
    let [_, _, (algorithm, hex)] = digests();
    let statement = changed(|statement| {
        statement["_type"] = json!("https://in-toto.io/Statement/v0.1");
        statement["subject"] = json!([{"name": "pkg:npm/f@1", "digest": {algorithm: hex}}]);
    });
    let signature = world.attest(&statement);
    for version in [model::Version::V01, model::Version::V02, model::Version::V03] {
        let bundle = signature.bundle_of(version);
        world.plugin.write("b.json", bundle.to_string());
        world.attested("--bundle b.json f").assert_attested(PROVENANCE);
        let npm = json!({"attestations": [{"predicateType": PROVENANCE, "bundle": bundle}]});
        world.plugin.write("npm.json", npm.to_string());
        world.attested("--bundle npm.json f").assert_attested(PROVENANCE);
    }
    world.attested(&format!("--bundle b.json sha512:{hex}")).assert_attested(PROVENANCE);
    world
        .attested(&format!("--bundle b.json --digest {hex} --digestAlg sha512"))
        .assert_attested(PROVENANCE);
}

#[test]
fn one_of_several_subjects_is_enough_and_two_digests_must_agree() {
    let world = World::new();
    let other = Digest::of(b"other").hex();
    let [(_, sha256), _, (_, sha512)] = digests();
    for (subjects, expected) in [
        (json!([{"digest": {"sha256": other}}, {"digest": {"sha256": sha256}}]), ""),
        (json!([{"digest": {"sha256": sha256, "sha512": sha512}}]), ""),
        (json!([{"digest": {"sha256": other}}]), "binding"),
        (json!([{"digest": {"sha256": other, "sha512": sha512}}]), "binding"),
        (json!([{"digest": {"sha256": sha256, "sha512": other.repeat(2)}}]), "binding"),
        (json!([{"digest": {"sha512": sha256}}]), "malformed"),
        (json!([{"digest": {}}]), "malformed"),
        (json!([]), "malformed"),
        (json!({}), "malformed"),
    ] {
        world.attest(&changed(|statement| statement["subject"] = subjects.clone()));
        assert_eq!(world.attested("--bundle b.json f").class(), expected, "{subjects}");
    }
}

#[test]
fn what_is_signed_must_be_a_statement_and_not_a_signature() {
    let world = World::new();
    for (payload_type, payload) in [
        ("application/vnd.in-toto+json", b"not JSON".to_vec()),
        ("application/vnd.in-toto+json", b"{}".to_vec()),
        ("application/vnd.in-toto+json", changed(|it| it["_type"] = json!("x")).to_string().into()),
        (
            "application/vnd.in-toto+json",
            changed(|it| it["predicateType"] = json!("")).to_string().into(),
        ),
        ("application/json", statement().to_string().into()),
    ] {
        let content = Content::Envelope { payload_type: payload_type.to_owned(), payload };
        let signature = world.sigstore.sign().content(content);
        world.plugin.write("b.json", signature.bundle().to_string());
        let said = world.attested_as("any", "--bundle b.json f");
        assert_eq!(said.class(), "malformed", "{said:?}");
    }
    // The signature of the file, in an envelope and by itself: neither attests anything.
    let sign = changed(|it| it["predicateType"] = json!("https://sigstore.dev/cosign/sign/v1"));
    world.attest(&sign);
    let plain = world.signed();
    world.plugin.write("plain.json", plain.bundle().to_string());
    world.plugin.write("old.json", plain.blob_bundle().to_string());
    for bundle in ["b.json", "plain.json", "old.json"] {
        world.verify_dev(&format!("--bundle {bundle} f")).assert_ok();
        let said = world.attested_as("any", &format!("--bundle {bundle} f"));
        said.assert_refused("malformed");
        assert!(said.stderr.contains("luet-cosign verify-blob"), "{said:?}");
    }
}

#[test]
fn an_envelope_that_was_changed_or_signed_twice_does_not_count() {
    let world = World::new();
    let bundle = world.attest(&statement()).bundle();
    let other = changed(|it| it["predicate"] = json!({"other": true}));
    let mut payload = bundle.clone();
    payload["dsseEnvelope"]["payload"] = json!(model::b64(other.to_string().as_bytes()));
    let mut twice = bundle.clone();
    let signature = bundle["dsseEnvelope"]["signatures"][0].clone();
    twice["dsseEnvelope"]["signatures"] = json!([signature, signature]);
    let mut none = bundle.clone();
    none["dsseEnvelope"]["signatures"] = json!([]);
    let mut logged = bundle.clone();
    logged["verificationMaterial"]["tlogEntries"] =
        world.sigstore.sign().statement(&other).bundle()["verificationMaterial"]["tlogEntries"]
            .clone();
    let mut unlogged = bundle.clone();
    unlogged["verificationMaterial"]["tlogEntries"] = json!([]);
    for (bundle, expected) in [
        (payload, "signature"),
        (twice, "malformed"),
        (none, "malformed"),
        (logged, "tlog"),
        (unlogged, "tlog"),
        (bundle, ""),
    ] {
        world.plugin.write("b.json", bundle.to_string());
        assert_eq!(world.attested("--bundle b.json f").class(), expected, "{bundle}");
    }
}

#[test]
fn whose_attestation_counts_is_asked_as_for_signatures() {
    let world = World::new();
    world.attest_by(world.sigstore.sign().identity("eve@example.com"), &statement());
    let said = world.attested("--bundle b.json f");
    said.assert_refused("identity");
    assert!(said.stderr.contains("eve@example.com"), "{said:?}");
    world.attest(&statement());
    let words = ["verify-blob-attestation", "--type", "slsaprovenance1", "--bundle", "b.json", "f"];
    let said = world.run(&words);
    said.assert_refused("identity");
    let command = "luet-cosign verify-blob-attestation --type slsaprovenance1 --bundle b.json --certificate-identity dev@example.com --certificate-oidc-issuer https://issuer.example f";
    assert!(said.stderr.contains(command), "{said:?}");
    // A stranger's Sigstore.
    world.attest_by(Sigstore::new().sign(), &statement());
    world.attested("--bundle b.json f").assert_refused("tlog");
}

#[test]
fn a_key_attests_without_a_log_and_only_what_it_signed() {
    let world = World::new();
    let (key, other) = (Key::p256(), Key::p256());
    world.plugin.write("k.pub", key.pem());
    world.plugin.write("other.pub", other.pem());
    let verify = |words: &str| {
        let words = format!("verify-blob-attestation --type any --bundle b.json {words}");
        world.run(&words.split_whitespace().collect::<Vec<_>>())
    };
    world.attest_by(world.sigstore.sign().keyed(&key).without_log(), &statement());
    let said = verify("--key k.pub f");
    said.assert_attested(PROVENANCE);
    assert!(said.stdout.contains("by: the key sha256:"), "{said:?}");
    verify("--key other.pub f").assert_refused("signature");
    verify("f").assert_refused("identity");
    world.attest(&statement());
    verify("--key k.pub f").assert_refused("identity");
}

#[test]
fn what_would_loosen_it_is_refused_with_the_reason() {
    let world = World::new();
    world.attest(&statement());
    let said = world.attested("--check-claims=false --bundle b.json f");
    said.assert_refused("usage");
    assert!(said.stderr.contains("may be about any file"), "{said:?}");
    world.attested("--check-claims=true --bundle b.json f").assert_attested(PROVENANCE);
}

/// PEP 740, "Attestation objects".
pub(super) fn pep740(bundle: &Value) -> Value {
    json!({
        "version": 1,
        "verification_material": {
            "certificate": bundle["verificationMaterial"]["certificate"]["rawBytes"],
            "transparency_entries": bundle["verificationMaterial"]["tlogEntries"],
        },
        "envelope": {
            "statement": bundle["dsseEnvelope"]["payload"],
            "signature": bundle["dsseEnvelope"]["signatures"][0]["sig"],
        },
    })
}

#[test]
fn attestations_of_pypi_are_read_by_themselves_and_as_provenance() {
    let world = World::new();
    let attestation = pep740(&world.attest(&statement()).bundle());
    let verify = |document: &Value| {
        world.plugin.write("b.json", document.to_string());
        world.attested("--bundle b.json f")
    };
    verify(&attestation).assert_attested(PROVENANCE);
    verify(&json!({"version": 1, "attestation_bundles": [
        {"publisher": {"kind": "GitHub"}, "attestations": [attestation]},
    ]}))
    .assert_attested(PROVENANCE);
    let but = |pointer: &str, value: Value| {
        let mut attestation = attestation.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        attestation.pointer_mut(parent).unwrap()[key] = value;
        verify(&attestation).class().to_owned()
    };
    assert_eq!(but("/version", json!(2)), "unsupported");
    assert_eq!(but("/version", json!("1")), "unsupported");
    assert_eq!(but("/x", json!(1)), "malformed");
    assert_eq!(but("/verification_material/public_key", json!({})), "malformed");
    assert_eq!(but("/envelope/payloadType", json!("text/plain")), "malformed");
    assert_eq!(but("/verification_material/transparency_entries", json!([])), "tlog");
    assert_eq!(but("/verification_material/certificate", json!("AA==")), "malformed");
    assert_eq!(but("/envelope/statement", json!(model::b64(b"{}"))), "signature");
    assert_eq!(but("/envelope", json!(null)), "malformed");
}

/// cosign 2 keeps the envelope where it keeps signatures.
#[test]
fn a_keyless_attestation_of_cosign_2_is_one_and_no_signature() {
    let world = World::new();
    let signature = world.attest(&statement());
    let envelope = signature.content.envelope(&signature.signature).to_string();
    let mut old = signature.blob_bundle();
    old["base64Signature"] = json!(model::b64(envelope.as_bytes()));
    world.plugin.write("old.json", old.to_string());
    world.attested("--bundle old.json f").assert_attested(PROVENANCE);
    let said = world.verify_dev("--bundle old.json f");
    said.assert_refused("identity");
    assert!(said.stderr.contains("verify-blob-attestation --type slsaprovenance1"), "{said:?}");
    let other = world.sigstore.sign().statement(&statement()).blob_bundle();
    old["rekorBundle"] = other["rekorBundle"].clone();
    world.plugin.write("old.json", old.to_string());
    world.attested("--bundle old.json f").assert_refused("tlog");
    old.as_object_mut().unwrap().shift_remove("rekorBundle");
    world.plugin.write("old.json", old.to_string());
    world.attested("--bundle old.json f").assert_refused("tlog");
}

#[test]
fn what_cosign_attests_of_a_blob_is_verified_and_never_taken_for_its_signature() {
    let data = format!("{}/tests/data/attestations", env!("CARGO_MANIFEST_DIR"));
    let plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign")).env("LUET_COSIGN_OFFLINE", "1");
    let (key, file) = (format!("{data}/cosign.pub"), format!("{data}/blob"));
    for name in [
        "cosign2.bundle.json",
        "cosign2.envelope.json",
        "cosign3.sigstore.json",
        "cosign3.bundle.json",
    ] {
        let bundle = format!("{data}/{name}");
        let verify = |command: &str, words: &[&str]| {
            let words = [&[command, "--key", &key, "--bundle", &bundle][..], words].concat();
            Said::from(plugin.run(words))
        };
        let attested = |words: &[&str]| verify("verify-blob-attestation", words);
        attested(&["--type", "custom", &file])
            .assert_attested("https://cosign.sigstore.dev/attestation/v1");
        attested(&["--type", "vuln", &file]).assert_refused("binding");
        attested(&["--type", "custom", &key]).assert_refused("binding");
        let said = verify("verify-blob", &[&file]);
        said.assert_refused("identity");
        assert!(said.stderr.contains("verify-blob-attestation"), "{name}: {said:?}");
    }
    let envelope = format!("{data}/cosign2.envelope.json");
    let said: Said =
        plugin.run(["verify-blob", "--key", &key, "--signature", &envelope, &file]).into();
    said.assert_refused("identity");
    let said: Said = plugin
        .run([
            "verify-blob-attestation",
            "--type",
            "custom",
            "--key",
            &key,
            "--signature",
            &envelope,
            &file,
        ])
        .into();
    said.assert_attested("https://cosign.sigstore.dev/attestation/v1");
}

#[test]
fn a_good_line_counts_whatever_the_others_are() {
    let world = World::new();
    let good = world.attest(&statement()).bundle().to_string();
    let eve = world.sigstore.sign().identity("eve@example.com").statement(&statement()).bundle();
    let other = changed(|it| it["predicateType"] = json!("https://spdx.dev/Document"));
    let other = world.sigstore.sign().statement(&other).bundle().to_string();
    let bad = ["{", "[]", "{}", "not JSON", &eve.to_string(), &other].map(str::to_owned);
    let file = |lines: &[String]| world.plugin.write("b.jsonl", lines.join("\n"));
    for at in [0, 3, bad.len()] {
        let mut lines = bad.to_vec();
        lines.insert(at, good.clone());
        file(&lines);
        let said = world.attested("--bundle b.jsonl f");
        said.assert_attested(PROVENANCE);
        assert!(said.stderr.contains("eve@example.com"), "the others are named: {said:?}");
    }
    let said = world.verify_dev("--bundle b.jsonl f");
    said.assert_refused("identity");
    assert!(said.stderr.contains("verify-blob-attestation"), "{said:?}");
    file(&bad);
    let said = world.attested("--bundle b.jsonl f");
    said.assert_refused("binding");
    assert!(said.stderr.contains("none of 6 attestations"), "{said:?}");
    // Of any type there are two by dev.
    file(&[good, other]);
    let document = json_of(&world.attested_as("any", "--json --bundle b.jsonl f").stdout);
    assert_eq!(document["attestations"].as_array().unwrap().len(), 2);
}

#[test]
fn more_than_are_read_are_a_limit_unless_a_good_one_is_among_the_first() {
    let world = World::new();
    let good = world.attest(&statement()).bundle().to_string();
    let most = luet_cosign::limits::ATTESTATIONS;
    let write = |at: usize| {
        let mut lines = vec!["{}".to_owned(); most];
        lines.insert(at, good.clone());
        world.plugin.write("b.jsonl", lines.join("\n"));
        world.attested("--bundle b.jsonl f")
    };
    write(most - 1).assert_attested(PROVENANCE);
    write(most).assert_refused("limit");
    let blanks = " ".repeat(usize::try_from(luet_cosign::limits::ATTESTATIONS_BYTES).unwrap());
    world.plugin.write("b.jsonl", format!("{good}\n{blanks}"));
    world.attested("--bundle b.jsonl f").assert_refused("limit");
    let blanks = " ".repeat(usize::try_from(luet_cosign::limits::BUNDLE_BYTES).unwrap());
    world.plugin.write("b.jsonl", good.replacen('{', &format!("{{{blanks}"), 1));
    world.attested("--bundle b.jsonl f").assert_refused("limit");
}

#[test]
fn what_is_not_an_attestation_at_all_is_called_so() {
    let world = World::new();
    for text in
        ["", "<!doctype html>\n<html>\n", "{}", "[]", "{\"attestations\": []}", "{\n\"a\":\n"]
    {
        world.plugin.write("b.json", text);
        world.attested("--bundle b.json f").assert_refused("malformed");
    }
    world.attested("--bundle none.json f").assert_refused("not-found");
    world.attest(&statement());
    world.attested("--bundle b.json none").assert_refused("not-found");
}

#[test]
fn the_order_of_digests_changes_nothing() {
    let world = World::new();
    let [sha256, sha384, _] = digests();
    for order in [[&sha256, &sha384], [&sha384, &sha256]] {
        let mut map = serde_json::Map::new();
        for (name, hex) in order {
            map.insert((*name).to_string(), json!(hex));
        }
        for key in [Key::p384(), Key::p256()] {
            let statement = changed(|s| s["subject"][0]["digest"] = Value::Object(map.clone()));
            world.attest_by(world.sigstore.sign().with_key(&key), &statement);
            world.attested("--bundle b.json f").assert_attested(PROVENANCE);
        }
    }
}
