//! The program: an event of a host, or a command of a person.

use luet_cosign::class::Class;
use luet_cosign::config::Environment;
use luet_cosign::{cli, event, limits, verifier};
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

/// An event lives for milliseconds, and musl's allocator spends many of them on mapping single
/// pages and unmapping them. It is the more hardened one, so what is written in C (cryptography,
/// zstd) goes on using it.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A panic ends the process where it happens, in whatever thread, so nothing is unwound (`panic` in
/// Cargo.toml). It must stop the host and must not show memory: a fixed text, and an exit code that
/// the host takes for a crash.
#[expect(clippy::exit, reason = "what panicked is not gone on with")]
fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let hint = Class::Bug.hint();
        let _ = writeln!(std::io::stderr(), "bug: luet-cosign panicked at {place}; {hint}");
        std::process::exit(i32::from(Class::Bug.exit()));
    }));
}

fn main() -> ExitCode {
    end_on_panic();
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let environment = || Environment::from_pairs(std::env::vars_os());
    match arguments.first() {
        // kairos-agent and elemental: `cosign [-key K] IMAGE`. A name such as `os:15.3` is not an event.
        Some(_) if cli::is_cosign(&program) && !verifier::is_call(&arguments) => {
            cli::run_as_cosign(&arguments, &environment(), &mut cli::Streams::standard())
        }
        // luet and other hosts: `luet-cosign image.pre.unpack '{...}'`, or the payload on standard
        // input.
        Some(name) if event::is_event(name) => {
            let stdin = std::io::stdin();
            let mut input = event::TimedInput::new(&stdin, limits::EVENT_WAIT);
            let input: Option<&mut dyn std::io::Read> =
                if stdin.is_terminal() { None } else { Some(&mut input) };
            event::answer(
                event::PluginCall { arguments: &arguments, environment: &environment, input },
                &mut std::io::stdout(),
            )
        }
        // containerd: `luet-cosign -name REF -digest D -stdin-media-type T`, under whatever name.
        Some(_) if verifier::is_call(&arguments) => {
            verifier::answer(&arguments, &environment, std::io::stdin(), Output)
        }
        // People, and scripts: `luet-cosign verify ...`.
        _ => cli::run(&arguments, &environment(), &mut cli::Streams::standard()),
    }
}

/// Standard output, for whichever thread answers.
#[derive(Clone)]
struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::stdout().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush()
    }
}
