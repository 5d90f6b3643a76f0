//! A short fuzz: everything that reads bytes from outside is fed what almost is right. Nothing may panic, and what is accepted has
//! to hold what the target says.
//!
//! `LUET_COSIGN_FUZZ_SECONDS` is how long each target runs (1; CI: 5). The first inputs are the same in each run. A failure prints
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

#[path = "support/mod.rs"]
mod support;

use luet_cosign::name::{Digest, Reference, Repository, Scope, TagGlob};
use luet_cosign::policy::{Document, Origin, lint_json};
use luet_cosign::tree::{Expected, Limits, read_layer};
use luet_cosign::trust::{Authority, Checker, Held, PrivateKey, PublicKey, Requirements, check_bundle};
use luet_cosign::wire::{self, Bundle, BundleSource, FallbackIndex, Payload, Referrer, Signatures, Statement, json};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use support::{PASSWORD, layer};

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

/// Feeds `target` for as long as a fuzz lasts. Says in the output of the test how often, and how much was accepted.
#[track_caller]
fn fuzz(seeds: &[Vec<u8>], mut target: impl FnMut(&[u8]) -> bool) {
    let seconds = std::env::var("LUET_COSIGN_FUZZ_SECONDS").ok().map_or(1, |text| text.parse().expect("a number of seconds"));
    assert!(seeds.iter().all(|seed| target(seed)), "every seed is accepted");
    let mut source = Source(0x9e37_79b9_7f4a_7c15);
    let (mut runs, mut accepted) = (0_u64, 0_u64);
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let bytes = source.mutate(seeds);
        match catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
            Ok(good) => accepted += u64::from(good),
            Err(_) => panic!("input: {}", bytes.escape_ascii()),
        }
        runs += 1;
    }
    println!("{runs} inputs, {accepted} accepted");
    assert!(runs > 100, "only {runs} inputs");
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
        PrivateKey::open(PrivateKey::generate(PASSWORD.as_bytes()).unwrap().private_pem.as_bytes(), PASSWORD.as_bytes()).unwrap()
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
fn names() {
    let seeds = texts(&[
        "quay.io/acme/packages:yip-1.0",
        "localhost:5000/a/b@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "alpine",
        "intranet:443/a/b",
        "intranet./a/b",
    ]);
    fuzz(&seeds, |bytes| {
        let Some(reference) = text(bytes, |text| text.parse::<Reference>().ok()) else { return false };
        assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference, "what is printed is the same name");
        true
    });
    fuzz(&texts(&["quay.io/acme/**", "*.example.org/a/*", "quay.io/acme/os", "*"]), |bytes| {
        let Some(scope) = text(bytes, |text| text.parse::<Scope>().ok()) else { return false };
        assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
        let stranger: Repository = "registry.invalid/x/y".parse().unwrap();
        assert!(!scope.covers(&stranger) || scope.to_string().contains(['*', 'x']), "{scope}");
        true
    });
    fuzz(&texts(&["cake-*", "*", "a*b*c"]), |bytes| text(bytes, |text| text.parse::<TagGlob>().ok()).is_some());
}

#[test]
fn json_means_what_everybody_else_reads() {
    fuzz(&texts(&[r#"{"a":[1,2.5,"x",null,true],"b":{"c":"\u00e9"}}"#, "[]", "\"x\""]), |bytes| {
        let Ok(value) = json::parse(bytes) else { return false };
        assert_eq!(serde_json::from_slice::<serde_json::Value>(bytes).unwrap(), value);
        true
    });
}

#[test]
fn legacy_signatures_are_accepted_only_for_what_was_signed() {
    let (bytes, authorities, requirements) = (payload().to_bytes(), authorities(), Requirements::default());
    let checker = Checker::new(&authorities, &requirements);
    let mut signatures = Signatures::default();
    signatures.push(&bytes, &key().sign(&bytes).unwrap()).unwrap();
    let check = |manifest: &[u8], payload: &[u8]| {
        let candidates: Vec<_> = Signatures::parse(manifest).map(|found| found.candidates().flatten().collect()).unwrap_or_default();
        candidates
            .iter()
            .any(|candidate| Held::check(candidate, &checker).is_ok_and(|held| held.check_claims(payload, &image(), &checker).is_ok()))
    };
    let manifest = signatures.manifest();
    fuzz(std::slice::from_ref(&manifest), |mutated| check(mutated, &bytes));
    fuzz(std::slice::from_ref(&bytes), |mutated| {
        let good = check(&manifest, mutated);
        assert!(!good || mutated == bytes, "another payload was accepted");
        good
    });
    fuzz(&[bytes], |mutated| Payload::parse(mutated).is_ok());
}

#[test]
fn bundles_are_accepted_only_for_what_was_signed() {
    let statement = wire::write_statement(&image(), &payload().annotations);
    let signature = key().sign(&wire::statement_to_sign(&statement)).unwrap();
    let bundle = wire::write_bundle(&statement, &signature, key().public().fingerprint().bytes());
    let (authorities, requirements) = (authorities(), Requirements::default());
    let checker = Checker::new(&authorities, &requirements);
    fuzz(&[bundle], |mutated| {
        let checked = Bundle::parse(mutated, BundleSource::Registry).and_then(|bundle| Ok(check_bundle(&bundle, &image(), &checker)?));
        let Ok(Some(signature)) = checked else { return false };
        assert_eq!((signature.image(), &signature.payload().annotations), (&image(), &payload().annotations));
        true
    });
    fuzz(&[statement], |mutated| Statement::parse(mutated).is_ok());
}

#[test]
fn referrers() {
    let subject =
        wire::SubjectDescriptor { media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(), bytes: 5, digest: image() };
    let manifest = wire::write_referrer(b"{}", &subject, jiff::Timestamp::UNIX_EPOCH);
    fuzz(&[manifest], |mutated| Referrer::parse(mutated, &image()).is_ok());
    let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    fuzz(&[index.to_vec()], |mutated| FallbackIndex::parse(mutated).is_ok());
}

#[test]
fn policies() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
    let mut seeds: Vec<Vec<u8>> = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    seeds.sort();
    fuzz(&seeds, |mutated| {
        text(mutated, |text| match Document::parse(text) {
            Ok(document) => Some(document.signers().len()),
            Err(problems) => {
                assert!(!problems.is_empty(), "a refusal says why");
                let _ = lint_json(&problems, &Origin::File { path: "policy.yaml".to_owned() });
                None
            }
        })
        .is_some()
    });
}

#[test]
fn keys() {
    let pair = PrivateKey::generate(PASSWORD.as_bytes()).unwrap();
    fuzz(&texts(&[&pair.public_pem]), |mutated| PublicKey::from_pem(mutated).is_ok());
}

#[test]
fn layers() {
    let tar = layer(&[("usr/bin/tool", b"a tool"), ("etc/.wh.old", b""), ("usr/lib/.wh..wh..opq", b"")]);
    let limits = Limits { entries: 1000, metadata_bytes: 1 << 16, unpacked_bytes: 1 << 20, ..Limits::default() };
    fuzz(&[tar], |mutated| {
        let Ok(layer) = read_layer(mutated, limits) else { return false };
        let _ = Expected::of(&[layer]).digest();
        true
    });
}
