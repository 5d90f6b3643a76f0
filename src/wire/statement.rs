//! The in-toto statement of a bundle: which images it is about, and what is said of them.
//!
//! Sources: in-toto attestation v1 `statement.md`, `resource_descriptor.md`; `reference/cosign.md`
//! 1b. It is read from the bytes that were signed. A statement with another predicate than cosign's
//! is an attestation: true or not, it is no signature.

use super::json;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The predicate of an image signature; everything else in a bundle is an attestation.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The version before, which attestations still have.
const OLD_STATEMENT: &str = "https://in-toto.io/Statement/v0.1";

/// A statement that is a signature of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    subjects: Vec<StatementSubject>,
}

/// One image that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StatementSubject {
    digest: Option<Digest>,
    annotations: BTreeMap<String, String>,
}

/// Returns the predicate of a statement, where the bytes are one at all.
#[must_use]
pub fn predicate(payload: &[u8]) -> Option<String> {
    json::parse(payload).ok()?.get("predicateType")?.as_str().map(ToOwned::to_owned)
}

/// Returns the statement that signs an image, as cosign 3 writes it but without spaces.
#[must_use]
pub fn write_statement(image: &Digest, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    json::to_go_bytes(&json!({
        "_type": STATEMENT,
        "subject": [{"digest": {"sha256": image.hex()}, "annotations": annotations}],
        "predicateType": SIGN_PREDICATE,
        "predicate": {},
    }))
}

impl Statement {
    /// Parses a statement with cosign's predicate. Keys that are not known are passed over, as
    /// in-toto says; all of it is signed.
    ///
    /// # Errors
    /// `malformed`: not JSON, a key twice, another `_type` or predicate, no subject, a digest that
    /// is none. `limit`: more than [`limits::SUBJECTS`] subjects, or [`limits::SUBJECT_DIGESTS`]
    /// digests of one.
    pub fn parse(payload: &[u8]) -> Result<Self, Failure> {
        let value =
            json::parse(payload).map_err(|failure| failure.within("the signed statement"))?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("_type") != STATEMENT {
            return Err(malformed(format!(
                "is of type `{}`; expected `{STATEMENT}`",
                text("_type")
            )));
        }
        if text("predicateType") != SIGN_PREDICATE {
            return Err(malformed(format!(
                "has the predicate `{}`; expected `{SIGN_PREDICATE}`",
                text("predicateType")
            )));
        }
        Self::read(&value)
    }

    /// Parses a statement with any predicate, for callers that only ask what it is about.
    ///
    /// # Errors
    /// As [`Self::parse`], but for the predicate, and version 0.1 counts as well.
    pub fn parse_any(payload: &[u8]) -> Result<Self, Failure> {
        let value =
            json::parse(payload).map_err(|failure| failure.within("the signed statement"))?;
        match value.get("_type").and_then(Value::as_str).unwrap_or_default() {
            STATEMENT | OLD_STATEMENT => Self::read(&value),
            other => Err(malformed(format!("is of type `{other}`; expected `{STATEMENT}`"))),
        }
    }

    fn read(value: &Value) -> Result<Self, Failure> {
        let subjects =
            value.get("subject").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        match subjects.len() {
            0 => Err(malformed("has no subject")),
            1..=limits::SUBJECTS => {
                Ok(Self { subjects: subjects.iter().map(subject).collect::<Result<_, _>>()? })
            }
            count => Err(over(count, "subjects", limits::SUBJECTS)),
        }
    }

    /// Returns the annotations of an image that the statement is about.
    ///
    /// # Errors
    /// `binding`: it is about others. `malformed`: it names the image twice, so that two things can
    /// be said of it.
    pub fn annotations(&self, image: &Digest) -> Result<&BTreeMap<String, String>, Failure> {
        let mut found =
            self.subjects.iter().filter(|subject| subject.digest.as_ref() == Some(image));
        match (found.next(), found.next()) {
            (Some(subject), None) => Ok(&subject.annotations),
            (Some(_), Some(_)) => Err(malformed(format!("names `{image}` twice"))),
            (None, _) => {
                let first = self.subjects.iter().find_map(|subject| subject.digest.as_ref());
                let about = first.map_or_else(
                    || "something without a SHA-256".to_owned(),
                    |digest| format!("`{digest}`"),
                );
                Err(Failure::new(
                    Class::Binding,
                    format!("a statement about {about}, not `{image}`"),
                ))
            }
        }
    }
}

fn malformed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Malformed, format!("the signed statement {why}"))
}

fn over(count: usize, what: &str, most: usize) -> Failure {
    Failure::new(
        Class::Limit,
        format!("the signed statement has {count} {what}; at most {most} are read"),
    )
}

fn subject(value: &Value) -> Result<StatementSubject, Failure> {
    let digests = value
        .get("digest")
        .and_then(Value::as_object)
        .ok_or_else(|| malformed("has a subject without digests"))?;
    if digests.len() > limits::SUBJECT_DIGESTS {
        return Err(over(digests.len(), "digests of one subject", limits::SUBJECT_DIGESTS));
    }
    let annotations = match value.get("annotations") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(annotations)) => {
            annotations.iter().map(|(key, value)| (key.clone(), as_text(value))).collect()
        }
        Some(_) => return Err(malformed("has annotations that are no object")),
    };
    Ok(StatementSubject { digest: sha256(digests)?, annotations })
}

