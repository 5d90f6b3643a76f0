//! The in-toto statement of an envelope: what it is about, and what is said of that.
//!
//! Sources: in-toto attestation v1 and v0.1, `statement.md`, `resource_descriptor.md`,
//! `digest_set.md`. It is read from the bytes that were signed. A
//! statement with cosign's predicate for signatures signs its subjects; one with any other is an
//! attestation: true or not, it is not a signature. The two are read by functions of their own.

use super::json;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, FileDigest};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The predicate of a signature; everything else in a bundle is an attestation.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The version before, which attestations still have.
const OLD_STATEMENT: &str = "https://in-toto.io/Statement/v0.1";

/// A statement, of which nothing is trusted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    predicate_type: String,
    subjects: Vec<StatementSubject>,
    predicate: Value,
}

/// One thing that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementSubject {
    /// What the signer calls it.
    pub name: Option<String>,
    /// Its digests by the algorithms that are read.
    digests: Vec<FileDigest>,
    /// The algorithms of its other digests.
    others: Vec<String>,
    annotations: BTreeMap<String, String>,
}

/// What a statement says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// The digest by which the file was found among the subjects.
    pub digest: FileDigest,
    /// The subjects that are the file: one file can have several names.
    pub subjects: Vec<&'a StatementSubject>,
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
        let statement = Self::read(payload, &[STATEMENT])?;
        if statement.predicate_type != SIGN_PREDICATE {
            return Err(malformed(format!(
                "has the predicate `{}`; expected `{SIGN_PREDICATE}`",
                statement.predicate_type
            )));
        }
        Ok(statement)
    }

    /// Parses an attestation: a statement with any other predicate than cosign's for signatures.
    /// Version 0.1 counts as well.
    ///
    /// # Errors
    /// As [`Self::parse`]; `malformed`: it has no predicate, or is a signature.
    pub fn parse_attestation(payload: &[u8]) -> Result<Self, Failure> {
        let statement = Self::read(payload, &[STATEMENT, OLD_STATEMENT])?;
        match statement.predicate_type.as_str() {
            "" => Err(malformed("has no `predicateType`")),
            SIGN_PREDICATE => Err(malformed("signs its subjects; expected an attestation")
                .hint("for the signature of a file: luet-cosign verify-blob")),
            _ => Ok(statement),
        }
    }

    fn read(payload: &[u8], types: &[&str]) -> Result<Self, Failure> {
        let mut value =
            json::parse(payload).map_err(|failure| failure.within("the signed statement"))?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        if !types.contains(&text("_type")) {
            return Err(malformed(format!(
                "is of type `{}`; expected `{STATEMENT}`",
                text("_type")
            )));
        }
        let predicate_type = text("predicateType").to_owned();
        let subjects =
            value.get("subject").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let subjects = match subjects.len() {
            0 => return Err(malformed("has no subject")),
            1..=limits::SUBJECTS => subjects.iter().map(subject).collect::<Result<_, _>>()?,
            count => return Err(over(count, "subjects", limits::SUBJECTS)),
        };
        let predicate = value.get_mut("predicate").map(Value::take).unwrap_or_default();
        Ok(Self { predicate_type, subjects, predicate })
    }

    /// Returns the predicate's type: a URI, as the signer wrote it.
    #[must_use]
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// Returns what is said of the subjects.
    #[must_use]
    pub fn predicate(&self) -> &Value {
        &self.predicate
    }

    /// Whether a subject has a digest by this algorithm.
    #[must_use]
    pub fn names_by(&self, algorithm: &str) -> bool {
        let mut digests = self.subjects.iter().flat_map(|subject| &subject.digests);
        digests.any(|digest| digest.algorithm() == algorithm)
    }

    /// Finds a file among the subjects, by what is known of it: digests, each by an algorithm of
    /// its own. A subject is the file where all of its digests are the file's whose algorithms are
    /// known: with two that disagree it would be this file to one reader, and another to the next.
    ///
    /// # Errors
    /// `binding`: it is about others. `unsupported`: it names its subjects by other algorithms than
    /// those that are known of the file.
    pub fn about(&self, file: &[FileDigest]) -> Result<About<'_>, Failure> {
        let known = |found: &FileDigest| {
            file.iter().find(|digest| digest.algorithm() == found.algorithm()).copied()
        };
        let mut digest = None;
        let mut subjects = Vec::new();
        let mut compared = None;
        for subject in &self.subjects {
            let mut shared = subject.digests.iter().filter(|found| known(found).is_some());
            // In which order they stand says nothing; the most usual one is compared by all.
            let usual = shared.clone().min_by_key(|found| match found.algorithm() {
                "sha256" => 0,
                "sha512" => 1,
                _ => 2,
            });
            let Some(first) = usual else { continue };
            compared = compared.or(Some((subject, first)));
            if shared.all(|found| known(found) == Some(*found)) {
                digest = digest.or(Some(*first));
                subjects.push(subject);
            }
        }
        match (digest, compared) {
            (Some(digest), _) => Ok(About { digest, subjects }),
            (None, Some((subject, found))) => {
                let this = known(found).map_or_else(String::new, |digest| digest.to_string());
                let name = subject.name.as_ref();
                let called = name.map_or_else(String::new, |name| format!("`{name}`, "));
                Err(Failure::new(
                    Class::Binding,
                    format!("a statement about {called}`{found}`, not `{this}`"),
                ))
            }
            (None, None) => Err(self.unknown(file)),
        }
    }

    /// The failure for a statement of which no subject can be compared with the file.
    fn unknown(&self, file: &[FileDigest]) -> Failure {
        let here = file.iter().map(FileDigest::algorithm).collect::<Vec<_>>().join(", ");
        let read = self.subjects.iter().flat_map(|subject| &subject.digests).next();
        let failure = |algorithm: &str| {
            Failure::new(
                Class::Unsupported,
                format!("a statement that names its subjects by `{algorithm}`; known is {here}"),
            )
        };
        match (read, self.subjects.iter().flat_map(|subject| &subject.others).next()) {
            (Some(digest), _) => failure(digest.algorithm()).hint(format!(
                "name the file itself, or its digest as `{}:HEX`",
                digest.algorithm()
            )),
            (None, Some(other)) => {
                failure(other).hint("subjects count by sha256, sha384 and sha512")
            }
            (None, None) => malformed("has subjects without digests"),
        }
    }

    /// Returns the annotations of an image that the statement is about.
    ///
    /// # Errors
    /// `binding`: it is about others. `malformed`: it names the image twice, so that two things can
    /// be said of it.
    pub fn annotations(&self, image: &Digest) -> Result<&BTreeMap<String, String>, Failure> {
        let image = FileDigest::Sha256(*image);
        let mut found = self.subjects.iter().filter(|subject| subject.digests.contains(&image));
        match (found.next(), found.next()) {
            (Some(subject), None) => Ok(&subject.annotations),
            (Some(_), Some(_)) => Err(malformed(format!("names `{image}` twice"))),
            (None, _) => {
                let sha256 = |digest: &&FileDigest| matches!(digest, FileDigest::Sha256(_));
                let mut digests = self.subjects.iter().flat_map(|subject| &subject.digests);
                let about = digests.find(sha256).map_or_else(
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
    let found = value
        .get("digest")
        .and_then(Value::as_object)
        .ok_or_else(|| malformed("has a subject without digests"))?;
    if found.len() > limits::SUBJECT_DIGESTS {
        return Err(over(found.len(), "digests of one subject", limits::SUBJECT_DIGESTS));
    }
    let annotations = match value.get("annotations") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(annotations)) => {
            annotations.iter().map(|(key, value)| (key.clone(), as_text(value))).collect()
        }
        Some(_) => return Err(malformed("has annotations that are no object")),
    };
    let (digests, others) = digests(found)?;
    let name = value.get("name").and_then(Value::as_str).map(ToOwned::to_owned);
    Ok(StatementSubject { name, digests, others, annotations })
}

/// Returns the digests by algorithms that are read, and the names of the other algorithms.
fn digests(found: &Map<String, Value>) -> Result<(Vec<FileDigest>, Vec<String>), Failure> {
    let (mut digests, mut others) = (Vec::new(), Vec::new());
    for (algorithm, digits) in found {
        let digits = digits.as_str().ok_or_else(|| malformed("has a digest that is not text"))?;
        match FileDigest::parse(algorithm, digits)
            .map_err(|failure| failure.within("the signed statement"))?
        {
            Some(digest) => digests.push(digest),
            None => others.push(algorithm.clone()),
        }
    }
    Ok((digests, others))
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
            (json!({"sha512": hex.repeat(2)}), Class::Binding),
            (json!({"sha512": hex}), Class::Malformed),
            (json!({"sha384": hex}), Class::Malformed),
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

    fn attestation(subjects: Value) -> Result<Statement, Class> {
        let statement = json!({
            "_type": OLD_STATEMENT,
            "subject": subjects,
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {"a": 1},
        });
        Statement::parse_attestation(statement.to_string().as_bytes())
            .map_err(|failure| failure.class())
    }

    /// The digests of a file by each algorithm, that of `seed`.
    fn file(seed: u8) -> [FileDigest; 3] {
        [
            FileDigest::Sha256(Digest::from_bytes([seed; 32])),
            FileDigest::Sha384([seed; 48]),
            FileDigest::Sha512([seed; 64]),
        ]
    }

    fn subject_of(digests: &[FileDigest]) -> Value {
        let digests: Map<_, _> = digests
            .iter()
            .map(|digest| (digest.algorithm().to_owned(), json!(digest.hex())))
            .collect();
        json!({"name": "f", "digest": digests})
    }

    #[test]
    fn a_file_is_a_subject_by_every_digest_that_both_name() {
        let (this, other) = (file(1), file(2));
        let [sha256, sha384, sha512] = this;
        let about = |subjects: &[&[FileDigest]], known: &[FileDigest]| {
            let subjects: Vec<Value> = subjects.iter().map(|subject| subject_of(subject)).collect();
            let statement = attestation(json!(subjects)).unwrap();
            statement.about(known).map(|about| about.digest).map_err(|failure| failure.class())
        };
        for digest in this {
            assert_eq!(about(&[&[digest]], &this), Ok(digest));
            assert_eq!(about(&[&this], &[digest]), Ok(digest));
            assert_eq!(about(&[&other, &[digest]], &this), Ok(digest), "the second of two");
        }
        for (subject, known, expected) in [
            (&other[..], &this[..], Class::Binding),
            (&[sha256, other[2]], &this, Class::Binding),
            (&[other[0], sha512], &this, Class::Binding),
            (&[sha256], &[sha512], Class::Unsupported),
            (&[sha384], &[sha256, sha512], Class::Unsupported),
        ] {
            assert_eq!(about(&[subject], known), Err(expected), "{subject:?} for {known:?}");
        }
        assert_eq!(about(&[&[sha256, other[2]]], &[sha256]), Ok(sha256), "the rest is not known");
        assert_eq!(about(&[&[sha384], &other], &[sha256]), Err(Class::Binding));
    }

    #[test]
    fn weak_digests_alone_are_no_subject_and_broken_ones_are_no_statement() {
        let [sha256, ..] = file(10);
        let weak =
            attestation(json!([{"digest": {"gitCommit": "0a"}}, {"digest": {"sha1": "0b"}}]));
        let failure = weak.unwrap().about(&[sha256]).unwrap_err();
        assert_eq!(failure.class(), Class::Unsupported);
        assert!(failure.message().contains("`gitCommit`"), "{}", failure.message());
        let both = attestation(json!([{"digest": {"sha1": "0b", "sha256": sha256.hex()}}]));
        assert_eq!(both.unwrap().about(&[sha256]).map(|about| about.digest), Ok(sha256));
        let hex = sha256.hex();
        for digest in [
            json!({"sha256": &hex[..62]}),
            json!({"sha256": hex.to_uppercase()}),
            json!({"sha512": hex}),
            json!({"sha384": ""}),
            json!({"gitCommit": 7}),
        ] {
            let found = attestation(json!([{"digest": digest}])).map(|_| ());
            assert_eq!(found, Err(Class::Malformed), "{digest}");
        }
        assert_eq!(attestation(json!([])).map(|_| ()), Err(Class::Malformed));
    }

    #[test]
    fn one_file_may_have_several_names() {
        let this = file(1);
        let mut second = subject_of(&this);
        second["name"] = json!("g");
        let statement = attestation(json!([subject_of(&this), second])).unwrap();
        let names: Vec<_> = statement.about(&this).unwrap().subjects;
        let names: Vec<_> = names.iter().filter_map(|subject| subject.name.as_deref()).collect();
        assert_eq!(names, ["f", "g"]);
        assert_eq!(statement.predicate(), &json!({"a": 1}));
    }

    #[test]
    fn a_signature_is_no_attestation_and_an_attestation_no_signature() {
        let signature = good().to_string();
        assert_eq!(
            Statement::parse_attestation(signature.as_bytes()).map_err(|failure| failure.class()),
            Err(Class::Malformed)
        );
        let mut statement = good();
        for predicate in [json!(""), json!(null), json!(7)] {
            statement["predicateType"] = predicate;
            for read in [Statement::parse, Statement::parse_attestation] {
                let class =
                    read(statement.to_string().as_bytes()).map_err(|failure| failure.class());
                assert_eq!(class, Err(Class::Malformed), "{statement}");
            }
        }
    }
}
