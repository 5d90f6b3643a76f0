//! JSON as it may come from a stranger: one document, bounded depth, no key twice.
//!
//! Two parsers that read different keys of one text are an attack (`reference/security.md` R07,
//! S26), so a text with a duplicate key has no meaning here at all. Never reads anything but the
//! bytes given.

use crate::class::{Class, Failure};
use crate::limits;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fmt;

/// Parses one JSON document. Keys keep their order.
///
/// # Errors
/// `malformed` for what is not one JSON document or has a key twice, `limit` for one that is too
/// deep.
pub fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    let too_deep = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0, too_deep: &too_deep }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        if too_deep.get() {
            Failure::new(
                Class::Limit,
                format!("a JSON document is nested deeper than {} levels", limits::DEPTH),
            )
        } else {
            Failure::new(Class::Malformed, format!("not the JSON that is expected: {error}"))
        }
    })
}

/// Parses one JSON document into a type, after [`parse`].
///
/// # Errors
/// Those of [`parse`]; `malformed` where the shape is another.
pub fn parse_as<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_value(parse(bytes)?)
        .map_err(|error| Failure::new(Class::Malformed, format!("unexpected shape: {error}")))
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

struct Strict<'a> {
    depth: usize,
    too_deep: &'a Cell<bool>,
}

impl<'a> Strict<'a> {
    fn deeper<E: Error>(&self) -> Result<Self, E> {
        if self.depth >= limits::DEPTH {
            self.too_deep.set(true);
            return Err(E::custom("nested too deep"));
        }
        Ok(Self { depth: self.depth + 1, too_deep: self.too_deep })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = items.next_element_seed(Strict { ..inner })? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Strict { ..inner })?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("key `{key}` occurs twice")));
            }
            map.insert(key, value);
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
        assert_eq!(
            class(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
            Some(Class::Limit)
        );
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
