//! The same signature, judged by us and by others: bundles by sigstore-go, legacy signatures by
//! cosign's own package (`go/judge`, a small program over their libraries).
//!
//! The signatures are good ones that were changed in up to three things *before* they were signed,
//! logged and stamped by the Sigstore of `testkit`, so that no broken signature hides what is
//! tested: the window of a certificate, its names and purposes, the promise of a CT log, the kind
//! and the body of a log entry, checkpoints, the order and number of things, the windows of the
//! trusted root.
//!
//! What we accept and they refuse is a fault until it is in [`EXPLAINED`]. What we refuse and
//! they accept is counted, by change and class. Each case follows from its seed:
//!
//! ```sh
//! LUET_COSIGN_DIFFERENTIAL=100000 cargo test -p e2e --test differential -- --nocapture
//! LUET_COSIGN_DIFFERENTIAL_SEED=4711 cargo test -p e2e --test differential -- --nocapture
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use luet_cosign::class::Failure;
use luet_cosign::name::Digest;
use luet_cosign::trust::{
    Authority as Signatory, CertificateLog, Checker, Held, Identity, Requirements, TextMatcher,
    TrustedRoot, TrustedRoots, check_bundle,
};
use luet_cosign::wire::{Bundle, BundleSource, Signatures};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use testkit::sigstore::{
    Authority, CODE_SIGNING, CtLog, Key, Kind, Log, LogKind, San, Sct, Signature, Signing,
    Sigstore, Stamp, TIME_STAMPING, Tsa, Version, Window, body, log, merkle,
};

const IMAGE: &str = "sha256:36909925fd20749255704b523256927a5a2da6584250575b44e1b14dc4a3275c";
const OTHER: &str = "sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b";
const SUBJECT: &str = "dev@example.com";
const ISSUER: &str = "https://issuer.example";
/// How many cases where nothing else is said.
const CASES: u64 = 5_000;
/// How many cases share a Sigstore: its logs grow with each of them.
const PER_SIGSTORE: u64 = 250;

/// What we accept although the others do not: the change, words of their refusal, and why.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "checkpoint: signed by more",
        "signature on checkpoint did not verify",
        "rekor's library wants every line of a v1 checkpoint to be the log's; witnesses may sign too",
    ),
    (
        "entry: of another kind",
        "calculated root",
        "sigstore-go writes a body of an old kind again before it hashes it; the log signed these bytes",
    ),
    (
        "entry: called otherwise",
        "hashedrekord implementation for version '0.0.2' not found",
        "a body with a key that nobody knows: the log signed it, and all that counts is compared",
    ),
    (
        "entry: of another kind",
        "hashedrekord implementation for version '0.0.2' not found",
        "cosign reads no entry of Rekor v2 beside a legacy signature; it names all that counts",
    ),
    (
        "entry: called otherwise",
        "calculated root",
        "sigstore-go writes a body of an old kind again before it hashes it; the log signed these bytes",
    ),
    (
        "certificate: a key of type",
        "unexpected algorithm: \"sha384\"",
        "cosign's legacy check knows SHA-256 alone; a P-384 key signs by SHA-384, and the entry says so",
    ),
    (
        "certificate: claims of the issuer",
        "none of the expected identities matched",
        "cosign's legacy check reads the older claim of the issuer alone; Fulcio writes both",
    ),
    (
        "root: something is not there",
        "unable to verify RFC3161 timestamp bundle",
        "a timestamp by an authority that the root does not name counts as nothing; the log has the time",
    ),
    (
        "time stamp: by another",
        "unable to verify RFC3161 timestamp bundle",
        "a timestamp by an authority that the root does not name counts as nothing; the log has the time",
    ),
];

// --- chance
// ---------------------------------------------------------------------------------------

/// SplitMix64: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Less or more than nothing, around the borders that windows here have.
    fn shift(&mut self) -> SignedDuration {
        let seconds =
            self.one(&[-31_536_000, -3_600, -601, -600, -599, -1, 1, 599, 600, 601, 3_599, 3_600]);
        SignedDuration::from_secs(seconds)
    }
}

// --- what can be changed
// --------------------------------------------------------------------------

/// Everything that a change can take from: a good Sigstore, and strangers of the same names.
struct World {
    sigstore: Sigstore,
    stranger: Sigstore,
    /// An authority of the name of ours, with another key.
    namesake: Authority,
    /// An authority of ours for time stamps alone.
    misused: Authority,
    /// A log of the name of ours.
    log: Log,
    ct: CtLog,
    keys: Vec<Key>,
    tsas: Vec<Tsa>,
}

