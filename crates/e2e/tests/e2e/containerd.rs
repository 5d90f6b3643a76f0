//! The real containerd asks before each pull: CRI's `PullImage`, which is what kubelet calls, and
//! `ctr image pull`. And a Pod, from its image to what it prints.

use crate::trial;
use e2e::containerd::{Pulled, push_program};
use e2e::machine::succeed;
use e2e::registry::Image;
use e2e::sigstore::{FULCIO, REKOR1, WORKLOAD_ISSUER};
use e2e::{Containerd, Machine, Maker, Registry, Sigstore, layers, scratch, tools};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::{Answer, Gate, Server};

/// The trial that needs all of Sigstore.
pub const KEYLESS: &str = "containerd::keyless";

type Check = fn(&Case<'_>);

const CHECKS: &[(&str, Check)] = &[
    ("by-key", by_key),
    ("the-example-policy-and-the-text-of-its-page", example),
    ("ctr-asks-too", ctr_asks_too),
    ("a-broken-policy-refuses-everything", broken_policy),
    ("a-registry-that-answers-nobody-but-containerd", silent_registry),
    ("sixty-four-at-once", at_once),
    ("strange-names", strange_names),
    ("a-pod-starts-only-when-its-image-is-signed", pod),
    ("what-is-imported-asks-nobody", imported),
    ("without-a-verifier-everything-is-pulled", without_a_verifier),
    ("the-settings-that-doctor-names-make-it-pull-unasked", unasked),
];

pub fn trials(shared: &Arc<crate::Shared>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = CHECKS
        .iter()
        .map(|(name, check)| {
            trial(format!("containerd::{name}"), shared, |shared| check(&Case::new(shared)))
        })
        .collect();
    trials.push(trial(KEYLESS.to_owned(), shared, keyless));
    trials
}

/// A registry, and the policy of a node.
struct Case<'w> {
    shared: &'w crate::Shared,
    registry: Registry,
    policy: TempDir,
}

impl<'w> Case<'w> {
    fn new(shared: &'w crate::Shared) -> Self {
        let case = Self { shared, registry: Registry::olareg(&[]), policy: scratch::folder() };
        std::fs::copy(shared.world.key("acme.pub"), case.policy.path().join("acme.pub"))
            .expect("a key");
        case.allow("acme: {key: acme.pub}", case.registry.address(), "");
        case
    }

    /// Writes the policy: this signer, for everything at this address.
    fn allow(&self, signer: &str, address: &str, more: &str) {
        let text = format!(
            "version: 1\ndefaults: {{unmatched: deny, unsigned: deny}}\n\
             signers: {{{signer}}}\n\
             repositories:\n  - {{name: acme, scope: '{address}/**', trust: [acme]}}\n{more}"
        );
        std::fs::write(self.policy.path().join("policy.yaml"), text).expect("a file");
    }

    /// The node.
    fn containerd(&self, more: &str) -> Containerd {
        Containerd::start(Some(self.shared.world.plugin()), self.policy.path(), more)
    }

    /// What tells containerd to speak to a server of ours without TLS. It would find that out by
    /// itself from a server that answers a TLS handshake with words.
    fn without_tls(&self, address: &str) -> String {
        let folder = self.policy.path().join("certs.d").join(address.replace(':', "_") + "_");
        std::fs::create_dir_all(&folder).expect("a directory");
        std::fs::write(folder.join("hosts.toml"), format!("server = 'http://{address}'\n"))
            .expect("a file");
        let folder = self.policy.path().join("certs.d");
        let table = "[plugins.'io.containerd.cri.v1.images'.registry]";
        format!("{table}\nconfig_path = '{}'\n", folder.display())
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }

    /// Pushes an image that is like no other.
    fn push(&self, name: &str) -> String {
        let image = self.name(name);
        Image::new(&image).push(&[layers::of_file("file", image.as_bytes())]);
        image
    }

    fn sign(&self, maker: Maker, key: &Path, image: &str) {
        maker.sign(&self.shared.world.machine(), key, &[image.to_owned()]);
    }

