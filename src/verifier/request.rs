//! What containerd asks: options as Go's `flag` package reads them, and an OCI descriptor.
//!
//! Options and fields that are not known are passed over, for later versions have more of them
//! (`-operation`). What is known must be there once and say one thing: an option that is there
//! twice, and a descriptor that is not the one of the options, are refused.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Reference};
use crate::unpack::Resolved;
use crate::wire::json;
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::io::Read;

const NAME: &str = "name";
const DIGEST: &str = "digest";
const STDIN: &str = "stdin-media-type";
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";

/// One question.
#[derive(Debug)]
pub(super) struct VerifierRequest {
    name: String,
    digest: String,
    descriptor: DescriptorWire,
}

#[derive(Debug, Deserialize)]
struct DescriptorWire {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
    size: u64,
}

/// Returns whether a call is containerd's: it begins with an option, and one of containerd's is
/// there. No command and no event begins so, and cosign has none of these options.
#[must_use]
pub fn is_call(arguments: &[OsString]) -> bool {
    let is_option =
        |argument: &OsString| argument.to_str().is_some_and(|text| text.starts_with('-'));
    arguments.first().is_some_and(is_option)
        && [DIGEST, STDIN]
            .iter()
            .any(|name| arguments.iter().any(|argument| option(argument, name).is_some()))
}

/// Returns what is behind `=` where the argument is this option, with one dash or two.
fn option<'a>(argument: &'a OsStr, name: &str) -> Option<Option<&'a str>> {
    let text = argument.to_str()?.strip_prefix('-')?;
    let rest = text.strip_prefix('-').unwrap_or(text).strip_prefix(name)?;
    if rest.is_empty() { Some(None) } else { rest.strip_prefix('=').map(Some) }
}

impl VerifierRequest {
    /// Reads a question.
    ///
    /// # Errors
    /// `event`: it is none, or says two things.
    pub(super) fn read(arguments: &[OsString], input: &mut dyn Read) -> Result<Self, Failure> {
        let mut found: [Option<String>; 3] = [None, None, None];
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            for (name, found) in [NAME, DIGEST, STDIN].iter().zip(&mut found) {
                let Some(value) = option(argument, name) else { continue };
                let value = match value {
                    Some(value) => value.to_owned(),
                    None => text(rest.next(), name)?,
                };
                if found.replace(value).is_some() {
                    return Err(event(format!("the option -{name} is given twice")));
                }
                break;
            }
        }
        let [name, digest, media_type] = found;
        let missing = |option: &str| event(format!("the option -{option} is missing"));
        let name = name.ok_or_else(|| missing(NAME))?;
        let digest = digest.ok_or_else(|| missing(DIGEST))?;
        let media_type = media_type.ok_or_else(|| missing(STDIN))?;
        if media_type != DESCRIPTOR {
            return Err(event(format!(
                "standard input is said to be `{media_type}`; expected `{DESCRIPTOR}`"
            )));
        }
        Ok(Self { name, digest, descriptor: descriptor(input)? })
    }

    /// Returns what is to be judged, provided that all parts of the question are about one manifest.
    ///
    /// # Errors
    /// `reference`: a name or digest that is none. `digest`: they are about different ones.
    pub(super) fn resolved(self) -> Result<Resolved, Failure> {
        let reference: Reference = self.name.parse()?;
        let digest: Digest = self.digest.parse()?;
        let described: Digest = self.descriptor.digest.parse()?;
        let other = |what: &str, found: &Digest| {
            let what = format!("{what} `{found}`, and -digest is `{digest}`");
            Err(Failure::new(Class::Digest, what))
        };
        if described != digest {
            return other("the descriptor is of", &described);
        }
        match reference.digest() {
            Some(named) if *named != digest => return other("the name says", named),
            _ => {}
        }
        let DescriptorWire { media_type, size, .. } = self.descriptor;
        Ok(Resolved { reference, digest, size, media_type })
    }
}

fn text(value: Option<&OsString>, option: &str) -> Result<String, Failure> {
    let value = value.ok_or_else(|| event(format!("the option -{option} has no value")))?;
    let text =
        value.to_str().ok_or_else(|| event(format!("the value of -{option} is not UTF-8")))?;
    Ok(text.to_owned())
}

fn descriptor(input: &mut dyn Read) -> Result<DescriptorWire, Failure> {
    let mut bytes = Vec::new();
    let read = input.take(limits::DESCRIPTOR_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| event(format!("the descriptor could not be read: {error}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits::DESCRIPTOR_BYTES {
        let most = limits::DESCRIPTOR_BYTES;
        return Err(event(format!("the descriptor is larger than {most} bytes")));
    }
    json::parse_as(&bytes)
        .map_err(|failure| failure.as_class(Class::Event).within("the descriptor"))
}

fn event(what: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Event, what)
        .hint("this is how containerd calls an image verifier; see docs/containerd.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
    }

    #[test]
    fn a_call_of_containerd_is_told_from_commands_and_events() {
        for (text, expected) in [
            ("-name a/b:c -digest sha256:00 -stdin-media-type x", true),
            ("-operation pull -name a/b:c -digest=sha256:00", true),
            ("--digest sha256:00", true),
            ("-stdin-media-type=x", true),
            ("", false),
            ("-name x", false),
            ("verify -digest x", false),
            ("image.pre.unpack {}", false),
            ("-key cosign.pub quay.io/a/b:c", false),
            ("--help", false),
            ("run -- luet -digest x", false),
        ] {
            assert_eq!(is_call(&words(text)), expected, "{text}");
        }
    }
}
