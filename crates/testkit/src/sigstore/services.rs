//! The services of a Sigstore over HTTP: Fulcio, both Rekors, a timestamp authority, each on a host of
//! its own. They do what the real ones do, and anything else where a rule says so.
//!
//! ```ignore
//! let services = Services::start();
//! services.rekor1.once(|_, _| Answer::new(503));                 // says "later", once
//! services.fulcio.always(|request, good| spoiled(good(request))); // answers wrongly, for ever
//! let token = services.token("dev@example.com", &json!({}));
//! ```

use super::ca::Leaf;
use super::ct::Sct;
use super::log::LogKind;
use super::{
    CODE_SIGNING, Content, Entry, Issuer, Key, Kind, Log, San, Sigstore, Stamp, Window, b64, body,
    hex, merkle, sha256,
};
use crate::http::{Answer, Request, Server};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use der::asn1::{Any, OctetString, Uint};
use der::{Decode as _, Encode as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use x509_cert::request::CertReq;

/// Issuer of the tokens that Fulcio here takes.
pub const ISSUER: &str = "https://issuer.example";

type Good = dyn Fn(&Request) -> Answer + Send + Sync;
type Script = dyn Fn(&Request, &Good) -> Answer + Send + Sync;

struct Rule {
    /// How often it still counts.
    times: usize,
    script: Arc<Script>,
}

/// One service.
pub struct Service {
    server: Server,
    rules: Arc<Mutex<Vec<Rule>>>,
}

impl Service {
    fn start(good: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let rules: Arc<Mutex<Vec<Rule>>> = Arc::default();
        let inner = Arc::clone(&rules);
        let good: Arc<Good> = Arc::new(good);
        let server = Server::start(move |request| {
            let script = {
                let mut rules = inner.lock().unwrap();
                rules.retain(|rule| rule.times > 0);
                rules.first_mut().map(|rule| {
                    rule.times -= 1;
                    Arc::clone(&rule.script)
                })
            };
            let answer = match script {
                Some(script) => script(request, &*good),
                None => good(request),
            };
            answer
                .header("Date", &Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        });
        Self { server, rules }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.host())
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// The next so many requests are answered by a script, which may ask for the good answer.
    pub fn times(
        &self,
        times: usize,
        script: impl Fn(&Request, &Good) -> Answer + Send + Sync + 'static,
    ) {
        self.rules.lock().unwrap().push(Rule { times, script: Arc::new(script) });
    }

    pub fn once(&self, script: impl Fn(&Request, &Good) -> Answer + Send + Sync + 'static) {
        self.times(1, script);
    }

    pub fn always(&self, script: impl Fn(&Request, &Good) -> Answer + Send + Sync + 'static) {
        self.times(usize::MAX, script);
    }

    /// Every answer is the good one with its JSON changed.
    pub fn tamper(&self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.always(move |request, good| {
            let answer = good(request);
            let mut document: Value = serde_json::from_slice(answer.bytes()).unwrap();
            change(&mut document);
            answer.body(document.to_string())
        });
    }
}

/// All of them.
pub struct Services {
    pub sigstore: Arc<Sigstore>,
    pub issuer: Arc<Issuer>,
    pub fulcio: Service,
    pub rekor1: Service,
    pub rekor2: Service,
    pub tsa: Service,
}

impl Services {
    pub fn start() -> Self {
        Self::of(Issuer::new(ISSUER))
    }

    /// The same, taking tokens of another issuer.
    pub fn of(issuer: Issuer) -> Self {
        let (sigstore, issuer) = (Arc::new(Sigstore::new()), Arc::new(issuer));
        let fulcio = {
            let (sigstore, issuer) = (Arc::clone(&sigstore), Arc::clone(&issuer));
            Service::start(move |request| fulcio(&sigstore, &issuer, request))
        };
        let log = |pick: fn(&Sigstore) -> &Log| {
            let sigstore = Arc::clone(&sigstore);
            Service::start(move |request| rekor(pick(&sigstore), request))
        };
        let (rekor1, rekor2) = (log(|sigstore| &sigstore.rekor1), log(|sigstore| &sigstore.rekor2));
        let tsa = {
            let sigstore = Arc::clone(&sigstore);
            Service::start(move |request| tsa(&sigstore, request))
        };
        Self { sigstore, issuer, fulcio, rekor1, rekor2, tsa }
    }

    /// A good token about this subject; `more` adds claims, and replaces ours.
    pub fn token(&self, subject: &str, more: &Value) -> String {
        self.issuer.token(subject, now(), more)
    }

    pub fn tsa_url(&self) -> String {
        format!("{}/api/v1/timestamp", self.tsa.url())
    }

    /// A signing configuration with a log of this kind.
    pub fn signing_config(&self, log: LogKind, tsa: bool) -> Value {
        let service = |url: String, version: u32| json!([{"url": url, "majorApiVersion": version, "validFor": {"start": "2020-01-01T00:00:00Z"}, "operator": "test"}]);
        let mut config = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(self.fulcio.url(), 1),
            "rekorTlogUrls": match log {
                LogKind::V1 => service(self.rekor1.url(), 1),
                LogKind::V2 => service(self.rekor2.url(), 2),
            },
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        });
        if tsa {
            config["tsaUrls"] = service(self.tsa_url(), 1);
        }
        config
    }

    /// Every server.
    pub fn all(&self) -> [&Service; 4] {
        [&self.fulcio, &self.rekor1, &self.rekor2, &self.tsa]
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn json_answer(status: u16, document: &Value) -> Answer {
    Answer::new(status).json(&document.to_string())
}

fn refused(status: u16, message: &str) -> Answer {
    json_answer(status, &json!({"code": 3, "message": message, "details": []}))
}

// Fulcio.

fn fulcio(sigstore: &Sigstore, issuer: &Issuer, request: &Request) -> Answer {
    if request.path() == "/api/v2/configuration" {
        let issuers = json!([{"issuerUrl": issuer.url, "audience": "sigstore", "challengeClaim": "email", "spiffeTrustDomain": "", "issuerType": "email", "subjectDomain": ""}]);
        return json_answer(200, &json!({"issuers": issuers}));
    }
    if (request.method.as_str(), request.path()) != ("POST", "/api/v2/signingCert") {
        return refused(404, "Not Found");
    }
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(claims) = token.and_then(|token| taken(issuer, token)) else {
        return refused(400, "There was an error processing the identity token");
    };
    let document: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let Some(spki) = document["certificateSigningRequest"].as_str().and_then(requested) else {
        return refused(400, "The certificate signing request could not be parsed");
    };
    certified(&certificate(sigstore, &claims, &spki, |_| {}), sigstore)
}

/// What Fulcio answers with.
pub fn certified(leaf: &[u8], sigstore: &Sigstore) -> Answer {
    let chain = [leaf.to_vec(), sigstore.fulcio.der(), sigstore.root.der()];
    let chain = chain.map(|der| super::keys::pem("CERTIFICATE", &der));
    json_answer(200, &json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}))
}

