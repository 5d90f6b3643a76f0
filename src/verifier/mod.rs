//! containerd's front: `ANYNAME -name REF -digest D -stdin-media-type T`, a descriptor on standard
//! input.
//!
//! Exit 0 lets the pull go on, anything else stops it; containerd puts what is on standard
//! output into the error that a Pod shows. So a refusal is exit 1 and exactly one line there, class
//! first, and it is said within the deadline, whatever this process is doing. Success says nothing,
//! or one line of warning. There is neither a home directory nor a terminal, and nobody to ask.
//! Contract: containerd's page "Image Verification". It decides nothing by itself.

mod request;

use crate::class::{Class, Failure, escaped};
use crate::config::Environment;
use crate::event::TimedInput;
use crate::limits;
use crate::session::{Session, SessionOptions, Watch, harden};
use crate::unpack;
use request::VerifierRequest;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

/// The exit code of every refusal.
const REFUSED: u8 = 1;

pub use request::is_call;

/// Answers one call. `input` is standard input, `output` standard output.
pub fn answer(
    arguments: &[OsString],
    environment: &dyn Fn() -> Environment,
    input: impl AsFd,
    mut output: impl Write + Clone + Send + 'static,
) -> ExitCode {
    harden();
    let mut late = output.clone();
    let watch = Watch::begin(limits::HOST_DEADLINE, REFUSED, move |limit| {
        let what = format!(
            "no answer within {} s (`deadline` of the policy): the last request got no answer",
            limit.as_secs()
        );
        let _ = write_line(&mut late, &Failure::new(Class::Net, what).line());
    });
    let mut input = TimedInput::new(input, limits::EVENT_WAIT);
    let judged = judge(arguments, &environment(), &mut input, watch.clone());
    if !watch.claim() {
        // The time is over, and the other thread is about to say so and to end the process.
        loop {
            std::thread::park();
        }
    }
    let (line, exit) = match judged {
        Ok(warnings) => (warnings.join("; "), ExitCode::SUCCESS),
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{}", printed(&failure));
            (failure.line(), ExitCode::from(REFUSED))
        }
    };
    if line.is_empty() || write_line(&mut output, &line).is_ok() {
        exit
    } else {
        ExitCode::from(REFUSED)
    }
}

/// Returns the warnings of what may be pulled.
fn judge(
    arguments: &[OsString],
    environment: &Environment,
    input: &mut dyn Read,
    watch: Watch,
) -> Result<Vec<String>, Failure> {
    let resolved = VerifierRequest::read(arguments, input)?.resolved()?;
    let options = SessionOptions { watch: Some(watch), ..SessionOptions::default() };
    Session::run(environment, &options, async |session| {
        let outcome = unpack::admit(session, &resolved).await;
        let warnings = session.roots().warnings();
        let provisional =
            outcome.map_err(|failure| warnings.iter().fold(failure, Failure::detail))?;
        let notices = provisional.notices().iter().map(|notice| notice.text.clone());
        Ok(notices.chain(warnings).collect())
    })
}

/// Returns the whole text of a refusal, line by line, for containerd's log.
fn printed(failure: &Failure) -> String {
    failure.text().lines().map(escaped).collect::<Vec<_>>().join("\n")
}

/// Writes one line: what is in it may come from a stranger.
fn write_line(output: &mut impl Write, line: &str) -> std::io::Result<()> {
    output.write_all(format!("{}\n", escaped(line)).as_bytes())?;
    output.flush()
}
