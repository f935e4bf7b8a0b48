//! Job input: JSON that both engines store and give back unchanged in meaning. What that takes is in [`crate::json`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{self, Fault, MAX_DEPTH};

/// The largest payload in bytes of JSON text.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Above this size a payload is accepted with advice to store it elsewhere and pass a reference.
pub const LARGE_PAYLOAD_BYTES: usize = 100 * 1024;

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
        "the payload has {bytes} bytes; at most {most} are allowed: store the data elsewhere and pass a reference such as {{\"data_ref\": …}}, or let JobForge store it (setting payload_store)"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed here.
        most: usize,
    },
    /// The text is not JSON.
    #[error("the payload is not valid JSON: {detail}")]
    Syntax {
        /// The stable word.
        code: &'static str,
        /// The reason with its place.
        detail: String,
    },
    /// The text is JSON that cannot be stored faithfully.
    #[error("the payload cannot be stored: {reason} at {}", if pointer.is_empty() { "/" } else { pointer })]
    Unstorable {
        /// The stable word.
        code: &'static str,
        /// What is wrong.
        reason: String,
        /// JSON pointer (RFC 6901) of the offending value; empty for the document.
        pointer: String,
    },
}

impl From<Fault> for PayloadError {
    fn from(Fault { code, reason, pointer }: Fault) -> Self {
        match pointer {
            None if !matches!(code, "too_deep" | "number_out_of_range") => {
                Self::Syntax { code, detail: reason }
            }
            pointer => Self::Unstorable { code, reason, pointer: pointer.unwrap_or_default() },
        }
    }
}

impl PayloadError {
    /// The stable word for this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "body_empty",
            Self::TooLarge { .. } => "payload_too_large",
            Self::Syntax { code, .. } | Self::Unstorable { code, .. } => code,
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
        Self::parse_within(text, MAX_PAYLOAD_BYTES)
    }

    /// The same with another bound on its size: a large payload is put into object storage (see [`crate::stored_payload`]).
    ///
    /// # Errors
    /// See [`PayloadError`]; nothing is stored.
    pub fn parse_within(text: &str, most: usize) -> Result<Self, PayloadError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PayloadError::Empty);
        }
        if text.len() > most {
            return Err(PayloadError::TooLarge { bytes: text.len(), most });
        }
        let bytes = json::check(text, MAX_DEPTH)?.written_out;
        if bytes > most {
            return Err(PayloadError::TooLarge { bytes, most });
        }
        RawValue::from_string(text.to_owned()).map(Self).map_err(|error| json::syntax(text, &error).into())
    }

    /// Writes a value as JSON and checks it like a text.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, or is one of the cases of [`PayloadError`].
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        Self::from_value_within(value, MAX_PAYLOAD_BYTES)
    }

    /// The same with another bound on its size.
    ///
    /// # Errors
    /// As [`Self::from_value`].
    pub fn from_value_within<T: Serialize + ?Sized>(value: &T, most: usize) -> Result<Self, PayloadError> {
        let text = serde_json::to_string(value).map_err(|error| json::syntax("", &error))?;
        Self::parse_within(&text, most)
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
        self.differences(other, 1).is_empty()
    }

    /// Pointers (RFC 6901) to the first `most` places where two payloads differ; the empty one is the whole.
    pub fn differences(&self, other: &Self, most: usize) -> Vec<String> {
        let mut differences = Differences { most, found: Vec::new() };
        if self.as_str() != other.as_str() {
            differences.look(&self.0, &other.0, "", 0);
        }
        differences.found
    }
}

impl fmt::Debug for Payload {
    /// Payloads may hold personal data, so `Debug` shows their size only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.as_str().len())
    }
}

/// Compares two texts by what they mean; numbers exactly, for a double would take two for one, or one for two.
struct Differences {
    most: usize,
    found: Vec<String>,
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

impl Differences {
    /// Deeper than anything that is accepted nothing counts as the same.
    fn look(&mut self, a: &RawValue, b: &RawValue, place: &str, depth: usize) {
        if self.found.len() >= self.most {
            return;
        }
        if depth > MAX_DEPTH || !self.look_inside(a, b, place, depth).unwrap_or(false) {
            self.found.push(place.to_owned());
        }
    }

