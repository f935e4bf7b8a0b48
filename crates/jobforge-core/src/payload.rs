//! Job input: JSON that both engines store and give back unchanged in meaning.
//!
//! What PostgreSQL's `jsonb` would refuse (`\u0000`), silently change (duplicate keys) or blow up on reading
//! (`1e100000`) is refused here, with the place, so that both engines accept the same jobs.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The largest payload in bytes of JSON text.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Above this size a payload is accepted with advice to store it elsewhere and pass a reference.
pub const LARGE_PAYLOAD_BYTES: usize = 100 * 1024;
/// How deep objects and arrays may be nested.
pub const MAX_DEPTH: usize = 64;
/// How many digits a number may have.
pub const MAX_NUMBER_DIGITS: usize = 64;

/// Checked JSON text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payload(Box<RawValue>);

/// Why a text is not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Nothing was given.
    #[error("the payload is empty; write {{}} for a job without input")]
    Empty,
    /// The text is too long.
    #[error(
        "the payload has {bytes} bytes; at most {MAX_PAYLOAD_BYTES} are allowed: store the data elsewhere and pass a reference such as {{\"data_ref\": …}}"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The text is not JSON.
    #[error("the payload is not valid JSON: {detail}")]
    Syntax {
        /// The parser's reason with line and column.
        detail: String,
    },
    /// The text is JSON that cannot be stored faithfully.
    #[error("the payload cannot be stored: {reason} at {pointer}")]
    Unstorable {
        /// What is wrong.
        reason: String,
        /// JSON pointer (RFC 6901) of the offending value; `/` alone is the document.
        pointer: String,
    },
}

impl PayloadError {
    /// The stable word for this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "body_empty",
            Self::TooLarge { .. } => "payload_too_large",
            Self::Syntax { .. } => "json_syntax",
            Self::Unstorable { .. } => "payload_unstorable",
        }
    }
}

impl Payload {
    /// The empty object, for jobs without input.
    pub fn empty() -> Self {
        Self::from_stored("{}".to_owned())
    }

    /// Checks JSON text given by a user.
    ///
    /// # Errors
    /// See [`PayloadError`]; nothing is stored.
    pub fn parse(text: &str) -> Result<Self, PayloadError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PayloadError::Empty);
        }
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(PayloadError::TooLarge { bytes: text.len() });
        }
        check(text)?;
        RawValue::from_string(text.to_owned()).map(Self).map_err(|error| syntax(&error))
    }

    /// Writes a value as JSON and checks it like a text.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, or is one of the cases of [`PayloadError`].
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let text = serde_json::to_string(value).map_err(|error| syntax(&error))?;
        Self::parse(&text)
    }

    /// Takes text that an engine gave back. It was checked when it went in, or written by an operator's SQL.
    ///
    /// Text that is no JSON after all (a corrupted row) becomes a JSON string, so that the job can still be shown.
    pub fn from_stored(text: String) -> Self {
        Self(RawValue::from_string(text.clone()).unwrap_or_else(|_| {
            let quoted = Value::String(text).to_string();
            RawValue::from_string(quoted).unwrap_or_default()
        }))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads the payload as a typed value.
    ///
    /// # Errors
    /// When it does not have that shape.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// Whether two payloads mean the same, whatever their spacing, key order or spelling of numbers.
    pub fn same_as(&self, other: &Self) -> bool {
        if self.as_str() == other.as_str() {
            return true;
        }
        match (self.decode::<Value>(), other.decode::<Value>()) {
            (Ok(a), Ok(b)) => same_value(&a, &b),
            _ => false,
        }
    }
}

impl Payload {
    /// Pointers (RFC 6901) to the first `most` places where two payloads differ; the empty one is the whole.
    pub fn differences(&self, other: &Self, most: usize) -> Vec<String> {
        let mut found = Vec::new();
        if let (Ok(a), Ok(b)) = (self.decode::<Value>(), other.decode::<Value>()) {
            differ(&a, &b, "", most, &mut found);
        }
        found
    }
}

fn differ(a: &Value, b: &Value, place: &str, most: usize, found: &mut Vec<String>) {
    if found.len() >= most {
        return;
    }
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for key in keys {
                let below = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                differ(x.get(key).unwrap_or(&ABSENT), y.get(key).unwrap_or(&ABSENT), &below, most, found);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (index, (p, q)) in x.iter().zip(y).enumerate() {
                differ(p, q, &format!("{place}/{index}"), most, found);
            }
        }
        _ if same_value(a, b) => {}
        _ => found.push(place.to_owned()),
    }
}

/// What a key that is not there is taken for.
const ABSENT: Value = Value::Null;

impl fmt::Debug for Payload {
    /// Payloads may hold personal data, so `Debug` shows their size only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.as_str().len())
    }
}

fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(p, q)| same_value(p, q))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, p)| y.get(key).is_some_and(|q| same_value(p, q)))
        }
        _ => a == b,
    }
}

/// Removes what PostgreSQL cannot store from text that must never be refused, such as error messages and logs.
pub fn sanitize_text(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Removes NUL characters from every string and key of a value, for error details.
pub fn sanitize_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(sanitize_text(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(sanitize_value).collect()),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (sanitize_text(&key), sanitize_value(value))).collect()
        }
        other => other,
    }
}

