//! How much memory answers of the largest size can take: a value of one byte takes a hundred when
//! it is built. Measured of the process itself, whatever it answers. `bench/bars.sh` measures the
//! release build.

use crate::world::{Place, World, bundle, plugin};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use testkit::http::Answer;
use testkit::registry::{CONFIG, INDEX, MANIFEST, SIMPLE_SIGNING, digest};
use testkit::{Options, Plugin};

const MIB: usize = 1 << 20;
/// The most that any input may take.
const MOST_KIB: u64 = 64 << 10;
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Runs to the end, and returns the exit code and the largest resident set, in KiB. The kernel
/// keeps the largest, so it is enough that the last look comes shortly before the end.
fn peak_of(mut command: Command) -> (i32, u64) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        if let Some(ended) = child.try_wait().unwrap() {
            return (ended.code().unwrap_or(-1), peak);
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = found.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(found.unwrap_or_default());
        std::thread::yield_now();
    }
}

#[track_caller]
fn check(what: &str, plugin: &Plugin, words: &[&str]) {
    let mut command = plugin.raw();
    command.args(words);
    let (code, peak) = peak_of(command);
    assert!((1..70).contains(&code), "{what}: exit {code}");
    assert!((1..=MOST_KIB).contains(&peak), "{what}: {} MiB", peak >> 10);
}

impl World {
    /// Verifies by a key, and by an identity: what comes with a signature is read for that alone.
    #[track_caller]
    fn check_memory(&self, what: &str) {
        let name = self.name();
        check(what, &self.plugin, &["verify", "--key", "acme.pub", &name]);
        let by =
            ["--certificate-identity", "a@b.example", "--certificate-oidc-issuer", "https://c"];
        check(what, &self.plugin, &[&["verify"], &by[..], &[&name]].concat());
    }
}

/// JSON of about so many bytes whose every value is one byte, or an object in an object.
fn dense(bytes: usize) -> [String; 3] {
    [
        format!("[{}0]", "0,".repeat(bytes / 2)),
        format!("[{}0]", "{\"\":0},".repeat(bytes / 7)),
        format!("[{}0]", "[[[]]],".repeat(bytes / 7)),
    ]
}

fn typed(kind: &str, body: String) -> Answer {
    Answer::new(200).header("Content-Type", kind).body(body)
}

#[test]
fn a_manifest_full_of_values_takes_no_more_than_its_size_allows() {
    for body in dense(4 * MIB - 100) {
        for (place, kind) in [
            (Place::Tag, MANIFEST),
            (Place::Sig, MANIFEST),
            (Place::Fallback, INDEX),
            (Place::Referrers, INDEX),
        ] {
            let document = format!("{{\"schemaVersion\":2,\"layers\":{body}}}");
            World::lax().serve(place, typed(kind, document)).check_memory("dense");
        }
    }
}

/// Every answer as long as it may be, at the same time, and in form.
#[test]
fn long_answers_in_every_place_fit_together() {
    let fill = |bytes: usize| json!({"filler": "x".repeat(bytes)});
    let layer = |evidence: &str| {
        json!({"mediaType": SIMPLE_SIGNING, "size": 2, "digest": digest(b"{}"), "annotations": {
            "dev.cosignproject.cosign/signature": "AAAA",
            "dev.sigstore.cosign/certificate": format!("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n{evidence}"),
            "dev.sigstore.cosign/bundle": evidence,
        }})
    };
    let config = json!({"mediaType": CONFIG, "size": 2, "digest": digest(b"{}")});
    let manifest = |layers: Vec<Value>, annotations: Value| {
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": annotations})
            .to_string()
    };
    let image = manifest(Vec::new(), fill(4 * MIB - 1_000));
    let entry = json!({"mediaType": MANIFEST, "size": 2, "digest": digest(b"x"), "annotations": fill(4 * MIB - 1_000)});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
    let [values, ..] = dense(MIB - 10_000);
    for signatures in [
        manifest(vec![layer(&"x".repeat(3 * MIB / 2))], json!({})),
        manifest(vec![layer("x"); 800], fill(3 * MIB)),
        manifest(vec![layer(&values); 3], json!({})),
    ] {
        World::lax()
            .serve(Place::Tag, typed(MANIFEST, image.clone()))
            .serve(Place::Sig, typed(MANIFEST, signatures))
            .serve(Place::Fallback, typed(INDEX, index.clone()))
            .check_memory("long answers");
    }
}