    fn signed(&self, maker: Maker, name: &str) -> String {
        let image = self.push(name);
        self.sign(maker, &self.shared.world.key("acme.key"), &image);
        image
    }

    /// Pushes an image that someone else signed.
    fn strangers(&self, name: &str) -> String {
        let image = self.push(name);
        let machine = self.shared.world.machine();
        let prefix = machine.path("stranger");
        let mut command = machine.command(machine.plugin());
        succeed(command.args(["generate-key-pair", "--output-key-prefix"]).arg(&prefix));
        self.sign(Maker::Ours, &prefix.with_extension("key"), &image);
        image
    }

    /// Pushes an image that was signed under another tag.
    fn retagged(&self) -> String {
        let signed = Image::new(&self.signed(Maker::Ours, "acme/app:signed"));
        let (bytes, kind) = signed.manifest();
        let other = Image { reference: "other".to_owned(), ..signed };
        other.push_manifest(&kind, &bytes);
        other.to_string()
    }
}

/// Pulls one image as kubelet does.
#[track_caller]
fn pull(node: &Containerd, image: &str) -> Pulled {
    node.pull(&[image.to_owned()], false).pop().expect("one answer")
}

fn by_key(case: &Case<'_>) {
    let node = case.containerd("");
    for maker in [Maker::Ours, Maker::Cosign2, Maker::Cosign3] {
        pull(&node, &case.signed(maker, &format!("acme/by-{}:v1", maker.name()))).admitted();
    }
    let image = case.push("acme/bundle:v1");
    let machine = case.shared.world.machine();
    let mut command = machine.command(machine.plugin());
    command.args(["sign", "--format", "bundle", "--key"]);
    succeed(command.arg(case.shared.world.key("acme.key")).arg(&image));
    pull(&node, &image).admitted();
    let unsigned = case.push("acme/unsigned:v1");
    pull(&node, &unsigned).refused("unsigned", &unsigned);
    pull(&node, &case.strangers("acme/strange:v1")).refused("identity", "acme");
    pull(&node, &case.retagged()).refused("binding", "app:signed");
    let elsewhere = case.push("elsewhere:v1");
    case.allow("acme: {key: acme.pub}", &case.name("acme"), "");
    pull(&node, &elsewhere).refused("policy", "elsewhere");
    // By its digest, the image that was signed under another tag is what was signed.
    let digest = Image::new(&case.name("acme/app:signed")).digest();
    pull(&node, &case.name(&format!("acme/app@{digest}"))).admitted();
}

/// The policy that docs/containerd.md shows, on a registry of that name as it were; and the text
/// that the page shows.
fn example(case: &Case<'_>) {
    const POLICY: &str = include_str!("../../../../examples/policies/containerd.yaml");
    const PAGE: &str = include_str!("../../../../docs/containerd.md");
    let host = "registry.example.com";
    let folder = case.policy.path();
    let policy = POLICY.replace(host, case.registry.address());
    std::fs::write(folder.join("policy.yaml"), policy).expect("a file");
    std::fs::write(folder.join("registry-login.json"), "{\"auths\": {}}").expect("a file");
    std::fs::create_dir(folder.join("keys")).expect("a directory");
    std::fs::copy(folder.join("acme.pub"), folder.join("keys/acme.pub")).expect("a key");
    let node = case.containerd("");
    pull(&node, &case.signed(Maker::Cosign3, "acme/app:v1")).admitted();
    pull(&node, &case.push("tools/jq:1")).admitted();
    pull(&node, &case.push("other/app:v1")).refused("policy", "other/app");
    let unsigned = case.push("acme/app:v2");
    let seen = pull(&node, &unsigned);
    seen.refused("unsigned", &unsigned);
    let digest = Image::new(&unsigned).digest();
    let seen = seen
        .error
        .replace(case.registry.address(), host)
        .replace(&digest, "sha256:831a...")
        .replace(folder.to_str().expect("UTF-8"), "/etc/luet/luet-cosign");
    let block = PAGE.split("```\n").find(|block| block.starts_with("rpc error")).expect("a block");
    assert_eq!(seen, block.split_whitespace().collect::<Vec<_>>().join(" "));
}

