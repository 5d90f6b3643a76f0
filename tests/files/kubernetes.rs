//! A signature from production: kubectl v1.26.0-rc.1, of which there are the two files and the
//! digest, as Kubernetes published them.

use super::*;
use jiff::{SignedDuration, Timestamp};
use luet_cosign::name::Digest;
use luet_cosign::wire;
use serde_json::json;
use sigstore::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
use testkit::sigstore::{Kind, Log};

const KUBECTL: &str = "sha256:982dfe7eb5c27120de6262d30fa3e8029bc1da9e632ce70570e9c921d2851fc2";
const IDENTITY: &str = "krel-staging@k8s-releng-prod.iam.gserviceaccount.com";
const ISSUER: &str = "https://accounts.google.com";
/// What the public log calls the entry.
const UUID: &str =
    "24296fb24b8ad77a5d54b39222e3fa9a21bcb0badd8aac939b4b0d1d9085b37f1f10b18a8cd24657";

fn published(extension: &str) -> String {
    let path = shared(&format!("kubernetes/kubectl-v1.26.0-rc.1.{extension}"));
    std::fs::canonicalize(path).unwrap().display().to_string()
}

/// The body of the entry, from the two files and the digest.
fn body() -> Vec<u8> {
    let read = |extension| std::fs::read(published(extension)).unwrap();
    let certificate = wire::read_certificate_file(&read("cert")).unwrap();
    let file: Digest = KUBECTL.parse().unwrap();
    wire::hashedrekord(&file.into(), &wire::read_signature(&read("sig")).unwrap(), &certificate[0])
}

/// A program whose root is the public one with a log of ours beside, which has the entry.
struct Production {
    plugin: Plugin,
    log: Arc<Log>,
    _server: Server,
}

impl Production {
    fn new() -> Self {
        let at: Timestamp = "2022-11-30T18:59:07Z".parse().unwrap();
        let log =
            Arc::new(Log::v1("rekor.test").with_strangers(4, at - SignedDuration::from_hours(1)));
        log.add(Kind::HashedRekord, &serde_json::from_slice(&body()).unwrap(), at);
        let served = Arc::clone(&log);
        let server = Server::start(move |request| {
            let (status, document) = served.answer(&request.method, &request.target, &request.body);
            Answer::new(status).json(&document.to_string())
        });
        let mut plugin = Plugin::new(env!("CARGO_BIN_EXE_luet-cosign"));
        plugin.set("COSIGN_REKOR_URL", &url(&server, ""));
        Self { plugin, log, _server: server }
    }

    /// Asks with the public root, ours beside, changed.
    fn verify(&self, identity: &str, change: impl FnOnce(&mut Value)) -> Said {
        let mut root = json_of(SIGSTORE_PRODUCTION_TRUSTED_ROOT);
        let key = json!({
            "rawBytes": testkit::sigstore::b64(&self.log.key.spki()),
            "keyDetails": self.log.key.details(),
            "validFor": {"start": "2022-01-01T00:00:00Z"},
        });
        let ours = json!({
            "baseUrl": "https://rekor.test",
            "hashAlgorithm": "SHA2_256",
            "publicKey": key,
            "logId": {"keyId": testkit::sigstore::b64(&self.log.id())},
        });
        root["tlogs"].as_array_mut().unwrap().push(ours);
        change(&mut root);
        let root = self.plugin.write("root.json", root.to_string());
        let (sig, cert) = (published("sig"), published("cert"));
        let words = [
            "verify-blob",
            "--signature",
            &sig,
            "--certificate",
            &cert,
            "--certificate-identity",
            identity,
        ];
        let more = [
            "--certificate-oidc-issuer",
            ISSUER,
            "--trusted-root",
            root.to_str().unwrap(),
            KUBECTL,
        ];
        self.plugin.run(words.into_iter().chain(more)).into()
    }
}

#[test]
fn the_entry_is_rebuilt_to_the_byte() {
    assert_eq!(wire::leaf_hash(&body()).hex(), UUID[16..]);
}

#[test]
fn with_the_log_s_entry_it_is_verified_by_the_public_root() {
    let said = Production::new().verify(IDENTITY, |_| {});
    said.assert_ok();
    assert!(
        said.stderr.contains(&format!("tlog entry verified with uuid: {} index: ", &UUID[16..])),
        "{said:?}"
    );
    Production::new().verify("eve@example.com", |_| {}).assert_refused("identity");
}

#[test]
fn each_key_is_needed_and_its_absence_has_a_name() {
    let production = Production::new();
    // Of two authorities the first did not issue it. Without any, nobody could have issued it then.
    let without: [(&str, fn(&mut Value), &str); 4] = [
        (
            "its authority",
            |root| drop(root["certificateAuthorities"].as_array_mut().unwrap().pop()),
            "identity",
        ),
        ("any authority", |root| root["certificateAuthorities"] = json!([]), "time"),
        ("its CT log", |root| drop(root["ctlogs"].as_array_mut().unwrap().pop()), "tlog"),
        ("our log", |root| drop(root["tlogs"].as_array_mut().unwrap().pop()), "tlog"),
    ];
    for (what, change, class) in without {
        let said = production.verify(IDENTITY, change);
        assert_eq!(said.class(), class, "without {what}: {said:?}");
    }
    production.verify(IDENTITY, |_| {}).assert_ok();
}

#[test]
fn without_the_log_nobody_knows_when_it_was_signed() {
    let mut production = Production::new();
    production.plugin.set("LUET_COSIGN_OFFLINE", "1");
    production.verify(IDENTITY, |_| {}).assert_refused("time");
}
