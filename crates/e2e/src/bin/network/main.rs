//! What a network costs: round trips, connections and requests, with TLS, beside the programs that
//! do the same work, held by the budget.
//!
//! `bench/network.sh` runs it. Each program runs with a round trip of 50 ms and with one of 150 ms,
//! several times; the difference of the fastest runs, divided by 100 ms, is how often it waited for
//! an answer. What it computes, and what servers and a busy machine take, is in both. As root:
//! /etc/hosts is another one, and the network is one of its own. `--table FILE` also writes the table into a document, between two
//! marks.

mod report;
mod whole;

use e2e::machine::succeed;
use e2e::registry::{Image, PackedLayer};
use e2e::sigstore::enter_private_network;
use e2e::wan::HOST;
use e2e::{Delay, Machine, Registry, Sigstore, Tokens, Wan, World, scratch, tools};
use report::{Measured, Report, write_table};
use serde_json::json;
use std::cell::{Cell, OnceCell};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use testkit::certificates::AUTHORITY;
use testkit::envelope;
use testkit::sigstore::Sigstore as Maker;

/// The shorter and the longer round trip.
const RTTS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(150)];
/// The same for what opens a key meanwhile, which must not outlast what it is meant to be hidden by.
const LONG_RTTS: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(350)];
/// Set where /etc/hosts is ours.
const INSIDE: &str = "LUET_COSIGN_BENCH_INSIDE";
const SUBJECT: &str = "dev@example.com";
const ISSUER: &str = "https://issuer.example";
/// What a token service adds, once a run: refused, its answer, and again; with an address of its
/// own, also the connection to it.
const TOKEN_HERE: f64 = 2.0;
const TOKEN_ELSEWHERE: f64 = 4.0;

fn main() -> ExitCode {
    if std::env::var_os(INSIDE).is_none() {
        enter_private_network();
        return enter();
    }
    let mut table = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--table" => table = arguments.next().map(PathBuf::from),
            other => {
                eprintln!("network: {other}?");
                return ExitCode::from(2);
            }
        }
    }
    let bench = Bench::begin();
    let mut report = Report::default();
    for kind in [Kind::Docker, Kind::Olareg] {
        for tokens in [Tokens::None, Tokens::Here, Tokens::Elsewhere] {
            let place = bench.place(kind, tokens);
            let only = std::env::var("ONLY").unwrap_or_default();
            let wanted = |part: &str| only.is_empty() || only == part;
            if wanted("verify") {
                place.verify(&mut report);
            }
            if wanted("events") && tokens != Tokens::Elsewhere {
                place.events(&mut report);
            }
            if wanted("sign") && tokens == Tokens::None {
                place.sign(&mut report);
                place.sign_keyless(&mut report);
            }
            if wanted("whole") && tokens != Tokens::Elsewhere {
                place.verify_repository(&mut report);
                place.install(&mut report);
            }
        }
    }
    if let Some(path) = table {
        write_table(&path, &report);
    }
    println!("\n{} passed, {} failed", report.passed, report.failed);
    ExitCode::from(u8::from(report.failed > 0))
}

/// Starts this program again where the name of the registry leads to this machine.
fn enter() -> ExitCode {
    let folder = scratch::folder();
    let hosts = folder.path().join("hosts");
    let known = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    std::fs::write(&hosts, format!("{known}\n127.0.0.1 {HOST}\n")).expect("a file");
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
        .arg(&hosts)
        .arg(std::env::current_exe().expect("a program"))
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .expect("unshare runs");
    ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

/// Which registry is behind the network.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Docker,
    Olareg,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker-registry",
            Self::Olareg => "olareg",
        }
    }
}

struct Bench {
    world: World,
    delay: Delay,
    docker: Registry,
    olareg: Registry,
    /// How many runs of each.
    runs: usize,
    /// Whether other programs are measured too.
    peers: bool,
    /// What makes signatures in this process.
    maker: Maker,
    /// The real services, once someone signs by them.
    services: OnceCell<Sigstore>,
    count: Cell<usize>,
}

