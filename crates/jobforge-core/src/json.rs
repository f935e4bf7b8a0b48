//! Strict JSON: text that PostgreSQL's `jsonb` and every usual parser read the same way, and give back unchanged in
//! meaning.
//!
//! What `jsonb` would refuse (`\u0000`), silently change (duplicate keys) or blow up on reading (`1e100000`) is refused
//! here with its place, so that both engines accept the same.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// How deep objects and arrays may be nested.
pub const MAX_DEPTH: usize = 64;
/// How many digits a number may have.
pub const MAX_NUMBER_DIGITS: usize = 64;
/// The largest power of ten of a number, either way: what a double can hold.
pub const MAX_EXPONENT: u32 = 308;

/// The stable words for what is wrong.
pub const CODES: [&str; 7] = [
    "json_syntax",
    "json_trailing",
    "bad_unicode_escape",
    "too_deep",
    "nul_character",
    "duplicate_key",
    "number_out_of_range",
];

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// One of [`CODES`].
    pub code: &'static str,
    /// What is wrong, in words.
    pub reason: String,
    /// JSON pointer (RFC 6901) of the value, where the text could be read as far as that.
    pub pointer: Option<String>,
}

/// What a text takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Bytes when its numbers are written out without exponents, as `jsonb` does on reading.
    pub written_out: usize,
}

/// Checks a text in one walk that builds nothing. Its memory does not grow with the depth of the text.
///
/// # Errors
/// The first fault.
pub fn check(text: &str, most_depth: usize) -> Result<Measure, Fault> {
    // Depth is tested before the parser recurses, so that a million brackets cost no stack.
    let measure = scan(text, most_depth)?;
    let mut finding = None;
    let mut parser = serde_json::Deserializer::from_str(text);
    let walk = Walk { path: &Path::Root, finding: &mut finding };
    let outcome = walk.deserialize(&mut parser).and_then(|()| parser.end());
    match (outcome, finding) {
        (_, Some(finding)) => Err(finding),
        (Err(error), None) => Err(syntax(text, &error)),
        (Ok(()), None) => Ok(measure),
    }
}

/// What a parser of JSON found wrong with a text, as a fault with its place.
pub fn syntax(text: &str, error: &serde_json::Error) -> Fault {
    let said = error.to_string();
    // The parser keeps its kinds of faults to itself; the tests below pin the words by which they are told apart.
    let known = [
        ("trailing characters", "json_trailing"),
        ("hex escape", "bad_unicode_escape"),
        ("number out of range", "number_out_of_range"),
        ("recursion limit", "too_deep"),
    ];
    let code = known.iter().find(|(words, _)| said.contains(words)).map_or("json_syntax", |(_, code)| code);
    let before = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let byte = before + error.column().saturating_sub(1);
    Fault { code, reason: format!("{said} (byte {byte})"), pointer: None }
}

/// Looks at depth and numbers, which a parser would meet too late.
fn scan(text: &str, most_depth: usize) -> Result<Measure, Fault> {
    let bytes = text.as_bytes();
    let (mut depth, mut at, mut written_out) = (0_usize, 0_usize, bytes.len());
    while let Some(byte) = bytes.get(at) {
        let begun = at;
        at += 1;
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                at = bytes[at..]
                    .iter()
                    .position(|byte| !is_of_number(*byte))
                    .map_or(bytes.len(), |end| at + end);
                written_out =
                    written_out.saturating_add(exponent(&text[begun..at]).map_err(|reason| Fault {
                        code: "number_out_of_range",
                        reason: format!("{reason} (byte {begun})"),
                        pointer: None,
                    })?);
            }
            _ => {}
        }
        if depth > most_depth {
            let reason = format!("nested deeper than {most_depth} levels (byte {begun})");
            return Err(Fault { code: "too_deep", reason, pointer: None });
        }
    }
    Ok(Measure { written_out })
}

/// Where a string ends whose inside begins here: behind its quotation mark, or at the end of the text.
pub(crate) fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

/// The power of ten of a number, without its sign.
fn exponent(number: &str) -> Result<usize, String> {
    let (mantissa, power) = number.split_once(['e', 'E']).unwrap_or((number, ""));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    if digits > MAX_NUMBER_DIGITS {
        return Err(format!("a number of more than {MAX_NUMBER_DIGITS} digits; pass it as text"));
    }
    let power = power.trim_start_matches(['+', '-']).trim_start_matches('0');
    // What is no number at all is the parser's to refuse.
    if power.is_empty() || !power.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(0);
    }
    match power.parse::<u32>() {
        Ok(power @ ..=MAX_EXPONENT) => Ok(power as usize),
        Ok(_) | Err(_) => Err(format!(
            "a number with a power of ten beyond {MAX_EXPONENT}, which is out of range; pass it as text"
        )),
    }
}

