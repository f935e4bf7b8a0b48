//! The headers of an outgoing request: what a payload may set, what it may not, and secrets among them.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::builtin::invalid_payload;
use crate::builtin::secrets::{Secret, Secrets};
use crate::builtin::webhook::SIGNING_SECRET_PREFIX;
use crate::job_error::JobError;

const HEADERS_MAX: usize = 64;
const HEADER_VALUE_BYTES: usize = 8 * 1024;

/// Headers that frame the message or steer the connection; a payload that sets them could smuggle a second request.
const FORBIDDEN: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "via",
];
const FORBIDDEN_PREFIXES: [&str; 2] = ["proxy-", "x-jobforge-"];

/// A header whose value holds a secret.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretHeader {
    secret_ref: String,
    #[serde(default = "bare")]
    format: String,
}

fn bare() -> String {
    "{}".to_owned()
}

/// Reads a payload's headers and fills in the secrets, which are returned too, so that echoes of them can be removed.
pub(super) fn read(
    headers: &BTreeMap<String, Value>,
    secrets: &Secrets,
    host: &str,
) -> Result<(HeaderMap, Vec<Secret>), JobError> {
    if headers.len() > HEADERS_MAX {
        return Err(invalid_payload("headers", format_args!("at most {HEADERS_MAX} are allowed")));
    }
    let mut map = HeaderMap::new();
    let mut used = Vec::new();
    for (name, value) in headers {
        let field = format!("headers.{name}");
        let name = header_name(&field, name)?;
        let value = match value {
            Value::String(text) => header_value(&field, text)?,
            Value::Object(_) => {
                let (value, secret) = secret_value(&field, value, secrets, host)?;
                used.push(secret);
                value
            }
            _ => {
                let problem = r#"must be a string, or {"secret_ref": "name", "format": "Bearer {}"}"#;
                return Err(invalid_payload(&field, problem));
            }
        };
        if map.insert(name, value).is_some() {
            return Err(invalid_payload(&field, "appears twice in different case"));
        }
    }
    Ok((map, used))
}

fn header_name(field: &str, name: &str) -> Result<HeaderName, JobError> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| invalid_payload(field, "is not a header name; letters, digits and `-` are allowed"))?;
    let lower = parsed.as_str();
    if FORBIDDEN.contains(&lower) || FORBIDDEN_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(invalid_payload(field, "is set by the worker and cannot be given"));
    }
    Ok(parsed)
}

fn header_value(field: &str, text: &str) -> Result<HeaderValue, JobError> {
    if text.len() > HEADER_VALUE_BYTES {
        return Err(invalid_payload(field, format_args!("is longer than {HEADER_VALUE_BYTES} bytes")));
    }
    // The type refuses CR, LF, NUL and other control characters; its message is not used, since it could quote.
    HeaderValue::from_str(text)
        .map_err(|_| invalid_payload(field, "contains a control character such as a line break, or U+0000"))
}

fn secret_value(
    field: &str,
    value: &Value,
    secrets: &Secrets,
    host: &str,
) -> Result<(HeaderValue, Secret), JobError> {
    let SecretHeader { secret_ref, format } = SecretHeader::deserialize(value).map_err(|error| {
        invalid_payload(field, format_args!("{error}; allowed are `secret_ref` and `format`"))
    })?;
    if format.matches("{}").count() != 1 {
        return Err(invalid_payload(&format!("{field}.format"), "must contain `{}` exactly once"));
    }
    let field = format!("{field}.secret_ref");
    let secret = secrets.get_for_host(&field, &secret_ref, host)?;
    if secret.reveal().starts_with(SIGNING_SECRET_PREFIX) {
        return Err(invalid_payload(&field, "names a signing secret of webhooks, which is never sent"));
    }
    let mut value = header_value(&field, &format.replacen("{}", secret.reveal(), 1))?;
    value.set_sensitive(true);
    Ok((value, secret))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::builtin::secrets::SecretsConfig;

    fn check(headers: Value) -> Result<(HeaderMap, Vec<Secret>), String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "s3cr3t-value\n").unwrap();
        std::fs::write(folder.path().join("broken"), "s3cr3t\nvalue").unwrap();
        std::fs::write(folder.path().join("hook"), "whsec_c2VjcmV0").unwrap();
        let config = SecretsConfig { folder: Some(folder.path().to_owned()), ..SecretsConfig::default() };
        let headers: BTreeMap<String, Value> = serde_json::from_value(headers).unwrap();
        read(&headers, &Secrets::new(config), "api.example.com").map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn headers_that_steer_the_connection_are_refused() {
        for name in [
            "Host",
            "host",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "Proxy-Authorization",
            "Proxy-Anything",
            "TE",
            "Trailer",
            "Upgrade",
            "Expect",
            "X-JobForge-Fence",
            "a b",
            "a:b",
            "",
            "ä",
        ] {
            let error = check(json!({ name: "x" })).expect_err(name);
            assert!(error.contains("invalid_payload"), "{error}");
        }
    }

    #[test]
    fn line_breaks_cannot_be_smuggled_in() {
        for value in ["a\r\nX: y", "a\nb", "a\rb", "a\0b"] {
            assert!(check(json!({ "X-A": value })).is_err(), "{value:?}");
        }
        let error = check(json!({"X-A": {"secret_ref": "broken"}})).unwrap_err();
        assert!(!error.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn a_secret_is_put_into_its_format_and_marked() {
        let (map, used) =
            check(json!({"Authorization": {"secret_ref": "key", "format": "Bearer {}"}})).unwrap();
        assert_eq!(map["authorization"], "Bearer s3cr3t-value");
        assert!(map["authorization"].is_sensitive() && !format!("{map:?}{used:?}").contains("s3cr3t"));
        let (map, _) = check(json!({"X-Key": {"secret_ref": "key"}})).unwrap();
        assert_eq!(map["x-key"], "s3cr3t-value");
    }

    #[test]
    fn each_bad_header_is_refused_by_name() {
        let cases = [
            (json!({"X-A": 1}), "headers.X-A"),
            (json!({"X-A": {"secret_ref": "nope"}}), "secret_missing"),
            (json!({"X-A": {"secret_ref": "key", "format": "Bearer"}}), "headers.X-A.format"),
            (json!({"X-A": {"secret_ref": "key", "x": 1}}), "`secret_ref` and `format`"),
            (json!({"X-A": {"secret_ref": "hook"}}), "signing secret"),
            (json!({"X-A": "1", "x-a": "2"}), "twice"),
        ];
        for (headers, wanted) in cases {
            let error = check(headers.clone()).expect_err("accepted");
            assert!(error.contains(wanted), "{headers}: {error}");
        }
    }
}
