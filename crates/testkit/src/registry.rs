//! A registry in memory: good by default, and anything else where a rule says so.
//!
//! OCI distribution-spec 1.1 with referrers (or without), uploads in one piece or several, ranges,
//! docker's token authentication with users, anonymous pulls and identity tokens.

use super::http::{Answer, Request, Server, form};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// Returns `sha256:HEX`.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// How a registry is to behave.
#[derive(Clone)]
pub struct Options {
    /// Whether it has the referrers API and acknowledges subjects.
    pub referrers: bool,
    /// Referrers per page.
    pub page: usize,
    /// Whether it lists one type of referrers alone where it is asked to.
    pub filters: bool,
    pub auth: Auth,
    /// Every answer comes so much later, which makes round trips countable.
    pub latency: Duration,
    /// Whether a blob may come with the request that begins its upload.
    pub uploads_at_once: bool,
    /// Whether upload locations have scheme and host.
    pub absolute_locations: bool,
    pub tls: Option<Arc<ServerConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            referrers: true,
            page: 100,
            filters: false,
            auth: Auth::None,
            latency: Duration::ZERO,
            uploads_at_once: false,
            absolute_locations: false,
            tls: None,
        }
    }
}

/// Whom it lets in.
#[derive(Clone, Default)]
pub enum Auth {
    #[default]
    None,
    Basic {
        user: String,
        password: String,
    },
    Token {
        user: String,
        password: String,
        /// What may be exchanged by `grant_type=refresh_token`.
        identity_token: String,
        /// Whether a token to pull is given to everybody.
        anonymous_pull: bool,
        /// Where tokens are said to be had; empty for its own `/token`.
        realm: String,
    },
}

impl Auth {
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic { user: user.into(), password: password.into() }
    }

    pub fn token(user: &str, password: &str) -> Self {
        Self::Token {
            user: user.into(),
            password: password.into(),
            identity_token: "identity-canary".into(),
            anonymous_pull: false,
            realm: String::new(),
        }
    }

    pub fn anonymous() -> Self {
        Self::Token {
            user: "user".into(),
            password: "password".into(),
            identity_token: "identity-canary".into(),
            anonymous_pull: true,
            realm: String::new(),
        }
    }
}

#[derive(Default)]
struct Repo {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
    uploads: BTreeMap<String, Vec<u8>>,
}

#[derive(Default)]
struct State {
    repos: BTreeMap<String, Repo>,
    /// Token, to what it allows: `repository:PATH:pull,push`.
    tokens: BTreeMap<String, BTreeSet<String>>,
    counter: u64,
    rules: Vec<Rule>,
    address: String,
}

type Script = dyn Fn(&Call<'_>) -> Option<Answer> + Send + Sync;

struct Rule {
    method: String,
    pattern: String,
    calls: usize,
    script: Arc<Script>,
}

/// One request that a rule matched.
pub struct Call<'a> {
    pub request: &'a Request,
    /// Which of the requests that matched this rule it is, from 1.
    pub nth: usize,
    good: &'a dyn Fn() -> Answer,
}

impl Call<'_> {
    /// Returns what the good registry answers, to be changed.
    pub fn good(&self) -> Answer {
        (self.good)()
    }
}

/// What was pushed, for the test to compare with.
#[derive(Clone, Debug)]
pub struct Image {
    pub digest: String,
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    /// Digests of the layers.
    pub layers: Vec<String>,
}

/// One layer of a manifest of legacy signatures.
#[derive(Clone, Debug)]
pub struct Signature {
    pub payload: Vec<u8>,
    pub annotations: Vec<(String, String)>,
}

pub struct TestRegistry {
    state: Arc<Mutex<State>>,
    server: Server,
}

