//! JSON as it may come from a stranger: one document, bounded depth, no key twice.
//!
//! Two parsers that read different keys of one text are an attack (`reference/security.md` R07, S26), so a text with a
//! duplicate key has no meaning here at all.

use crate::class::{Class, Failure};
use crate::limits;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Parses one JSON document. Keys keep their order.
///
/// # Errors
/// `malformed`: not JSON, a second document, a key twice in one object. `limit`: deeper than [`limits::DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        let text = error.to_string();
        let class = if text.contains(TOO_DEEP) || text.contains("recursion limit") { Class::Limit } else { Class::Malformed };
        Failure::new(class, format!("not one JSON document: {text}"))
    })
}

/// Parses one JSON document into a type, after [`parse`].
///
/// # Errors
/// Those of [`parse`]; `malformed` where the shape is another.
pub fn parse_as<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_value(parse(bytes)?).map_err(|error| Failure::new(Class::Malformed, format!("unexpected shape: {error}")))
}

/// Writes JSON as Go's `encoding/json` does: compact, with `<`, `>`, `&`, U+2028 and U+2029 escaped.
///
/// cosign's files are such, and bytes that are signed or hashed must not differ for a reason that nobody sees.
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

const TOO_DEEP: &str = "nested deeper than this program reads";

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth < limits::DEPTH { Ok(Self { depth: self.depth + 1 }) } else { Err(E::custom(TOO_DEEP)) }
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("the key `{key}` occurs twice")));
            }
        }
        Ok(Value::Object(map))
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
        assert_eq!(class(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), Some(Class::Limit));
    }

    #[test]
    fn go_escapes_what_html_would_read() {
        let value = serde_json::json!({"a": "<b>&\u{2028}\"é"});
        assert_eq!(String::from_utf8(to_go_bytes(&value)).unwrap(), r#"{"a":"\u003cb\u003e\u0026\u2028\"é"}"#);
    }
}