/// A certificate as Fulcio makes it now, for these claims and this key, and changed.
pub fn certificate(
    sigstore: &Sigstore,
    claims: &Value,
    spki: &[u8],
    change: impl FnOnce(&mut Leaf<'_>),
) -> Vec<u8> {
    let at = now();
    let text = |name: &str| claims[name].as_str();
    let name = match (text("job_workflow_ref"), text("email")) {
        (Some(workflow), _) => format!("https://github.com/{workflow}"),
        (None, Some(email)) => email.to_owned(),
        (None, None) => text("sub").unwrap_or_default().to_owned(),
    };
    let mut leaf = Leaf {
        issuer: &sigstore.fulcio,
        names: vec![San::of(&name)],
        claims: BTreeMap::new(),
        purposes: vec![CODE_SIGNING],
        authority: false,
        window: Window { from: at, until: at + SignedDuration::from_mins(10) },
        scts: vec![Sct { log: &sigstore.ct, at, issuer: None }],
        others: Vec::new(),
    };
    for number in [1, 8] {
        leaf.claim(number, text("iss").unwrap_or_default());
    }
    leaf.claim(24, text("sub").unwrap_or_default());
    change(&mut leaf);
    sigstore.fulcio.issue(&leaf, spki)
}

/// What the token says, where Fulcio would take it.
fn taken(issuer: &Issuer, token: &str) -> Option<Value> {
    if !issuer.made(token) {
        return None;
    }
    let claims = claims_of(token)?;
    let seconds = |name: &str| claims[name].as_i64();
    let now = Timestamp::now().as_second();
    let audience = match &claims["aud"] {
        Value::Array(all) => all.contains(&json!("sigstore")),
        one => one == "sigstore",
    };
    let good = claims["iss"] == issuer.url.as_str()
        && audience
        && seconds("exp").is_some_and(|end| end > now)
        && seconds("nbf").is_none_or(|begin| begin <= now + 300)
        && claims.get("email_verified") != Some(&json!(false));
    good.then_some(claims)
}

/// The claims of a token.
pub fn claims_of(token: &str) -> Option<Value> {
    let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&part).ok()
}

/// The key of a certificate request that proves that its maker has it.
pub fn requested(request: &str) -> Option<Vec<u8>> {
    let pem = pem::parse(STANDARD.decode(request).ok()?).ok()?;
    let request = CertReq::from_der(pem.contents()).ok()?;
    let spki = request.info.public_key.to_der().ok()?;
    let signed = request.info.to_der().ok()?;
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        request.info.public_key.subject_public_key.raw_bytes(),
    );
    key.verify(&signed, request.signature.raw_bytes()).ok().map(|()| spki)
}

// Rekor.

fn rekor(log: &Log, request: &Request) -> Answer {
    match (request.method.as_str(), request.path(), log.kind) {
        ("POST", "/api/v1/log/entries", LogKind::V1) => add_v1(log, &request.body),
        ("POST", "/api/v2/log/entries", LogKind::V2) => add_v2(log, &request.body),
        (method, _, LogKind::V1) => {
            let (status, document) = log.answer(method, &request.target, &request.body);
            json_answer(status, &document)
        }
        _ => refused(404, "Not Found"),
    }
}