impl TestRegistry {
    /// An open registry that does everything right.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let inner = Arc::clone(&state);
        let tls = options.tls.clone();
        let handler = move |request: &Request| handle(&inner, &options, request);
        let server = match tls {
            Some(tls) => Server::start_tls(tls, handler),
            None => Server::start(handler),
        };
        state.lock().unwrap().address = server.host();
        Self { state, server }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.server.host()
    }

    /// Returns `127.0.0.1:PORT/REST`.
    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host())
    }

    /// Adds a rule: where method (`*` is any) and path with query (`*` is any run of characters)
    /// match, `script` may answer. The rule that was added last is asked first.
    pub fn rule(
        &self,
        method: &str,
        pattern: &str,
        script: impl Fn(&Call<'_>) -> Option<Answer> + Send + Sync + 'static,
    ) {
        let rule = Rule {
            method: method.into(),
            pattern: pattern.into(),
            calls: 0,
            script: Arc::new(script),
        };
        self.state.lock().unwrap().rules.insert(0, rule);
    }

    /// Adds a rule that always gives the same answer.
    pub fn always(&self, method: &str, pattern: &str, answer: Answer) {
        self.rule(method, pattern, move |_| Some(answer.clone()));
    }

    /// Adds a rule that gives these answers in turn, and then none.
    pub fn in_turn(&self, method: &str, pattern: &str, answers: Vec<Answer>) {
        self.rule(method, pattern, move |call| answers.get(call.nth - 1).cloned());
    }

    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// Returns what was asked, as `METHOD path?query`, in order of arrival.
    pub fn lines(&self) -> Vec<String> {
        self.requests()
            .iter()
            .map(|request| format!("{} {}", request.method, request.target))
            .collect()
    }

    /// Returns how many requests had a path that contains `part`.
    pub fn count(&self, part: &str) -> usize {
        self.requests().iter().filter(|request| request.target.contains(part)).count()
    }

    /// Returns the least number of sequential round trips that the requests took: the longest chain
    /// in which each arrived after the one before was answered. Only meaningful with a latency.
    pub fn round_trips(&self) -> usize {
        let mut spans: Vec<(u64, u64)> = self
            .requests()
            .iter()
            .map(|request| (request.answered.unwrap_or(u64::MAX), request.arrived))
            .collect();
        spans.sort_unstable();
        let mut chain = 0;
        let mut end = None;
        for (answered, arrived) in spans {
            if end.is_none_or(|end| arrived > end) {
                chain += 1;
                end = Some(answered);
            }
        }
        chain
    }

    /// Makes every token that was given out worthless.
    pub fn expire_tokens(&self) {
        self.state.lock().unwrap().tokens.clear();
    }

    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.repo(repository, |repo| repo.blobs.insert(digest.clone(), bytes.to_vec()));
        digest
    }

    pub fn push_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        let digest = digest(bytes);
        self.repo(repository, |repo| {
            repo.manifests.insert(digest.clone(), (media_type.to_owned(), bytes.to_vec()));
            if let Some(tag) = tag {
                repo.tags.insert(tag.to_owned(), digest.clone());
            }
        });
        digest
    }

    /// Pushes an image of these layers, uncompressed tars or anything else.
    pub fn push_image(&self, repository: &str, tag: &str, layers: &[&[u8]]) -> Image {
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = config.to_string().into_bytes();
        let described: Vec<_> = layers
            .iter()
            .map(|layer| json!({"mediaType": LAYER, "size": layer.len(), "digest": self.push_blob(repository, layer)}))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": config.len(), "digest": self.push_blob(repository, &config)},
            "layers": described,
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = self.push_manifest(repository, Some(tag), MANIFEST, &manifest);
        Image { digest, manifest, config, layers: diff_ids }
    }

    /// Pushes an index of images for the given platforms (`linux/amd64`).
    pub fn push_index(&self, repository: &str, tag: &str, children: &[(&Image, &str)]) -> String {
        let manifests: Vec<_> = children
            .iter()
            .map(|(image, platform)| {
                let (os, architecture) = platform.split_once('/').unwrap_or((platform, "amd64"));
                json!({
                    "mediaType": MANIFEST, "size": image.manifest.len(), "digest": image.digest,
                    "platform": {"os": os, "architecture": architecture},
                })
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.push_manifest(repository, Some(tag), INDEX, index.to_string().as_bytes())
    }

    /// Pushes a manifest of legacy signatures under the `.sig` tag of `subject` (`sha256:...`),
    /// made of raw parts.
    pub fn push_signatures(
        &self,
        repository: &str,
        subject: &str,
        signatures: &[Signature],
    ) -> String {
        let layers: Vec<_> = signatures
            .iter()
            .map(|signature| {
                let annotations: BTreeMap<_, _> = signature.annotations.iter().cloned().collect();
                json!({
                    "mediaType": SIMPLE_SIGNING, "size": signature.payload.len(),
                    "digest": self.push_blob(repository, &signature.payload), "annotations": annotations,
                })
            })
            .collect();
        let config = b"{}";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": config.len(), "digest": self.push_blob(repository, config)},
            "layers": layers,
        });
        let tag = format!("{}.sig", subject.replace(':', "-"));
        self.push_manifest(repository, Some(&tag), MANIFEST, manifest.to_string().as_bytes())
    }

    /// Pushes a manifest with one layer that refers to `subject`; listed by the API where there is
    /// one, else in the fallback tag.
    pub fn push_referrer(
        &self,
        repository: &str,
        subject: &Image,
        artifact_type: &str,
        layer: &[u8],
    ) -> String {
        let empty = b"{}";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": self.push_blob(repository, empty)},
            "layers": [{"mediaType": artifact_type, "size": layer.len(), "digest": self.push_blob(repository, layer)}],
            "subject": {"mediaType": MANIFEST, "size": subject.manifest.len(), "digest": subject.digest},
        });
        self.push_manifest(repository, None, MANIFEST, manifest.to_string().as_bytes())
    }

    /// Pushes the fallback index of `subject`, which lists these manifests.
    pub fn push_fallback(
        &self,
        repository: &str,
        subject: &str,
        manifests: &[(&str, usize)],
    ) -> String {
        let list: Vec<_> = manifests
            .iter()
            .map(|(digest, size)| json!({"mediaType": MANIFEST, "size": size, "digest": digest}))
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": list});
        self.push_manifest(
            repository,
            Some(&subject.replace(':', "-")),
            INDEX,
            index.to_string().as_bytes(),
        )
    }

    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.repo(repository, |repo| repo.tags.insert(tag.to_owned(), digest.to_owned()));
    }

    pub fn remove_tag(&self, repository: &str, tag: &str) {
        self.repo(repository, |repo| repo.tags.remove(tag));
    }

    /// Returns media type and bytes of a manifest by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        self.repo(repository, |repo| manifest(repo, reference).cloned())
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.repo(repository, |repo| repo.blobs.get(digest).cloned())
    }

    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.repo(repository, |repo| repo.tags.keys().cloned().collect())
    }

    fn repo<T>(&self, repository: &str, change: impl FnOnce(&mut Repo) -> T) -> T {
        change(self.state.lock().unwrap().repos.entry(repository.to_owned()).or_default())
    }
}

