//! A short fuzz: everything that reads bytes from outside is fed what almost is right. Nothing may
//! panic, and what is accepted has to hold what the target says.
//!
//! `LUET_COSIGN_FUZZ_SECONDS` is how long each target runs (1; CI: 60). Targets start from good
//! inputs of our own and from recorded ones. The first inputs are the same in each run. A failure prints
//! its input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    missing_docs
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use luet_cosign::class::Class;
use luet_cosign::config::Environment;
use luet_cosign::event::{Event, EventPayload};
use luet_cosign::name::{Digest, Reference, Repository, Scope, TagGlob};
use luet_cosign::policy::{Document, PolicyOrigin, lint_json};
use luet_cosign::registry::{Manifest, ManifestKind, read_challenge};
use luet_cosign::tree::{ExpectedTree, Limits, read_layer};
use luet_cosign::trust::{
    Attestation, Authority, Checker, Held, PrivateKey, PublicKey, Requirements, check_bundle,
};
use luet_cosign::wire::{
    self, Bundle, BundleSource, FallbackIndex, Payload, Referrer, Signatures, Statement, json,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use testkit::{PASSWORD, layer};

/// What is put into inputs: where parsers branch.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"/",
    b"@",
    b"@sha256:",
    b"..",
    b"*",
    b"**",
    b"\0",
    b"\n",
    b"\xff",
    b"\xe2\x80\xae",
    b"%00",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud800",
    b"&a",
    b"*a",
    b"!!x",
    b"<<",
    b"=",
    b"-----BEGIN",
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"ustar",
    b"30 SCHILY.xattr.user.x=",
    b"GNU.sparse.map=",
    b" path=",
    b".wh.",
    b".wh..wh..opq",
    b"\"digest\"",
    b"\"subject\"",
    b"\"mediaType\"",
];

/// xorshift64*: the same inputs on every machine.
struct Source(u64);

impl Source {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(value).unwrap() % end.max(1)
    }

    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let to = (at + self.below(16)).min(bytes.len());
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at..to)),
                2 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
                3 => drop(bytes.splice(at..to, WORDS[self.below(WORDS.len())].iter().copied())),
                4 => bytes.truncate(at),
                5 => {
                    let twice = bytes[at..to].to_vec();
                    bytes.splice(at..at, twice);
                }
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
        }
        bytes
    }
}

/// What a target starts from: inputs that it must accept, and recorded ones that it must survive.
#[derive(Default)]
struct Corpus {
    good: Vec<Vec<u8>>,
    recorded: Vec<Vec<u8>>,
}

impl Corpus {
    fn of(good: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { good: good.into_iter().collect(), recorded: Vec::new() }
    }

    /// Adds the files of the vectors whose path ends so, and demands that there are some.
    fn with_vectors(mut self, suffix: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let found =
            files(&folder).into_iter().filter(|path| path.to_string_lossy().ends_with(suffix));
        let before = self.recorded.len();
        self.recorded.extend(found.map(|path| std::fs::read(path).unwrap()));
        assert!(self.recorded.len() > before, "no vector ends in {suffix}");
        self
    }

    /// Feeds `target` for its share of the time: one of so many parts of a test. Says how often,
    /// and how much was accepted.
    #[track_caller]
    fn feed(self, name: &str, parts: u32, mut target: impl FnMut(&[u8]) -> bool) {
        let seconds = std::env::var("LUET_COSIGN_FUZZ_SECONDS")
            .ok()
            .map_or(1, |text| text.parse().expect("a number of seconds"));
        let mut run = |bytes: &[u8]| match catch_unwind(AssertUnwindSafe(|| target(bytes))) {
            Ok(good) => good,
            Err(_) => panic!("{name}: input: {}", bytes.escape_ascii()),
        };
        assert!(
            self.good.iter().all(|seed| run(seed)),
            "{name}: every seed of our own is accepted"
        );
        let recorded = self.recorded.iter().filter(|seed| run(seed)).count();
        println!(
            "{name}: {} seeds; of {} recorded ones {recorded} are accepted",
            self.good.len(),
            self.recorded.len()
        );
        let all: Vec<Vec<u8>> = self.good.iter().chain(&self.recorded).cloned().collect();
        let mut source = Source(0x9e37_79b9_7f4a_7c15);
        let (mut runs, mut accepted) = (0_u64, 0_u64);
        let until = Instant::now() + Duration::from_secs(seconds) / parts;
        while Instant::now() < until || runs < 20 {
            // Of many recorded ones few are of our keys: every other input starts from what is
            // accepted.
            accepted +=
                u64::from(run(&source.mutate(if runs % 2 == 0 { &self.good } else { &all })));
            runs += 1;
        }
        println!("{name}: {runs} inputs, {accepted} accepted");
    }
}

