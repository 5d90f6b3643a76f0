//! The answer to an event, as the host reads it.

use crate::class::{Failure, printable};
use crate::push::Pushed;
use crate::unpack::{Provisional, Unpacked};
use serde_json::json;

/// One answer. A handler of an event that is ours can only make one from a proof, or from a
/// failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    state: String,
    error: String,
}

impl Answer {
    /// The answer to an event that is not ours: success, nothing said.
    pub(super) fn ignored() -> Self {
        Self::success(Vec::new(), String::new())
    }

    /// The answer of the pre event of unpacking: it may go on for now. `warnings` are about this
    /// machine, not the image.
    pub(super) fn provisional(
        provisional: &Provisional,
        warnings: Vec<String>,
        debug: bool,
    ) -> Self {
        let notices = provisional
            .notices()
            .iter()
            .map(|notice| notice.text.clone())
            .chain(warnings)
            .collect();
        Self::success(notices, if debug { summary(provisional) } else { String::new() })
    }

    /// The answer of the post event of unpacking.
    pub(super) fn unpacked(unpacked: &Unpacked, debug: bool) -> Self {
        Self::success(
            unpacked.notices().to_vec(),
            if debug { unpacked.summary() } else { String::new() },
        )
    }

    /// The answer of an event of pushing. The warning is about this machine, not the image.
    pub(super) fn pushed(pushed: &Pushed, warning: Option<String>, debug: bool) -> Self {
        Self::success(
            pushed.notices().iter().cloned().chain(warning).collect(),
            if debug { pushed.summary() } else { String::new() },
        )
    }

    /// The answer to an event that only informs.
    pub(super) fn noted(notice: String) -> Self {
        Self::success(vec![notice], String::new())
    }

    /// A refusal: the host prints it and stops.
    pub(super) fn refused(failure: &Failure) -> Self {
        Self { state: String::new(), error: failure.text() }
    }

    /// `state` stays empty when all is well: the host prints two lines for each that is not.
    fn success(mut notices: Vec<String>, summary: String) -> Self {
        if !summary.is_empty() {
            notices.push(summary);
        }
        let notices: Vec<String> = notices.iter().map(|notice| printable(notice)).collect();
        Self { state: notices.join("; "), error: String::new() }
    }

    /// Returns the one JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({"state": self.state, "data": "", "error": self.error}).to_string()
    }
}

/// Returns in one line what was found before unpacking.
fn summary(provisional: &Provisional) -> String {
    let what = provisional.subject().map(ToString::to_string).unwrap_or_default();
    match provisional.signature() {
        Some(signature) => format!(
            "verified {what}, signed by {} (key {})",
            signature.authority(),
            signature.fingerprint().short()
        ),
        None => format!("not verified: {}", provisional.grounds()),
    }
}
