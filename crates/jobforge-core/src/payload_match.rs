//! Which payloads a search finds: those that have a value at a place, as in `order.id:1234`.
//!
//! Engines that hold payloads as text ask [`PayloadMatch::holds`]; those that know JSON compare what is at
//! [`PayloadMatch::path`] with each of [`PayloadMatch::values`]. Both find the same.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::payload::Payload;

/// The longest text of a match, in characters.
pub const MAX_CHARS: usize = 255;
/// The most keys and indices of a path.
pub const MAX_STEPS: usize = 16;

/// A place in a payload, and the text of the scalar that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadMatch {
    path: Vec<String>,
    text: String,
}

/// Why a text names no place and value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPayloadMatch {
    /// There is no colon, or nothing before it.
    #[error("names no place and value in the payload; write them as order.id:1234")]
    NoPlace,
    /// Two dots meet, or the path begins or ends with one.
    #[error(
        "has an empty name in its path; write keys and indices with single dots between, as order.items.0:1234"
    )]
    EmptyStep,
    /// The path is too long.
    #[error("has a path of {0} names; at most {MAX_STEPS} are looked along")]
    TooDeep(usize),
    /// The whole is too long.
    #[error("has {0} characters; use at most {MAX_CHARS}")]
    TooLong(usize),
    /// It has a control character.
    #[error("has a control character, which no payload is searched for")]
    Control,
}

impl PayloadMatch {
    /// The keys of objects and indices of lists that lead to the place; a negative index counts from the end.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// What may be there, as JSON: the text, and the number, `true`, `false` or `null` that is written like it.
    ///
    /// Numbers count by value: `1` is also `1.0` and `1e0`, however many digits they have.
    pub fn values(&self) -> Vec<Payload> {
        let mut values: Vec<Payload> = Payload::from_value(&self.text).into_iter().collect();
        let is_bare = self.text.starts_with(|c: char| c == '-' || c.is_ascii_alphanumeric());
        values.extend(Payload::parse(&self.text).ok().filter(|value| is_bare && value.as_str() == self.text));
        values
    }

    /// Whether a payload has one of the [`values`](Self::values) at the place. It is read as far as the place, so of text that is
    /// no JSON only what comes before the fault is found.
    pub fn holds(&self, payload: &str, values: &[Payload]) -> bool {
        let found = self.path.iter().try_fold(payload.trim(), |node, step| below(node, step));
        // What is no scalar is none of the values, and need not be read to know it.
        let scalar = found.filter(|node| !node.starts_with(['{', '[']));
        scalar
            .map(|node| Payload::from_stored(node.to_owned()))
            .is_some_and(|node| values.iter().any(|value| value.same_as(&node)))
    }
}

/// The text of what is one step further down.
fn below<'n>(node: &'n str, step: &str) -> Option<&'n str> {
    if node.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(node).ok()?;
        // As PostgreSQL reads an index.
        let index: i32 = step.trim_start_matches(' ').parse().ok()?;
        let back = usize::try_from(index.unsigned_abs()).ok()?;
        let place = if index < 0 { items.len().checked_sub(back)? } else { back };
        return items.get(place).map(|item| item.get());
    }
    let mut found = None;
    let field = Field { name: step, found: &mut found };
    // It leaves off where it has found the field, which the parser takes for a fault.
    let _ = serde_json::Deserializer::from_str(node).deserialize_map(field);
    found.map(RawValue::get)
}

/// Finds a field of an object without building the others.
struct Field<'f, 'n> {
    name: &'f str,
    found: &'f mut Option<&'n RawValue>,
}

impl<'n> Visitor<'n> for Field<'_, 'n> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'n>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(is_it) = fields.next_key_seed(Named(self.name))? {
            if is_it {
                *self.found = Some(fields.next_value()?);
                return Ok(());
            }
            fields.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a key is this one.
struct Named<'f>(&'f str);

impl<'n> serde::de::DeserializeSeed<'n> for Named<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'n>>(self, key: D) -> Result<bool, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

impl FromStr for PayloadMatch {
    type Err = BadPayloadMatch;