fn found(log: &Log, body: &Value) -> Option<Entry> {
    let leaf = merkle::leaf(body::canonical(body).as_bytes());
    log.entries().into_iter().find(|entry| merkle::leaf(&entry.body) == leaf)
}

fn add_v1(log: &Log, request: &[u8]) -> Answer {
    let Ok(proposed) = serde_json::from_slice::<Value>(request) else {
        return refused(400, "unprocessable");
    };
    let (kind, body) = match proposed["kind"].as_str() {
        Some("hashedrekord") => (Kind::HashedRekord, proposed),
        Some("dsse") => {
            let content = &proposed["spec"]["proposedContent"];
            let Some((envelope, verifier)) =
                content["envelope"].as_str().zip(content["verifiers"][0].as_str())
            else {
                return refused(400, "unprocessable");
            };
            let parsed: Value = serde_json::from_str(envelope).unwrap_or_default();
            let payload = STANDARD.decode(parsed["payload"].as_str().unwrap_or_default()).unwrap();
            let body = json!({
                "apiVersion": "0.0.1", "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": hex(&sha256(envelope.as_bytes()))},
                    "payloadHash": {"algorithm": "sha256", "value": hex(&sha256(&payload))},
                    "signatures": [{"signature": parsed["signatures"][0]["sig"], "verifier": verifier}],
                },
            });
            (Kind::Dsse, body)
        }
        _ => return refused(400, "unsupported type"),
    };
    if let Some(entry) = found(log, &body) {
        let uuid = entry.uuid();
        let message =
            format!("an equivalent entry already exists in the transparency log with UUID {uuid}");
        return json_answer(409, &json!({"code": 409, "message": message}))
            .header("Location", &format!("/api/v1/log/entries/{uuid}"));
    }
    let entry = log.add(kind, &body, now());
    json_answer(201, &entry.answer())
        .header("Location", &format!("/api/v1/log/entries/{}", entry.uuid()))
}

fn add_v2(log: &Log, request: &[u8]) -> Answer {
    let proposed: Value = serde_json::from_slice(request).unwrap_or_default();
    let request = &proposed["hashedRekordRequestV002"];
    let details = request["signature"]["verifier"]["keyDetails"].as_str().unwrap_or_default();
    let algorithm = match details {
        "PKIX_ECDSA_P384_SHA_384" => "SHA2_384",
        "" => return refused(400, "invalid hashedrekord request"),
        _ => "SHA2_256",
    };
    let body = json!({
        "apiVersion": "0.0.2", "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {
            "data": {"algorithm": algorithm, "digest": request["digest"]},
            "signature": request["signature"],
        }},
    });
    if let Some(entry) = found(log, &body) {
        return refused(
            409,
            &format!("an equivalent entry already exists with index {}", entry.index),
        );
    }
    let mut entry = log.add(Kind::HashedRekord2, &body, now()).bundle_entry();
    entry["integratedTime"] = json!("0");
    entry["inclusionPromise"] = Value::Null;
    json_answer(201, &entry)
}

// Timestamps.

fn tsa(sigstore: &Sigstore, request: &Request) -> Answer {
    match stamp_request(&request.body) {
        Some((imprint, nonce)) => {
            let mut stamp = Stamp::new(&sigstore.tsa, b"", now()).with_certificates();
            stamp.imprint = imprint;
            stamp.nonce = Some(nonce);
            stamped(&stamp)
        }
        None => Answer::new(400),
    }
}

/// What a timestamp authority answers with.
pub fn stamped(stamp: &Stamp<'_>) -> Answer {
    Answer::new(200).header("Content-Type", "application/timestamp-reply").body(stamp.encode())
}

/// The imprint and the nonce of a request.
pub fn stamp_request(request: &[u8]) -> Option<([u8; 32], Vec<u8>)> {
    let parts = Vec::<Any>::from_der(request).ok()?;
    let imprint = parts.get(1)?.decode_as::<Vec<Any>>().ok()?;
    let digest = imprint.get(1)?.decode_as::<OctetString>().ok()?;
    let nonce = parts.get(2)?.decode_as::<Uint>().ok()?;
    Some((digest.as_bytes().try_into().ok()?, nonce.as_bytes().to_vec()))
}

/// What a signature by this key over a file would be in a log of v1: for a server that answers with an entry
/// of something else.
pub fn another_entry(log: &Log) -> Entry {
    let (key, content) = (Key::p256(), Content::Message(b"something else".to_vec()));
    let signature = key.sign(&content.message());
    let signer = super::Signer::Key { spki: key.spki() };
    let kind = match log.kind {
        LogKind::V1 => Kind::HashedRekord,
        LogKind::V2 => Kind::HashedRekord2,
    };
    log.add(kind, &kind.body(&content, &signature, &signer, &key), now())
}

/// Base64 with one bit changed in the middle.
pub fn bent(text: &str) -> String {
    let mut bytes = STANDARD.decode(text).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    b64(&bytes)
}
