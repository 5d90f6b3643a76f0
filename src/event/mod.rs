//! The host's front: one event in, exactly one JSON object out.
//!
//! A refusal is an answer with a non-empty `error` and exit 0: on another exit the host throws the
//! answer away. An event that is not ours is answered before anything
//! else is looked at.

mod answer;
mod envelope;
mod handle;
mod input;
mod install;
mod large;
mod published;

pub use answer::Answer;
pub use envelope::{EventEnvelope, EventPayload, PushPayload, Unpack};
pub use input::TimedInput;

use crate::class::{Class, Failure};
use crate::config::Environment;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

/// The events that may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Before an image is unpacked: is it signed?
    PreUnpack,
    /// After: is what was unpacked what was signed?
    PostUnpack,
    /// Before an image is pushed: will signing work?
    PrePush,
    /// After: sign it.
    PostPush,
    /// After an image was pulled to build on: is it signed?
    PostPull,
}

impl Event {
    /// The events, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::PreUnpack, Self::PostUnpack, Self::PrePush, Self::PostPush, Self::PostPull];

    /// Returns the name in the protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreUnpack => "image.pre.unpack",
            Self::PostUnpack => "image.post.unpack",
            Self::PrePush => "image.pre.push",
            Self::PostPush => "image.post.push",
            Self::PostPull => "image.post.pull",
        }
    }

    fn named(name: &OsStr) -> Option<Self> {
        Self::ALL.into_iter().find(|event| name == event.name())
    }
}

/// Returns whether the first argument names an event: every event has a dot, no command has.
#[must_use]
pub fn is_event(argument: &OsStr) -> bool {
    let bytes = argument.as_bytes();
    bytes.contains(&b'.') && bytes.first() != Some(&b'-') && !bytes.contains(&b'/')
}

/// What a call of the plugin brings: arguments after the program's name, the environment, and
/// standard input.
pub struct PluginCall<'a> {
    /// `argv[1..]`.
    pub arguments: &'a [OsString],
    /// Reads the environment, once, and only for an event that is ours.
    pub environment: &'a dyn Fn() -> Environment,
    /// Standard input, for hosts that write the payload there. `None` where it is a terminal.
    pub input: Option<&'a mut dyn Read>,
}

impl std::fmt::Debug for PluginCall<'_> {
    /// Arguments may hold secrets of a build, so only the event is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({:?})", self.arguments.first())
    }
}

/// Answers one event on `output`.
pub fn answer(mut call: PluginCall<'_>, output: &mut dyn Write) -> ExitCode {
    let event = call.arguments.first().and_then(|name| Event::named(name));
    let answer = match event {
        None if call.arguments.first().is_some_and(|name| name == install::NAME) => {
            install::note(&mut call).unwrap_or_else(|failure| Answer::refused(&failure))
        }
        None if call.arguments.first().is_some_and(|name| name == published::NAME) => {
            published::note(&mut call)
        }
        // Not ours: the payload stays unread, for a later host may send events that are not known
        // today.
        None => Answer::ignored(),
        Some(event) => {
            let environment = (call.environment)();
            if event == Event::PostPull && handle::takes_build_inputs_as_they_are(&environment) {
                return write(&Answer::ignored(), output);
            }
            let payload = EventPayload::read(
                event,
                call.arguments.get(1).map(OsString::as_os_str),
                call.input,
                &environment,
            );
            payload
                .and_then(|payload| handle::handle(payload, &environment))
                .unwrap_or_else(|failure| Answer::refused(&failure))
        }
    };
    write(&answer, output)
}

/// Writes the answer. Where it cannot be written the exit code stops the host, whatever the answer
/// was.
fn write(answer: &Answer, output: &mut dyn Write) -> ExitCode {
    match output.write_all(answer.to_json().as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(Class::Internal.exit()),
    }
}

/// Returns the failure for an event that cannot be understood.
fn event_failure(what: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Event, what)
}