fn manifest<'a>(repo: &'a Repo, reference: &str) -> Option<&'a (String, Vec<u8>)> {
    repo.manifests.get(repo.tags.get(reference).map_or(reference, String::as_str))
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).any(|at| text.get(at..).is_some_and(|text| glob(rest, text)))
        }),
    }
}

fn handle(state: &Mutex<State>, options: &Options, request: &Request) -> Answer {
    let good = || good(&mut state.lock().unwrap(), options, request);
    let matching: Vec<(usize, Arc<Script>)> = {
        let mut state = state.lock().unwrap();
        let hits = |rule: &&mut Rule| {
            (rule.method == "*" || rule.method == request.method)
                && glob(&rule.pattern, &request.target)
        };
        state
            .rules
            .iter_mut()
            .filter(hits)
            .map(|rule| {
                rule.calls += 1;
                (rule.calls, Arc::clone(&rule.script))
            })
            .collect()
    };
    let scripted =
        matching.into_iter().find_map(|(nth, script)| script(&Call { request, nth, good: &good }));
    let answer = scripted.unwrap_or_else(good);
    if options.latency.is_zero() { answer } else { answer.delay(options.latency) }
}

fn good(state: &mut State, options: &Options, request: &Request) -> Answer {
    if request.path() == "/token" {
        return token(state, options, request);
    }
    let Some(rest) = request.path().strip_prefix("/v2/") else {
        return Answer::new(404).body("404 page not found\n");
    };
    let route = route(rest);
    if let Some(refusal) = refusal(state, options, request, route.as_ref()) {
        return refusal;
    }
    let Some((name, kind, reference)) = route else {
        return if rest.is_empty() {
            Answer::new(200).json("{}")
        } else {
            Answer::error(404, "NAME_INVALID")
        };
    };
    match (kind, request.method.as_str()) {
        ("manifests", "GET" | "HEAD") => read(state, name, "MANIFEST_UNKNOWN", |repo| {
            let (media_type, bytes) = manifest(repo, reference)?;
            Some(
                Answer::new(200)
                    .header("Content-Type", media_type)
                    .header("Docker-Content-Digest", &digest(bytes))
                    .body(bytes.clone()),
            )
        }),
        ("manifests", "PUT") => put_manifest(state, options, request, name, reference),
        ("blobs", "GET" | "HEAD") => read(state, name, "BLOB_UNKNOWN", |repo| {
            Some(blob(request, repo.blobs.get(reference)?))
        }),
        ("uploads", _) => upload(state, options, request, name, reference),
        ("referrers", "GET") if options.referrers => {
            referrers(state, options, request, name, reference)
        }
        ("tags", "GET") => read(state, name, "NAME_UNKNOWN", |repo| {
            Some(Answer::new(200).json(
                &json!({"name": name, "tags": repo.tags.keys().collect::<Vec<_>>()}).to_string(),
            ))
        }),
        _ => Answer::new(404).body("404 page not found\n"),
    }
}