    /// The only way to make one: every search, from wherever it comes, is checked here.
    fn from_str(text: &str) -> Result<Self, BadPayloadMatch> {
        let length = text.chars().count();
        if length > MAX_CHARS {
            return Err(BadPayloadMatch::TooLong(length));
        }
        if text.chars().any(char::is_control) {
            return Err(BadPayloadMatch::Control);
        }
        let (path, text) =
            text.split_once(':').filter(|(path, _)| !path.is_empty()).ok_or(BadPayloadMatch::NoPlace)?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(BadPayloadMatch::EmptyStep);
        }
        if path.len() > MAX_STEPS {
            return Err(BadPayloadMatch::TooDeep(path.len()));
        }
        Ok(Self { path, text: text.to_owned() })
    }
}

impl fmt::Display for PayloadMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.join("."), self.text)
    }
}

impl Serialize for PayloadMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PayloadMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PayloadMatch, BadPayloadMatch> {
        text.parse()
    }

    #[track_caller]
    fn check(asked: &str, payload: &str, holds: bool) {
        let asked = read(asked).expect(asked);
        assert_eq!(asked.holds(payload, &asked.values()), holds, "{asked} in {payload}");
    }

    #[test]
    fn a_place_is_keys_and_indices_and_its_value_is_any_scalar() {
        let order = r#"{"order": {"id": 1234, "paid": true, "note": null, "to": "Ann \"A\" Smith"}, "items": [{"sku": "a.b"}, "x"]}"#;
        for asked in [
            "order.id:1234",
            "order.id:1234.0",
            "order.paid:true",
            "order.note:null",
            "order.to:Ann \"A\" Smith",
            "items.0.sku:a.b",
            "items.1:x",
            "items.-1:x",
        ] {
            check(asked, order, true);
        }
        for asked in [
            "order:1234",
            "order.id:123",
            "order.id.x:1234",
            "id:1234",
            "items:x",
            "items.2:x",
            "items.-3:x",
            "items.x:x",
        ] {
            check(asked, order, false);
        }
        check("0.id:7", r#" [{"id":"7"}] "#, true);
        check("0:x", r#"{"0":"x"}"#, true);
        check("0:7", "7", false);
        check("a:7", "no json", false);
        check("a:", r#"{"a":""}"#, true);
        check("a:b:c", r#"{"a":"b:c"}"#, true);
        check("café:é", r#"{"caf\u00e9":"\u00e9"}"#, true);
    }

    #[test]
    fn numbers_count_by_value_and_texts_by_letter() {
        for (asked, value, holds) in [
            ("1", "1.0", true),
            ("1.0", "1", true),
            ("1e3", "1000", true),
            ("1.0", "\"1\"", false),
            ("1", "\"1\"", true),
            ("01", "1", false),
            (" 1", "1", false),
            ("9007199254740993", "9007199254740993", true),
            ("9007199254740993", "9007199254740992", false),
            ("1e999", "\"1e999\"", true),
            ("true", "\"true\"", true),
            ("True", "true", false),
            ("null", "\"null\"", true),
            ("[]", "[]", false),
            ("{}", "{}", false),
            ("\"x\"", "\"x\"", false),
            ("%", "\"x\"", false),
            ("a_c", "\"abc\"", false),
            (r"a\b", r#""a\\b""#, true),
        ] {
            check(&format!("n:{asked}"), &format!("{{\"n\":{value}}}"), holds);
        }
    }

    #[test]
    fn what_names_no_place_and_value_is_told_so() {
        for text in ["", "x", ":x"] {
            assert_eq!(read(text), Err(BadPayloadMatch::NoPlace), "{text}");
        }
        for text in [".a:x", "a.:x", "a..b:x"] {
            assert_eq!(read(text), Err(BadPayloadMatch::EmptyStep), "{text}");
        }
        let deep = |steps: usize| format!("{}:1", vec!["a"; steps].join("."));
        assert!(read(&deep(MAX_STEPS)).is_ok());
        assert_eq!(read(&deep(MAX_STEPS + 1)), Err(BadPayloadMatch::TooDeep(MAX_STEPS + 1)));
        assert_eq!(read(&"a".repeat(MAX_CHARS + 1)), Err(BadPayloadMatch::TooLong(MAX_CHARS + 1)));
        assert_eq!(read("a:\0"), Err(BadPayloadMatch::Control));
        for text in ["order.id:1234", "a:b:c", "a: x ", "first name:"] {
            assert_eq!(read(text).expect(text).to_string(), text);
        }
    }
}
