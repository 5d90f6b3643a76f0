//! What signing an image would need, one thing after the other, for `doctor --sign`: what
//! `image.pre.push` would refuse, all of it at once. Nothing becomes public.

use super::own_signer::{is_keyless, own_signer};
use super::preflight;
use crate::class::Failure;
use crate::name::Reference;
use crate::session::Session;

/// One thing, and whether it is as signing needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// What was found where all is well.
    pub fine: String,
    /// What is to be known of it all the same.
    pub notes: Vec<String>,
    /// Why it cannot be signed.
    pub failure: Option<Failure>,
}

impl Rehearsed {
    fn of(fine: impl Into<String>, outcome: Result<Vec<String>, Failure>) -> Self {
        let (notes, failure) = match outcome {
            Ok(notes) => (notes, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        Self { fine: fine.into(), notes, failure }
    }
}

/// Goes through what it takes to sign `image`. `policy` names the policy.
pub async fn rehearse(session: &Session, image: &Reference) -> Vec<Rehearsed> {
    let mut all = Vec::new();
    let none = |outcome: Result<(), Failure>| outcome.map(|()| Vec::new());
    let matched = session.policy().matching(image, session.now());
    match who(session).await {
        Err(failure) => all.push(Rehearsed::of(String::new(), Err(failure))),
        Ok((who, notes)) => {
            all.push(Rehearsed::of(format!("images will be signed by {who}"), Ok(notes)));
            let accepted = preflight::would_accept(session, &matched).await;
            all.push(Rehearsed::of(
                format!("the policy has nothing against that signer for `{}`", image.repository()),
                accepted.map(|_| Vec::new()),
            ));
        }
    }
    match super::signatures_in(session, image.repository()) {
        Err(failure) => all.push(Rehearsed::of(String::new(), Err(failure))),
        Ok(place) => {
            all.push(Rehearsed::of(
                format!("the policy looks for signatures in `{place}`, where they will be"),
                none(matched.would_look_in(&place)),
            ));
            let mut places = vec![image.repository()];
            if place != *image.repository() {
                places.push(&place);
            }
            for place in places {
                all.push(Rehearsed::of(
                    format!("`{place}` may be pushed to"),
                    none(session.client().may_push(place).await),
                ));
            }
        }
    }
    all.push(Rehearsed::of("the build engine can be asked", none(preflight::engine(session))));
    all
}

/// Finds out who signs, and that services and token are in order.
async fn who(session: &Session) -> Result<(String, Vec<String>), Failure> {
    let signer = own_signer(session).await?;
    if !is_keyless(session.environment())? {
        let key = preflight::signer(session)?;
        return Ok((format!("key {}", key.fingerprint().short()), Vec::new()));
    }
    let Some(found) = signer.foresee(session).await? else {
        return Ok((String::new(), Vec::new()));
    };
    found.check_left(session.now())?;
    let mut notes =
        vec![format!("keyless: {found} becomes public in two logs with the first signature")];
    notes.extend(found.notices.iter().cloned());
    notes.extend(signer.log().map(|log| format!("the log {log} answers, and so does Fulcio")));
    Ok((found.to_string(), notes))
}