impl World {
    fn new() -> Self {
        let sigstore = Sigstore::new();
        let window = sigstore.window;
        let root = || Authority::root("CN=test-tsa-root,O=sigstore.test", window);
        let over =
            Window { from: window.from, until: sigstore.now - SignedDuration::from_hours(2) };
        Self {
            stranger: Sigstore::new(),
            namesake: Authority::root("CN=test-fulcio-intermediate,O=sigstore.test", window),
            misused: sigstore.root.intermediate(
                "CN=test-fulcio-intermediate,O=sigstore.test",
                &[TIME_STAMPING],
                window,
            ),
            log: Log::v1("rekor1.test"),
            ct: CtLog::new(),
            keys: vec![Key::p256(), Key::p384(), Key::ed25519()],
            tsas: vec![
                Tsa::new(window),
                Tsa::with(root(), &[], window),
                Tsa::with(root(), &[CODE_SIGNING], window),
                Tsa::with(root(), &[TIME_STAMPING], over),
            ],
            sigstore,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Legacy,
    BundleV1,
    BundleV2,
}

/// A signature as it is served, and the root that it is judged by.
struct Served {
    root: Value,
    bundle: Option<Value>,
    payload: Vec<u8>,
    annotations: BTreeMap<String, String>,
}

type OnSigning = for<'a> fn(Signing<'a>, &'a World, &mut Chance) -> Signing<'a>;
type OnSignature = fn(&mut Signature, &World, &mut Chance);
type OnServed = fn(&mut Served, &World, &mut Chance);

/// What is changed, and when: before anything is signed, in what was signed and logged (which is
/// then logged again where that says so), or in what is served.
enum Change {
    Signing(OnSigning),
    Signature(OnSignature),
    Served(OnServed),
}

use Change::{Served as Then, Signature as After, Signing as Before};

const CHANGES: &[(&str, Change)] = &[
    ("nothing", Before(|signing, _, _| signing)),
    // The certificate.
    (
        "certificate: begins elsewhere",
        Before(|signing, _, chance| {
            let by = chance.shift();
            signing.leaf(|leaf| leaf.window.from += by)
        }),
    ),
    (
        "certificate: ends elsewhere",
        Before(|signing, _, chance| {
            let by = chance.shift();
            signing.leaf(|leaf| leaf.window.until += by)
        }),
    ),
    (
        "certificate: purposes",
        Before(|signing, _, chance| {
            let purposes: [&[_]; 3] = [&[], &[TIME_STAMPING], &[CODE_SIGNING, TIME_STAMPING]];
            let purposes = chance.one(&purposes).to_vec();
            signing.leaf(|leaf| leaf.purposes = purposes)
        }),
    ),
    (
        "certificate: an authority",
        Before(|signing, _, _| signing.leaf(|leaf| leaf.authority = true)),
    ),
    (
        "certificate: issued by",
        Before(|signing, world, chance| {
            let issuers =
                [&world.namesake, &world.misused, &world.sigstore.root, &world.stranger.fulcio];
            let issuer = chance.one(&issuers);
            signing.leaf(|leaf| leaf.issuer = issuer)
        }),
    ),
    (
        "certificate: a key of type",
        Before(|signing, world, chance| {
            signing.with_key(&world.keys[chance.below(world.keys.len())])
        }),
    ),
    (
        "certificate: names",
        Before(|signing, _, chance| {
            let of = |text: &str| San::of(text);
            let names = match chance.below(7) {
                0 => vec![],
                1 => vec![of("eve@example.com")],
                2 => vec![of(SUBJECT), of("eve@example.com")],
                3 => vec![of("eve@example.com"), of(SUBJECT)],
                4 => vec![San::Uri(SUBJECT.to_owned())],
                5 => vec![San::Dns(SUBJECT.to_owned())],
                _ => vec![San::Other(SUBJECT.to_owned())],
            };
            signing.leaf(|leaf| leaf.names = names)
        }),
    ),
    (
        "certificate: claims of the issuer",
        Before(|signing, _, chance| {
            let way = chance.below(6);
            signing.leaf(|leaf| match way {
                0 => drop(leaf.claims.remove(&1)),
                1 => drop(leaf.claims.remove(&8)),
                2 => leaf.claims.clear(),
                3 => leaf.claim(1, "https://evil.example"),
                4 => leaf.claim(8, "https://evil.example"),
                _ => drop(leaf.claims.insert(8, ISSUER.as_bytes().to_vec())),
            })
        }),
    ),
    // The promise of the CT log.
    ("promise: none", Before(|signing, _, _| signing.leaf(|leaf| leaf.scts.clear()))),
    (
        "promise: twice",
        Before(|signing, _, _| signing.leaf(|leaf| leaf.scts.extend_from_within(..))),
    ),
    (
        "promise: by a stranger",
        Before(|signing, world, _| {
            signing.leaf(|leaf| leaf.scts.iter_mut().for_each(|sct| sct.log = &world.ct))
        }),
    ),
    (
        "promise: by a stranger beside ours",
        Before(|signing, world, chance| {
            let first = chance.below(2);
            signing.leaf(|leaf| {
                let Some(ours) = leaf.scts.first().copied() else { return };
                leaf.scts.insert(first, Sct { log: &world.ct, ..ours });
            })
        }),
    ),
    (
        "promise: at another time",
        Before(|signing, _, chance| {
            let by = chance.shift();
            signing.leaf(|leaf| leaf.scts.iter_mut().for_each(|sct| sct.at += by))
        }),
    ),
    (
        "promise: for another issuer",
        Before(|signing, _, _| {
            signing.leaf(|leaf| leaf.scts.iter_mut().for_each(|sct| sct.issuer = Some([7; 32])))
        }),
    ),
    // The log.
    (
        "entry: at another time",
        Before(|signing, world, chance| {
            let at = world.sigstore.now - SignedDuration::from_hours(1) + chance.shift();
            signing.integrated_at(at)
        }),
    ),
    ("entry: none", Before(|signing, _, _| signing.without_log())),
    ("entry: in a stranger's log", Before(|signing, world, _| signing.logged_in(&world.log))),
    (
        "entry: of another kind",
        Before(|signing, _, chance| {
            let kinds =
                [Kind::Rekord, Kind::HashedRekord, Kind::HashedRekord2, Kind::Dsse, Kind::Intoto];
            signing.entry(chance.one(&kinds))
        }),
    ),
    (
        "entry: about something else",
        After(|signature, world, chance| {
            edit_body(
                signature,
                world,
                |body, chance| {
                    let other = Key::p256();
                    let text = body.to_string();
                    let spec = &mut body["spec"];
                    let fields: Vec<Vec<&str>> = vec![
                        vec!["data", "hash", "value"],
                        vec!["data", "hash", "algorithm"],
                        vec!["signature", "content"],
                        vec!["signature", "publicKey", "content"],
                        vec!["payloadHash", "value"],
                        vec!["envelopeHash", "value"],
                        vec!["hashedRekordV002", "data", "digest"],
                        vec!["hashedRekordV002", "data", "algorithm"],
                        vec!["hashedRekordV002", "signature", "content"],
                        vec!["hashedRekordV002", "signature", "verifier", "keyDetails"],
                    ];
                    let there: Vec<_> = fields
                        .into_iter()
                        .filter(|path| {
                            text.contains(path[0]) && at(spec, path).is_some_and(|v| v.is_string())
                        })
                        .collect();
                    if there.is_empty() {
                        return;
                    }
                    let path = there[chance.below(there.len())].clone();
                    let value = at(spec, &path).unwrap();
                    *value = match *path.last().unwrap() {
                        "value" => {
                            json!(testkit::sigstore::hex(&testkit::sigstore::sha256(b"other")))
                        }
                        "algorithm" => json!(if value == "sha256" || value == "SHA2_256" {
                            "sha512"
                        } else {
                            "sha256"
                        }),
                        "digest" => json!(STANDARD.encode(testkit::sigstore::sha256(b"other"))),
                        "keyDetails" => json!("PKIX_ECDSA_P384_SHA_384"),
                        _ => json!(STANDARD.encode(other.sign(b"other"))),
                    };
                },
                chance,
            );
        }),
    ),
    (
        "entry: called otherwise",
        After(|signature, world, chance| {
            edit_body(
                signature,
                world,
                |body, chance| match chance.below(3) {
                    0 => {
                        body["kind"] =
                            json!(chance.one(&["hashedrekord", "dsse", "intoto", "rekord"]))
                    }
                    1 => body["apiVersion"] = json!(chance.one(&["0.0.1", "0.0.2", "0.0.3"])),
                    _ => body["more"] = json!(1),
                },
                chance,
            );
        }),
    ),
    (
        "entry: of another signature",
        After(|signature, world, _| {
            signature.entry = world.sigstore.sign().image(IMAGE).entry;
        }),
    ),
    (
        "entry: without its promise",
        After(|signature, _, _| {
            if let Some(entry) = &mut signature.entry {
                entry.promise = None;
            }
        }),
    ),
    (
        "entry: without its promise and time",
        After(|signature, _, _| {
            if let Some(entry) = &mut signature.entry {
                (entry.promise, entry.integrated) = (None, None);
            }
        }),
    ),
    (
        "entry: without its proof",
        After(|signature, _, _| {
            if let Some(entry) = &mut signature.entry {
                entry.proof = None;
            }
        }),
    ),
    (
        "entry: promised for another index",
        After(|signature, world, _| {
            if let Some(entry) = signature.entry.as_mut().filter(|entry| entry.promise.is_some()) {
                entry.index += 1;
                let payload = body::canonical(&entry.payload());
                entry.promise = Some(world.sigstore.rekor1.key.sign(payload.as_bytes()));
            }
        }),
    ),
    (
        "entry: promised for another log",
        After(|signature, world, _| {
            if let Some(entry) = signature.entry.as_mut().filter(|entry| entry.promise.is_some()) {
                entry.log = world.sigstore.rekor2.id();
                let payload = body::canonical(&entry.payload());
                entry.promise = Some(world.sigstore.rekor1.key.sign(payload.as_bytes()));
            }
        }),
    ),
    (
        "proof: of the only entry",
        After(|signature, _, _| {
            on_proof(signature, |entry| {
                let hash = merkle::leaf(&entry.body);
                let proof = entry.proof.as_mut().unwrap();
                (proof.index, proof.size, proof.root, proof.hashes) = (0, 1, hash, Vec::new());
            });
        }),
    ),
    (
        "proof: changed",
        After(|signature, _, chance| {
            let way = chance.below(5);
            on_proof(signature, |entry| {
                let proof = entry.proof.as_mut().unwrap();
                match way {
                    0 => proof.index += 1,
                    1 => proof.size += 1,
                    2 => proof.hashes.push([7; 32]),
                    3 => drop(proof.hashes.pop()),
                    _ => proof.root = [7; 32],
                }
            });
        }),
    ),
    (
        "checkpoint: again",
        After(|signature, world, _| {
            on_proof(signature, |entry| {
                let log = if entry.promise.is_some() {
                    &world.sigstore.rekor1
                } else {
                    &world.sigstore.rekor2
                };
                let proof = entry.proof.as_mut().unwrap();
                proof.checkpoint = log.checkpoint(proof.size, &proof.root);
            });
        }),
    ),
    (
        "checkpoint: of another size",
        After(|signature, world, _| {
            on_proof(signature, |entry| {
                let proof = entry.proof.as_mut().unwrap();
                proof.checkpoint = world.sigstore.rekor1.checkpoint(proof.size + 1, &proof.root);
            });
        }),
    ),
    (
        "checkpoint: by another",
        After(|signature, world, chance| {
            let logs = [
                &world.sigstore.rekor1,
                &world.sigstore.rekor2,
                &world.log,
                &world.stranger.rekor2,
            ];
            let log = chance.one(&logs);
            on_proof(signature, |entry| {
                let proof = entry.proof.as_mut().unwrap();
                proof.checkpoint = log.checkpoint(proof.size, &proof.root);
            });
        }),
    ),
    (
        "checkpoint: signed by more",
        After(|signature, world, chance| {
            let (before, many) = (chance.below(2) == 0, chance.one(&[1, 2, 8]));
            on_proof(signature, |entry| {
                let proof = entry.proof.as_mut().unwrap();
                let stranger = world.stranger.rekor2.checkpoint(proof.size, &proof.root);
                let line = stranger.lines().last().unwrap().to_owned() + "\n";
                let (text, ours) = proof.checkpoint.split_once("\n\n").unwrap();
                let more = line.repeat(many);
                proof.checkpoint = if before {
                    format!("{text}\n\n{more}{ours}")
                } else {
                    format!("{text}\n\n{ours}{more}")
                };
            });
        }),
    ),
    (
        "checkpoint: with more lines",
        After(|signature, _, chance| {
            let line = chance.one(&["more\n", "Timestamp: 1\n", "\n"]);
            on_proof(signature, |entry| {
                let proof = entry.proof.as_mut().unwrap();
                let (text, ours) = proof.checkpoint.split_once("\n\n").unwrap();
                proof.checkpoint = format!("{text}\n{line}\n{ours}");
            });
        }),
    ),
    // Time stamps.
    ("time stamp: there", Before(|signing, _, _| signing.tsa(true))),
    ("time stamp: not there", Before(|signing, _, _| signing.tsa(false))),
    (
        "time stamp: of another time",
        Before(|signing, world, chance| {
            let at = world.sigstore.now - SignedDuration::from_hours(1) + chance.shift();
            signing.tsa(true).stamped_at(at)
        }),
    ),
    (
        "time stamp: with its certificate",
        Before(|signing, _, _| signing.tsa(true).certificate_in_token()),
    ),
    (
        "time stamp: by another",
        Before(|signing, world, chance| {
            signing.stamped_by(&world.tsas[chance.below(world.tsas.len())])
        }),
    ),
    (
        "time stamp: of something else",
        After(|signature, world, _| {
            signature.timestamp = Some(world.sigstore.tsa.stamp(b"other", an_hour_ago(world)));
        }),
    ),
    (
        "time stamp: by two",
        After(|signature, world, chance| {
            let mut stamp =
                Stamp::new(&world.sigstore.tsa, &signature.signature, an_hour_ago(world));
            let place = chance.below(2);
            stamp.signers.insert(place, &world.tsas[0]);
            signature.timestamp = Some(if chance.below(2) == 0 {
                stamp.encode()
            } else {
                stamp.with_certificates().encode()
            });
        }),
    ),
    // What is signed.
    (
        "image: another",
        After(|signature, world, _| {
            *signature = match signature.content {
                testkit::sigstore::Content::Message(_) => world.sigstore.sign().legacy(OTHER),
                testkit::sigstore::Content::Envelope { .. } => world.sigstore.sign().image(OTHER),
            };
        }),
    ),
    (
        "signature: by another key",
        After(|signature, _, _| {
            signature.signature = Key::p256().sign(&signature.content.message());
        }),
    ),
    (
        "signature: malleated",
        After(|signature, _, _| {
            if let Some(other) = malleated(&signature.signature) {
                signature.signature = other;
            }
        }),
    ),
    // What is served.
    (
        "served: two entries",
        Then(|served, world, chance| {
            let other = world.sigstore.sign().image(IMAGE).bundle();
            let entry = other["verificationMaterial"]["tlogEntries"][0].clone();
            let place = chance.below(2);
            if let Some(entries) = served.entries() {
                let entry =
                    if chance.below(2) == 0 { entries.first().cloned() } else { Some(entry) };
                let place = place.min(entries.len());
                entries.extend(entry);
                if place == 0 {
                    entries.reverse();
                }
            }
        }),
    ),
    (
        "served: two time stamps",
        Then(|served, world, chance| {
            let Some(bundle) = &mut served.bundle else { return };
            let stamp = world.tsas[chance.below(world.tsas.len())].stamp(b"x", an_hour_ago(world));
            let stamp = json!({"signedTimestamp": STANDARD.encode(stamp)});
            let Some(material) = material(bundle) else { return };
            let data = material.entry("timestampVerificationData").or_insert(Value::Null);
            match data.get_mut("rfc3161Timestamps").and_then(Value::as_array_mut) {
                Some(list) if !list.is_empty() => {
                    let stamp = if chance.below(2) == 0 { list[0].clone() } else { stamp };
                    list.insert(chance.below(2), stamp);
                }
                _ => *data = json!({"rfc3161Timestamps": [stamp]}),
            }
        }),
    ),
    (
        "served: an older version",
        Then(|served, _, chance| {
            let version = chance.one(&[Version::V01, Version::V02]);
            if let Some(bundle) = &mut served.bundle {
                bundle["mediaType"] = json!(version.media_type());
                let old = chance.below(2) == 0;
                if let Some(material) = material(bundle).filter(|_| old) {
                    let certificate = material.shift_remove("certificate");
                    let chain = json!({"certificates": [certificate]});
                    material.insert("x509CertificateChain".to_owned(), chain);
                }
            }
        }),
    ),
    (
        "served: a media type",
        Then(|served, _, chance| {
            let types = [
                "application/vnd.dev.sigstore.bundle+json;version=0.3",
                "application/vnd.dev.sigstore.bundle.v0.4+json",
                "application/vnd.dev.sigstore.bundle.v0.3.1+json",
                "application/json",
                "",
            ];
            if let Some(bundle) = &mut served.bundle {
                bundle["mediaType"] = json!(chance.one(&types));
            }
        }),
    ),
    (
        "served: a field is changed",
        Then(|served, _, chance| {
            let Some(bundle) = &mut served.bundle else { return };
            let mut paths = Vec::new();
            pointers(bundle, String::new(), &mut paths);
            let path = paths[chance.below(paths.len())].clone();
            let value = bundle.pointer_mut(&path).unwrap();
            *value = match (chance.below(5), value.as_str()) {
                (0, _) => Value::Null,
                (1, Some(text)) => json!(text.trim_end_matches('=')),
                (2, Some(text)) => json!(format!("{text}\n")),
                (3, Some(text)) => json!(text.replace('+', "-").replace('/', "_")),
                (4, Some(text)) if text.parse::<i64>().is_ok() => {
                    json!(text.parse::<i64>().unwrap())
                }
                _ => json!(""),
            };
        }),
    ),
    (
        "served: an annotation is changed",
        Then(|served, _, chance| {
            if served.bundle.is_some() {
                return;
            }
            let names: Vec<String> = served.annotations.keys().cloned().collect();
            let name = &names[chance.below(names.len())];
            let text = served.annotations.get_mut(name).unwrap();
            match chance.below(6) {
                0 => text.clear(),
                1 => text.push('\n'),
                2 => text.insert(0, ' '),
                3 => *text = text.repeat(2),
                4 => *text = text.replace("\"logIndex\":", "\"logindex\":"),
                _ => drop(served.annotations.remove(name)),
            }
        }),
    ),
    // The trusted root.
    (
        "root: something has ended",
        Then(|served, world, chance| {
            let end = an_hour_ago(world) + chance.shift();
            if let Some(value) = served.root.pointer_mut(chance.one(WINDOWED)) {
                value["validFor"]["end"] = json!(end.to_string());
            }
        }),
    ),
    (
        "root: something begins later",
        Then(|served, world, chance| {
            let start = an_hour_ago(world) + chance.shift();
            if let Some(value) = served.root.pointer_mut(chance.one(WINDOWED)) {
                value["validFor"]["start"] = json!(start.to_string());
            }
        }),
    ),
    (
        "root: something is not there",
        Then(|served, _, chance| {
            let what = ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"];
            served.root[chance.one(&what)] = json!([]);
        }),
    ),
    (
        "root: two authorities",
        Then(|served, world, chance| {
            let stranger = world.stranger.trusted_root();
            let what =
                chance.one(&["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"]);
            let place = chance.below(2);
            let list = served.root[what].as_array_mut().unwrap();
            let more = stranger[what].as_array().unwrap().clone();
            if place == 0 {
                list.splice(0..0, more);
            } else {
                list.extend(more);
            }
        }),
    ),
];

/// What counts for a time only, in a trusted root.
const WINDOWED: &[&str] = &[
    "/tlogs/0/publicKey",
    "/tlogs/1/publicKey",
    "/ctlogs/0/publicKey",
    "/certificateAuthorities/0",
    "/timestampAuthorities/0",
];

/// The material of a bundle, unless something else was made of it already.
fn material(bundle: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    bundle.get_mut("verificationMaterial")?.as_object_mut()
}

fn an_hour_ago(world: &World) -> Timestamp {
    world.sigstore.now - SignedDuration::from_hours(1)
}

fn at<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| value.get_mut(key))
}