/// Splits `NAME/KIND/REFERENCE`.
fn route(rest: &str) -> Option<(&str, &str, &str)> {
    if let Some((name, id)) = rest.split_once("/blobs/uploads/") {
        return Some((name, "uploads", id));
    }
    ["manifests", "blobs", "referrers", "tags"].iter().find_map(|kind| {
        let (name, reference) = rest.rsplit_once(&format!("/{kind}/"))?;
        Some((name, *kind, reference))
    })
}

fn read(
    state: &State,
    name: &str,
    missing: &str,
    answer: impl FnOnce(&Repo) -> Option<Answer>,
) -> Answer {
    match state.repos.get(name) {
        None => Answer::error(404, "NAME_UNKNOWN"),
        Some(repo) => answer(repo).unwrap_or_else(|| Answer::error(404, missing)),
    }
}

fn blob(request: &Request, bytes: &[u8]) -> Answer {
    let octets = |answer: Answer| answer.header("Content-Type", "application/octet-stream");
    let from = request
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from.and_then(|from| Some((from, bytes.get(from..)?))) {
        Some((from, rest)) => {
            let range = format!("bytes {from}-{}/{}", bytes.len().saturating_sub(1), bytes.len());
            octets(Answer::new(206)).header("Content-Range", &range).body(rest)
        }
        None => {
            octets(Answer::new(200)).header("Docker-Content-Digest", &digest(bytes)).body(bytes)
        }
    }
}

fn put_manifest(
    state: &mut State,
    options: &Options,
    request: &Request,
    name: &str,
    reference: &str,
) -> Answer {
    let found = digest(&request.body);
    if reference.starts_with("sha256:") && reference != found {
        return Answer::error(400, "DIGEST_INVALID");
    }
    let Ok(document) = serde_json::from_slice::<Value>(&request.body) else {
        return Answer::error(400, "MANIFEST_INVALID");
    };
    let media_type = request.header("content-type").unwrap_or(MANIFEST).to_owned();
    let repo = state.repos.entry(name.to_owned()).or_default();
    repo.manifests.insert(found.clone(), (media_type, request.body.clone()));
    if !reference.starts_with("sha256:") {
        repo.tags.insert(reference.to_owned(), found.clone());
    }
    let answer = Answer::new(201)
        .header("Location", &format!("/v2/{name}/manifests/{found}"))
        .header("Docker-Content-Digest", &found);
    match document["subject"]["digest"].as_str() {
        Some(subject) if options.referrers => answer.header("OCI-Subject", subject),
        _ => answer,
    }
}