fn syntax(error: &serde_json::Error) -> PayloadError {
    PayloadError::Syntax { detail: error.to_string() }
}

/// Walks the document once without building it.
fn check(text: &str) -> Result<(), PayloadError> {
    // Depth is tested before the parser recurses, so that a million brackets cost no stack.
    check_depth_and_digits(text)?;
    let mut finding = None;
    let mut parser = serde_json::Deserializer::from_str(text);
    let walk = Walk { path: &Path::Root, finding: &mut finding };
    let outcome = walk.deserialize(&mut parser).and_then(|()| parser.end());
    match (outcome, finding) {
        (_, Some(finding)) => Err(finding),
        (Err(error), None) => Err(syntax(&error)),
        (Ok(()), None) => Ok(()),
    }
}

fn check_depth_and_digits(text: &str) -> Result<(), PayloadError> {
    let (mut depth, mut digits, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(unstorable(format!("nested deeper than {MAX_DEPTH} levels"), &Path::Root));
        }
        if digits > MAX_NUMBER_DIGITS {
            return Err(unstorable(format!("a number of more than {MAX_NUMBER_DIGITS} digits"), &Path::Root));
        }
    }
    Ok(())
}

fn unstorable(reason: String, path: &Path<'_>) -> PayloadError {
    PayloadError::Unstorable { reason, pointer: path.to_string() }
}

/// Where the walk is, as a chain through the stack frames: costs nothing until an error prints it.
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn inner(path: &Path<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match path {
                Path::Root => Ok(()),
                Path::Key(parent, key) => {
                    inner(parent, f)?;
                    write!(f, "/{}", key.replace('~', "~0").replace('/', "~1").replace('\0', "\\u0000"))
                }
                Path::Index(parent, index) => {
                    inner(parent, f)?;
                    write!(f, "/{index}")
                }
            }
        }
        match self {
            Path::Root => f.write_str("/"),
            _ => inner(self, f),
        }
    }
}

struct Walk<'a> {
    path: &'a Path<'a>,
    finding: &'a mut Option<PayloadError>,
}

impl Walk<'_> {
    fn refuse<E: de::Error>(self, reason: &str) -> E {
        *self.finding = Some(unstorable(reason.to_owned(), self.path));
        E::custom("unstorable")
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
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

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        if number.is_finite() { Ok(()) } else { Err(self.refuse("a number out of range")) }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(self.refuse("the character U+0000 in a string")) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0.. {
            let path = Path::Index(self.path, index);
            if items.next_element_seed(Walk { path: &path, finding: &mut *self.finding })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = Path::Key(self.path, &key);
            if key.contains('\0') {
                return Err(
                    Walk { path: &path, finding: self.finding }.refuse("the character U+0000 in a key")
                );
            }
            if seen.contains(&key) {
                return Err(Walk { path: &path, finding: self.finding }.refuse("a key that appears twice"));
            }
            entries.next_value_seed(Walk { path: &path, finding: &mut *self.finding })?;
            seen.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Payload::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn ordinary_json_is_accepted_and_kept_as_given() {
        for text in
            ["{}", "[1,2]", "\"x\"", "null", "true", "{\"a\":{\"b\":[1.5,-0.0,1e300]}}", "9007199254740993"]
        {
            assert_eq!(Payload::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn each_unstorable_text_is_refused_with_its_place() {
        for (text, part) in [
            ("", "empty"),
            ("   ", "empty"),
            ("{", "line 1 column 1"),
            ("{} {}", "trailing"),
            ("NaN", "line 1"),
            ("{'a':1}", "line 1"),
            ("[1] // no", "trailing"),
            (r#"{"a":{"b":"x\u0000"}}"#, "U+0000 in a string at /a/b"),
            (r#"{"a\u0000b":1}"#, "U+0000 in a key"),
            (r#"{"a":[0,{"k":1,"k":2}]}"#, "appears twice at /a/1/k"),
            (r#"{"a/b~":"\u0000"}"#, "/a~1b~0"),
            (r#""\ud800""#, "line 1"),
            ("1e400", "out of range"),
            ("1e100000", "out of range"),
        ] {
            assert!(refused(text).contains(part), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn deep_nesting_is_refused_in_constant_stack() {
        assert!(Payload::parse(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        for depth in [65, 10_000, 400_000] {
            assert!(refused(&"[".repeat(depth)).contains("nested deeper than 64"));
        }
        assert!(
            Payload::parse(&format!("\"{}\"", "[".repeat(1000))).is_ok(),
            "brackets in a string are text"
        );
    }

    #[test]
    fn sizes_are_bounded() {
        assert!(refused(&"1".repeat(65)).contains("64 digits"));
        let big = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES));
        assert!(refused(&big).contains("data_ref"));
    }

    #[test]
    fn sameness_ignores_spacing_key_order_and_number_spelling() {
        let same = |a: &str, b: &str| Payload::parse(a).expect(a).same_as(&Payload::parse(b).expect(b));
        assert!(same(r#"{"a":1,"b":[2]}"#, r#"{ "b": [2.0], "a": 1e0 }"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":null}"#));
        assert!(!same("[1,2]", "[2,1]"));
    }

    #[test]
    fn debug_output_does_not_show_the_content() {
        assert_eq!(format!("{:?}", Payload::parse("\"secret\"").expect("json")), "Payload(8 bytes)");
    }
}