/// The files below a directory, in order; none where it is not there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// A file of `src/trust/testdata/keys`, and all of them whose name ends so.
fn key_files(suffix: &str) -> Vec<Vec<u8>> {
    let all = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/trust/testdata/keys"));
    all.iter()
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn text<T>(bytes: &[u8], parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    str::from_utf8(bytes).ok().and_then(parse)
}

fn key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| {
        PrivateKey::open(
            PrivateKey::generate(PASSWORD.as_bytes()).unwrap().private_pem.as_bytes(),
            PASSWORD.as_bytes(),
        )
        .unwrap()
    })
}

fn authorities() -> [Authority; 1] {
    [Authority::of_key("acme", key().public().clone())]
}

fn image() -> Digest {
    Digest::of(b"image")
}

fn payload() -> Payload {
    Payload {
        docker_reference: "quay.io/a/b".to_owned(),
        manifest_digest: image(),
        annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    }
}

#[test]
fn events() {
    let environment = Environment::from_pairs([("TMPDIR", "/nonexistent")]);
    let own = texts(&[
        r#"{"name":"","data":"{\"Image\":\"a/b:1\",\"Dest\":\"/tmp/x\",\"ImageName\":\"a/b:1\"}","file":""}"#,
        r#"{"data":{"Image":"a/b:1","Dest":"/tmp/x","ImageName":"a/b:1","DockerFileName":"Dockerfile"}}"#,
    ]);
    let mut corpus = Corpus::of(own).with_vectors(".jsonl");
    // A recording is a file of calls; the second word of each is the event.
    let calls = corpus.recorded.iter().flat_map(|file| str::from_utf8(file).unwrap().lines());
    let words = calls.filter_map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["argv"][1]
            .as_str()
            .map(str::to_owned)
    });
    let mut words: Vec<Vec<u8>> = words.map(String::into_bytes).collect();
    words.sort();
    words.dedup();
    corpus.recorded = words;
    corpus.feed("event", 1, |bytes| {
        let read =
            |event| EventPayload::read(event, Some(OsStr::from_bytes(bytes)), None, &environment);
        Event::ALL
            .into_iter()
            .filter_map(|event| read(event).ok())
            .inspect(named_and_absolute)
            .count()
            > 0
    });
}

fn named_and_absolute(payload: &EventPayload) {
    match payload {
        EventPayload::PreUnpack(unpack) | EventPayload::PostUnpack(unpack) => {
            assert!(!unpack.image.is_empty() && unpack.dest.is_absolute())
        }
        EventPayload::PrePush(push)
        | EventPayload::PostPush(push)
        | EventPayload::PostPull(push) => assert!(!push.image.is_empty()),
    }
}

#[test]
fn names() {
    let own = texts(&[
        "quay.io/acme/packages:yip-1.0",
        "localhost:5000/a/b@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "alpine",
        "intranet:443/a/b",
        "intranet./a/b",
    ]);
    Corpus::of(own).feed("reference", 3, |bytes| {
        let Some(reference) = text(bytes, |text| text.parse::<Reference>().ok()) else {
            return false;
        };
        assert_eq!(
            reference.to_string().parse::<Reference>().unwrap(),
            reference,
            "what is printed is the same name"
        );
        true
    });
    Corpus::of(texts(&["quay.io/acme/**", "*.example.org/a/*", "quay.io/acme/os", "*"])).feed(
        "scope",
        3,
        |bytes| {
            let Some(scope) = text(bytes, |text| text.parse::<Scope>().ok()) else { return false };
            assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
            let stranger: Repository = "registry.invalid/x/y".parse().unwrap();
            assert!(!scope.covers(&stranger) || scope.to_string().contains(['*', 'x']), "{scope}");
            true
        },
    );
    Corpus::of(texts(&["cake-*", "*", "a*b*c"])).feed("pattern of tags", 3, |bytes| {
        text(bytes, |text| text.parse::<TagGlob>().ok()).is_some()
    });
}