#[test]
fn eight_large_referrers_at_once_fit() {
    let [values, objects, _] = dense(MIB - 30_000);
    let good: Value = serde_json::from_slice(&bundle("stranger", &digest(b"image"))).unwrap();
    let with = |pointer: &str, value: Value| {
        let mut bundle = good.clone();
        *bundle.pointer_mut(pointer).unwrap() = value;
        bundle.to_string()
    };
    let payload = |text: &str| {
        use base64::Engine as _;
        json!(
            base64::engine::general_purpose::STANDARD.encode(&text[..text.len() / 4 * 3 - 30_000])
        )
    };
    let certificate = json!({"certificate": {"rawBytes": "A".repeat(900_000)}});
    for bundle in [
        with("/dsseEnvelope", serde_json::from_str(&values).unwrap()),
        with("/dsseEnvelope", serde_json::from_str(&objects).unwrap()),
        with("/dsseEnvelope/payload", payload(&values)),
        with("/dsseEnvelope/payload", payload(&"x".repeat(MIB))),
        with("/verificationMaterial", certificate),
    ] {
        let world = World::with(Options::default(), "");
        for number in 0..12 {
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE,
                "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": digest(b"{}")},
                "layers": [{"mediaType": BUNDLE, "size": bundle.len(), "digest": world.registry.push_blob(crate::world::REPO, bundle.as_bytes())}],
                "subject": {"mediaType": MANIFEST, "size": world.image.manifest.len(), "digest": world.image.digest},
                "annotations": {"number": number.to_string(), "filler": "x".repeat(MIB - 2_000)},
            });
            let bytes = manifest.to_string();
            world.registry.push_manifest(crate::world::REPO, None, MANIFEST, bytes.as_bytes());
        }
        world.check_memory("referrers");
    }
}

#[test]
fn a_bundle_of_a_file_fits_whatever_is_in_it() {
    let [values, objects, lists] = dense(4 * MIB - 2_000);
    let text = "x".repeat(4 * MIB - 2_000);
    let material = |what: &str| {
        format!(
            r#"{{"mediaType":"{BUNDLE}","verificationMaterial":{{"certificate":{{"rawBytes":"MAA="}}{what}}},"messageSignature":{{"signature":"AAAA"}}}}"#
        )
    };
    let entry = |checkpoint: &str| {
        let proof = json!({"logIndex": "1", "rootHash": "AAAA", "treeSize": "2", "hashes": [], "checkpoint": {"envelope": checkpoint}});
        material(&format!(r#","tlogEntries":{}"#, json!([{"inclusionProof": proof}])))
    };
    let plugin = plugin();
    plugin.write("file", b"content");
    for (what, document) in [
        ("values", material(&format!(r#","tlogEntries":{values}"#))),
        ("objects", material(&format!(r#","tlogEntries":{objects}"#))),
        ("lists", lists),
        ("an old bundle", format!(r#"{{"base64Signature":"AAAA","rekorBundle":{objects}}}"#)),
        ("a long certificate", format!(r#"{{"base64Signature":"AAAA","cert":"{text}"}}"#)),
        ("a long checkpoint", entry(&text)),
        ("many lines", entry(&"x\n".repeat(MIB))),
    ] {
        plugin.write("bundle", &document);
        let by =
            ["--certificate-identity", "a@b.example", "--certificate-oidc-issuer", "https://c"];
        check(
            what,
            &plugin,
            &[&["verify-blob", "--bundle", "bundle"], &by[..], &["file"]].concat(),
        );
    }
}

/// Ed25519 signs messages as they are.
#[test]
fn a_long_file_signed_by_an_ed25519_key_is_not_kept() {
    let plugin = plugin();
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/src/trust/testdata/keys/ed25519.pub");
    std::fs::File::create(plugin.path("file")).unwrap().set_len(300 << 20).unwrap();
    plugin.write("signature", [7; 64]);
    let words = ["verify-blob", "--key", key, "--signature", "signature", "file"];
    check("300 MiB", &plugin, &words);
}