/// Returns the SHA-256 among the digests. A subject may have others only; then it is never the
/// image.
fn sha256(digests: &Map<String, Value>) -> Result<Option<Digest>, Failure> {
    let Some(value) = digests.get("sha256") else { return Ok(None) };
    let hex = value.as_str().ok_or_else(|| malformed("has a digest that is no text"))?;
    format!("sha256:{hex}")
        .parse()
        .map(Some)
        .map_err(|failure: Failure| failure.within("the signed statement"))
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Digest {
        Digest::of(b"image")
    }

    fn good() -> Value {
        serde_json::from_slice(&write_statement(
            &image(),
            &BTreeMap::from([("a".to_owned(), "1".to_owned())]),
        ))
        .unwrap()
    }

    fn class_of(statement: &Value) -> Result<BTreeMap<String, String>, Class> {
        let parsed = Statement::parse(statement.to_string().as_bytes())
            .map_err(|failure| failure.class())?;
        parsed.annotations(&image()).cloned().map_err(|failure| failure.class())
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(class_of(&good()), Ok(BTreeMap::from([("a".to_owned(), "1".to_owned())])));
        assert_eq!(predicate(good().to_string().as_bytes()).as_deref(), Some(SIGN_PREDICATE));
        assert_eq!(
            write_statement(&image(), &BTreeMap::new()),
            format!(r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}},"annotations":{{}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#, image().hex()).as_bytes()
        );
    }

    #[test]
    fn what_cosign_2_leaves_out_is_not_missed() {
        let mut statement = good();
        statement.as_object_mut().unwrap().shift_remove("predicate");
        statement["subject"][0].as_object_mut().unwrap().shift_remove("annotations");
        assert_eq!(class_of(&statement), Ok(BTreeMap::new()));
    }

    #[test]
    fn other_types_and_predicates_are_no_signatures() {
        for (key, value) in [
            ("_type", "https://in-toto.io/Statement/v0.1"),
            ("_type", "https://in-toto.io/Statement/v1 "),
            ("predicateType", "https://slsa.dev/provenance/v1"),
            ("predicateType", "https://sigstore.dev/cosign/sign/v2"),
        ] {
            let mut statement = good();
            statement[key] = json!(value);
            assert_eq!(class_of(&statement), Err(Class::Malformed), "{statement}");
        }
        for broken in
            ["", "[]", "{}", "x", r#"{"_type":"https://in-toto.io/Statement/v1","_type":"x"}"#]
        {
            assert_eq!(
                Statement::parse(broken.as_bytes()).map_err(|failure| failure.class()),
                Err(Class::Malformed),
                "{broken}"
            );
        }
    }

    #[test]
    fn the_subject_must_be_the_image_by_sha256() {
        let hex = image().hex();
        let other = Digest::of(b"other").hex();
        for (digests, expected) in [
            (json!({"sha256": other}), Class::Binding),
            (json!({"sha512": hex}), Class::Binding),
            (json!({}), Class::Binding),
            (json!({"SHA256": hex}), Class::Binding),
            (json!({"sha256": hex.to_uppercase()}), Class::Malformed),
            (json!({"sha256": format!("sha256:{hex}")}), Class::Malformed),
            (json!({"sha256": &hex[1..]}), Class::Malformed),
            (json!({"sha256": 7}), Class::Malformed),
            (json!([]), Class::Malformed),
        ] {
            let mut statement = good();
            statement["subject"][0]["digest"] = digests;
            assert_eq!(class_of(&statement), Err(expected), "{statement}");
        }
    }

    #[test]
    fn subjects_are_counted_and_the_image_is_named_once() {
        let of = |digest: &Digest| json!({"digest": {"sha256": digest.hex()}});
        let with = |subjects: Vec<Value>| {
            let mut statement = good();
            statement["subject"] = json!(subjects);
            class_of(&statement)
        };
        let others = |count: usize| {
            (0..count).map(|number| of(&Digest::of(&number.to_be_bytes()))).collect::<Vec<_>>()
        };
        assert_eq!(with(Vec::new()), Err(Class::Malformed));
        assert_eq!(
            with([others(limits::SUBJECTS - 1), vec![of(&image())]].concat()),
            Ok(BTreeMap::new())
        );
        assert_eq!(
            with([others(limits::SUBJECTS), vec![of(&image())]].concat()),
            Err(Class::Limit)
        );
        assert_eq!(with(vec![of(&image()), of(&image())]), Err(Class::Malformed));
        let digests = |count: usize| {
            (0..count).map(|number| (format!("x{number}"), json!(""))).collect::<Map<_, _>>()
        };
        let mut many = digests(limits::SUBJECT_DIGESTS - 1);
        many.insert("sha256".to_owned(), json!(image().hex()));
        assert_eq!(with(vec![json!({"digest": many.clone()})]), Ok(BTreeMap::new()));
        many.insert("one-more".to_owned(), json!(""));
        assert_eq!(with(vec![json!({"digest": many})]), Err(Class::Limit));
    }
}