#[test]
fn challenges_ask_for_tokens_only_where_a_url_can_be_asked() {
    let repository: Repository = "quay.io/a/b".parse().unwrap();
    let own = texts(&[
        r#"Bearer realm="https://quay.io/v2/auth",service="quay.io",scope="repository:a/b:pull""#,
        r#"Basic realm="Registry Realm", Bearer realm="https://a.example/t""#,
        r#"basic realm="x""#,
    ]);
    Corpus::of(own).feed("challenge", 1, |bytes| match read_challenge(bytes, &repository) {
        Ok(Some(realm)) => {
            assert!(realm.starts_with("https://") || realm.starts_with("http://"), "{realm}");
            assert!(!realm.contains('#'), "{realm}");
            true
        }
        Ok(None) => true,
        Err(_) => false,
    });
}

#[test]
fn manifests() {
    let own = texts(&[
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":4},"layers":[]}"#,
    ]);
    Corpus::of(own).with_vectors("manifest.json").with_vectors("index.json").feed(
        "manifest",
        1,
        |bytes| {
            let Ok(manifest) = Manifest::parse(bytes.to_vec(), None) else { return false };
            assert_eq!(manifest.digest, Digest::of(bytes));
            let index =
                manifest.media_type.contains("index") || manifest.media_type.contains("list");
            assert_eq!(
                index,
                matches!(manifest.kind, ManifestKind::Index(_)),
                "{}",
                manifest.media_type
            );
            true
        },
    );
}

