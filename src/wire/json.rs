//! JSON as it may come from a stranger: one document, bounded depth and size, no key twice.
//!
//! Two parsers that read different keys of one text are an attack (docs/threats.md R07,
//! S26), so a text with a duplicate key has no meaning here at all. A value of one byte takes a
//! hundred when it is built, so a text is first walked without building anything, and only one that
//! holds to all rules is built, as what the caller asks for. Never reads anything but the bytes
//! given.

use crate::class::{Class, Failure};
use crate::limits;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

/// Parses one JSON document. Keys keep their order.
///
/// # Errors
/// `malformed` for what is not one JSON document or has a key twice, `limit` for one that is too
/// deep or has more than [`limits::JSON_VALUES`] values.
pub fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    parse_as(bytes)
}

/// Parses one JSON document into a type. What the type does not ask for is checked, and not built.
///
/// # Errors
/// Those of [`parse`]; `malformed` where the shape is another.
pub fn parse_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    check(bytes)?;
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::new(Class::Malformed, format!("unexpected shape: {error}")))
}

/// Holds a document to all rules, and builds nothing of it.
fn check(bytes: &[u8]) -> Result<(), Failure> {
    let budget = Budget { values: Cell::new(limits::JSON_VALUES), over: Cell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let checked =
        Strict { depth: 0, budget: &budget }.deserialize(&mut reader).and_then(|()| reader.end());
    checked.map_err(|error| match budget.over.take() {
        Some(why) => Failure::new(Class::Limit, format!("a JSON document {why}")),
        None => Failure::new(Class::Malformed, format!("not the JSON that is expected: {error}")),
    })
}

/// Writes JSON as Go's `encoding/json` does: compact, with `<`, `>`, `&`, U+2028 and U+2029
/// escaped.
///
/// cosign's files are such, and bytes that are signed or hashed must not differ for a reason that
/// nobody sees.
#[must_use]
pub fn to_go_bytes(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    // All five can only occur inside strings, so escaping them in the whole text is right.
    for c in value.to_string().chars() {
        match c {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            c => text.push(c),
        }
    }
    text.into_bytes()
}

/// What is left to be read, and what there was too much of.
struct Budget {
    values: Cell<usize>,
    over: Cell<Option<String>>,
}

impl Budget {
    fn refuse<E: Error>(&self, why: String) -> E {
        self.over.set(Some(why));
        E::custom("too much")
    }

    /// Counts a value or a key.
    fn spend<E: Error>(&self) -> Result<(), E> {
        match self.values.get().checked_sub(1) {
            Some(left) => {
                self.values.set(left);
                Ok(())
            }
            None => Err(self.refuse(format!("has more than {} values", limits::JSON_VALUES))),
        }
    }
}

/// Walks one value.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    budget: &'a Budget,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= limits::DEPTH {
            let why = format!("is nested deeper than {} levels", limits::DEPTH);
            return Err(self.budget.refuse(why));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.budget.spend()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key_seed(Key(self.budget))? {
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format!("key `{twice}` occurs twice")));
            }
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// Reads a key, without a copy where it has no escapes.
struct Key<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Cow<'de, str>, D::Error> {
        self.0.spend()?;
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Option<Class> {
        parse(text.as_bytes()).err().map(|failure| failure.class())
    }

    #[test]
    fn a_key_twice_has_no_meaning_at_any_depth() {
        assert_eq!(class(r#"{"a":1,"a":1}"#), Some(Class::Malformed));
        assert_eq!(class(r#"{"b":[{"a":1,"\u0061":2}]}"#), Some(Class::Malformed));
        assert_eq!(class(r#"{"a":1,"b":{"a":1}}"#), None);
    }

    #[test]
    fn one_document_and_no_more() {
        for text in ["", "{", "{}{}", "{} x", "\u{feff}{}", "nul", "{\"a\":\u{1}}"] {
            assert_eq!(class(text), Some(Class::Malformed), "{text:?}");
        }
        assert_eq!(class(" {} \n"), None);
        assert_eq!(
            class(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
            Some(Class::Limit)
        );
    }

    #[test]
    fn a_document_is_read_up_to_its_number_of_values() {
        // The list and its elements; the object, its keys and their values.
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
        let map = |count: usize| {
            let entries: Vec<String> = (0..count).map(|n| format!("\"{n}\":{{}}")).collect();
            format!("{{{}}}", entries.join(","))
        };
        assert_eq!(class(&list(limits::JSON_VALUES)), None);
        assert_eq!(class(&list(limits::JSON_VALUES + 1)), Some(Class::Limit));
        assert_eq!(class(&map((limits::JSON_VALUES - 1) / 2)), None);
        assert_eq!(class(&map(limits::JSON_VALUES / 2)), Some(Class::Limit));
        assert_eq!(class(&format!("{}{}", list(9), "x".repeat(9))), Some(Class::Malformed));
    }

    /// What a type does not ask for is held to the rules all the same.
    #[test]
    fn what_nobody_asks_for_is_checked() {
        #[derive(serde::Deserialize, Debug)]
        struct Asked {
            a: u8,
        }
        let class =
            |text: &[u8]| parse_as::<Asked>(text).map(|asked| asked.a).map_err(|f| f.class());
        assert_eq!(class(br#"{"b":[{"c":1}],"a":7}"#), Ok(7));
        let deep = format!(r#"{{"a":7,"b":{}{}}}"#, "[".repeat(99), "]".repeat(99));
        assert_eq!(class(deep.as_bytes()), Err(Class::Limit));
        for text in [
            br#"{"a":7,"b":{"c":1,"c":2}}"#.as_slice(),
            br#"{"a":7,"b":[1,]}"#,
            br#"{"a":7} {}"#,
            br#"{"a":"7"}"#,
            b"{\"a\":7,\"b\":\"\xff\"}",
            b"{\"a\":7,\"\xff\":1}",
        ] {
            assert_eq!(class(text), Err(Class::Malformed), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_document_is_read_as_what_it_says() {
        let text = r#"[null,true,false,-1,1,1.5,"a","\u0041",{"a":[]}]"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn go_escapes_what_html_would_read() {
        let value = serde_json::json!({"a": "<b>&\u{2028}\"é"});
        assert_eq!(
            String::from_utf8(to_go_bytes(&value)).unwrap(),
            r#"{"a":"\u003cb\u003e\u0026\u2028\"é"}"#
        );
    }
}
