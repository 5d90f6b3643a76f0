//! The events, each with its own kind of success.

use super::answer::Answer;
use super::envelope::{EventPayload, PushPayload};
use crate::class::{Class, Failure};
use crate::config::Environment;
use crate::session::{Connections, Session, SessionOptions};
use crate::{push, unpack};

pub(super) fn handle(payload: EventPayload, environment: &Environment) -> Result<Answer, Failure> {
    let debug = environment.flag("COSIGN_DEBUG");
    let options = SessionOptions { keep_keys: true, ..SessionOptions::default() };
    match payload {
        EventPayload::PreUnpack(event) => {
            let debug = debug?;
            let (provisional, warnings) = Session::run(environment, &options, async |session| {
                let outcome = unpack::before(session, &event.image, &event.dest).await;
                let warnings = session.roots().warnings();
                let provisional =
                    outcome.map_err(|failure| warnings.iter().fold(failure, Failure::detail))?;
                Ok((provisional, warnings))
            })?;
            Ok(Answer::provisional(&provisional, warnings, debug))
        }
        EventPayload::PostUnpack(event) => {
            let debug = debug?;
            let unpacked = Session::run(environment, &options, async |session| {
                unpack::after(session, &event.image, &event.dest).await
            })?;
            Ok(Answer::unpacked(&unpacked, debug))
        }
        EventPayload::PrePush(event) => {
            let debug = debug?;
            if let Some(pushed) = push::not_signed(event.build_cache, environment)? {
                return Ok(Answer::pushed(&pushed, None, debug));
            }
            let pushed = Session::run(environment, &options, async |session| {
                push::before(session, &event.image).await
            })?;
            Ok(Answer::pushed(&pushed, None, debug))
        }
        EventPayload::PostPull(event) => {
            let debug = debug?;
            wants_build_inputs(environment)?;
            let provisional = Session::run(environment, &options, async |session| {
                unpack::pulled(session, &event.image).await
            })?;
            Ok(Answer::provisional(&provisional, Vec::new(), debug))
        }
        // The image is public already: whatever fails now, what is left to do must be said.
        EventPayload::PostPush(event) => {
            after_push(&event, &options, environment, debug).map_err(|failure| {
                let keyless = push::is_keyless(environment).unwrap_or_default();
                push::left_unsigned(&event.image, keyless, failure)
            })
        }
    }
}

/// The variable that says whether what luet pulls to build on is verified.
const BUILD_INPUTS: &str = "LUET_COSIGN_BUILD_INPUTS";

/// Returns whether images that are built on are nothing to us.
pub(super) fn takes_build_inputs_as_they_are(environment: &Environment) -> bool {
    matches!(environment.text(BUILD_INPUTS), Ok(None | Some("off")))
}

fn wants_build_inputs(environment: &Environment) -> Result<(), Failure> {
    match environment.text(BUILD_INPUTS)? {
        Some("verify") => Ok(()),
        other => Err(Failure::new(
            Class::Usage,
            format!(
                "{BUILD_INPUTS} is `{}`; expected `off` or `verify`",
                other.unwrap_or_default()
            ),
        )),
    }
}

/// Signs without asking the policy: that decides what is verified, and was asked before the push.
fn after_push(
    event: &PushPayload,
    options: &SessionOptions,
    environment: &Environment,
    debug: Result<bool, Failure>,
) -> Result<Answer, Failure> {
    let debug = debug?;
    if let Some(pushed) = push::not_signed(event.build_cache, environment)? {
        return Ok(Answer::pushed(&pushed, None, debug));
    }
    Connections::run(environment, options, async |connections| {
        let pushed = push::after(connections, &event.image).await?;
        Ok(Answer::pushed(&pushed, connections.warning(), debug))
    })
}
