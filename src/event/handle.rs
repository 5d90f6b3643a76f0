//! The four events, each with its own kind of success.

use super::answer::Answer;
use super::envelope::Payload;
use crate::class::Failure;
use crate::config::Environment;
use crate::session::{Options, Session};
use crate::{push, unpack};

pub(super) fn handle(payload: Payload, environment: &Environment) -> Result<Answer, Failure> {
    let debug = environment.flag("COSIGN_DEBUG")?;
    let options = Options { keep_keys: true, ..Options::default() };
    match payload {
        Payload::PreUnpack(event) => {
            let (provisional, warnings) = Session::run(environment, options, async |session| {
                let outcome = unpack::before(session, &event.image, &event.dest).await;
                let warnings = session.roots().warnings();
                let provisional =
                    outcome.map_err(|failure| warnings.iter().fold(failure, Failure::detail))?;
                Ok((provisional, warnings))
            })?;
            Ok(Answer::provisional(&provisional, warnings, debug))
        }
        Payload::PostUnpack(event) => {
            let unpacked = Session::run(environment, options, async |session| {
                unpack::after(session, &event.image, &event.dest).await
            })?;
            Ok(Answer::unpacked(&unpacked, debug))
        }
        Payload::PrePush(event) => {
            if let Some(pushed) = push::not_signed(event.build_cache, environment)? {
                return Ok(Answer::pushed(&pushed, debug));
            }
            let pushed = Session::run(environment, options, async |session| {
                push::before(session, &event.image).await
            })?;
            Ok(Answer::pushed(&pushed, debug))
        }
        Payload::PostPush(event) => {
            if let Some(pushed) = push::not_signed(event.build_cache, environment)? {
                return Ok(Answer::pushed(&pushed, debug));
            }
            let pushed = Session::run(environment, options, async |session| {
                push::after(session, &event.image).await
            })?;
            Ok(Answer::pushed(&pushed, debug))
        }
    }
}
