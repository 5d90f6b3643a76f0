//! Publishing from a CI job: a host, a registry, all of Sigstore, and nothing to sign with but the
//! token of the job.
//!
//! What is published is judged by both cosigns, by sigstore-python, by us and by a host that
//! installs it; a fault leaves the registry as it was, and says what to do.

use crate::{Shared, trial};
use base64::Engine as _;
use e2e::machine::{Seen, succeed, walk};
use e2e::registry::Image;
use e2e::sigstore::{
    FULCIO, Front, GithubTokens, PERSON_ISSUER, REKOR1, TSA, TSA_PATH, WORKLOAD_ISSUER,
};
use e2e::world::pack;
use e2e::{Host, Machine, Registry, Sigstore, World, http, scratch, tools};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use testkit::{Answer, Canary, Gate, Sink, envelope};

/// The job, as the issuer of tokens is told.
const JOB: &str = "repo=acme/packages&workflow=publish.yml";
/// The name in its certificates.
const IDENTITY: &str =
    "https://github.com/acme/packages/.github/workflows/publish.yml@refs/heads/main";
/// The packages that a job publishes.
const MANY: usize = 40;

type Check = fn(&Case<'_>);
/// What has to live as long as a trial.
type Kept = Vec<Box<dyn std::any::Any>>;
/// Makes a machine on which something is wrong.
type Make = fn(&Case<'_>, &mut Machine) -> Kept;
type Start = fn() -> Registry;

/// For each host, at docker-registry.
const FOR_EACH_HOST: &[(&str, Check)] = &[
    ("a-repository-by-the-token-of-the-job", |case| case.publishes(3)),
    ("one-certificate-for-the-run", one_certificate),
    ("a-signer-that-the-policy-does-not-accept-publishes-nothing", another_signer),
    ("a-job-that-may-not-ask-publishes-nothing", |case| {
        case.publishes_nothing(
            &[("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")],
            "auth",
            "id-token: write",
        );
    }),
    ("an-expired-token-publishes-nothing", expired),
    ("a-fulcio-that-is-down-publishes-nothing", |case| {
        let down = Front::before(FULCIO, |_| Some(Answer::new(503)));
        case.publishes_nothing(&[("COSIGN_FULCIO_URL", &down.url())], "net", "503");
    }),
    ("a-log-that-is-down-publishes-nothing", |case| {
        let down = Front::before(REKOR1, |_| Some(Answer::new(503)));
        case.publishes_nothing(&[("COSIGN_REKOR_URL", &down.url())], "net", "503");
    }),
    ("an-engine-that-is-not-there-publishes-nothing", |case| {
        case.publishes_nothing(&[("LUET_COSIGN_ENGINE", "podman")], "usage", "LUET_COSIGN_ENGINE");
        case.publishes_nothing(
            &[("LUET_COSIGN_ENGINE", "docker"), ("DOCKER_HOST", "unix:///nowhere/docker.sock")],
            "net",
            "docker",
        );
    }),
];

/// Once, with the stand-in.
const ONCE: &[(&str, Check)] = &[
    ("with-buildah", with_buildah),
    ("sign-repo::by-one-certificate", sign_repo),
    ("ci::github", github),
    ("ci::gitlab", gitlab),
    ("run-certificate::sixty-four-events-at-once", many_at_once),
    ("run-certificate::an-event-that-is-killed", killed),
    ("run-certificate::no-memory-to-keep-it-in", on_a_disk),
];

/// A fault while one image is signed: the class of the error, and what it says.
struct Fault {
    name: &'static str,
    class: &'static str,
    text: &'static str,
    make: Make,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "token-expired",
        class: "auth",
        text: "expired at",
        make: |case, machine| case.given(machine, "left=-60"),
    },
    Fault {
        name: "token-not-yet-valid",
        class: "auth",
        text: "not valid before",
        make: |case, machine| case.given(machine, "begins=3600&left=7200"),
    },
    Fault {
        name: "token-for-another",
        class: "auth",
        text: "wrong audience: found `vault`",
        make: |case, machine| case.given(machine, "aud=vault"),
    },
    Fault {
        name: "token-of-an-unknown-issuer",
        class: "auth",
        text: "does not know the issuer `http://127.0.0.1:8888/other`",
        make: |case, machine| case.given(machine, "iss=http://127.0.0.1:8888/other"),
    },
    Fault {
        name: "token-forged",
        class: "auth",
        text: "Fulcio refused it",
        make: |case, machine| case.given(machine, "forged=1"),
    },
    Fault {
        name: "token-of-a-person-unverified",
        class: "auth",
        text: "is not verified",
        make: |case, machine| {
            machine.set("SIGSTORE_ID_TOKEN", case.sigstore.person("verified=false"));
            Vec::new()
        },
    },
    Fault {
        name: "token-service-refuses",
        class: "auth",
        text: "id-token: write",
        make: |case, machine| {
            machine.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another");
            let _ = case;
            Vec::new()
        },
    },
    Fault {
        name: "fulcio-down",
        class: "net",
        text: "503",
        make: |_, machine| {
            fronted(machine, "COSIGN_FULCIO_URL", Front::before(FULCIO, |_| Some(Answer::new(503))))
        },
    },
    Fault {
        name: "fulcio-hangs-up",
        class: "net",
        text: "127.0.0.1",
        make: |_, machine| {
            fronted(machine, "COSIGN_FULCIO_URL", Front::before(FULCIO, |_| Some(Answer::close())))
        },
    },
    Fault {
        name: "log-down",
        class: "net",
        text: "503",
        make: |_, machine| {
            fronted(machine, "COSIGN_REKOR_URL", Front::before(REKOR1, |_| Some(Answer::new(503))))
        },
    },
    Fault {
        name: "log-refuses",
        class: "registry|net|tlog",
        text: "400",
        make: |_, machine| {
            let no = Answer::new(400).json(r#"{"code":400,"message":"no\u001b[31m"}"#);
            let front = Front::before(REKOR1, move |request| {
                (request.method == "POST").then(|| no.clone())
            });
            fronted(machine, "COSIGN_REKOR_URL", front)
        },
    },
    Fault {
        name: "log-says-another-time",
        class: "tlog",
        text: "",
        make: |_, machine| {
            tampered(machine, |entry| {
                let time = entry["integratedTime"].as_i64().expect("a time");
                entry["integratedTime"] = (time + 1).into();
            })
        },
    },
    Fault {
        name: "log-promises-nothing",
        class: "tlog",
        text: "",
        make: |_, machine| {
            tampered(machine, |entry| {
                entry["verification"]["signedEntryTimestamp"] = "MEUCIQD0AAAA".into();
            })
        },
    },
];

/// What one service does wrong, and is repaired.
const REPAIRED: &[(&str, Make)] = &[
    ("fulcio-is-busy-twice", |_, machine| fronted(machine, "COSIGN_FULCIO_URL", busy(FULCIO, 2))),
    ("the-log-is-busy-twice", |_, machine| fronted(machine, "COSIGN_REKOR_URL", busy(REKOR1, 2))),
    ("the-log-s-answer-is-lost", |_, machine| {
        let lost = Mutex::new(false);
        let front = Front::changing(REKOR1, move |request, answer| {
            let mut lost = lost.lock().expect("a flag");
            let now = request.method == "POST" && !std::mem::replace(&mut *lost, true);
            if now { Answer::close() } else { answer }
        });
        fronted(machine, "COSIGN_REKOR_URL", front)
    }),
    ("the-timestamp-authority-is-down", |_, machine| {
        let front = Front::before(TSA, |_| Some(Answer::new(503)));
        machine.set("COSIGN_TIMESTAMP_SERVER_URL", format!("{}{TSA_PATH}", front.url()));
        vec![Box::new(front)]
    }),
    ("a-token-that-was-given-counts-in-a-ci-that-gives-none", |case, machine| {
        machine.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another");
        case.given(machine, "left=600")
    }),
];

pub fn trials(hosts: &[Host], shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for host in hosts {
        for (name, run) in FOR_EACH_HOST {
            let (name, host) = (format!("publish::{}::{name}", host.name()), host.clone());
            trials.push(trial(name, shared, move |shared| run(&Case::new(shared, &host))));
        }
        for (registry, start) in REGISTRIES {
            let name = format!("publish::{}::{registry}::forty-packages", host.name());
            let host = host.clone();
            trials.push(trial(name, shared, move |shared| {
                Case::at(shared, &host, start()).publishes(MANY);
            }));
        }
    }
    for fault in FAULTS {
        trials.push(trial(format!("publish::fault::{}", fault.name), shared, |shared| {
            Case::new(shared, &Host::StandIn).fault(fault);
        }));
    }
    for (name, make) in REPAIRED {
        trials.push(trial(format!("publish::repaired::{name}"), shared, |shared| {
            let case = Case::new(shared, &Host::StandIn);
            let mut machine = case.job();
            let _kept = make(&case, &mut machine);
            let image = case.image("repaired");
            case.signs(&machine, &[], &image);
            case.is_accepted(&image);
        }));
    }
    for (name, run) in ONCE {
        trials.push(trial(format!("publish::{name}"), shared, |shared| {
            run(&Case::new(shared, &Host::StandIn));
        }));
    }
    for status in [301, 302, 303, 307, 308] {
        trials.push(trial(format!("publish::redirect::{status}"), shared, move |shared| {
            redirected(&Case::new(shared, &Host::StandIn), status);
        }));
    }
    for (registry, start) in REGISTRIES {
        for (format, services) in FORMS {
            let name = format!("publish::judges::{registry}::{format}::{services}");
            trials.push(trial(name, shared, move |shared| {
                judges(&Case::at(shared, &Host::StandIn, start()), format, services);
            }));
        }
    }
    trials
}

/// What can be made by which log, with a timestamp authority or without.
const FORMS: [(&str, &str); 5] = [
    ("legacy", "rekor1"),
    ("legacy", "rekor1-tsa"),
    ("bundle", "rekor1"),
    ("bundle", "rekor1-tsa"),
    ("bundle", "rekor2-tsa"),
];

const REGISTRIES: [(&str, Start); 2] =
    [("docker-registry", Registry::docker), ("olareg", || Registry::olareg(&[]))];

/// A registry, and a job that publishes there.
struct Case<'w> {
    world: &'w World,
    sigstore: &'w Sigstore,
    host: &'w Host,
    registry: Registry,
    tokens: GithubTokens,
}

impl<'w> Case<'w> {
    fn new(shared: &'w Shared, host: &'w Host) -> Self {
        Self::at(shared, host, Registry::docker())
    }

    fn at(shared: &'w Shared, host: &'w Host, registry: Registry) -> Self {
        let sigstore = shared.sigstore.get_or_init(Sigstore::start);
        let tokens = GithubTokens::start(JOB);
        Self { world: &shared.world, sigstore, host, registry, tokens }
    }

    fn address(&self) -> String {
        format!("{}/acme/packages", self.registry.address())
    }

    /// The machine that the job runs on: which services, whom to trust, and the token service.
    fn job(&self) -> Machine {
        let mut machine = self.reader();
        machine.set("COSIGN_FULCIO_URL", format!("http://{FULCIO}"));
        machine.set("COSIGN_REKOR_URL", format!("http://{REKOR1}"));
        machine.push_as(self.host, self.registry.address());
        for (name, value) in self.tokens.variables() {
            machine.set(name, value);
        }
        machine
    }

    /// A machine that trusts this Sigstore, and nobody in particular.
    fn reader(&self) -> Machine {
        let mut machine = Machine::new(self.world.plugin());
        machine.set("COSIGN_EXPERIMENTAL", "1");
        machine.set("COSIGN_TRUSTED_ROOT", self.sigstore.trust("trusted_root.json"));
        machine
    }

    /// Gives the job a token in place of its own.
    fn given(&self, machine: &mut Machine, query: &str) -> Kept {
        machine.set("SIGSTORE_ID_TOKEN", self.sigstore.job(&format!("{JOB}&{query}")));
        Vec::new()
    }

    /// So many small packages.
    fn packages(&self, count: usize) -> PathBuf {
        let packages = self.world.path(&format!("published-{count}"));
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock();
        if !packages.exists() {
            for number in 0..count {
                let content = self.world.path(&format!("published-content-{number}"));
                std::fs::create_dir_all(content.join("usr/bin")).expect("a directory");
                let text = format!("package {number}\n");
                std::fs::write(content.join(format!("usr/bin/p{number}")), text).expect("a file");
                pack(self.world, &format!("acme/p{number}@1.0"), &content, &packages);
            }
        }
        packages
    }

    fn create(&self, machine: &Machine, count: usize) -> Seen {
        let words = ["--plugin", "luet-cosign"];
        machine.create_repo(self.host, &self.packages(count), &self.address(), &words)
    }

    /// Every tag that is not a signature.
    fn tags(&self) -> Vec<String> {
        let path = "/v2/acme/packages/tags/list";
        let reply = http::call(self.registry.address(), "GET", path, &[], b"").expect("an answer");
        let list: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let tags = list["tags"].as_array().cloned().unwrap_or_default();
        tags.iter()
            .filter_map(|tag| tag.as_str())
            .filter(|tag| !tag.starts_with("sha256-"))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Publishes a repository, and holds every image of it against everybody.
    fn publishes(&self, count: usize) {
        let machine = self.job();
        let seen = self.create(&machine, count);
        seen.exited(0);
        assert!(!seen.output.contains("NOT signed"), "{}", seen.output);
        self.shows_no_secret(&machine, &seen.output);
        assert!(self.tokens.asked() >= 1);
        let tags = self.tags();
        assert!(tags.len() >= 2 * count + 8, "{tags:?}");
        let images: Vec<String> =
            tags.iter().map(|tag| format!("{}:{tag}", self.address())).collect();
        self.are_accepted(&images, &[]);
        self.python_accepts(&images[0]);
        self.is_verified(2 * count + 8);
        self.installs();
    }

    /// `verify-repo` says the same of all of it.
    fn is_verified(&self, images: usize) {
        for (identity, code, text) in [
            (IDENTITY.to_owned(), 0, format!("{images} images: {images} verified")),
            (format!("{IDENTITY}s"), 12, format!("{images} images: 0 verified, {images} refused")),
        ] {
            let (found, said) = self.verify_repo(&self.reader(), &identity);
            assert_eq!(found, Some(code), "{identity}: {said}");
            assert!(said.contains(&text), "{identity}: {said}");
        }
    }

    fn verify_repo(&self, machine: &Machine, identity: &str) -> (Option<i32>, String) {
        let mut command = machine.command(machine.plugin());
        command.args(["verify-repo", "--certificate-identity", identity]);
        command.args(["--certificate-oidc-issuer", WORKLOAD_ISSUER, "--trusted-root"]);
        command.arg(self.sigstore.trust("trusted_root.json")).arg(self.address());
        ended(&mut command)
    }

    /// sigstore-python does not read signatures of images, so it is given the payload of one as a
    /// file, and what lies beside it as the bundle of that file.
    fn python_accepts(&self, image: &str) {
        let image = image.rsplit_once(':').map(|(name, tag)| (name.to_owned(), tag));
        let (repository, tag) = image.expect("a tag");
        let image = Image::new(&format!("{repository}:{tag}"));
        let (manifest, _) = image.signature_tag().manifest();
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        let layer = &manifest["layers"][0];
        let digest = layer["digest"].as_str().expect("a digest");
        let payload = image.blob(digest);
        let note = |name: &str| {
            layer["annotations"][name].as_str().unwrap_or_else(|| panic!("no {name}: {layer}"))
        };
        let pem = note("dev.sigstore.cosign/certificate");
        let certificate: String = pem.lines().filter(|line| !line.contains('-')).collect();
        let logged: Value = serde_json::from_str(note("dev.sigstore.cosign/bundle")).expect("JSON");
        let entry = &logged["Payload"];
        let index = entry["logIndex"].as_u64().expect("an index");
        let proof = self.log_proof(index);
        let bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": certificate},
                "tlogEntries": [{
                    "logIndex": index.to_string(),
                    "logId": {"keyId": encoded(&unhex(entry["logID"].as_str().expect("an ID")))},
                    "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
                    "integratedTime": entry["integratedTime"].to_string(),
                    "inclusionPromise": {"signedEntryTimestamp": logged["SignedEntryTimestamp"]},
                    "inclusionProof": proof,
                    "canonicalizedBody": entry["body"],
                }],
            },
            "messageSignature": {
                "messageDigest": {
                    "algorithm": "SHA2_256",
                    "digest": encoded(&unhex(digest.trim_start_matches("sha256:"))),
                },
                "signature": note("dev.cosignproject.cosign/signature"),
            },
        });
        let machine = self.reader();
        let (file, beside) = (machine.path("payload"), machine.path("payload.bundle"));
        std::fs::write(&file, payload).expect("a file");
        std::fs::write(&beside, bundle.to_string()).expect("a file");
        for (identity, good) in [(IDENTITY.to_owned(), true), (format!("{IDENTITY}s"), false)] {
            let mut command = machine.command(tools::folder().join("python/bin/python"));
            command.args(["-m", "sigstore", "--trust-config"]);
            command.arg(self.sigstore.trust("python/rekor1.json"));
            command.args(["verify", "identity", "--offline", "--bundle"]).arg(&beside);
            command.args(["--cert-identity", &identity, "--cert-oidc-issuer", WORKLOAD_ISSUER]);
            let (code, said) = ended(command.arg(&file));
            assert_eq!(code == Some(0), good, "{identity}: {said}");
        }
    }

    /// What the log says of an entry that it has, in the form of bundles.
    fn log_proof(&self, index: u64) -> Value {
        let path = format!("/api/v1/log/entries?logIndex={index}");
        let reply = http::call(REKOR1, "GET", &path, &[], b"").expect("the log answers");
        let entries: Value = serde_json::from_slice(&reply.body).expect("JSON");
        let entry = entries.as_object().and_then(|entries| entries.values().next());
        let proof = &entry.expect("an entry")["verification"]["inclusionProof"];
        let text = |value: &Value| encoded(&unhex(value.as_str().expect("a hash")));
        let hashes = proof["hashes"].as_array().expect("hashes");
        json!({
            "logIndex": proof["logIndex"].to_string(),
            "rootHash": text(&proof["rootHash"]),
            "treeSize": proof["treeSize"].to_string(),
            "hashes": hashes.iter().map(text).collect::<Vec<_>>(),
            "checkpoint": {"envelope": proof["checkpoint"]},
        })
    }

    /// A host with the plugin installs from it by that identity, and by no other.
    fn installs(&self) {
        let mut machine = self.reader();
        machine.set("COSIGN_CERTIFICATE_OIDC_ISSUER", WORKLOAD_ISSUER);
        machine.set("COSIGN_CERTIFICATE_IDENTITY", IDENTITY);
        let address = self.address();
        machine.install(self.host, &[&address], &["acme/p0"]).exited(0);
        assert_eq!(machine.installed(), ["usr/bin/p0"]);
        let mut stranger = self.reader();
        stranger.set("COSIGN_CERTIFICATE_OIDC_ISSUER", WORKLOAD_ISSUER);
        stranger.set("COSIGN_CERTIFICATE_IDENTITY", IDENTITY.replace("publish.yml", "other.yml"));
        stranger
            .install(self.host, &[&address], &["acme/p0"])
            .was_refused("identity", "publish.yml");
        stranger.assert_nothing_got_in();
    }

    fn verify(&self, machine: &Machine, identity: &str, images: &[String]) -> &'static mut Command {
        let mut command = machine.command(machine.plugin());
        command.args(["verify", "--certificate-identity", identity]);
        command.args(["--certificate-oidc-issuer", WORKLOAD_ISSUER, "--trusted-root"]);
        command.arg(self.sigstore.trust("trusted_root.json")).args(images);
        Box::leak(Box::new(command))
    }

    fn is_accepted(&self, image: &str) {
        self.are_accepted(&[image.to_owned()], &[]);
    }

    /// Both cosigns, and we, accept them by that identity and by no other.
    /// `more` is for cosign 2 alone.
    fn are_accepted(&self, images: &[String], more: &[&str]) {
        let reader = self.reader();
        for (identity, good) in [(IDENTITY.to_owned(), true), (format!("{IDENTITY}s"), false)] {
            for cosign in ["cosign2", "cosign3"] {
                let mut command = reader.command(tools::program(cosign));
                command.args(["verify", "--allow-http-registry", "--trusted-root"]);
                command.arg(self.sigstore.trust("trusted_root.json"));
                command.args(["--certificate-identity", &identity]);
                command.args(["--certificate-oidc-issuer", WORKLOAD_ISSUER]);
                if cosign == "cosign2" {
                    command.args(more);
                }
                // It ends with the first image that it does not accept.
                let images = if good { images } else { &images[..1] };
                let (code, said) = ended(command.args(images));
                assert_eq!(code == Some(0), good, "{cosign} {identity} {images:?}: {said}");
            }
            let (code, said) = ended(self.verify(&reader, &identity, images));
            assert_eq!(code == Some(0), good, "{identity}: {said}");
        }
    }

    /// An image that nobody signed.
    fn image(&self, name: &str) -> String {
        let image = format!("{}/acme/{name}:1", self.registry.address());
        Image::new(&image).push(&[]);
        image
    }

    fn sign(&self, machine: &Machine, words: &[&str], image: &str) -> (Option<i32>, String) {
        let mut command = machine.command(machine.plugin());
        let output = command.args(["sign", "-y"]).args(words).arg(image).output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    fn signs(&self, machine: &Machine, words: &[&str], image: &str) {
        let (code, said) = self.sign(machine, words, image);
        assert_eq!(code, Some(0), "{said}");
        self.shows_no_secret(machine, &said);
    }

    /// What was pushed, name by name: everything that the registry holds.
    fn held(&self) -> Vec<PathBuf> {
        walk(self.registry.folder()).into_iter().filter(|path| !path.ends_with("log")).collect()
    }

    /// A fault leaves the registry as it was, and says what it was.
    fn fault(&self, fault: &Fault) {
        let image = self.image("fault");
        let mut machine = self.job();
        let _kept = (fault.make)(self, &mut machine);
        let before = self.held();
        let (code, said) = self.sign(&machine, &[], &image);
        assert_ne!(code, Some(0), "{said}");
        let class = said.lines().find_map(|line| line.strip_prefix("error: ")?.split(':').next());
        assert!(class.is_some_and(|class| fault.class.split('|').any(|it| it == class)), "{said}");
        assert!(said.contains(fault.text) && said.contains("\nhint: "), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
        assert_eq!(self.held(), before, "something was written");
        self.shows_no_secret(&machine, &said);
    }

    /// Nothing is pushed, and the host says why.
    fn publishes_nothing(&self, variables: &[(&str, &str)], class: &str, text: &str) {
        let mut machine = self.job();
        for (name, value) in variables {
            machine.set(name, value);
        }
        let seen = self.create(&machine, 3);
        assert_ne!(seen.code, Some(0), "{seen:?}");
        seen.said(&format!("had an error: {class}: "));
        seen.said(text);
        assert_eq!(self.tags(), Vec::<String>::new(), "{seen:?}");
        self.shows_no_secret(&machine, &seen.output);
    }

    /// Neither what was printed nor a file of the machine holds a secret.
    fn shows_no_secret(&self, machine: &Machine, said: &str) {
        let signature = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
        let token = self.sigstore.job(JOB);
        // RSA signatures of PKCS #1 are the same for the same claims; the header of all is.
        let head = token.split('.').next().expect("a head").to_owned();
        for secret in [self.tokens.secret().to_owned(), head, signature(&token)] {
            let canary = Canary::new(&secret);
            assert_eq!(canary.found_in(said.as_bytes()), None, "{said}");
            for path in walk(&machine.path("")) {
                let bytes = std::fs::read(&path).unwrap_or_default();
                assert_eq!(canary.found_in(&bytes), None, "{}", path.display());
            }
        }
    }
}

/// The exit code of a command, and all that it said.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16);
    pairs.map(|pair| byte(pair).expect("hexadecimal digits")).collect()
}

