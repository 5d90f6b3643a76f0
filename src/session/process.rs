//! This process: closed to others, with a runtime of its own, and an end where it is stuck.

use crate::class::{Class, Failure, escaped};
use std::io::Write as _;

/// Makes this process unreadable to others of the same user, before any secret is read
/// (docs/threats.md X03).
pub fn harden() {
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Runs a flow to its end, on a runtime of its own.
pub(super) fn run<T>(flow: impl AsyncFnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    harden();
    let runtime = runtime()?;
    let result = runtime.block_on(flow());
    // A name that is still being looked up must not keep the host waiting.
    runtime.shutdown_background();
    result
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failure::new(Class::Internal, format!("no runtime: {error}")))
}

/// Writes one line of a trace, whatever is in it.
pub(super) fn trace(line: &str) {
    let _ = writeln!(std::io::stderr(), "trace: {}", escaped(line));
}

/// Ends the process: a peer keeps it busy beyond the deadline, and the host waits for ever. The
/// exit code stops the host.
pub(super) fn end_overdue() {
    let failure = Failure::new(Class::Net, "no answer within the deadline (LUET_COSIGN_TIMEOUT)");
    let _ = writeln!(std::io::stderr(), "{}", failure.text());
    #[expect(
        clippy::exit,
        reason = "nothing else ends a thread that is stuck; the exit code stops the host"
    )]
    std::process::exit(i32::from(failure.class().exit()));
}