impl Bench {
    fn begin() -> Self {
        let runs = std::env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3);
        let peers = std::env::var_os("PEERS").is_none_or(|peers| peers != "no");
        let world = World::default();
        let maker = Maker::new();
        std::fs::write(world.path("authority.pem"), AUTHORITY).expect("a file");
        std::fs::write(world.path("root.json"), maker.trusted_root().to_string()).expect("a file");
        let bench = Self {
            world,
            delay: Delay::default(),
            docker: Registry::docker(),
            olareg: Registry::olareg(&[]),
            runs,
            peers,
            maker,
            services: OnceCell::new(),
            count: Cell::new(0),
        };
        let machine = bench.machine();
        let cosign3 = tools::program("cosign3");
        let empty = succeed(machine.command(&cosign3).args(["signing-config", "create"]));
        std::fs::write(bench.world.path("signing.json"), empty).expect("a file");
        bench
    }

    /// A machine that has seen nothing.
    fn machine(&self) -> Machine {
        let mut machine = self.world.machine();
        machine.set("SSL_CERT_FILE", self.world.path("authority.pem"));
        machine
    }

    fn place(&self, kind: Kind, tokens: Tokens) -> Place<'_> {
        let upstream = match kind {
            Kind::Docker => &self.docker,
            Kind::Olareg => &self.olareg,
        };
        let address = upstream.address().to_owned();
        let wan = Wan::before(&address, tokens, &self.delay);
        Place {
            bench: self,
            machine: self.machine(),
            kind,
            tokens,
            wan,
            upstream: address,
            signs: Cell::new(false),
        }
    }

    /// A name that no image has.
    fn fresh(&self) -> String {
        self.count.set(self.count.get() + 1);
        format!("bench/image{}", self.count.get())
    }
}

/// One registry behind the network.
struct Place<'a> {
    bench: &'a Bench,
    machine: Machine,
    kind: Kind,
    tokens: Tokens,
    wan: Wan,
    upstream: String,
    /// Whether what is measured opens a key.
    signs: Cell<bool>,
}

/// A program that does the same work, by its name.
type Peer<'a> = (&'static str, Box<dyn FnMut() -> Command + 'a>);