/// Changes the body of the entry, and has the log take it as it is: with a promise and a proof that
/// hold.
fn edit_body(
    signature: &mut Signature,
    world: &World,
    change: fn(&mut Value, &mut Chance),
    chance: &mut Chance,
) {
    let Some(entry) = &mut signature.entry else { return };
    let Ok(mut body) = serde_json::from_slice(&entry.body) else { return };
    change(&mut body, chance);
    let log = if entry.promise.is_some() { &world.sigstore.rekor1 } else { &world.sigstore.rekor2 };
    let time = entry.integrated.unwrap_or_else(|| an_hour_ago(world));
    *entry = log.add(entry.kind, &body, time);
}

fn on_proof(signature: &mut Signature, change: impl FnOnce(&mut log::Entry)) {
    if let Some(entry) = signature.entry.as_mut().filter(|entry| entry.proof.is_some()) {
        change(entry);
    }
}

/// Every value in a document, by its JSON pointer.
fn pointers(value: &Value, path: String, found: &mut Vec<String>) {
    let mut below = |name: String, value: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        found.push(format!("{path}/{name}"));
        pointers(value, format!("{path}/{name}"), found);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| below(name.clone(), value)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| below(at.to_string(), value));
        }
        _ => {}
    }
}

/// The same P-256 signature with n - s in place of s.
fn malleated(der: &[u8]) -> Option<Vec<u8>> {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let r_length = usize::from(*der.get(3)?);
    let s_at = 4 + r_length + 2;
    let s = der.get(s_at..)?;
    let s: Vec<u8> = s.iter().copied().skip_while(|byte| *byte == 0).collect();
    if s.len() > 32 || der.len() > 80 {
        return None;
    }
    let mut padded = [0; 32];
    padded[32 - s.len()..].copy_from_slice(&s);
    let mut result = [0_u8; 32];
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let mut digit = i16::from(N[at]) - i16::from(padded[at]) - borrow;
        borrow = i16::from(digit < 0);
        if digit < 0 {
            digit += 256;
        }
        result[at] = u8::try_from(digit).ok()?;
    }
    let mut other: Vec<u8> = result.iter().copied().skip_while(|byte| *byte == 0).collect();
    if other.first().is_some_and(|byte| *byte > 0x7f) {
        other.insert(0, 0);
    }
    let r = der.get(2..4 + r_length)?;
    let inner = [r, &[2, u8::try_from(other.len()).ok()?], &other].concat();
    Some([&[0x30, u8::try_from(inner.len()).ok()?], &inner[..]].concat())
}

