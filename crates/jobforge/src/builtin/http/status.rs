//! Which statuses count as success or as worth another attempt, and when to come back.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::builtin::invalid_payload;
use crate::job_error::JobError;

/// The longest wait a server can ask of us.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Statuses that tell of a passing trouble.
pub(in crate::builtin) const RETRY_STATUSES: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// A set of statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Every 2xx.
    pub(super) fn success() -> Self {
        Self(vec![(200, 299)])
    }

    /// See [`RETRY_STATUSES`].
    pub(super) fn passing_trouble() -> Self {
        Self(RETRY_STATUSES.into_iter().map(|status| (status, status)).collect())
    }

    /// Reads a list of numbers and patterns such as `"2xx"`.
    pub(super) fn read(field: &str, list: &[Value]) -> Result<Self, JobError> {
        list.iter()
            .map(|entry| {
                range(entry).ok_or_else(|| {
                    invalid_payload(
                        field,
                        format_args!(
                            "{entry} is neither a status from 200 to 599 nor a pattern \"2xx\" to \"5xx\""
                        ),
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(from, to)| (from..=to).contains(&status))
    }
}

fn range(entry: &Value) -> Option<(u16, u16)> {
    if let Some(number) = entry.as_u64() {
        let status = u16::try_from(number).ok().filter(|status| (200..=599).contains(status))?;
        return Some((status, status));
    }
    let class = match entry.as_str()? {
        "2xx" => 200,
        "3xx" => 300,
        "4xx" => 400,
        "5xx" => 500,
        _ => return None,
    };
    Some((class, class + 99))
}

/// Reads `Retry-After`, as seconds or as a date, cut to one hour.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit are a very long wait.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_classes_can_be_listed() {
        let statuses = Statuses::read("f", &[json!(404), json!("2xx")]).unwrap();
        for (status, inside) in [(200, true), (299, true), (404, true), (300, false), (403, false)] {
            assert_eq!(statuses.contains(status), inside, "{status}");
        }
        for bad in [
            json!(99),
            json!(600),
            json!("2XX"),
            json!("1xx"),
            json!("200"),
            json!(null),
            json!(-1),
            json!(1e9),
        ] {
            let error =
                format!("{:?}", Statuses::read("ok_statuses", std::slice::from_ref(&bad)).unwrap_err());
            assert!(error.contains("ok_statuses"), "{bad}: {error}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now: Timestamp = "2015-10-21T07:28:00Z".parse().unwrap();
        let cases = [
            ("120", Some(120)),
            ("0", Some(0)),
            ("99999", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("Wed, 21 Oct 2037 07:28:00 GMT", Some(3600)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ];
        for (text, seconds) in cases {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