fn fronted(machine: &mut Machine, variable: &str, front: Front) -> Kept {
    machine.set(variable, front.url());
    vec![Box::new(front)]
}

/// Changes the entry that the log answers with.
fn tampered(machine: &mut Machine, change: fn(&mut serde_json::Value)) -> Kept {
    let front = Front::changing(REKOR1, move |request, answer| {
        if request.method != "POST" {
            return answer;
        }
        let mut body: serde_json::Value = serde_json::from_slice(answer.bytes()).expect("JSON");
        body.as_object_mut().expect("entries").values_mut().for_each(change);
        answer.body(body.to_string())
    });
    fronted(machine, "COSIGN_REKOR_URL", front)
}

/// Answers 503 so many times to what is posted.
fn busy(service: &str, times: usize) -> Front {
    let left = Mutex::new(times);
    Front::before(service, move |request| {
        let mut left = left.lock().expect("a number");
        if request.method != "POST" || *left == 0 {
            return None;
        }
        *left -= 1;
        Some(Answer::new(503))
    })
}

/// As a luet publishes; the stand-in has no need of an engine.
fn with_buildah(case: &Case<'_>) {
    let mut machine = case.job();
    machine.use_buildah(&[case.registry.address()]);
    machine.set("LUET_COSIGN_ENGINE", "");
    let words = ["--plugin", "luet-cosign", "--backend", "buildah"];
    let (packages, address) = (case.packages(3), case.address());
    machine.create_repo(case.host, &packages, &address, &words).exited(0);
    case.is_verified(14);
    case.installs();
}