impl Served {
    fn entries(&mut self) -> Option<&mut Vec<Value>> {
        self.bundle.as_mut()?.pointer_mut("/verificationMaterial/tlogEntries")?.as_array_mut()
    }
}

// --- a case
// ---------------------------------------------------------------------------------------

struct Case {
    seed: u64,
    form: Form,
    changes: Vec<&'static str>,
    served: Served,
}

impl Case {
    fn new(seed: u64, world: &World) -> Self {
        let mut chance = Chance(seed);
        let form = chance.one(&[Form::Legacy, Form::BundleV1, Form::BundleV2]);
        let many = chance.one(&[1, 1, 1, 2, 2, 3]);
        let changes: Vec<_> = (0..many).map(|_| &CHANGES[chance.below(CHANGES.len())]).collect();

        let mut signing = world.sigstore.sign();
        if form == Form::BundleV2 {
            signing = signing.log(LogKind::V2);
        } else if chance.below(3) == 0 {
            signing = signing.tsa(true);
        }
        for (_, change) in &changes {
            if let Before(change) = change {
                signing = change(signing, world, &mut chance);
            }
        }
        let mut signature =
            if form == Form::Legacy { signing.legacy(IMAGE) } else { signing.image(IMAGE) };
        for (_, change) in &changes {
            if let After(change) = change {
                change(&mut signature, world, &mut chance);
            }
        }
        // Only a promise of the first log has what a legacy signature carries.
        if form == Form::Legacy
            && signature
                .entry
                .as_ref()
                .is_some_and(|entry| entry.promise.is_none() || entry.integrated.is_none())
        {
            signature.entry = None;
        }
        let mut served = Served {
            root: world.sigstore.trusted_root(),
            bundle: (form != Form::Legacy).then(|| signature.bundle()),
            payload: signature.payload().to_vec(),
            annotations: if form == Form::Legacy {
                signature.annotations()
            } else {
                BTreeMap::new()
            },
        };
        for (_, change) in &changes {
            if let Then(change) = change {
                change(&mut served, world, &mut chance);
            }
        }
        Self { seed, form, changes: changes.iter().map(|(name, _)| *name).collect(), served }
    }

