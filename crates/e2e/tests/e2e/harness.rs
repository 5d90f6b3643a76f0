//! What trials stand on: that nothing is left behind, and that nothing is skipped.

use crate::trial;
use e2e::{Registry, http, tools};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

pub fn trials(shared: &Arc<crate::Shared>) -> Vec<Trial> {
    vec![
        trial("harness::a-server-and-its-folder-end-when-a-trial-panics".into(), shared, |_| {
            ends_with_its_value();
        }),
        trial("harness::a-missing-program-is-a-failure-with-a-way-out".into(), shared, |_| {
            missing_program();
        }),
        trial(
            "harness::services::the-command-is-alone-and-its-code-is-the-last".into(),
            shared,
            |_| {
                command_beside_servers();
            },
        ),
        trial("harness::services::a-signal-ends-all-of-it".into(), shared, |_| {
            signal_beside_servers();
        }),
    ]
}

fn ends_with_its_value() {
    let mut seen: Option<(PathBuf, PathBuf)> = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let registry = Registry::olareg(&[]);
        let process = PathBuf::from(format!("/proc/{}", registry.process()));
        seen = Some((process, registry.folder().to_owned()));
        assert!(seen.iter().all(|(process, folder)| process.exists() && folder.exists()));
        // As a panic, but without its words in the output of a good run.
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(outcome.is_err_and(|why| why.is::<&str>()), "it did not panic as it should");
    let (process, folder) = seen.expect("it ran");
    assert!(!process.exists(), "the server runs on");
    assert!(!Path::new(&folder).exists(), "its directory is left");
}

fn missing_program() {
    assert_eq!(
        tools::find("no-such-program"),
        Err("`no-such-program` is missing: run `.ci/tools.sh`".to_owned())
    );
}

/// `services SERVER... -- sh -c SCRIPT`, for a caller with a configuration of his own.
fn services(servers: &[&str], script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_services"));
    command.args(servers).args(["--", "sh", "-c", script]).stdout(Stdio::piped());
    command.env("COSIGN_EXPERIMENTAL", "1").env("LUET_COSIGN_POLICY", "/nowhere");
    command.env("LUET_COSIGN_TOOLS", tools::folder());
    command
}

fn command_beside_servers() {
    let script = "env; curl -fsS -o /dev/null http://$DOCKER_REGISTRY/v2/ || exit 1
        curl -fsS -o /dev/null http://$OLAREG/v2/ || exit 2; test -s $DOCKER_REGISTRY_LOG || exit 3
        exit 7";
    let output = services(&["docker-registry", "olareg"], script).output().expect("it runs");
    let seen = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(7), "{seen}");
    let value = |name: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(str::to_owned)
    };
    for name in ["COSIGN_EXPERIMENTAL", "LUET_COSIGN_POLICY"] {
        assert_eq!(value(name), None, "the caller's {name} came through");
    }
    let work = PathBuf::from(value("SERVICES_WORK").expect("a directory"));
    assert!(Path::new(&value("HOME").expect("a home")).starts_with(&work));
    assert!(!work.exists(), "its directory is left");
    let registry = value("DOCKER_REGISTRY").expect("an address");
    assert!(http::call(&registry, "GET", "/v2/", &[], b"").is_err(), "the server runs on");
    // One that a signal ended.
    let code = services(&[], "kill -KILL $$").status().expect("it runs").code();
    assert_eq!(code, Some(128 + 9));
}

fn signal_beside_servers() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        // Shells tell what is in their background to ignore SIGINT.
        let script = "tail -f /dev/null & echo $DOCKER_REGISTRY $SERVICES_WORK; wait";
        let mut child = services(&["docker-registry"], script).spawn().expect("it runs");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("text");
        let (registry, work) = line.trim().split_once(' ').expect("two words");
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a number");
        kill_process(process, signal).expect("a child of ours");
        assert_eq!(child.wait().expect("a child of ours").code(), Some(code));
        // Everything that holds the other end has ended.
        output.read_to_string(&mut String::new()).expect("text");
        assert!(!Path::new(work).exists(), "its directory is left");
        assert!(http::call(registry, "GET", "/v2/", &[], b"").is_err(), "the server runs on");
    }
}