fn one_certificate(case: &Case<'_>) {
    let (fulcio, log) = (Front::before(FULCIO, |_| None), Front::before(REKOR1, |_| None));
    let mut machine = case.job();
    let _memory = in_memory(&mut machine);
    machine.set("COSIGN_FULCIO_URL", fulcio.url());
    machine.set("COSIGN_REKOR_URL", log.url());
    machine.set("LUET_COSIGN_RUN_CERTIFICATE", "1");
    case.create(&machine, MANY).exited(0);
    assert_eq!((posted(&fulcio), posted(&log)), (1, 2 * MANY + 8));
    assert!(case.tokens.asked() <= 2, "{} tokens", case.tokens.asked());
    case.is_verified(2 * MANY + 8);
    case.installs();
}

/// How often something was asked for that a service makes.
fn posted(service: &Front) -> usize {
    service.requests().iter().filter(|request| request.method == "POST").count()
}

/// A repository that was published without signing: luet skips what is there and says nothing of
/// it, the plugin says what is left, and one command signs that by one certificate and one token.
fn sign_repo(case: &Case<'_>) {
    let (packages, address) = (case.packages(MANY), case.address());
    let mut machine = case.job();
    machine.create_repo(case.host, &packages, &address, &[]).exited(0);
    let (code, said) = case.verify_repo(&case.reader(), IDENTITY);
    assert_eq!(code, Some(10), "{said}");
    let seen = case.create(&machine, MANY);
    seen.exited(0);
    seen.said(&format!(
        r#"80 of 88 images are NOT signed .*: luet-cosign sign-repo --identity-token "\$SIGSTORE_ID_TOKEN" -y --from /\S+ {address}"#
    ));
    let fulcio = Front::before(FULCIO, |_| None);
    machine.set("COSIGN_FULCIO_URL", fulcio.url());
    let log = Front::before(REKOR1, |_| None);
    machine.set("COSIGN_REKOR_URL", log.url());
    let before = case.tokens.asked();
    let mut command = machine.command(machine.plugin());
    let (code, said) =
        ended(command.args(["sign-repo", "-y", "--from"]).args([&packages]).arg(&address));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("88 images: 80 signed, 8 signed already"), "{said}");
    assert_eq!((posted(&fulcio), case.tokens.asked() - before, posted(&log)), (1, 1, 80));
    case.shows_no_secret(&machine, &said);
    case.is_verified(88);
    // Without snapshots, for the first publish left one of its own, which nobody signed.
    let now = |tag: &&String| !tag.starts_with(|letter: char| letter.is_ascii_digit());
    let images: Vec<String> =
        case.tags().iter().filter(now).map(|tag| format!("{address}:{tag}")).collect();
    assert_eq!(images.len(), 84);
    case.are_accepted(&images, &[]);
    case.installs();
}

