//! The command line: people, scripts, and `luet cosign ...` (luet runs any `luet-X` on PATH as
//! `luet X`).
//!
//! stdout is the answer, stderr everything else; `--json` is the machine's form. Spellings of
//! cosign 1, 2 and 3 are taken.

mod arguments;
mod artifact;
mod attestation;
mod blob;
mod blob_files;
mod check;
mod doctor;
mod habits;
mod images;
mod keys;
mod layers_read;
mod manual;
mod output;
mod policy;
mod progress;
mod prompt;
mod pull;
mod repository;
mod run;
mod seen;
mod shim;
mod sign;
mod sign_blob;
mod signing_key;
mod spelling;
mod written;

pub use arguments::{Arguments, Command};
pub use output::Streams;
pub use shim::is_called as is_cosign;

use crate::class::{Class, Failure, holds_key, holds_token, without_users};
use crate::config::{Environment, VARIABLES};
use crate::event::Event;
use crate::session;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::process::ExitCode;

/// In place of what clap says where that would show a token.
const TOKEN_MISPLACED: &str = "error: an argument that is not understood holds an identity token; it is not shown here\n\n\
    Write it as `--identity-token TOKEN`, or better the path of a file, or put it into SIGSTORE_ID_TOKEN.";

/// What a command came to: its exit code, where nothing failed to be done.
type Outcome = Result<u8, Failure>;

/// Runs what was asked for under the name of cosign.
pub fn run_as_cosign(
    arguments: &[OsString],
    environment: &Environment,
    streams: &mut Streams,
) -> ExitCode {
    let command = Arguments::command();
    let commands: Vec<&str> = command.get_subcommands().map(|command| command.get_name()).collect();
    let refused = |failure: &Failure, text: String, streams: &mut Streams| {
        streams.note_lines(format!("error: {text}"));
        ExitCode::from(failure.class().exit())
    };
    let (arguments, image) = match shim::read(arguments, &commands) {
        Ok(shim::ShimCall::Command(arguments)) => return run(&arguments, environment, streams),
        Ok(shim::ShimCall::Image { arguments, image }) => (arguments, image),
        Err(failure) => return refused(&failure, failure.text(), streams),
    };
    if let Some(failure) = key_among(&arguments) {
        return refused(&failure, shim::named(&failure, &image), streams);
    }
    session::harden();
    // What is said on the way comes behind the verdict.
    let (notes, mut held) = Streams::held();
    let outcome = parse(&arguments)
        .map_err(|_| Failure::new(Class::Usage, "no image of that name can be verified"))
        .and_then(|(parsed, _)| dispatch(parsed, environment, &mut held));
    let exit = match &outcome {
        Ok(code) => ExitCode::from(*code),
        Err(failure) => refused(failure, shim::named(failure, &image), streams),
    };
    streams.note_lines(notes.text());
    exit
}

/// Runs one command.
pub fn run(arguments: &[OsString], environment: &Environment, streams: &mut Streams) -> ExitCode {
    streams.respect(environment);
    // Before anything can quote it: clap names what it does not understand.
    if let Some(failure) = key_among(arguments) {
        report(&failure, false, streams);
        return ExitCode::from(failure.class().exit());
    }
    let (arguments, matches) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return mistaken(&error, wants_json(arguments), streams),
    };
    // `run` is left as it is: what it starts inherits it, and is another program.
    if !matches!(arguments.command, Command::Run(_)) {
        session::harden();
    }
    let json = arguments.json;
    let outcome = habits::check(&matches)
        .and_then(|()| {
            arguments.output_file.as_deref().map_or(Ok(()), |path| streams.write_to(path))
        })
        .and_then(|()| {
            let environment = &environment_of(environment, &arguments, &matches);
            dispatch(arguments, environment, streams)
        });
    match outcome.and_then(|code| streams.flush().map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            report(&failure, json, streams);
            ExitCode::from(failure.class().exit())
        }
    }
}

/// Returns the environment with what options of every command replace of it.
fn environment_of(
    environment: &Environment,
    arguments: &Arguments,
    matches: &ArgMatches,
) -> Environment {
    let mut environment = environment.clone();
    if arguments.trace {
        environment = environment.with_trace();
    }
    if let Some(timeout) = arguments.timeout {
        environment = environment.with("LUET_COSIGN_TIMEOUT", timeout.as_secs().to_string());
    }
    if habits::is_offline(matches) {
        environment = environment.with("LUET_COSIGN_OFFLINE", "1");
    }
    environment
}

/// Says what is wrong with a command line: clap's own text and exit codes, 0 for help and 2 for a
/// mistake.
fn mistaken(error: &clap::Error, json: bool, streams: &mut Streams) -> ExitCode {
    if !error.use_stderr() {
        let _ = streams.own(error.to_string().as_bytes());
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    // clap quotes what it does not understand, which may be a token.
    let text = if holds_token(&text) {
        TOKEN_MISPLACED.to_owned()
    } else {
        without_users(text.trim_end())
    };
    match habits::elsewhere(error) {
        Some(failure) => report(&failure, json, streams),
        None if json => {
            // What is missing, or possible, is in lines of its own below the first.
            let lines: Vec<&str> =
                text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let message = lines.join(" ");
            let message = message.strip_prefix("error: ").unwrap_or(&message);
            report(&Failure::new(Class::Usage, message), json, streams);
        }
        None => streams.note_lines(text),
    }
    ExitCode::from(Class::Usage.exit())
}

/// Whether a command line that cannot be understood asks for JSON. What is behind `run` is
/// luet's.
fn wants_json(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "run" && *argument != "--")
        .any(|argument| argument == "--json")
}

