//! `connector.http.request`: one HTTP request, whose status decides what becomes of the job.

mod body;
mod headers;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

pub(super) use self::body::{excerpt, store};
pub(super) use self::status::RETRY_STATUSES;
use self::status::Statuses;
pub(crate) use self::status::retry_after;
use super::invalid_payload;
use super::outbound::{Answer, Call, Outbound, REDIRECTS_MAX, origin};
use super::secrets::Secret;
use crate::clock;
use crate::context::JobContext;
use crate::job_error::JobError;

const TIMEOUT_MS_DEFAULT: u64 = 30_000;
const TIMEOUT_MS_MAX: u64 = 300_000;
const RESPONSE_BYTES_MAX: usize = 1 << 20;
/// How many characters of an answer an error keeps.
pub(super) const EXCERPT_CHARS: usize = 1_000;
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// The headers of an answer that are kept; others may hold cookies or tokens.
const KEPT_HEADERS: [&str; 14] = [
    "cache-control",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "retry-after",
    "server",
    "x-correlation-id",
    "x-request-id",
];
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FENCE: HeaderName = HeaderName::from_static("x-jobforge-fence");

/// The payload of a `connector.http.request` job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpPayload {
    /// Where to send it.
    pub url: String,
    /// `GET` unless said.
    pub method: Option<String>,
    /// Headers: a string, or `{"secret_ref": "name", "format": "Bearer {}"}`.
    pub headers: BTreeMap<String, Value>,
    /// The body: a string as it is, any other value as JSON.
    pub body: Option<Value>,
    /// Bound on the whole exchange, redirects and body included; 30000 unless said, at most 300000.
    pub timeout_ms: Option<u64>,
    /// How much of the answer's body is kept; 1 MiB unless said and at most.
    pub max_response_bytes: Option<usize>,
    /// Statuses that succeed: numbers, or `"2xx"`. Every 2xx unless said.
    pub ok_statuses: Option<Vec<Value>>,
    /// Statuses worth another attempt; 408, 425, 429, 500, 502, 503 and 504 unless said.
    pub retry_statuses: Option<Vec<Value>>,
    /// Whether up to three redirects are followed.
    pub follow_redirects: bool,
}

/// The output of a `connector.http.request` job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpOutput {
    /// The status, one of the payload's `ok_statuses`.
    pub status: u16,
    /// The harmless headers of the answer.
    pub headers: BTreeMap<String, String>,
    /// The body, as text or Base64.
    pub body: String,
    /// Whether `body` is Base64, because it is not text.
    pub body_base64: bool,
    /// Whether there was more of the body.
    pub truncated: bool,
    /// How long the exchange took, redirects included.
    pub duration_ms: u64,
}

/// Runs a `connector.http.request` job.
///
/// The job's id goes along as `Idempotency-Key`, the same in every attempt, unless the payload names a key of its own;
/// the fence goes along as `X-JobForge-Fence`, so that a receiver can refuse an attempt that was overtaken.
///
/// # Errors
/// Fatal for a payload, target or secret that is refused and for a status that is neither ok nor retryable; a snooze while
/// the host's circuit is open; otherwise retryable. [`JobError::stopped`] when the job was asked to stop.
pub async fn run(
    payload: HttpPayload,
    ctx: JobContext,
    outbound: Arc<Outbound>,
) -> Result<HttpOutput, JobError> {
    let ok = payload
        .ok_statuses
        .as_deref()
        .map_or(Ok(Statuses::success()), |list| Statuses::read("ok_statuses", list))?;
    let retry = match &payload.retry_statuses {
        Some(list) => Statuses::read("retry_statuses", list)?,
        None => Statuses::passing_trouble(),
    };
    let (call, secrets) = check(payload, &ctx, &outbound)?;
    let asked = format!("{} {}", call.method, origin(&call.url));
    let answer = outbound.exchange(call, &ctx).await?;
    let status = answer.status.as_u16();
    if !ok.contains(status) {
        return Err(bad_status(&asked, &answer, retry.contains(status), &secrets));
    }
    let headers = kept_headers(&answer.headers, &secrets);
    let stored = store(&answer.body, answer.truncated, &secrets);
    Ok(HttpOutput {
        status,
        headers,
        body: stored.text,
        body_base64: stored.base64,
        truncated: stored.truncated,
        duration_ms: answer.duration_ms,
    })
}