fn another_signer(case: &Case<'_>) {
    let other = IDENTITY.replace("publish.yml", "other.yml");
    case.publishes_nothing(
        &[
            ("COSIGN_CERTIFICATE_IDENTITY", &other),
            ("COSIGN_CERTIFICATE_OIDC_ISSUER", WORKLOAD_ISSUER),
        ],
        "policy",
        "publish.yml",
    );
}

fn expired(case: &Case<'_>) {
    let token = case.sigstore.job(&format!("{JOB}&left=-60"));
    case.publishes_nothing(&[("SIGSTORE_ID_TOKEN", &token)], "auth", "expired at");
}

fn redirected(case: &Case<'_>, status: u16) {
    let sink = Sink::start();
    let image = case.image("redirected");
    for (variable, service, path) in [
        ("COSIGN_FULCIO_URL", FULCIO, ""),
        ("COSIGN_REKOR_URL", REKOR1, ""),
        ("COSIGN_TIMESTAMP_SERVER_URL", TSA, TSA_PATH),
    ] {
        let there = sink.url();
        let front = Front::before(service, move |request| {
            (request.method == "POST")
                .then(|| Answer::redirect(status, &format!("{there}{}", request.target)))
        });
        let mut machine = case.job();
        machine.set(variable, format!("{}{path}", front.url()));
        let before = case.held();
        let (code, said) = case.sign(&machine, &[], &image);
        assert_ne!(code, Some(0), "{variable} {status}: {said}");
        assert!(sink.0.requests().is_empty(), "{variable} {status}");
        assert_eq!(case.held(), before, "{variable} {status}: something was written");
        case.shows_no_secret(&machine, &said);
    }
}