/// `--local=false` is its default since containerd 2.1; `--local` asks nobody.
fn ctr_asks_too(case: &Case<'_>) {
    let node = case.containerd("");
    let (signed, unsigned) = (case.signed(Maker::Ours, "acme/a:v1"), case.push("acme/b:v1"));
    let (ok, text) = node.ctr(&signed, &["--plain-http"]);
    assert!(ok, "{text}");
    let (ok, text) = node.ctr(&unsigned, &["--plain-http"]);
    let line = format!("rejected image (exit code 1): unsigned: `{unsigned}`");
    assert!(!ok && text.contains(&line), "{text}");
    let (ok, text) = node.ctr(&unsigned, &["--plain-http", "--local"]);
    assert!(ok, "{text}");
}

fn broken_policy(case: &Case<'_>) {
    let node = case.containerd("");
    let image = case.signed(Maker::Ours, "acme/app:v1");
    let file = case.policy.path().join("policy.yaml");
    let good = std::fs::read(&file).expect("a policy");
    std::fs::write(&file, "version: 1\ndefaults: {unmatched: deny}\nsigner: {}\n").expect("a file");
    pull(&node, &image).refused("policy", "signer");
    std::fs::remove_file(&file).expect("a file");
    pull(&node, &image).refused("policy", "");
    std::fs::write(&file, good).expect("a file");
    std::fs::remove_file(case.policy.path().join("acme.pub")).expect("a file");
    pull(&node, &image).refused("policy", "acme.pub");
}

/// The registry goes down for us between containerd's request and ours: refused, in time, and not
/// as unsigned.
fn silent_registry(case: &Case<'_>) {
    let image = Image::new(&case.signed(Maker::Ours, "acme/app:v1"));
    let upstream = case.registry.address().to_owned();
    let gate = Gate::default();
    let held = gate.clone();
    let answer = Arc::new(Mutex::new(None));
    let told = Arc::clone(&answer);
    let front = Server::start(move |request| {
        let ours = request.header("user-agent").is_some_and(|agent| agent.contains("luet-cosign"));
        match (ours, told.lock().expect("no panic").clone()) {
            (true, Some(answer)) => answer,
            (true, None) => Answer::close().hold(&held),
            _ => e2e::http::forward(&upstream, request, &request.target, &[], &[]),
        }
    });
    let name = Image { address: front.host(), ..image }.to_string();
    case.allow("acme: {key: acme.pub}", &front.host(), "");
    let node = case.containerd(&case.without_tls(&front.host()));
    let seen = pull(&node, &name);
    seen.refused("net", "the time was up");
    for (status, class) in [(500, "registry"), (401, "auth")] {
        *answer.lock().expect("no panic") = Some(Answer::new(status));
        pull(&node, &name).refused(class, &front.host());
    }
    *answer.lock().expect("no panic") = Some(Answer::close());
    pull(&node, &name).refused("net", &front.host());
    gate.open();
}

fn at_once(case: &Case<'_>) {
    let node = case.containerd("");
    let images: Vec<String> = (0..64).map(|at| case.push(&format!("acme/crowd-{at}:v1"))).collect();
    let signed: Vec<String> = images.iter().step_by(2).cloned().collect();
    Maker::Ours.sign(&case.shared.world.machine(), &case.shared.world.key("acme.key"), &signed);
    for seen in node.pull(&images, true) {
        if signed.contains(&seen.image) {
            seen.admitted();
        } else {
            seen.refused("unsigned", &seen.image);
        }
    }
}

