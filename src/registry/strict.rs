//! JSON from a registry, read so that no second reader can see something else in it.
//!
//! A key that occurs twice means different things to different parsers (`reference/security.md` R07), so it is refused at
//! every depth; depth is bounded (R12). Never reads anything but the bytes given.

use crate::class::{Class, Failure};
use crate::limits;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fmt;

/// Reads one JSON document.
///
/// # Errors
/// `malformed` for what is not one JSON document or has a key twice, `limit` for one that is too deep.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    let too_deep = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0, too_deep: &too_deep }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        if too_deep.get() {
            Failure::new(Class::Limit, format!("a JSON document is nested deeper than {} levels", limits::DEPTH))
        } else {
            Failure::new(Class::Malformed, format!("not the JSON that is expected: {error}"))
        }
    })
}

struct Strict<'a> {
    depth: usize,
    too_deep: &'a Cell<bool>,
}

impl<'a> Strict<'a> {
    fn deeper<E: Error>(&self) -> Result<Strict<'a>, E> {
        if self.depth >= limits::DEPTH {
            self.too_deep.set(true);
            return Err(E::custom("nested too deep"));
        }
        Ok(Strict { depth: self.depth + 1, too_deep: self.too_deep })
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
    fn a_key_that_occurs_twice_is_refused_at_every_depth() {
        assert_eq!(class(r#"{"a":1,"b":{"a":2}}"#), None);
        for text in [r#"{"a":1,"a":1}"#, r#"{"b":[{"a":1,"\u0061":2}]}"#, r#"{"b":{"a":1,"c":2,"a":null}}"#] {
            assert_eq!(class(text), Some(Class::Malformed), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_at_the_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(class(&nested(limits::DEPTH)), None);
        assert_eq!(class(&nested(limits::DEPTH + 1)), Some(Class::Limit));
        assert_eq!(class(&nested(100_000)), Some(Class::Limit));
    }

    #[test]
    fn trailing_bytes_and_half_documents_are_refused() {
        for text in ["", "{", "{}x", "{} {}", "\u{feff}{}", "{'a':1}", "{\"a\":1,}", "nul"] {
            assert_eq!(class(text), Some(Class::Malformed), "{text}");
        }
    }
}
