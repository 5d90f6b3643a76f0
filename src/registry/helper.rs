//! Runs `docker-credential-NAME get`: no shell, a plain name, a whole environment of our own
//! making, bounded time and output.
//!
//! Protocol: docker-credential-helpers, "Development": the server on standard input,
//! `{"Username","Secret"}` on standard output, or `credentials not found` with a failure. Never
//! shows what a helper prints.

use super::credentials::{Credential, CredentialSources};
use crate::class::{Class, Failure};
use crate::limits;
use crate::store::find_program;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const NOT_FOUND: &str = "credentials not found";

#[derive(Deserialize)]
struct Printed {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: Zeroizing<String>,
}

/// Asks the helper `name` for the credential of `server`.
///
/// # Errors
/// `secret` for a name that is none, a helper that is missing, fails, prints something else or
/// takes too long.
pub(super) fn ask(
    sources: &CredentialSources,
    name: &str,
    server: &str,
) -> Result<Option<Credential>, Failure> {
    let plain = (1..=64).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
        && !name.starts_with('.');
    if !plain {
        return Err(Failure::new(
            Class::Secret,
            format!(
                "`{name}` is not the name of a credential helper: expected 1 to 64 letters, digits, `_`, `-` and `.`"
            ),
        ));
    }
    let program = program(name);
    let path = find_program(&sources.helper_path, program.as_ref()).ok_or_else(|| {
        broken(&program, "it is not on PATH")
            .hint("install it, or take it out of `credsStore` or `credHelpers`")
    })?;
    let (status, output) = run(sources, &path, &program, server, limits::HELPER)?;
    let output = std::str::from_utf8(&output).unwrap_or("").trim();
    if !status.success() {
        return if output.contains(NOT_FOUND) {
            Ok(None)
        } else {
            Err(broken(&program, &format!("it ended with {status}")))
        };
    }
    let printed: Printed = serde_json::from_str(output)
        .map_err(|_| broken(&program, "it printed something else than a user and a secret"))?;
    if printed.secret.is_empty() && printed.username.is_empty() {
        return Ok(None);
    }
    Ok(Some(Credential::from_pair(&printed.username, printed.secret)))
}

/// Returns the name of a helper's program.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

fn broken(program: &str, why: &str) -> Failure {
    Failure::new(Class::Secret, format!("credential helper `{program}`: {why}"))
        .hint(format!("run `echo HOST | {program} get` to see why"))
}

fn run(
    sources: &CredentialSources,
    path: &PathBuf,
    program: &str,
    server: &str,
    limit: Duration,
) -> Result<(ExitStatus, Zeroizing<Vec<u8>>), Failure> {
    let until = Instant::now() + limit;
    let cannot = |error: std::io::Error| broken(program, &error.to_string());
    let mut child = Command::new(path)
        .arg("get")
        .env_clear()
        .envs(sources.helper_env.iter().map(|(name, value)| (name, value)))
        .env("PATH", &sources.helper_path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(cannot)?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read what it is asked says so by its answer.
        let _ = input.write_all(server.as_bytes());
    }
    let (send, receive) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut bytes = Zeroizing::new(Vec::new());
            let read = output.take(limits::HELPER_BYTES + 1).read_to_end(&mut bytes);
            let _ = send.send(read.map(|_| bytes));
        });
    }
    let output = match receive.recv_timeout(limit) {
        Ok(Ok(output))
            if u64::try_from(output.len()).unwrap_or(u64::MAX) <= limits::HELPER_BYTES =>
        {
            output
        }
        Ok(Ok(_)) => return Err(stop(&mut child, broken(program, "it prints without end"))),
        Ok(Err(error)) => return Err(stop(&mut child, cannot(error))),
        Err(_) => {
            return Err(stop(
                &mut child,
                broken(program, &format!("it did not answer within {} s", limit.as_secs())),
            ));
        }
    };
    loop {
        match child.try_wait().map_err(cannot)? {
            Some(status) => return Ok((status, output)),
            None if Instant::now() >= until => {
                return Err(stop(&mut child, broken(program, "it answered and did not end")));
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Ends the helper and what it started: all of its process group.
fn stop(child: &mut Child, failure: Failure) -> Failure {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn sources(script: &str) -> (tempfile::TempDir, CredentialSources) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker-credential-x");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let helper_path =
            std::env::join_paths([folder.path(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
        (folder, CredentialSources { helper_path, ..CredentialSources::default() })
    }

    #[test]
    fn a_helper_that_hangs_is_killed_with_what_it_started() {
        let (folder, sources) = sources("sleep 60 & echo $! > \"$0.pid\"; wait");
        let path = folder.path().join("docker-credential-x");
        let start = Instant::now();
        let failure =
            run(&sources, &path, "docker-credential-x", "quay.io", Duration::from_millis(1500))
                .unwrap_err();
        assert_eq!(failure.class(), Class::Secret);
        assert!(start.elapsed() < Duration::from_secs(30));
        let pid = std::fs::read_to_string(folder.path().join("docker-credential-x.pid")).unwrap();
        // The kernel takes a moment to end what was killed.
        let alive = || {
            std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        let ended = (0..3_000).any(|_| {
            std::thread::yield_now();
            !alive() || start.elapsed() > Duration::from_secs(20)
        });
        assert!(ended && !alive());
    }

    #[test]
    fn a_helper_gets_the_server_and_no_environment_but_what_it_is_given() {
        // What is left beside these the shell sets itself.
        let names =
            "names=$(env | cut -d= -f1 | grep -vxE 'PWD|OLDPWD|SHLVL|_' | sort | tr '\\n' ' ')";
        let script = format!(
            "read s; {names}; printf '{{\"Username\":\"%s\",\"Secret\":\"%s\"}}' \"$s\" \"$names\""
        );
        let (_folder, mut sources) = sources(&script);
        sources.helper_env = vec![("HOME".into(), "/home/x".into())];
        let credential = ask(&sources, "x", "https://index.docker.io/v1/").unwrap().unwrap();
        let Credential::Password { username, password } = credential else {
            panic!("{credential:?}")
        };
        assert_eq!(
            (username.as_str(), password.as_str()),
            ("https://index.docker.io/v1/", "HOME PATH ")
        );
    }
}