/// What is signed in either format is accepted by every program that reads that format.
fn judges(case: &Case<'_>, format: &str, services: &str) {
    let image = case.image("judged");
    let mut machine = case.job();
    for service in ["COSIGN_FULCIO_URL", "COSIGN_REKOR_URL"] {
        machine.set(service, "");
    }
    let config = case.sigstore.trust(&format!("{services}.json"));
    let words = ["--format", format, "--signing-config", config.to_str().expect("UTF-8")];
    // The second time it is signed already, which adds nothing that anyone could stumble over.
    for _ in 0..2 {
        case.signs(&machine, &words, &image);
    }
    // A log of Rekor v2 says no time, and cosign 2 asks a timestamp only where it is told to.
    let v2 = services.starts_with("rekor2");
    let more: &[&str] = if v2 { &["--use-signed-timestamps"] } else { &[] };
    case.are_accepted(std::slice::from_ref(&image), more);
    assert_eq!(PERSON_ISSUER, WORKLOAD_ISSUER.trim_end_matches("/gha"));
    match (format, v2) {
        ("legacy", _) => case.python_accepts(&image),
        (_, false) => python_wants_a_name(case, &image),
        (_, true) => {}
    }
}

/// sigstore-python does not read the statement that both cosigns and we write about an image: it wants
/// a name of the subject, which these do not give it. The rest of the bundle it was content with.
fn python_wants_a_name(case: &Case<'_>, image: &str) {
    let digest = Image::new(image).digest();
    let machine = case.reader();
    let mut command = machine.command(tools::program("cosign3"));
    command.args(["download", "signature", "--allow-http-registry", image]);
    let listed = succeed(&mut command);
    let bundle = machine.path("bundle.json");
    let line = listed.split(|byte| *byte == b'\n').next().expect("a bundle");
    std::fs::write(&bundle, line).expect("a file");
    let mut command = machine.command(tools::folder().join("python/bin/python"));
    command.args(["-m", "sigstore", "--trust-config"]);
    command.arg(case.sigstore.trust("python/rekor1.json"));
    command.args(["verify", "identity", "--offline", "--bundle"]).arg(&bundle);
    command.args(["--cert-identity", IDENTITY, "--cert-oidc-issuer", WORKLOAD_ISSUER]);
    let output = command.arg(&digest).output().expect("python runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("subject.0.name"), "{said}");
}

/// Directories of a run are in memory on a machine; here the trial has to see to that.
fn in_memory(machine: &mut Machine) -> tempfile::TempDir {
    let folder = scratch::in_memory();
    machine.set("LUET_COSIGN_STATE", folder.path().join("state"));
    folder
}

/// An event as luet sends it, by a process of its own.
fn event(machine: &Machine, event: &str, image: &str) -> Command {
    let data = json!({
        "ImageName": image, "SourcePath": "", "DockerFileName": "", "Destination": "",
        "Context": "", "BackendArgs": null,
    });
    let mut command = machine.command(machine.plugin());
    command.arg(event).arg(envelope(event, &data)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Sixty-four events of one run at the same time make one certificate.
fn many_at_once(case: &Case<'_>) {
    let fulcio = Front::before(FULCIO, |_| None);
    let mut machine = case.job();
    let _memory = in_memory(&mut machine);
    machine.set("COSIGN_FULCIO_URL", fulcio.url());
    machine.set("LUET_COSIGN_RUN_CERTIFICATE", "1");
    machine.set("LUET_COSIGN_TIMEOUT", "10m");
    let images: Vec<String> = (0..64).map(|number| case.image(&format!("many-{number}"))).collect();
    let children: Vec<_> = images
        .iter()
        .map(|image| event(&machine, "image.post.push", image).spawn().expect("it runs"))
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(r#""error":"""#), "{said}");
        case.shows_no_secret(&machine, &said);
    }
    assert_eq!((posted(&fulcio), case.tokens.asked()), (1, 1));
    succeed(case.verify(&case.reader(), IDENTITY, &images));
}

/// An event that is killed while it asks for the certificate of the run stops nobody.
fn killed(case: &Case<'_>) {
    let (gate, first) = (Gate::default(), Mutex::new(true));
    let held = gate.clone();
    let fulcio = Front::before(FULCIO, move |request| {
        let now = request.method == "POST"
            && std::mem::replace(&mut *first.lock().expect("a flag"), false);
        now.then(|| Answer::new(503).hold(&held))
    });
    let mut machine = case.job();
    let _memory = in_memory(&mut machine);
    machine.set("COSIGN_FULCIO_URL", fulcio.url());
    machine.set("LUET_COSIGN_RUN_CERTIFICATE", "1");
    let images = [case.image("killed-a"), case.image("killed-b"), case.image("killed-c")];
    let mut child = event(&machine, "image.post.push", &images[0]).spawn().expect("it runs");
    fulcio.wait_for(1);
    child.kill().expect("it was alive");
    child.wait().expect("it ends");
    gate.open();
    for image in &images {
        let output = event(&machine, "image.post.push", image).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(r#""error":"""#), "{said}");
    }
    assert_eq!(posted(&fulcio), 2, "that of the killed one, and one for all others");
    succeed(case.verify(&case.reader(), IDENTITY, &images));
}

/// Without memory to keep it in each event makes a certificate of its own, and the first says so.
fn on_a_disk(case: &Case<'_>) {
    let mut machine = case.job();
    let disk = tempfile::tempdir_in(tools::project().join("target")).expect("a directory");
    machine.set("LUET_COSIGN_STATE", disk.path().join("state"));
    machine.set("LUET_COSIGN_RUN_CERTIFICATE", "1");
    let seen = case.create(&machine, 1);
    seen.exited(0);
    seen.said("LUET_COSIGN_RUN_CERTIFICATE=1 has no effect");
    let kept = walk(disk.path());
    assert!(!kept.iter().any(|path| path.to_string_lossy().contains("certificate")), "{kept:?}");
}

/// What GitHub puts into every job, and what the trial has in place of the world.
fn ci(case: &Case<'_>, machine: &mut Machine, file: &str) -> (Value, Vec<String>) {
    let text = std::fs::read_to_string(tools::project().join("examples/ci").join(file))
        .expect("the example");
    let replaced = text
        .lines()
        .filter_map(|line| line.strip_prefix("#   replaced: "))
        .map(ToOwned::to_owned)
        .collect();
    machine.configure("acme", &[]);
    let config = machine.path("luet.yaml");
    machine.program("sudo", "#!/bin/sh\n[ \"$1\" = -E ] && shift\nexec \"$@\"\n");
    machine.program(
        "luet",
        &format!(
            "#!/bin/sh\nexec {} \"$@\" --backend none --config {}\n",
            tools::program("luet-host").display(),
            config.display()
        ),
    );
    std::fs::create_dir(machine.path("build")).expect("a directory");
    for package in walk(&case.packages(3)) {
        let name = package.file_name().expect("a name");
        std::fs::copy(&package, machine.path("build").join(name)).expect("a file");
    }
    std::fs::create_dir(machine.path("packages")).expect("a directory");
    (serde_yaml::from_str(&text).expect("YAML"), replaced)
}

/// The variables of a job, but those that the trial sets.
fn set_all(machine: &mut Machine, variables: &Value, own: &[(&str, &str)]) {
    for (name, value) in variables.as_object().expect("variables") {
        machine.set(name, value.as_str().expect("a text"));
    }
    for (name, value) in own {
        machine.set(name, value);
    }
}

fn runs(case: &Case<'_>, machine: &Machine, what: &str, script: &str) {
    let mut command = machine.command("bash");
    let output = command.args(["-eo", "pipefail", "-c", script]).output().expect("bash runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{what}: {script}\n{said}");
    case.shows_no_secret(machine, &said);
}

/// The steps of the example for GitHub, as they are written there.
fn github(case: &Case<'_>) {
    let mut machine = case.job();
    let _memory = in_memory(&mut machine);
    let (workflow, replaced) = ci(case, &mut machine, "github.yml");
    let job = &workflow["jobs"]["publish"];
    assert_eq!(job["permissions"]["id-token"], "write");
    let address = case.address();
    let own = [
        ("REPO", address.as_str()),
        ("ISSUER", WORKLOAD_ISSUER),
        ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
        ("GITHUB_WORKFLOW_REF", IDENTITY.trim_start_matches("https://github.com/")),
    ];
    set_all(&mut machine, &job["env"], &own);
    let mut ran = 0;
    for step in job["steps"].as_array().expect("steps") {
        let name = step["name"].as_str().unwrap_or_default();
        if let Some(script) = step["run"].as_str().filter(|_| !replaced.iter().any(|it| it == name))
        {
            runs(case, &machine, name, script);
            ran += 1;
        }
    }
    assert!(ran >= 4 && replaced.len() == 2, "{ran} {replaced:?}");
    case.installs();
}

/// The script of the example for GitLab, with a token that cannot be renewed.
fn gitlab(case: &Case<'_>) {
    let mut machine = case.job();
    let _memory = in_memory(&mut machine);
    for (name, _) in case.tokens.variables() {
        machine.set(name, "");
    }
    let (pipeline, replaced) = ci(case, &mut machine, "gitlab.yml");
    let job = &pipeline["publish"];
    assert_eq!(job["id_tokens"]["SIGSTORE_ID_TOKEN"]["aud"], "sigstore");
    let token = case.sigstore.job(&format!("{JOB}&left=300"));
    let address = case.address();
    let own = [
        ("GITLAB_CI", "true"),
        ("SIGSTORE_ID_TOKEN", token.as_str()),
        ("REPO", &address),
        ("ISSUER", WORKLOAD_ISSUER),
        ("IDENTITY", IDENTITY),
        ("CI_COMMIT_SHORT_SHA", "01234567"),
    ];
    set_all(&mut machine, &job["variables"], &own);
    assert_eq!(replaced, ["build", "before_script"]);
    let lines = job["script"].as_array().expect("a script");
    for line in lines {
        runs(case, &machine, "script", line.as_str().expect("a line"));
    }
    assert_eq!(case.tokens.asked(), 0);
    case.installs();
}
