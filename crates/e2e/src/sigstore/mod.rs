//! All of Sigstore on this machine, of the real programs; the token service of a CI; and a proxy
//! before one of the services, which can be told to fail.
//!
//! The ports are fixed, and some servers bind every interface: a process that starts it has to be
//! in a network of its own ([`enter_private_network`]).

mod keys;
mod services;
mod trust;

use crate::http;
use services::Services;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use testkit::{Answer, Request, Server};

/// Set in a process that is in a network of its own: which one it came from.
const OUTER: &str = "OUTER_NETWORK";
const ISSUER: &str = "127.0.0.1:8888";

/// The addresses of the services.
pub const CT_LOG: &str = "127.0.0.1:6962";
pub const FULCIO: &str = "127.0.0.1:5555";
pub const REKOR1: &str = "127.0.0.1:3000";
pub const REKOR2: &str = "127.0.0.1:3003";
pub const TSA: &str = "127.0.0.1:3004";
pub const TUF: &str = "127.0.0.1:8080";
/// The path of the timestamp authority.
pub const TSA_PATH: &str = "/api/v1/timestamp";
/// Who vouches for workflows.
pub const WORKLOAD_ISSUER: &str = "http://127.0.0.1:8888/gha";
/// Who vouches for persons.
pub const PERSON_ISSUER: &str = "http://127.0.0.1:8888";

/// Goes on in a network where nothing but loopback is: this process starts again there.
///
/// # Panics
/// Without root, or `unshare` and `ip`.
pub fn enter_private_network() {
    let here = std::fs::read_link("/proc/self/ns/net").expect("a network namespace");
    let here = here.to_str().expect("UTF-8");
    if std::env::var(OUTER).is_ok_and(|outer| outer != here) {
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.is_ok_and(|status| status.success()), "`ip link set lo up` failed");
        return;
    }
    let own = std::env::current_exe().expect("this program");
    let error = Command::new("unshare")
        .args(["--net", "--"])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(OUTER, here)
        .exec();
    panic!("`unshare --net` could not be run: {error}; it needs root");
}

/// The services. They end with the value, and with this process, however that ends.
pub struct Sigstore {
    services: Services,
}

impl Sigstore {
    /// Starts all of them; a second or two.
    #[track_caller]
    pub fn start() -> Self {
        Self { services: Services::start() }
    }

    /// A file that says whom to trust: `trusted_root.json`, `rekor1.json` and so on
    /// (`sigstore/trust.rs`).
    pub fn trust(&self, name: &str) -> PathBuf {
        self.services.trust().join(name)
    }

    /// Where a service writes what it does: `tuf`, `rekor1` and so on.
    pub fn log(&self, service: &str) -> PathBuf {
        self.services.log(service)
    }

    /// Makes the trust of a Sigstore of the same names with other keys, in a directory. Returns its
    /// trusted root; what comes with it is as in [`trust`](Self::trust).
    #[track_caller]
    pub fn other_trust(&self, folder: &Path) -> PathBuf {
        let trust = folder.join("trust");
        keys::make(&folder.join("keys"), &trust);
        trust::make(&trust);
        trust.join("trusted_root.json")
    }

    /// A token of a person: `email=A@B`, and what is wrong with it (`.ci/issuer.py`).
    #[track_caller]
    pub fn person(&self, query: &str) -> String {
        token(&format!("/token?{query}"))
    }

    /// A token of a job: `repo=O/R&workflow=W`, and what is wrong with it.
    #[track_caller]
    pub fn job(&self, query: &str) -> String {
        token(&format!("/gha/token?{query}"))
    }

    /// How many entries the first log has.
    #[track_caller]
    pub fn entries(&self) -> u64 {
        let reply = http::call(REKOR1, "GET", "/api/v1/log", &[], b"").expect("an answer");
        let answer: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
        answer["treeSize"].as_u64().expect("a size")
    }
}

#[track_caller]
fn token(target: &str) -> String {
    let reply = http::call(ISSUER, "GET", target, &[], b"").expect("the issuer answers");
    assert_eq!(reply.status, 200, "{target}");
    String::from_utf8(reply.body).expect("text").trim().to_owned()
}

/// The service that GitHub gives a job to get tokens from, for one job.
pub struct GithubTokens {
    server: Server,
    query: Arc<Mutex<String>>,
}

/// The secret by which the job asks.
const JOB_SECRET: &str = "job-secret-Canary-93ab";

impl GithubTokens {
    /// `query` says which job it is ([`Sigstore::job`]).
    pub fn start(query: &str) -> Self {
        let query = Arc::new(Mutex::new(query.to_owned()));
        let job = Arc::clone(&query);
        let server = Server::start(move |request| {
            if request.header("authorization") != Some(&format!("bearer {JOB_SECRET}")) {
                return Answer::new(401).json(r#"{"message":"unauthorized"}"#);
            }
            let audience = request.query("audience").unwrap_or_default();
            let query = job.lock().expect("the job").clone();
            let token = token(&format!("/gha/token?{query}&aud={audience}"));
            Answer::new(200).json(&serde_json::json!({"count": 1, "value": token}).to_string())
        });
        Self { server, query }
    }

    /// It is another job from now on.
    pub fn set(&self, query: &str) {
        query.clone_into(&mut self.query.lock().expect("the job"));
    }

    /// The environment of the job.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("GITHUB_ACTIONS", "true".to_owned()),
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                format!("http://{}/idtoken?api-version=2.0", self.server.host()),
            ),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", JOB_SECRET.to_owned()),
        ]
    }

    /// What must not be shown.
    pub fn secret(&self) -> &'static str {
        JOB_SECRET
    }

    /// How many tokens were asked for.
    pub fn asked(&self) -> usize {
        self.server.requests().len()
    }
}

type Rule = dyn Fn(&Request) -> Option<Answer> + Send + Sync;
type Change = dyn Fn(&Request, Answer) -> Answer + Send + Sync;

/// A proxy before a service, on an address of its own.
pub struct Front {
    server: Server,
}

impl Front {
    /// Passes everything on, but what `rule` has an answer for.
    pub fn before(
        service: &str,
        rule: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        Self::new(service, Box::new(rule), Box::new(|_, answer| answer))
    }

    /// Passes everything on, and changes answers.
    pub fn changing(
        service: &str,
        change: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::new(service, Box::new(|_| None), Box::new(change))
    }

    fn new(service: &str, rule: Box<Rule>, change: Box<Change>) -> Self {
        let service = service.to_owned();
        let server = Server::start(move |request| {
            rule(request).unwrap_or_else(|| change(request, pass_on(&service, request)))
        });
        Self { server }
    }

    /// `http://ADDRESS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.host())
    }

    /// Waits until so much was asked.
    pub fn wait_for(&self, number: usize) {
        self.server.wait_for(number);
    }

    /// What was asked, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }
}

fn pass_on(service: &str, request: &Request) -> Answer {
    let kept =
        |name: &str| !["host", "connection", "content-length", "transfer-encoding"].contains(&name);
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .filter(|(name, _)| kept(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    match http::call(service, &request.method, &request.target, &headers, &request.body) {
        Ok(reply) => reply
            .headers
            .iter()
            .filter(|(name, _)| kept(&name.to_ascii_lowercase()))
            .fold(Answer::new(reply.status), |answer, (name, value)| answer.header(name, value))
            .body(reply.body),
        Err(_) => Answer::new(502),
    }
}
