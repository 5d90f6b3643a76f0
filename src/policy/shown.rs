//! What applies, what was found and what was decided, for people: a line for each.

use super::decide::Decision;
use super::evidence::{Evidence, PlaceAnswer, PlaceReport, SignatureReport};
use super::matching::Applies;
use crate::class::counted;
use std::fmt;

impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "{}, unsigned: {}", rule.title(), rule.unsigned.word()),
            Self::Skipped { pattern, place } => {
                write!(f, "the pattern `{pattern}` [{place}] skips it")
            }
            Self::Unmatched { mode, place } => {
                write!(f, "none; unmatched: {} [{place}]", mode.word())
            }
        }
    }
}

impl Evidence {
    /// Returns a line for the image, for each place and for each signature.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let image = std::iter::once(format!("image: {}", self.image));
        let child = self.child.iter().map(|child| format!("image of this platform: {child}"));
        let places = self.places.iter().map(|place| format!("place: {place}"));
        let signatures = self.signatures.iter().map(|found| format!("signature: {found}"));
        image.chain(child).chain(places).chain(signatures).collect()
    }
}

impl fmt::Display for PlaceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match &self.answer {
            PlaceAnswer::There { count } => format!("there, {}", counted(*count, "signature")),
            PlaceAnswer::Absent { detail } => format!("not there ({detail})"),
            PlaceAnswer::NoApi { detail } => format!("the registry has none ({detail})"),
            PlaceAnswer::Failed(failure) => failure.line(),
        };
        let Self { kind, repository, subject, .. } = self;
        write!(f, "{kind} of `{repository}` for {}: {found}", subject.short())
    }
}

impl fmt::Display for SignatureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match &self.outcome {
            Ok(signature) => {
                let name = &signature.payload().docker_reference;
                let name =
                    if name.is_empty() { String::new() } else { format!(", signed as `{name}`") };
                // The key of a certificate is used once and says nothing.
                let by = match signature.certificate() {
                    Some(certificate) => {
                        format!("{} (issuer {})", certificate.subject(), certificate.issuer())
                    }
                    None => format!("key {}", signature.fingerprint().short()),
                };
                format!("valid, by `{}` ({by}){name}", signature.authority())
            }
            Err(failure) => failure.full_line(),
        };
        write!(f, "{}, {}: {outcome}", self.format, self.place)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(_) => f.write_str("allowed"),
            Self::Refused(failure) => write!(f, "refused: {}", failure.full_line()),
            Self::Verified(_) => f.write_str("verified"),
        }
    }
}
