//! A program that is run in this one's place: what would end this process is passed on to it.

use super::process::runtime;
use crate::class::Failure;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::io::Result;
use std::process::{Child, Command, ExitStatus};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Runs a program to its end. SIGTERM and SIGHUP are passed on: who stops a service or a container
/// signals the first process alone, and where that is process 1 the kernel drops what it does not
/// handle.
///
/// # Errors
/// `internal`: no runtime. Within: the program could not be started.
pub fn run_to_end(command: &mut Command) -> std::result::Result<Result<ExitStatus>, Failure> {
    let runtime = runtime()?;
    Ok(runtime.block_on(start(command)).and_then(|mut child| child.wait()))
}

/// Starts the program and returns it when it has ended and nobody has asked for its status yet:
/// until then no other process gets its number, and with it a signal.
async fn start(command: &mut Command) -> Result<Child> {
    // Before it is started, so that there is no moment at which one ends this process alone.
    let mut terminate = caught(SignalKind::terminate())?;
    let mut hang_up = caught(SignalKind::hangup())?;
    let child = command.spawn()?;
    let process = Pid::from_child(&child);
    let (end, mut ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let until = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(process), until), Err(rustix::io::Errno::INTR)) {}
        let _ = end.send(());
    });
    loop {
        let passed_on = tokio::select! {
            _ = &mut ended => return Ok(child),
            () = next(&mut terminate) => Signal::TERM,
            () = next(&mut hang_up) => Signal::HUP,
        };
        // It may have ended meanwhile.
        let _ = kill_process(process, passed_on);
    }
}

/// Catches a signal. Not one that this process was told to ignore, as by `nohup`: the program
/// inherits that only as long as nobody catches it.
fn caught(kind: SignalKind) -> Result<Option<Stream>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if is_ignored(&status, kind.as_raw_value()) { Ok(None) } else { signal(kind).map(Some) }
}

/// Reads `SigIgn` of `/proc/PID/status`: in hexadecimal, the lowest bit is signal 1 (proc(5)).
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal - 1)
        .ok()
        .and_then(|bit| mask.checked_shr(bit))
        .is_some_and(|it| it & 1 == 1)
}

async fn next(signals: &mut Option<Stream>) {
    match signals {
        Some(signals) => {
            signals.recv().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_stands_in_the_status_of_the_process() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(is_ignored(status, 1) && is_ignored(status, 13));
        assert!(!is_ignored(status, 15) && !is_ignored("", 1) && !is_ignored("SigIgn:\tx", 1));
    }
}