    /// False where the two differ as a whole; what differs inside them is noted.
    fn look_inside(
        &mut self,
        a: &RawValue,
        b: &RawValue,
        place: &str,
        depth: usize,
    ) -> Result<bool, serde_json::Error> {
        let (a, b) = (a.get(), b.get());
        Ok(match (a.as_bytes().first(), b.as_bytes().first()) {
            (Some(b'{'), Some(b'{')) => {
                let (x, y): (Fields<'_>, Fields<'_>) = (serde_json::from_str(a)?, serde_json::from_str(b)?);
                let keys: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
                for key in keys {
                    let below = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                    match (x.get(key), y.get(key)) {
                        (Some(p), Some(q)) => self.look(p, q, &below, depth + 1),
                        _ if self.found.len() < self.most => self.found.push(below),
                        _ => break,
                    }
                }
                true
            }
            (Some(b'['), Some(b'[')) => {
                let (x, y): (Vec<&RawValue>, Vec<&RawValue>) =
                    (serde_json::from_str(a)?, serde_json::from_str(b)?);
                for (index, (p, q)) in x.iter().zip(&y).enumerate() {
                    self.look(p, q, &format!("{place}/{index}"), depth + 1);
                }
                x.len() == y.len()
            }
            (Some(b'"'), Some(b'"')) => {
                serde_json::from_str::<String>(a)? == serde_json::from_str::<String>(b)?
            }
            (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => match (decimal(a), decimal(b)) {
                (Some(x), Some(y)) => x == y,
                _ => a == b,
            },
            _ => a == b,
        })
    }
}

/// A number as its digits without zeros at the ends, and a power of ten; whether it is negative, unless it is nothing.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let shorter = digits.trim_end_matches('0');
    let significant = shorter.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let zeros = i64::try_from(digits.len() - shorter.len()).ok()?;
    let power =
        power.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    Some((whole.starts_with('-'), significant.to_owned(), power))
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
    fn what_is_refused_says_what_and_where() {
        for (text, part) in [
            ("", "empty"),
            ("   ", "empty"),
            ("{", "not valid JSON: EOF while parsing an object at line 1 column 1 (byte 0)"),
            (r#"{"a":{"b":"x\u0000"}}"#, "U+0000 in a string at /a/b"),
            (r#""\u0000""#, "in a string at /"),
            ("1e400", "out of range"),
        ] {
            assert!(refused(text).contains(part), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert!(refused(&"1".repeat(65)).contains("64 digits"));
        // 54 bytes each when they are read back.
        let many = vec!["1e50"; 30_000].join(",");
        assert!(refused(&format!("[{many}]")).contains("data_ref"));
        let big = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES));
        assert!(refused(&big).contains("data_ref"));
    }

    #[test]
    fn sameness_ignores_spacing_key_order_and_number_spelling() {
        let same = |a: &str, b: &str| Payload::parse(a).expect(a).same_as(&Payload::parse(b).expect(b));
        assert!(same(r#"{"a":1,"b":[2]}"#, r#"{ "b": [2.0], "a": 1e0 }"#));
        assert!(same("[585e25, -0, 0.10, 1e-2]", "[5850000000000000000000000000, 0, 0.1, 0.01]"));
        assert!(same(r#""\u0061\/""#, r#""a/""#));
        assert!(!same("9007199254740993", "9007199254740992"), "a double takes them for one");
        assert!(!same("1", "-1") && !same("1", "\"1\"") && !same("[]", "{}") && !same("true", "false"));
        assert!(!same(r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":null}"#));
        assert!(!same("[1,2]", "[2,1]"));
    }

    #[test]
    fn debug_output_does_not_show_the_content() {
        assert_eq!(format!("{:?}", Payload::parse("\"secret\"").expect("json")), "Payload(8 bytes)");
    }
}