/// Where the walk is, as a chain through the stack frames: costs nothing until an error prints it.
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(parent, key) => {
                write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1").replace('\0', "\\u0000"))
            }
            Path::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

struct Walk<'a> {
    path: &'a Path<'a>,
    finding: &'a mut Option<Fault>,
}

impl Walk<'_> {
    fn refuse<E: de::Error>(self, code: &'static str, reason: &str) -> E {
        *self.finding = Some(Fault { code, reason: reason.to_owned(), pointer: Some(self.path.to_string()) });
        E::custom("refused")
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
        if number.is_finite() {
            Ok(())
        } else {
            Err(self.refuse("number_out_of_range", "a number out of range"))
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            Err(self.refuse("nul_character", "the character U+0000 in a string"))
        } else {
            Ok(())
        }
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
            let here = Walk { path: &path, finding: &mut *self.finding };
            if key.contains('\0') {
                return Err(here.refuse("nul_character", "the character U+0000 in a key"));
            }
            if seen.contains(&key) {
                return Err(here.refuse("duplicate_key", "a key that appears twice"));
            }
            entries.next_value_seed(here)?;
            seen.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (&'static str, String, Option<String>) {
        let fault = check(text, MAX_DEPTH).expect_err(text);
        assert!(CODES.contains(&fault.code), "{fault:?}");
        (fault.code, fault.reason, fault.pointer)
    }

    #[test]
    fn each_fault_has_its_word_and_its_place() {
        for (text, code, part, pointer) in [
            ("{", "json_syntax", "byte 0", None),
            ("{\n  \"a\": x}", "json_syntax", "line 2 column 8 (byte 9)", None),
            ("NaN", "json_syntax", "byte 0", None),
            ("-Infinity", "json_syntax", "byte 1", None),
            ("{'a':1}", "json_syntax", "byte 1", None),
            ("[1,]", "json_syntax", "trailing comma", None),
            ("[01]", "json_syntax", "number", None),
            ("\"a\tb\"", "json_syntax", "control character", None),
            ("{} {}", "json_trailing", "byte 3", None),
            ("[1] // no", "json_trailing", "byte 4", None),
            (r#"["\ud800"]"#, "bad_unicode_escape", "hex escape", None),
            (r#"["\udc00\ud800"]"#, "bad_unicode_escape", "hex escape", None),
            (r#"["\ud800\u0041"]"#, "bad_unicode_escape", "hex escape", None),
            (r#"{"a":{"b":"x\u0000"}}"#, "nul_character", "in a string", Some("/a/b")),
            (r#"{"a\u0000b":1}"#, "nul_character", "in a key", Some("/a\\u0000b")),
            (r#"{"a":[0,{"k":1,"k":2}]}"#, "duplicate_key", "twice", Some("/a/1/k")),
            (r#"{"\u0061":1,"a":2}"#, "duplicate_key", "twice", Some("/a")),
            (r#"{"a/b~":"\u0000"}"#, "nul_character", "string", Some("/a~1b~0")),
            ("1e309", "number_out_of_range", "308", None),
            ("[1E-0000309]", "number_out_of_range", "byte 1", None),
            ("1e99999999999999999999", "number_out_of_range", "308", None),
            ("99e308", "number_out_of_range", "out of range", None),
            ("0e100000", "number_out_of_range", "308", None),
        ] {
            let (found, reason, place) = fault(text);
            assert_eq!((found, place.as_deref()), (code, pointer), "{text}: {reason}");
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_in_constant_stack() {
        assert!(check(&format!("{}{}", "[".repeat(64), "]".repeat(64)), MAX_DEPTH).is_ok());
        for depth in [65, 10_000, 1_000_000] {
            assert_eq!(fault(&"[".repeat(depth)).0, "too_deep");
            assert_eq!(fault(&"{\"a\":".repeat(depth)).0, "too_deep");
        }
        assert!(
            check(&format!("\"{}\"", "[".repeat(1000)), MAX_DEPTH).is_ok(),
            "brackets in a string are text"
        );
        assert!(check(&format!("\"\\\"{}\"", "[".repeat(1000)), MAX_DEPTH).is_ok());
    }

    #[test]
    fn numbers_keep_64_digits_and_are_measured_as_they_are_written_out() {
        let longest = format!("{}.{}", "1".repeat(32), "2".repeat(32));
        assert!(check(&longest, MAX_DEPTH).is_ok());
        assert_eq!(fault(&format!("{longest}3")).0, "number_out_of_range");
        assert_eq!(check("[1e300, 1e-300]", MAX_DEPTH).map(|found| found.written_out), Ok(15 + 600));
        assert_eq!(check("\"1e300\"", MAX_DEPTH).map(|found| found.written_out), Ok(7));
    }
}
