//! Runs a command beside servers that it needs, and stops everything when it ends:
//!
//! ```text
//! cargo run -p e2e --bin services -- SERVER... -- COMMAND...
//! ```
//!
//! | server | variables |
//! |---|---|
//! | `docker-registry` | `DOCKER_REGISTRY` (`127.0.0.1:PORT`), `DOCKER_REGISTRY_LOG` (a file) |
//! | `olareg` | `OLAREG` (`127.0.0.1:PORT`) |
//! | `sigstore` | `FULCIO_URL`, `REKOR1_URL`, `TSA_URL`, `TUF_URL`, `ISSUER_URL`, `WORKLOAD_ISSUER_URL`, `SERVICES_TRUST` (a directory; `src/sigstore/trust.rs` says what is in it), `TUF_LOG` (a file). All is in a network of its own, where nothing but loopback is; needs root and `.ci/tools.sh sigstore` |
//!
//! The command has a home of its own, nothing of the caller's configuration of cosign, luet or
//! registries, and the tools on `PATH`. `SERVICES_WORK` is a directory on the disk, which is
//! removed afterwards.
//!
//! Exits as the command does, or with 128 and the signal's number. SIGHUP, SIGINT and SIGTERM are
//! passed on; what the command leaves running is killed.

use e2e::sigstore::enter_private_network;
use e2e::sigstore::{FULCIO, PERSON_ISSUER, REKOR1, TSA, TUF, WORKLOAD_ISSUER};
use e2e::{Registry, Sigstore, process, scratch, tools};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: services [docker-registry|olareg|sigstore]... -- COMMAND...";

/// What the caller has set for itself, by the beginnings of names.
const NOT_PASSED_ON: [&str; 14] = [
    "ACTIONS_",
    "ALL_PROXY",
    "COSIGN_",
    "DOCKER_",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LUET_",
    "REGISTRY_AUTH_FILE",
    "SIGSTORE_",
    "TUF_",
    "XDG_",
    "all_proxy",
    "http_proxy",
    "https_proxy",
];

/// Where the signals go.
#[derive(Default)]
struct Signals {
    group: Option<Pid>,
    received: Option<Signal>,
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some((servers, [program, arguments @ ..])) =
        words.iter().position(|word| word == "--").map(|at| (&words[..at], &words[at + 1..]))
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut wanted = Wanted::default();
    for server in servers {
        match server.to_str() {
            Some("docker-registry") => wanted.docker_registry = true,
            Some("olareg") => wanted.olareg = true,
            Some("sigstore") => wanted.sigstore = true,
            _ => {
                eprintln!("`{}` is not a server\n{USAGE}", server.display());
                return ExitCode::from(2);
            }
        }
    }
    if wanted.sigstore {
        enter_private_network();
    }
    let signals = pass_signals_on();
    let work = scratch::folder();
    let mut command = Command::new(tools::program("setpriv"));
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments).process_group(0);
    prepare(&mut command, work.path());
    let servers = wanted.start(&mut command);
    let code = run(command, &signals);
    drop((servers, work));
    ExitCode::from(code)
}

/// The servers that are asked for.
#[derive(Default)]
struct Wanted {
    docker_registry: bool,
    olareg: bool,
    sigstore: bool,
}

impl Wanted {
    fn start(&self, command: &mut Command) -> (Vec<Registry>, Option<Sigstore>) {
        let mut registries = Vec::new();
        if self.docker_registry {
            let registry = Registry::docker_on_disk();
            command.env("DOCKER_REGISTRY", registry.address());
            command.env("DOCKER_REGISTRY_LOG", registry.folder().join("log"));
            registries.push(registry);
        }
        if self.olareg {
            let registry = Registry::olareg(&[]);
            command.env("OLAREG", registry.address());
            registries.push(registry);
        }
        let sigstore = self.sigstore.then(Sigstore::start);
        if let Some(sigstore) = &sigstore {
            let services = [
                ("FULCIO_URL", FULCIO),
                ("REKOR1_URL", REKOR1),
                ("TSA_URL", TSA),
                ("TUF_URL", TUF),
            ];
            command.envs(services.map(|(name, address)| (name, format!("http://{address}"))));
            command.env("ISSUER_URL", PERSON_ISSUER).env("WORKLOAD_ISSUER_URL", WORKLOAD_ISSUER);
            command.env("SERVICES_TRUST", sigstore.trust("")).env("TUF_LOG", sigstore.log("tuf"));
        }
        (registries, sigstore)
    }
}

/// Gives the command an environment and a home of its own.
fn prepare(command: &mut Command, work: &Path) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if NOT_PASSED_ON.iter().any(|begin| name.starts_with(begin)) {
            command.env_remove(&*name);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = tools::folder();
    let path = [tools.join("bin")].into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path.chain(["/usr/sbin".into()])).expect("directories");
    command.env("PATH", path).env("LUET_COSIGN_TOOLS", tools).env("SERVICES_WORK", work);
    // Which luet is the real one is the machine's to say.
    if let Some(luet) = tools::real_luet() {
        command.env("LUET", luet);
    }
    for (name, folder) in testkit::folders(work) {
        command.env(name, folder);
    }
}

/// Runs the command, and returns the exit code.
fn run(command: Command, signals: &Mutex<Signals>) -> u8 {
    let mut child = {
        let mut signals = signals.lock().expect("no panic");
        if let Some(signal) = signals.received {
            return by_signal(signal.as_raw());
        }
        let child = process::spawn(command);
        signals.group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        child
    };
    let group = signals.lock().expect("no panic").group.expect("a number");
    // Its number is its own until it is waited for, so nobody else's group is killed.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(group), options).is_err_and(|error| error == rustix::io::Errno::INTR) {
    }
    signals.lock().expect("no panic").group = None;
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait().expect("a child of ours");
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).expect("a byte"),
        (None, signal) => by_signal(signal.expect("a signal")),
    }
}

fn by_signal(number: i32) -> u8 {
    u8::try_from(128 + number).expect("a signal's number")
}

/// Catches the signals that ask this process to end, from now on.
fn pass_signals_on() -> Arc<Mutex<Signals>> {
    let signals: Arc<Mutex<Signals>> = Arc::default();
    let state = Arc::clone(&signals);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.expect("a runtime");
    let entered = runtime.enter();
    let caught = |kind| signal(kind).expect("a signal that can be caught");
    let (mut hangup, mut interrupt, mut terminate) = (
        caught(SignalKind::hangup()),
        caught(SignalKind::interrupt()),
        caught(SignalKind::terminate()),
    );
    drop(entered);
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    _ = hangup.recv() => Signal::HUP,
                    _ = interrupt.recv() => Signal::INT,
                    _ = terminate.recv() => Signal::TERM,
                };
                let mut state = state.lock().expect("no panic");
                state.received = Some(signal);
                if let Some(group) = state.group {
                    let _ = kill_process_group(group, signal);
                }
            }
        });
    });
    signals
}
