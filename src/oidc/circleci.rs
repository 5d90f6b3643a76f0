//! CircleCI's token: the one in CIRCLE_OIDC_TOKEN is for the organisation, and Fulcio refuses it.
//! The program `circleci` of the job asks for one with another audience.

use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::limits;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use zeroize::Zeroizing;

const ARGUMENTS: [&str; 6] =
    ["run", "oidc", "get", "--root-issuer", "--claims", r#"{"aud":"sigstore"}"#];

/// Runs `circleci run oidc get`: no shell, bounded time and output.
pub(super) fn ask(environment: &Environment) -> Result<Zeroizing<String>, Failure> {
    let failed = |why: String| {
        Failure::new(Class::Auth, format!("CircleCI gave no identity token: {why}"))
            .hint("run `circleci run oidc get --root-issuer --claims '{\"aud\":\"sigstore\"}' >/dev/null` in the job to see why")
    };
    let program = environment
        .program("circleci")
        .ok_or_else(|| failed("`circleci` is not on PATH".to_owned()))?;
    let mut child = Command::new(program)
        .args(ARGUMENTS)
        .env_clear()
        .envs(environment.for_children())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (send, receive) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut bytes = Zeroizing::new(Vec::new());
            let read = output.take(limits::IDENTITY_TOKEN_BYTES + 1).read_to_end(&mut bytes);
            let _ = send.send(read.map(|_| bytes));
        });
    }
    let output = receive.recv_timeout(limits::HELPER);
    if output.is_err()
        && let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let ended = child.wait();
    let output = match output {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("not done after {} s", limits::HELPER.as_secs()))),
    };
    match ended {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(failed(format!("`circleci` ended with {status}"))),
        Err(error) => return Err(failed(error.to_string())),
    }
    std::str::from_utf8(&output)
        .map(|text| Zeroizing::new(text.trim().to_owned()))
        .map_err(|_| failed("it printed no text".to_owned()))
}