    fn question(&self) -> Value {
        let Served { root, bundle, payload, annotations } = &self.served;
        json!({
            "form": if bundle.is_some() { "bundle" } else { "legacy" },
            "root": root,
            "subject": SUBJECT,
            "issuer": ISSUER,
            "image": IMAGE,
            "bundle": bundle,
            "payload": STANDARD.encode(payload),
            "annotations": annotations,
        })
    }

    /// What we say.
    fn ours(&self) -> Result<(), Failure> {
        let Served { root, bundle, payload, annotations } = &self.served;
        let exactly = |text: &str| TextMatcher::Exact(text.to_owned());
        let authorities = [Signatory::of_identity(Identity::Named {
            issuer: exactly(ISSUER),
            subject: exactly(SUBJECT),
        })];
        let mut roots = TrustedRoots::default();
        let root = TrustedRoot::parse(root.to_string().as_bytes(), "of the test");
        roots.insert(None, root.map(|root| Arc::new(root.at(Timestamp::now()))));
        let requirements = Requirements::default();
        let checker = Checker {
            roots,
            certificate_log: CertificateLog::Required,
            ..Checker::new(&authorities, &requirements)
        };
        let image: Digest = IMAGE.parse()?;
        if let Some(bundle) = bundle {
            let bundle = Bundle::parse(bundle.to_string().as_bytes(), BundleSource::Registry)?;
            let signature = check_bundle(&bundle, &image, &checker)?;
            assert!(signature.is_some(), "an attestation is not a signature");
            return Ok(());
        }
        let layer = json!({
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "size": payload.len(),
            "digest": Digest::of(payload).to_string(),
            "annotations": annotations,
        });
        let signatures = Signatures::parse(json!({"layers": [layer]}).to_string().as_bytes())?;
        let Some(candidate) = signatures.candidates().next() else {
            return Err(Failure::new(luet_cosign::class::Class::Unsigned, "no candidate"));
        };
        let candidate = candidate?;
        Held::check(&candidate, &checker)?.check_claims(payload, &image, &checker).map(drop)
    }
}

