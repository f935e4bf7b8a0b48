//! The body of an answer as it is stored: text where it is text, Base64 where not, and never too long to be stored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::builtin::secrets::Secret;

/// The room for a body in a result, written as JSON; the result as a whole may have 1 MiB.
const STORED_BYTES: usize = 1_000_000;

/// A body fit to store.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::builtin) struct StoredBody {
    pub text: String,
    pub base64: bool,
    pub truncated: bool,
}

/// Makes `bytes` fit to store; `truncated` says that they are only the beginning.
pub(in crate::builtin) fn store(bytes: &[u8], truncated: bool, secrets: &[Secret]) -> StoredBody {
    let Some(text) = text_of(bytes, truncated) else {
        let kept = &bytes[..bytes.len().min(STORED_BYTES / 4 * 3)];
        let truncated = truncated || kept.len() < bytes.len();
        return StoredBody { text: STANDARD.encode(kept), base64: true, truncated };
    };
    let mut text = secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(text));
    let fits = fitting(&text);
    let truncated = truncated || fits < text.len();
    text.truncate(fits);
    StoredBody { text, base64: false, truncated }
}

/// The first part of a body for an error or a preview.
pub(in crate::builtin) fn excerpt(bytes: &[u8], limit: usize, secrets: &[Secret]) -> String {
    // Redacted before it is cut, else half a secret could stay.
    let text = secrets
        .iter()
        .fold(String::from_utf8_lossy(bytes).replace('\0', "\u{FFFD}"), |text, secret| secret.redact(text));
    match text.char_indices().nth(limit) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

/// Text without U+0000, which JSON columns refuse. A character cut in two at the end is dropped.
fn text_of(bytes: &[u8], truncated: bool) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if truncated && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

/// How much of `text` fits once its special characters are escaped in JSON.
fn fitting(text: &str) -> usize {
    let mut room = STORED_BYTES;
    for (at, character) in text.char_indices() {
        let needs = match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        if needs > room {
            return at;
        }
        room -= needs;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_everything_else_becomes_base64() {
        for (bytes, text, base64) in [
            ("grüße".as_bytes(), "grüße", false),
            (b"", "", false),
            (b"\xff\xfe", "//4=", true),
            (b"a\0b", "YQBi", true),
        ] {
            let stored = store(bytes, false, &[]);
            assert_eq!((stored.text.as_str(), stored.base64, stored.truncated), (text, base64, false));
        }
        assert_eq!(
            store("ä".as_bytes().split_last().unwrap().1, true, &[]).text,
            "",
            "half a character is dropped"
        );
    }

    #[test]
    fn the_stored_body_fits_a_result_whatever_it_contains() {
        for bytes in [
            vec![b'\x01'; 1 << 20],
            vec![b'"'; 1 << 20],
            vec![0xff; 1 << 20],
            "ä".repeat(1 << 19).into_bytes(),
        ] {
            let stored = store(&bytes, false, &[]);
            let json = serde_json::to_string(&stored.text).unwrap();
            assert!(
                stored.truncated && json.len() <= STORED_BYTES + 2 && json.len() > STORED_BYTES - 16,
                "{}",
                json.len()
            );
        }
        assert!(!store(&vec![b'x'; STORED_BYTES], false, &[]).truncated);
    }

    #[test]
    fn an_echoed_secret_is_removed() {
        let secrets = [Secret::new("s3cr3t-value")];
        assert_eq!(store(b"you sent s3cr3t-value", false, &secrets).text, "you sent [redacted]");
        assert_eq!(excerpt(b"you sent s3cr3t-value", 12, &secrets), "you sent [re…");
    }
}