#[test]
fn json_means_what_everybody_else_reads() {
    let own = texts(&[r#"{"a":[1,2.5,"x",null,true],"b":{"c":"\u00e9"}}"#, "[]", "\"x\""]);
    Corpus::of(own).with_vectors(".json").feed("JSON", 1, |bytes| {
        let Ok(value) = json::parse(bytes) else { return false };
        assert_eq!(serde_json::from_slice::<serde_json::Value>(bytes).unwrap(), value);
        true
    });
}

#[test]
fn legacy_signatures_are_accepted_only_for_what_was_signed() {
    let (bytes, authorities, requirements) =
        (payload().to_bytes(), authorities(), Requirements::default());
    let mut signatures = Signatures::default();
    signatures.push(&bytes, &key().signed(&bytes).unwrap()).unwrap();
    let check = |manifest: &[u8], payload: &[u8]| {
        // Each is an image of its own, with work of its own to spend.
        let checker = Checker::new(&authorities, &requirements);
        let candidates: Vec<_> = Signatures::parse(manifest)
            .map(|found| found.candidates().flatten().collect())
            .unwrap_or_default();
        candidates.iter().any(|candidate| {
            Held::check(candidate, &checker)
                .is_ok_and(|held| held.check_claims(payload, &image(), &checker).is_ok())
        })
    };
    let manifest = signatures.manifest();
    let manifests = Corpus::of([manifest.clone()]).with_vectors("sig.manifest.json");
    manifests.feed("manifest of legacy signatures", 3, |mutated| check(mutated, &bytes));
    Corpus::of([bytes.clone()]).feed("signed payload", 3, |mutated| {
        let good = check(&manifest, mutated);
        assert!(!good || mutated == bytes, "another payload was accepted");
        good
    });
    Corpus::of([bytes])
        .with_vectors("payload.json")
        .feed("simple signing", 3, |mutated| Payload::parse(mutated).is_ok());
}

#[test]
fn bundles_are_accepted_only_for_what_was_signed() {
    let statement = wire::write_statement(&image(), &payload().annotations);
    let signed = key().signed(&wire::statement_to_sign(&statement)).unwrap();
    let bundle = wire::write_bundle(&statement, &signed);
    let (authorities, requirements) = (authorities(), Requirements::default());
    Corpus::of([bundle]).with_vectors("sigstore.json").feed("bundle (DSSE)", 2, |mutated| {
        let checker = Checker::new(&authorities, &requirements);
        let checked = Bundle::parse(mutated, BundleSource::Registry)
            .and_then(|bundle| Ok(check_bundle(&bundle, &image(), &checker)?));
        let Ok(Some(signature)) = checked else { return false };
        assert_eq!(
            (signature.image(), &signature.payload().annotations),
            (&image(), &payload().annotations)
        );
        true
    });
    Corpus::of([statement]).feed("statement", 2, |mutated| Statement::parse(mutated).is_ok());
}

#[test]
fn what_lies_beside_a_file_is_read_as_it_is_written() {
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", vec![0x30, 0]));
    let entry = wire::LogEntry {
        body: b"{}".to_vec(),
        integrated_time: 1,
        log_index: 1,
        log_id: [1; 32],
        promise: vec![1],
    };
    let payload = serde_json::json!({"body": "e30=", "integratedTime": 1, "logIndex": 1, "logID": "01".repeat(32)});
    let rekor = serde_json::json!({"SignedEntryTimestamp": "AQ==", "Payload": payload});
    let old = serde_json::json!({"base64Signature": "AQID", "cert": STANDARD.encode(&pem), "rekorBundle": rekor}).to_string();
    Corpus::of(texts(&[&old]))
        .with_vectors(".json")
        .feed("bundle of a file", 4, |mutated| wire::read_bundle(mutated).is_ok());
    let pypi = serde_json::json!({
        "version": 1,
        "verification_material": {"certificate": "MAA=", "transparency_entries": [{}]},
        "envelope": {"statement": "e30=", "signature": "AQID"},
    });
    let envelope = serde_json::json!({
        "payloadType": "application/vnd.in-toto+json",
        "payload": "e30=",
        "signatures": [{"keyid": "", "sig": "AQID"}],
    });
    let lines = format!("{old}\n{pypi}\n{envelope}\n");
    Corpus::of(texts(&[&pypi.to_string(), &envelope.to_string(), &lines]))
        .with_vectors(".json")
        .feed("attestations of a file", 4, |mutated| {
            let Ok(found) = wire::read_attestations(mutated) else { return false };
            assert!((1..=luet_cosign::limits::ATTESTATIONS).contains(&found.bundles.len()));
            found.bundles.into_iter().flatten().any(|bundle| Attestation::new(bundle).is_ok())
        });
    Corpus::of(texts(&[&pem])).with_vectors(".cert").feed("certificate of a file", 4, |mutated| {
        let Ok(certificates) = wire::read_certificate_file(mutated) else { return false };
        assert!(!certificates.is_empty());
        true
    });
    let proof = wire::LogProof {
        index: 0,
        size: 1,
        root: [1; 32],
        hashes: vec![[1; 32]],
        checkpoint: "x".to_owned(),
    };
    let logged = wire::LoggedEntry { entry, proof: Some(proof) };
    let answer = wire::LogAnswer { uuid: "ab".repeat(32), logged, attestation: None };
    Corpus::of([answer.to_bytes()]).feed("answer of a log", 4, |mutated| {
        let Ok(answers) = wire::LogAnswer::parse_all(mutated) else { return false };
        for answer in answers {
            let kept = wire::LogAnswer { attestation: None, ..answer };
            assert_eq!(
                wire::LogAnswer::parse_all(&kept.to_bytes()).unwrap(),
                [kept],
                "what is kept is read as the same"
            );
        }
        true
    });
    let list = format!("{0}  a\nSHA256 (b) = {0}\n", "0a".repeat(32));
    Corpus::of([list.into_bytes()]).feed("list of digests", 4, |mutated| {
        let Ok(list) = luet_cosign::blob::ListedFile::parse_all(mutated) else { return false };
        for path in list.iter().map(|listed| listed.path(Path::new("folder"))) {
            let leads_out = path.components().any(|part| part == std::path::Component::ParentDir);
            assert!(path.starts_with("folder") && !leads_out, "{}", path.display());
        }
        true
    });
}

#[test]
fn answers_of_services_that_sign() {
    let entry = serde_json::json!({
        "logIndex": "7", "logId": {"keyId": "AQ=="},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"}, "integratedTime": "0",
        "inclusionPromise": null,
        "inclusionProof": {"logIndex": "7", "rootHash": "AQ==", "treeSize": "8", "hashes": ["AQ=="], "checkpoint": {"envelope": "x"}},
        "canonicalizedBody": "e30=",
    });
    Corpus::of(texts(&[&entry.to_string()])).feed("entry of a log of v2", 2, |mutated| {
        let Ok(entry) = wire::read_tlog_entry(mutated) else { return false };
        let mut signed = wire::Signed::by_key(vec![1], &[0; 32]);
        signed.entry = Some(wire::SignedEntry::V2(entry));
        let bundle = wire::write_bundle(b"{}", &signed);
        if let Ok(bundle) = Bundle::parse(&bundle, BundleSource::Registry) {
            // What is taken from a log is what readers of bundles know.
            let class = bundle.evidence().map_err(|failure| failure.class());
            assert!(class.is_ok() || class == Err(Class::Limit), "{class:?}");
        }
        true
    });
    let services = |url: &str, version: u32| serde_json::json!([{"url": url, "majorApiVersion": version, "validFor": {"start": "2020-01-01T00:00:00Z"}, "operator": "x"}]);
    let config = serde_json::json!({
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": services("https://fulcio.example", 1),
        "rekorTlogUrls": services("https://rekor.example", 2),
        "tsaUrls": services("https://tsa.example/api/v1/timestamp", 1),
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaConfig": {"selector": "ANY"},
    });
    let now = "2026-11-30T00:00:00Z".parse().unwrap();
    Corpus::of(texts(&[&config.to_string()])).feed("signing configuration", 2, |mutated| {
        let Ok(found) = luet_cosign::sigstore::Services::parse(mutated, "fuzzed", now) else {
            return false;
        };
        let log = found.log.map(|log| log.url);
        for url in [found.fulcio, log, found.tsa].into_iter().flatten() {
            assert!(luet_cosign::registry::Client::check_address(&url).is_ok(), "{url}");
        }
        true
    });
}

#[test]
fn referrers() {
    let subject = wire::SubjectDescriptor {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        bytes: 5,
        digest: image(),
    };
    let manifest = wire::write_referrer(b"{}", &subject, jiff::Timestamp::UNIX_EPOCH);
    let manifests = Corpus::of([manifest]).with_vectors("0.manifest.json");
    manifests.feed("referrer", 2, |mutated| Referrer::parse(mutated, &image()).is_ok());
    let index = texts(&[
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
    ]);
    Corpus::of(index)
        .with_vectors("index.json")
        .feed("fallback index", 2, |mutated| FallbackIndex::parse(mutated).is_ok());
}

#[test]
fn policies() {
    let seeds = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies"));
    Corpus::of(seeds.iter().map(|path| std::fs::read(path).unwrap())).feed(
        "policy",
        1,
        |mutated| {
            text(mutated, |text| match Document::parse(text) {
                Ok(document) => Some(document.signers().len()),
                Err(problems) => {
                    assert!(!problems.is_empty(), "a refusal says why");
                    let _ = lint_json(
                        &problems,
                        &PolicyOrigin::File { path: "policy.yaml".to_owned() },
                    );
                    None
                }
            })
            .is_some()
        },
    );
}

#[test]
fn public_keys() {
    let own = ["p256.pub", "p384.pub", "p521.pub", "ed25519.pub", "rsa2048.pub"]
        .into_iter()
        .flat_map(key_files);
    let mut corpus = Corpus::of(own).with_vectors(".pub");
    corpus.recorded.extend(key_files(".pub"));
    let inside = |files: &[Vec<u8>]| {
        files.iter().filter_map(|file| pem::parse(file).ok()).map(pem::Pem::into_contents).collect()
    };
    let documents = Corpus { good: inside(&corpus.good), recorded: inside(&corpus.recorded) };
    corpus.feed("public key", 2, |mutated| PublicKey::from_pem(mutated).is_ok());
    documents.feed("public key, DER", 2, |mutated| PublicKey::from_spki(mutated).is_ok());
}

/// What opens costs what opening costs, so these run less often than all others.
#[test]
fn private_keys() {
    let password = PASSWORD.as_bytes();
    let sealed = PrivateKey::generate(password).unwrap().private_pem;
    let json = pem::parse(sealed.as_bytes()).unwrap().into_contents();
    let sealed_in =
        |body: &[u8]| pem::encode(&pem::Pem::new("ENCRYPTED SIGSTORE PRIVATE KEY", body));
    Corpus::of(texts(&[&sealed]))
        .feed("encrypted key", 4, |mutated| PrivateKey::open(mutated, password).is_ok());
    Corpus::of([json]).feed("encrypted key, JSON", 4, |mutated| {
        PrivateKey::open(sealed_in(mutated).as_bytes(), password).is_ok()
    });
    let good = ["p256.pbes2.pem", "ed25519.scrypt.pem"].into_iter().flat_map(key_files);
    let corpus =
        || Corpus { good: good.clone().collect(), recorded: key_files("_unsupported.pem") };
    corpus().feed("key to import", 4, |mutated| PrivateKey::import(mutated, password).is_ok());
    let encrypted =
        Corpus::of(corpus().good.iter().map(|file| pem::parse(file).unwrap().into_contents()));
    encrypted.feed("key to import, DER", 4, |mutated| {
        PrivateKey::import(
            pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", mutated)).as_bytes(),
            password,
        )
        .is_ok()
    });
}

#[test]
fn archives() {
    let limits = Limits {
        entries: 1000,
        metadata_bytes: 1 << 16,
        unpacked_bytes: 1 << 20,
        ..Limits::default()
    };
    let read = |bytes: &[u8]| {
        let Ok(layer) = read_layer(bytes, limits) else { return false };
        let _ = ExpectedTree::of(&[layer]).digest();
        true
    };
    let good = records(&["mtime=1350244992.023960108", "SCHILY.xattr.user.a=", "path=pax/name"]);
    let plain =
        layer(&[("usr/bin/tool", b"a tool"), ("etc/.wh.old", b""), ("usr/lib/.wh..wh..opq", b"")]);
    let seeds = || {
        let mut corpus = Corpus::of([plain.clone(), with_records(&good), long_names()])
            .with_vectors("image.layer0");
        corpus.recorded.iter_mut().for_each(|layer| *layer = unpacked(layer));
        corpus
    };
    seeds().feed("tar", 3, read);
    // A header that was changed is not read at all, unless its checksum is changed as well.
    seeds().feed("tar with right checksums", 3, |mutated| read(&with_checksums(mutated)));
    let sparse = records(&[
        "GNU.sparse.major=1",
        "GNU.sparse.minor=0",
        "GNU.sparse.realsize=1024",
        "GNU.sparse.map=0,1,2",
    ]);
    let corpus = Corpus { good: vec![good, Vec::new()], recorded: vec![sparse] };
    corpus.feed("PAX records", 3, |mutated| read(&with_records(mutated)));
}

/// Records of an extended header; each begins with its own length.
fn records(texts: &[&str]) -> Vec<u8> {
    let record = |text: &&str| {
        let length = (1..)
            .find(|length: &usize| length.to_string().len() + text.len() + 2 == *length)
            .unwrap();
        format!("{length} {text}\n")
    };
    texts.iter().map(record).collect::<String>().into_bytes()
}

/// An archive of one file with these records before it.
fn with_records(records: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, content) in
        [(tar::EntryType::XHeader, "pax", records), (tar::EntryType::Regular, "file", b"content")]
    {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(u64::try_from(content.len()).unwrap());
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// As GNU tar writes names that are too long for a header.
fn long_names() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    builder.append_data(&mut header, format!("{}/x", "long".repeat(40)), &b"x"[..]).unwrap();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "link", "to".repeat(120)).unwrap();
    builder.into_inner().unwrap()
}

fn with_checksums(archive: &[u8]) -> Vec<u8> {
    let mut archive = archive.to_vec();
    for block in archive.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive
}

fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(gzip).read_to_end(&mut bytes).unwrap();
    bytes
}