// --- the others
// -----------------------------------------------------------------------------------

/// The program over the libraries of others. It ends with its input.
struct Judge {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    fn start() -> Self {
        let mut child = Command::new(e2e::go::program("judge"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the judge starts");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, questions, answers }
    }

    /// What they say: nothing, or why not.
    fn ask(&mut self, question: &Value) -> Result<(), String> {
        let questions = self.questions.as_mut().unwrap();
        writeln!(questions, "{question}").expect("the judge reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the judge answers");
        let answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
        match answer["accepted"].as_bool() {
            Some(true) => Ok(()),
            Some(false) => Err(answer["why"].as_str().unwrap_or_default().to_owned()),
            None => panic!("not an answer: {line}"),
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`; expected a number")))
}

#[test]
fn nothing_is_accepted_here_that_others_refuse_but_for_these_reasons() {
    let only = number("LUET_COSIGN_DIFFERENTIAL_SEED");
    let cases = number("LUET_COSIGN_DIFFERENTIAL").unwrap_or(CASES);
    // A case also follows from what the logs of its Sigstore have by then, so those before it in
    // its block are made as well.
    let seeds: Vec<u64> = only
        .map_or_else(|| (0..cases).collect(), |seed| (seed - seed % PER_SIGSTORE..=seed).collect());
    let mut judge = Judge::start();
    let mut unexplained = Vec::new();
    let (mut both, mut neither) = (0_usize, 0_usize);
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let mut stricter: BTreeMap<(String, &str), (usize, u64)> = BTreeMap::new();
    for block in seeds.chunks(usize::try_from(PER_SIGSTORE).unwrap()) {
        let world = World::new();
        for seed in block {
            let case = Case::new(*seed, &world);
            if only.is_some_and(|only| only != *seed) {
                continue;
            }
            let ours = case.ours();
            let theirs = judge.ask(&case.question());
            let what = format!("{:?}, {}", case.form, case.changes.join(" + "));
            if only.is_some() {
                println!("{what}\nours: {ours:?}\ntheirs: {theirs:?}\n{:#}", case.question());
            }
            match (ours, theirs) {
                (Ok(()), Ok(())) => both += 1,
                (Err(_), Err(_)) => neither += 1,
                (Ok(()), Err(why)) => {
                    let reason = EXPLAINED.iter().find(|(change, words, _)| {
                        case.changes.iter().any(|name| name.starts_with(change))
                            && why.contains(words)
                    });
                    match reason {
                        Some((_, _, reason)) => *explained.entry(reason).or_default() += 1,
                        None => unexplained.push(format!("seed {}: {what}: {why}", case.seed)),
                    }
                }
                (Err(failure), Ok(())) => {
                    let name = case.changes.join(" + ");
                    let entry = stricter.entry((name, failure.class().word())).or_default();
                    *entry = (entry.0 + 1, case.seed);
                }
            }
        }
    }
    let stricter_all: usize = stricter.values().map(|(count, _)| count).sum();
    println!(
        "differential: {} cases, {both} accepted and {neither} refused by both, {stricter_all} \
         refused by us alone, {} accepted by us alone for a known reason, {} for none",
        seeds.len(),
        explained.values().sum::<usize>(),
        unexplained.len()
    );
    for (reason, count) in &explained {
        println!("  {count}: {reason}");
    }
    for ((change, class), (count, seed)) in &stricter {
        if !change.contains(" + ") {
            println!("  stricter: {count} x {class}: {change} (seed {seed})");
        }
    }
    assert!(unexplained.is_empty(), "{} cases:\n{}", unexplained.len(), unexplained.join("\n"));
}