/// Names in all the forms that containerd passes on; and its descriptor, whose media type is the
/// registry's word.
fn strange_names(case: &Case<'_>) {
    let node = case.containerd("");
    let long = format!("acme/{}:{}", "a-b__c.d/".repeat(20) + "end", "T".repeat(128));
    let signed = case.signed(Maker::Ours, &long);
    pull(&node, &signed).admitted();
    let digest = Image::new(&signed).digest();
    pull(&node, &format!("{signed}@{digest}")).admitted();
    for name in ["acme/-digest:v1", "acme/x:-name", "acme/$(id):v1", "acme/a b:v1", "../x:v1"] {
        let seen = pull(&node, &case.name(name));
        assert!(!seen.ok, "{seen:?}");
    }
    // A tag that looks like an option, and one that looks like a signature.
    for tag in ["v1.-stdin-media-type", "sha256-00.sig"] {
        let name = case.push(&format!("acme/odd:{tag}"));
        pull(&node, &name).refused("unsigned", &name);
    }
    let upstream = case.registry.address().to_owned();
    let image = Image::new(&case.signed(Maker::Ours, "acme/typed:v1"));
    drop(node);
    for kind in ["text/plain; \u{1b}[2J", "application/json", &"a/".repeat(3000)] {
        let (kind, upstream) = (kind.to_owned(), upstream.clone());
        let front = Server::start(move |request| {
            let answer = e2e::http::forward(&upstream, request, &request.target, &[], &[]);
            if request.path().contains("/manifests/") {
                answer.without("content-type").header("Content-Type", &kind)
            } else {
                answer
            }
        });
        case.allow("acme: {key: acme.pub}", &front.host(), "");
        let node = case.containerd(&case.without_tls(&front.host()));
        let seen = pull(&node, &Image { address: front.host(), ..image.clone() }.to_string());
        assert!(!seen.ok && !seen.error.contains('\u{1b}'), "{seen:?}");
    }
}

/// The Pod of a signed image starts and does its work; that of an unsigned one does not start. Nor
/// does any where the image that every Pod needs is not allowed.
fn pod(case: &Case<'_>) {
    let busybox = tools::program("busybox");
    let push = |name: &str, words: &[&str]| {
        let image = case.name(name);
        push_program(&Image::new(&image), &busybox, words);
        image
    };
    let pause = push("k8s/pause:3", &["sleep", "600"]);
    let (good, bad) = (push("acme/app:v1", &["echo", "it runs"]), push("acme/app:v2", &["env"]));
    let key = case.shared.world.key("acme.key");
    case.sign(Maker::Cosign3, &key, &good);
    // A machine in a machine may lack the right to lower the score by which the kernel chooses whom
    // it kills.
    let node = case.containerd(&format!(
        "[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = '{pause}'\n\
         [plugins.'io.containerd.cri.v1.runtime']\nrestrict_oom_score_adj = true\n"
    ));
    let seen = node.run(&good);
    let line = format!("rejected image (exit code 1): unsigned: `{pause}`");
    assert!(!seen.ok && seen.error.contains(&line), "{seen:?}");
    case.sign(Maker::Ours, &key, &pause);
    let seen = node.run(&good);
    seen.admitted();
    assert!(seen.output.ends_with("it runs"), "{seen:?}");
    node.run(&bad).refused("unsigned", &bad);
}

/// What `pull` wrote is imported, and what is imported asks nobody.
fn imported(case: &Case<'_>) {
    let image = case.signed(Maker::Ours, "acme/app:v1");
    let machine = case.shared.world.machine();
    let node = case.containerd("");
    let mut command = machine.command(machine.plugin());
    succeed(command.args(["pull", &image, "image.tar"]));
    let names = node.import(&machine.path("image.tar"));
    assert!(names.lines().any(|name| name == image), "{names}");
    assert!(!node.log().contains("image verifier"), "{}", node.log());
}

fn without_a_verifier(case: &Case<'_>) {
    let node = Containerd::start(None, case.policy.path(), "");
    let image = case.push("acme/app:v1");
    pull(&node, &image).admitted();
    doctor(case, &node, Some("there is no verifier in"));
    // It looks into the directory for each pull: no restart.
    std::fs::copy(case.shared.world.plugin(), node.verifiers().join("luet-cosign"))
        .expect("the program");
    pull(&node, &image).refused("unsigned", &image);
    doctor(case, &node, None);
    std::fs::write(node.verifiers().join("zzz"), "").expect("a file");
    let seen = pull(&node, &case.signed(Maker::Ours, "acme/app:v2"));
    assert!(!seen.ok && seen.error.contains("permission denied"), "{seen:?}");
    doctor(case, &node, Some("zzz is not executable"));
}