fn upload(state: &mut State, options: &Options, request: &Request, name: &str, id: &str) -> Answer {
    state.counter += 1;
    let fresh = format!("upload-{}", state.counter);
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let base = if options.absolute_locations {
        format!("{scheme}://{}", request.header("host").unwrap_or(""))
    } else {
        String::new()
    };
    let at = |id: &str| format!("{base}/v2/{name}/blobs/uploads/{id}?_state=a%2Bb");
    let repo = state.repos.entry(name.to_owned()).or_default();
    match request.method.as_str() {
        "POST" if id.is_empty() && options.uploads_at_once && request.query("digest").is_some() => {
            let found = digest(&request.body);
            if request.query("digest").as_deref() != Some(found.as_str()) {
                return Answer::error(400, "DIGEST_INVALID");
            }
            repo.blobs.insert(found.clone(), request.body.clone());
            Answer::new(201)
                .header("Location", &format!("/v2/{name}/blobs/{found}"))
                .header("Docker-Content-Digest", &found)
        }
        "POST" if id.is_empty() => {
            repo.uploads.insert(fresh.clone(), Vec::new());
            Answer::new(202).header("Location", &at(&fresh)).header("Range", "0-0")
        }
        "PATCH" => match repo.uploads.get_mut(id) {
            None => Answer::error(404, "BLOB_UPLOAD_UNKNOWN"),
            Some(bytes) => {
                bytes.extend_from_slice(&request.body);
                Answer::new(202)
                    .header("Location", &at(id))
                    .header("Range", &format!("0-{}", bytes.len().saturating_sub(1)))
            }
        },
        "PUT" => {
            // The query that `Location` had must have come back.
            let Some(mut bytes) = repo
                .uploads
                .remove(id)
                .filter(|_| request.query("_state").as_deref() == Some("a+b"))
            else {
                return Answer::error(404, "BLOB_UPLOAD_UNKNOWN");
            };
            bytes.extend_from_slice(&request.body);
            let found = digest(&bytes);
            if request.query("digest").as_deref() != Some(found.as_str()) {
                return Answer::error(400, "DIGEST_INVALID");
            }
            repo.blobs.insert(found.clone(), bytes);
            Answer::new(201)
                .header("Location", &format!("/v2/{name}/blobs/{found}"))
                .header("Docker-Content-Digest", &found)
        }
        "DELETE" => match repo.uploads.remove(id) {
            None => Answer::error(404, "BLOB_UPLOAD_UNKNOWN"),
            Some(_) => Answer::new(204),
        },
        _ => Answer::error(405, "UNSUPPORTED"),
    }
}

fn referrers(
    state: &State,
    options: &Options,
    request: &Request,
    name: &str,
    subject: &str,
) -> Answer {
    let Some(repo) = state.repos.get(name) else { return Answer::error(404, "NAME_UNKNOWN") };
    let wanted = request.query("artifactType").filter(|_| options.filters);
    let mut list = Vec::new();
    for (digest, (media_type, bytes)) in &repo.manifests {
        let Ok(document) = serde_json::from_slice::<Value>(bytes) else { continue };
        if document["subject"]["digest"].as_str() == Some(subject) {
            let artifact_type =
                document["artifactType"].as_str().or(document["config"]["mediaType"].as_str());
            if wanted.as_deref().is_some_and(|wanted| artifact_type != Some(wanted)) {
                continue;
            }
            list.push(json!({
                "mediaType": media_type, "size": bytes.len(), "digest": digest, "artifactType": artifact_type,
                "annotations": document.get("annotations").cloned().unwrap_or_else(|| json!({})),
            }));
        }
    }
    let start: usize = request.query("last").and_then(|last| last.parse().ok()).unwrap_or(0);
    let page: Vec<_> = list.iter().skip(start).take(options.page).collect();
    let more = start + page.len() < list.len();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": page});
    let answer = Answer::new(200).header("Content-Type", INDEX).body(index.to_string());
    let answer = match &wanted {
        Some(_) => answer.header("OCI-Filters-Applied", "artifactType"),
        None => answer,
    };
    let query = wanted.map_or_else(String::new, |wanted| {
        format!("&artifactType={}", wanted.replace('+', "%2B").replace(';', "%3B"))
    });
    let last = start + options.page;
    let next = format!("</v2/{name}/referrers/{subject}?last={last}{query}>; rel=\"next\"");
    if more { answer.header("Link", &next) } else { answer }
}