/// Refuses a command line that holds a key: every user of the machine can read it.
fn key_among(arguments: &[OsString]) -> Option<Failure> {
    let at = arguments.iter().position(|argument| holds_key(&argument.to_string_lossy()))?;
    Some(
        Failure::new(
            Class::Secret,
            format!("argument {} holds a key itself instead of its location; it is not shown here", at + 1),
        )
        .hint("every user of this machine can read a command line: write the path of the file, or put the key into a variable and name that: `KEY=\"$(cat cosign.key)\"`, and `--key env://KEY`"),
    )
}

fn report(failure: &Failure, json: bool, streams: &mut Streams) {
    if json {
        let _ = streams.json(json!({"error": failure.json()}));
    } else {
        streams.note_lines(format!("error: {}", failure.text()));
    }
}

fn dispatch(arguments: Arguments, environment: &Environment, streams: &mut Streams) -> Outcome {
    let json = arguments.json;
    match arguments.command {
        Command::Check(command) => check::check(&command, json, environment, streams),
        Command::Completions { shell } => manual::completions(shell, json, streams),
        Command::Doctor(command) => doctor::doctor(&command, json, environment, streams),
        Command::Download { command } => artifact::download(&command, json, environment, streams),
        Command::GenerateKeyPair(command) => keys::generate(&command, json, environment, streams),
        Command::ImportKeyPair(command) => keys::import(&command, json, environment, streams),
        Command::InstallShim(command) => shim::install(&command, json, streams),
        Command::Man { command, dir } => manual::man(&command, dir.as_deref(), json, streams),
        Command::Metadata => streams.json(metadata()).map(|()| 0),
        Command::Policy { command } => policy::policy(&command, json, environment, streams),
        Command::PublicKey(command) => keys::public_key(&command, json, environment, streams),
        Command::Pull(command) => pull::pull(&command, json, environment, streams),
        Command::Run(command) => run::run(&command, json, environment, streams),
        Command::Seen { command } => seen::seen(&command, json, environment, streams),
        Command::Sign(command) => sign::sign(&command, json, environment, streams),
        Command::SignBlob(command) => sign_blob::sign_blob(&command, json, environment, streams),
        Command::Tlog { command } => blob::tlog(&command, json, environment, streams),
        Command::Triangulate(command) => images::triangulate(&command, json, environment, streams),
        Command::Upload { command } => artifact::upload(&command, json, environment, streams),
        Command::Verify(command) => images::verify(&command, json, environment, streams),
        Command::VerifyBlob(command) => blob::verify(&command, json, environment, streams),
        Command::VerifyBlobAttestation(command) => {
            attestation::verify(&command, json, environment, streams)
        }
        Command::VerifyBundle(command) => blob::conformance(&command, json, environment, streams),
        Command::SignRepo(command) => repository::sign(&command, json, environment, streams),
        Command::VerifyRepo(command) => repository::verify(&command, json, environment, streams),
        Command::Version => version(json, streams),
    }
}

/// Parses the arguments, in the spellings of cosign 1 too.
fn parse(arguments: &[OsString]) -> Result<(Arguments, ArgMatches), clap::Error> {
    let modern = spelling::modern(arguments);
    let name = OsString::from("luet-cosign");
    let mut command = habits::added(Arguments::command());
    let matches = command
        .try_get_matches_from_mut(std::iter::once(name).chain(modern))
        .map_err(habits::without_tip)?;
    let arguments =
        Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((arguments, matches))
}

fn version(json: bool, streams: &mut Streams) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if json {
        streams.json(
            json!({"name": "luet-cosign", "release": version, "protocols": ["argv", "stdin"]}),
        )?;
    } else {
        streams.say(format!("luet-cosign {version}"))?;
        streams.say("speaks the events of luet 0.14.4 and later (payload in an argument) and of kairos (on standard input)")?;
    }
    Ok(0)
}

/// What `plugin-manifest/plugin.yaml` says by hand, from the tables of the program; a test holds
/// the two together.
fn metadata() -> Value {
    let variables: Vec<Value> = VARIABLES
        .iter()
        .map(|variable| json!({"name": variable.name, "secret": variable.secret, "verification": variable.verification, "meaning": variable.meaning}))
        .collect();
    let classes: Vec<Value> = Class::ALL
        .iter()
        .map(|class| json!({"class": class.word(), "exit": class.exit(), "hint": class.hint()}))
        .collect();
    let events: Vec<&str> = Event::ALL.into_iter().map(Event::name).collect();
    let commands: Vec<String> = Arguments::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_owned())
        .collect();
    json!({
        "name": "luet-cosign",
        "release": env!("CARGO_PKG_VERSION"),
        "protocols": ["argv", "stdin"],
        "events": events,
        "variables": variables,
        "classes": classes,
        "commands": commands,
    })
}