/// Checks every field and builds the request.
fn check(
    payload: HttpPayload,
    ctx: &JobContext,
    outbound: &Outbound,
) -> Result<(Call, Vec<Secret>), JobError> {
    let url = read_url("url", &payload.url)?;
    let method = read_method(payload.method.as_deref())?;
    let timeout = read_timeout(payload.timeout_ms, TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX)?;
    let max_response_bytes = payload.max_response_bytes.unwrap_or(RESPONSE_BYTES_MAX);
    if max_response_bytes > RESPONSE_BYTES_MAX {
        let problem = format_args!("{max_response_bytes} is outside 0 to {RESPONSE_BYTES_MAX}");
        return Err(invalid_payload("max_response_bytes", problem));
    }
    let host = url.host_str().unwrap_or_default();
    let (mut headers, secrets) = headers::read(&payload.headers, &outbound.secrets, host)?;
    let body = payload.body.map(|body| {
        let (kind, bytes) = match body {
            Value::String(text) => ("text/plain; charset=utf-8", text.into_bytes()),
            other => ("application/json", other.to_string().into_bytes()),
        };
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        bytes
    });
    if body.is_some() && method == Method::HEAD {
        return Err(invalid_payload("body", "a HEAD request has none"));
    }
    headers.entry(IDEMPOTENCY_KEY).or_insert(ascii(&ctx.id().to_string()));
    headers.insert(FENCE, ascii(&ctx.fence().to_string()));
    go_on_tracing(&mut headers, ctx);
    let max_redirects = if payload.follow_redirects { REDIRECTS_MAX } else { 0 };
    Ok((Call { method, url, headers, body, timeout, max_response_bytes, max_redirects }, secrets))
}

/// Hands the trace on in which the job runs, unless the payload names another.
pub(super) fn go_on_tracing(headers: &mut HeaderMap, ctx: &JobContext) {
    if let Some(trace) = ctx.traceparent() {
        headers.entry("traceparent").or_insert(ascii(trace));
    }
}

/// Reads a URL; the guard judges it when it is sent.
pub(super) fn read_url(field: &str, text: &str) -> Result<Url, JobError> {
    if text.is_empty() {
        return Err(invalid_payload(field, "is missing"));
    }
    Url::parse(text).map_err(|error| invalid_payload(field, format_args!("is not a URL: {error}")))
}

/// Reads `timeout_ms`.
pub(super) fn read_timeout(given: Option<u64>, default: u64, max: u64) -> Result<Duration, JobError> {
    match given.unwrap_or(default) {
        ms if (1..=max).contains(&ms) => Ok(Duration::from_millis(ms)),
        ms => Err(invalid_payload("timeout_ms", format_args!("{ms} is outside 1 to {max}"))),
    }
}

fn read_method(given: Option<&str>) -> Result<Method, JobError> {
    let method = given.unwrap_or("GET");
    METHODS.contains(&method).then(|| Method::from_bytes(method.as_bytes()).ok()).flatten().ok_or_else(|| {
        invalid_payload("method", format_args!("{method:?} is none of {}", METHODS.join(", ")))
    })
}

/// A header value of our own making, which is always plain ASCII.
pub(super) fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// The error for an answer that is no success.
pub(super) fn bad_status(asked: &str, answer: &Answer, retryable: bool, secrets: &[Secret]) -> JobError {
    let status = answer.status;
    let hint =
        if status.is_redirection() { "; redirects are followed only with follow_redirects" } else { "" };
    let text = format!("{asked} answered {status}{hint}");
    let error = if retryable {
        let error = JobError::retry("http_status", text);
        match retry_after(&answer.headers, clock::wall()) {
            Some(wait) => error.after(wait),
            None => error,
        }
    } else {
        JobError::fatal("http_status", text)
    };
    let excerpt = excerpt(&answer.body, EXCERPT_CHARS, secrets);
    error.with_details(json!({ "status": status.as_u16(), "body_excerpt": excerpt }))
}

fn kept_headers(headers: &HeaderMap, secrets: &[Secret]) -> BTreeMap<String, String> {
    let kept = headers.iter().filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str()));
    kept.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), secrets.iter().fold(value, |value, secret| secret.redact(value)))
    })
    .collect()
}