/// Refuses a request that does not show what the registry wants to see.
fn refusal(
    state: &State,
    options: &Options,
    request: &Request,
    route: Option<&(&str, &str, &str)>,
) -> Option<Answer> {
    let shown = request.header("authorization").unwrap_or("");
    match &options.auth {
        Auth::None => None,
        Auth::Basic { user, password } => {
            let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            let refusal = || {
                Answer::error(401, "UNAUTHORIZED")
                    .header("WWW-Authenticate", "Basic realm=\"test\"")
            };
            (shown != wanted).then(refusal)
        }
        Auth::Token { realm, .. } => {
            let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
            let wanted = route.map(|(name, ..)| {
                format!("repository:{name}:{}", if writes { "push" } else { "pull" })
            });
            let allowed = shown.strip_prefix("Bearer ").and_then(|token| state.tokens.get(token));
            if allowed.is_some_and(|allowed| {
                wanted.as_ref().is_none_or(|wanted| allowed.contains(wanted))
            }) {
                return None;
            }
            let scheme = if options.tls.is_some() { "https" } else { "http" };
            let host = request.header("host").unwrap_or(&state.address);
            let realm =
                if realm.is_empty() { format!("{scheme}://{host}/token") } else { realm.clone() };
            let scope = wanted.unwrap_or_default();
            let challenge =
                format!("Bearer realm=\"{realm}\",service=\"test registry\",scope=\"{scope}\"");
            Some(Answer::error(401, "UNAUTHORIZED").header("WWW-Authenticate", &challenge))
        }
    }
}

fn token(state: &mut State, options: &Options, request: &Request) -> Answer {
    let Auth::Token { user, password, identity_token, anonymous_pull, .. } = &options.auth else {
        return Answer::new(404);
    };
    let parameters = match request.method.as_str() {
        "POST" => form(&String::from_utf8_lossy(&request.body)),
        _ => form(request.target.split_once('?').map_or("", |(_, query)| query)),
    };
    let value = |name: &str| parameters.get(name).map_or("", String::as_str);
    if value("service") != "test registry" {
        return Answer::error(400, "UNKNOWN_SERVICE");
    }
    let shown = request.header("authorization");
    let known = match request.method.as_str() {
        "POST" => {
            value("grant_type") == "refresh_token"
                && value("refresh_token") == identity_token
                && !value("client_id").is_empty()
        }
        _ => shown == Some(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))),
    };
    let anonymous = shown.is_none() && request.method == "GET" && *anonymous_pull;
    if !known && !anonymous {
        return Answer::error(401, "UNAUTHORIZED");
    }
    let Some((repository, actions)) =
        value("scope").strip_prefix("repository:").and_then(|scope| scope.rsplit_once(':'))
    else {
        return Answer::error(400, "UNKNOWN_SCOPE");
    };
    let allowed = actions.split(',').filter(|action| known || *action == "pull");
    let allowed = allowed.map(|action| format!("repository:{repository}:{action}")).collect();
    state.counter += 1;
    let token = format!("token-canary-{}", state.counter);
    state.tokens.insert(token.clone(), allowed);
    Answer::new(200).json(&json!({"token": token, "expires_in": 300}).to_string())
}