/// What `doctor --containerd` says of a node.
#[track_caller]
fn doctor(case: &Case<'_>, node: &Containerd, problem: Option<&str>) {
    let mut machine = case.shared.world.machine();
    machine.set("LUET_COSIGN_POLICY", case.policy.path().join("policy.yaml"));
    let mut command = machine.command(machine.plugin());
    let output = command.args(["doctor", "--containerd"]).arg(node.configuration()).output();
    let output = output.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    match problem {
        None => assert!(output.status.success() && !text.contains("PROBLEM"), "{text}"),
        Some(problem) => assert!(!output.status.success() && text.contains(problem), "{text}"),
    }
}

/// Each of these, by the real containerd: the unsigned image is pulled, and `doctor` names why.
fn unasked(case: &Case<'_>) {
    let image = case.push("acme/app:v1");
    for (setting, found) in [
        ("use_local_image_pull = true", "use_local_image_pull"),
        ("max_concurrent_downloads = 4", "max_concurrent_downloads"),
        ("discard_unpacked_layers = true", "discard_unpacked_layers"),
        ("disable_snapshot_annotations = false", "disable_snapshot_annotations"),
        ("image_pull_with_sync_fs = true", "image_pull_with_sync_fs"),
    ] {
        let node = case.containerd(setting);
        let seen = pull(&node, &image);
        assert!(seen.ok, "{setting}: {seen:?}");
        doctor(case, &node, Some(found));
    }
}

/// A job's signature, by the token of a CI.
/// A workflow that signs what it pushed, by the token of its job.
pub struct Job<'s> {
    shared: &'s crate::Shared,
    root: PathBuf,
}

impl<'s> Job<'s> {
    /// Puts `root.json` beside a policy, which says whom to trust.
    pub fn new(shared: &'s crate::Shared, beside: &Path) -> Self {
        let sigstore = shared.sigstore.get_or_init(Sigstore::start);
        let root = beside.join("root.json");
        std::fs::copy(sigstore.trust("trusted_root.json"), &root).expect("a root");
        Self { shared, root }
    }

    /// The signer `acme` of the policy.
    pub fn signer(&self) -> String {
        let workflow = "acme/app/.github/workflows/release.yml@refs/heads/main";
        format!(
            "acme: {{keyless: {{issuer: '{WORKLOAD_ISSUER}', subject: 'https://github.com/{workflow}'}}, trusted_root: root.json}}"
        )
    }

    pub fn signs(&self, image: &str) {
        self.sign("repo=acme/app&workflow=release.yml", image);
    }

    pub fn stranger_signs(&self, image: &str) {
        self.sign("repo=evil/app&workflow=release.yml", image);
    }

    fn sign(&self, job: &str, image: &str) {
        let sigstore = self.shared.sigstore.get_or_init(Sigstore::start);
        let mut machine = Machine::new(self.shared.world.plugin());
        machine.set("COSIGN_FULCIO_URL", format!("http://{FULCIO}"));
        machine.set("COSIGN_REKOR_URL", format!("http://{REKOR1}"));
        machine.set("COSIGN_TRUSTED_ROOT", &self.root);
        machine.set("SIGSTORE_ID_TOKEN", sigstore.job(job));
        succeed(machine.command(machine.plugin()).args(["sign", "-y", image]));
    }
}

fn keyless(shared: &crate::Shared) {
    let case = Case::new(shared);
    let job = Job::new(shared, case.policy.path());
    case.allow(&job.signer(), case.registry.address(), "");
    let (good, stranger) = (case.push("acme/app:v1"), case.push("acme/app:v2"));
    job.signs(&good);
    job.stranger_signs(&stranger);
    let node = case.containerd("");
    let began = Instant::now();
    pull(&node, &good).admitted();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    pull(&node, &stranger).refused("identity", "by a stranger");
    let unsigned = case.push("acme/app:v3");
    pull(&node, &unsigned).refused("unsigned", &unsigned);
}