impl Place<'_> {
    /// Pushes an image without the network, and returns its name and what it is behind it.
    fn push(&self) -> (String, Image) {
        let path = self.bench.fresh();
        let plain = self.push_as(&path, "1");
        (format!("{}/{path}:1", self.wan.address()), plain)
    }

    fn push_as(&self, path: &str, tag: &str) -> Image {
        let plain = Image::new(&format!("{}/{path}:{tag}", self.upstream));
        plain.push(&[layer(&format!("{path}:{tag}"))]);
        plain
    }

    /// Runs a program until it succeeds, at once: the network is switched off.
    fn prepare(&self, command: &mut Command) {
        self.bench.delay.set(Duration::ZERO);
        succeed(command);
    }

    /// Runs a program over both networks, in turn.
    fn measure(&self, runs: usize, mut make: impl FnMut() -> Command) -> Measured {
        let mut best = [Duration::MAX; 2];
        let mut made = (0, 0);
        let rtts = if self.signs.get() { LONG_RTTS } else { RTTS };
        for (which, delay) in rtts.into_iter().cycle().take(runs * 2).enumerate() {
            let mut command = make();
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            self.bench.delay.set(delay);
            let before = self.wan.counted();
            let began = Instant::now();
            let output = command.output().expect("the program runs");
            let took = began.elapsed();
            assert!(
                output.status.success(),
                "{command:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let after = self.wan.counted();
            best[which % 2] = best[which % 2].min(took);
            made = (after.0 - before.0, after.1 - before.1);
        }
        let [near, far] = best.map(|time| time.as_secs_f64());
        let more = (rtts[1] - rtts[0]).as_secs_f64();
        Measured { trips: (far - near) / more, connections: made.0, requests: made.1 }
    }

    /// One line of the table. `budget` is without a token.
    fn row(
        &self,
        report: &mut Report,
        what: &str,
        budget: Option<f64>,
        mut make: impl FnMut() -> Command,
        peers: &mut [Peer<'_>],
    ) {
        let mut ours = self.measure(self.bench.runs, &mut make);
        if budget.is_some_and(|budget| ours.trips > budget) {
            // Other work on the machine spoils one measurement; what has become slow misses both.
            ours = self.measure(self.bench.runs, make);
        }
        let peers = if self.bench.peers { peers } else { &mut [] };
        let peers: Vec<(&str, Measured)> =
            peers.iter_mut().map(|(name, make)| (*name, self.measure(1, make))).collect();
        report.row(&self.name(), what, budget, ours, &peers);
    }

    fn name(&self) -> String {
        let tokens = match self.tokens {
            Tokens::None => "",
            Tokens::Here => ", tokens",
            Tokens::Elsewhere => ", tokens elsewhere",
        };
        format!("{}{tokens}", self.kind.name())
    }

    fn with_token(&self, budget: f64) -> Option<f64> {
        Some(
            budget
                + match self.tokens {
                    Tokens::None => 0.0,
                    Tokens::Here => TOKEN_HERE,
                    Tokens::Elsewhere => TOKEN_ELSEWHERE,
                },
        )
    }

    fn program(&self, name: &str) -> Command {
        self.machine.command(tools::program(name))
    }

    fn ours(&self) -> Command {
        self.machine.command(self.machine.plugin())
    }

    fn key(&self, file: &str) -> PathBuf {
        self.bench.world.key(file)
    }

    fn verify(&self, report: &mut Report) {
        let (legacy, _) = self.push();
        self.prepare(
            self.program("cosign2")
                .args(["sign", "--tlog-upload=false", "-y", "--key"])
                .arg(self.key("acme.key"))
                .arg(&legacy),
        );
        let (bundle, _) = self.push();
        self.prepare(
            self.program("cosign3")
                .args(["sign", "-y", "--signing-config"])
                .arg(self.bench.world.path("signing.json"))
                .arg("--trusted-root")
                .arg(self.bench.world.path("root.json"))
                .arg("--key")
                .arg(self.key("acme.key"))
                .arg(&bundle),
        );
        let (own, _) = self.push();
        self.prepare(self.ours().args(["sign", "--key"]).arg(self.key("acme.key")).arg(&own));
        let (keyless, plain) = self.push();
        self.hang_keyless(&plain);

        let by_key = |program: &str, image: &str| {
            let mut command = self.program(program);
            command.args(["verify", "--insecure-ignore-tlog", "--key"]);
            command.arg(self.key("acme.pub")).arg(image);
            command
        };
        let crane = |verb: &str, image: &str| {
            let mut command = self.program("crane");
            command.args([verb, image]);
            if verb == "export" {
                command.arg("/dev/null");
            }
            command
        };
        for (what, budget, image, readers) in [
            ("verify, legacy", 5.3, &legacy, &["cosign2", "cosign3"][..]),
            ("verify, bundle", 6.3, &bundle, &["cosign3"]),
            ("verify, our own", 4.3, &own, &["cosign2", "cosign3"]),
        ] {
            let mut peers: Vec<Peer<'_>> = Vec::new();
            for reader in readers {
                peers.push((reader, Box::new(|| by_key(reader, image))));
            }
            if what == "verify, legacy" {
                for verb in ["manifest", "export"] {
                    let name = if verb == "manifest" { "crane manifest" } else { "crane export" };
                    peers.push((name, Box::new(move || crane(verb, image))));
                }
            }
            let ours = || {
                let mut command = self.ours();
                command.args(["verify", "--key"]).arg(self.key("acme.pub")).arg(image);
                command
            };
            self.row(report, what, self.with_token(budget), ours, &mut peers);
        }
        let by_identity = |mut command: Command| {
            command.args(["verify", "--certificate-identity", SUBJECT]);
            command.args(["--certificate-oidc-issuer", ISSUER, "--trusted-root"]);
            command.arg(self.bench.world.path("root.json")).arg(&keyless);
            command
        };
        let mut peers: [Peer<'_>; 2] = [
            ("cosign2", Box::new(|| by_identity(self.program("cosign2")))),
            ("cosign3", Box::new(|| by_identity(self.program("cosign3")))),
        ];
        let ours = || by_identity(self.ours());
        self.row(report, "verify, keyless", self.with_token(5.3), ours, &mut peers);
    }

    /// A legacy signature by a certificate, as cosign writes it.
    fn hang_keyless(&self, image: &Image) {
        let digest = image.digest();
        let made = self.bench.maker.sign().identity(SUBJECT).issuer(ISSUER).legacy(&digest);
        let tag = image.signature_tag();
        let annotations: serde_json::Map<String, serde_json::Value> =
            made.annotations().into_iter().map(|(name, value)| (name, json!(value))).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": tag.push_blob(b"{}"), "size": 2,
            },
            "layers": [{
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": tag.push_blob(made.payload()), "size": made.payload().len(),
                "annotations": annotations,
            }],
        });
        tag.push_manifest(
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        );
    }

    /// The events of one host, which is this process: what one leaves for the next is used.
    fn events(&self, report: &mut Report) {
        let (image, _) = self.push();
        let (legacy, _) = self.push();
        self.prepare(self.ours().args(["sign", "--key"]).arg(self.key("acme.key")).arg(&image));
        self.prepare(
            self.program("cosign2")
                .args(["sign", "--tlog-upload=false", "-y", "--key"])
                .arg(self.key("acme.key"))
                .arg(&legacy),
        );
        for (name, image, first, later) in
            [("our own", &image, 4.3, 4.3), ("legacy", &legacy, 5.3, 5.3)]
        {
            // Each of these machines sees its first event.
            let machines: Vec<Machine> =
                (0..self.bench.runs * 2).map(|_| self.bench.machine()).collect();
            let mut next = machines.iter();
            let mut number = 0;
            let first_event = || event("image.pre.unpack", next.next().expect("one"), image, "0");
            let what = format!("pre event, {name}");
            self.row(report, &what, self.with_token(first), first_event, &mut []);
            let known = &machines[0];
            let later_event = || {
                number += 1;
                event("image.pre.unpack", known, image, &number.to_string())
            };
            let what = format!("pre event, {name}, a later one of the run");
            self.row(report, &what, Some(later), later_event, &mut []);
            let dest = known.path("dest-0");
            std::fs::write(dest.join("file"), content_of(image)).expect("a file");
            let after = || event("image.post.unpack", known, image, "0");
            // Our signature says what the tree is; else its one layer is fetched once more.
            let budget = if name == "our own" { 0.3 } else { 4.3 };
            self.row(report, &format!("post event, {name}"), Some(budget), after, &mut []);
        }
    }

    fn sign(&self, report: &mut Report) {
        self.signs.set(true);
        let signer = |program: &'static str, more: &'static [&'static str]| {
            move || {
                let (image, _) = self.push();
                let mut command = self.program(program);
                command.arg("sign").args(more).arg("--key").arg(self.key("acme.key")).arg(image);
                command
            }
        };
        let old: &[&str] = &["--tlog-upload=false", "-y"];
        let also_old: &[&str] = &[
            "--use-signing-config=false",
            "--new-bundle-format=false",
            "--tlog-upload=false",
            "-y",
        ];
        let mut peers: [Peer<'_>; 2] = [
            ("cosign2", Box::new(signer("cosign2", old))),
            ("cosign3", Box::new(signer("cosign3", also_old))),
        ];
        let ours = |format: &'static str| {
            move || {
                let (image, _) = self.push();
                let mut command = self.ours();
                command.args(["sign", "--format", format, "--key"]);
                command.arg(self.key("acme.key")).arg(image);
                command
            }
        };
        self.row(report, "sign by key, legacy", Some(9.5), ours("legacy"), &mut peers);
        let mut peers: [Peer<'_>; 1] = [(
            "cosign3",
            Box::new(|| {
                let (image, _) = self.push();
                let mut command = self.program("cosign3");
                command.args(["sign", "-y", "--signing-config"]);
                command.arg(self.bench.world.path("signing.json")).arg("--trusted-root");
                command.arg(self.bench.world.path("root.json"));
                command.arg("--key").arg(self.key("acme.key")).arg(image);
                command
            }),
        )];
        self.row(report, "sign by key, bundle", None, ours("bundle"), &mut peers);
    }
}

/// An event as the host sends it, with a directory of its own to unpack into.
fn event(name: &str, machine: &Machine, image: &str, dest: &str) -> Command {
    let dest = machine.path(&format!("dest-{dest}"));
    let _ = std::fs::create_dir(&dest);
    let data = json!({"Image": image, "Dest": dest});
    let mut command = machine.command(machine.plugin());
    command.arg(name).arg(envelope(name, &data));
    command
}

/// A layer of one file, which holds the name of its image.
fn layer(name: &str) -> PackedLayer {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(name.len()).expect("a short name"));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, "file", name.as_bytes()).expect("memory");
    let blob = archive.into_inner().expect("memory");
    let id = testkit::digest(&blob);
    PackedLayer { blob, kind: "application/vnd.oci.image.layer.v1.tar", id }
}

/// What the file of an image holds: its name in the registry.
fn content_of(image: &str) -> &str {
    image.split_once('/').expect("an address").1
}
