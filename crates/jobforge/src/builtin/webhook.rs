//! `connector.webhook.deliver`: delivers one event, signed as the Standard Webhooks specification says.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jobforge_core::job::Lease;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::http::{self, RETRY_STATUSES};
use super::invalid_payload;
use super::outbound::{Call, Outbound, origin};
use super::secrets::Secret;
use crate::clock;
use crate::context::JobContext;
use crate::job_error::JobError;

/// How every signing secret begins. It keeps keys of other services from being used to sign, and signing secrets from
/// being sent as a header.
pub(super) const SIGNING_SECRET_PREFIX: &str = "whsec_";

const TIMEOUT_MS_DEFAULT: u64 = 10_000;
const TIMEOUT_MS_MAX: u64 = 60_000;
/// Receivers answer with a status; of what else they say only a preview is kept.
const RESPONSE_BYTES: usize = 16 * 1024;
const EVENT_TYPE_BYTES: usize = 128;
const EVENT_ID_BYTES: usize = 255;
/// The specification asks for at least 24 random bytes; fewer than this is no key at all.
const KEY_BYTES_MIN: usize = 16;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const FENCE: HeaderName = HeaderName::from_static("x-jobforge-fence");

/// The payload of a `connector.webhook.deliver` job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookPayload {
    /// Where to deliver.
    #[serde(alias = "target_url")]
    pub url: String,
    /// What happened, such as `invoice.paid`.
    pub event_type: String,
    /// The event's id, the same in every attempt; the job's id unless said.
    pub event_id: Option<String>,
    /// What there is to know of it.
    pub data: Value,
    /// The signing secret by name; without it the delivery is not signed.
    pub secret_ref: Option<String>,
    /// Bound on the delivery; 10000 unless said, at most 60000.
    pub timeout_ms: Option<u64>,
}

/// The output of a `connector.webhook.deliver` job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookOutput {
    /// Always true: what was not delivered is an error.
    pub delivered: bool,
    /// The status of the answer, a 2xx.
    pub status: u16,
    /// How long it took.
    pub duration_ms: u64,
    /// The `webhook-id` that was sent.
    pub webhook_id: String,
    /// The `webhook-timestamp` that was sent, in seconds since 1970.
    pub timestamp: i64,
    /// Whether it was signed.
    pub signed: bool,
    /// The beginning of the answer.
    pub response_preview: String,
}

/// Runs a `connector.webhook.deliver` job.
///
/// # Errors
/// Fatal `webhook_gone` for 410, by which a receiver unsubscribes; for the rest as `connector.http.request`, with every 5xx
/// retryable.
pub async fn run(
    payload: WebhookPayload,
    ctx: JobContext,
    outbound: Arc<Outbound>,
) -> Result<WebhookOutput, JobError> {
    let url = http::read_url("url", &payload.url)?;
    let timeout = http::read_timeout(payload.timeout_ms, TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX)?;
    if !is_printable(&payload.event_type, EVENT_TYPE_BYTES) {
        return Err(invalid_payload(
            "event_type",
            format_args!("needs 1 to {EVENT_TYPE_BYTES} printable ASCII characters"),
        ));
    }
    let webhook_id = payload.event_id.unwrap_or_else(|| ctx.id().to_string());
    // A dot would make two different events sign the same text.
    if !is_printable(&webhook_id, EVENT_ID_BYTES) || webhook_id.contains('.') {
        let problem = format_args!("needs 1 to {EVENT_ID_BYTES} printable ASCII characters without `.`");
        return Err(invalid_payload("event_id", problem));
    }
    let key = match &payload.secret_ref {
        Some(name) => Some(SigningKeys::read(
            name,
            &outbound.secrets.get_for_host("secret_ref", name, url.host_str().unwrap_or_default())?,
        )?),
        None => None,
    };

    // The body says when the event was handed to us and is the same in every attempt; the header says when it is sent,
    // since receivers refuse deliveries that are old.
    let occurred = ctx.job().created_at.to_string();
    let body = json!({ "type": payload.event_type, "timestamp": occurred, "data": payload.data }).to_string();
    let timestamp = clock::wall().as_second();
    let mut headers = signed_headers(&webhook_id, timestamp, ctx.fence(), key.as_ref(), body.as_bytes());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    http::go_on_tracing(&mut headers, &ctx);
    let asked = format!("{} {}", Method::POST, origin(&url));
    let call = Call {
        method: Method::POST,
        url,
        headers,
        body: Some(body.into_bytes()),
        timeout,
        max_response_bytes: RESPONSE_BYTES,
        max_redirects: 0,
    };
    let answer = outbound.exchange(call, &ctx).await?;
    match answer.status.as_u16() {
        200..=299 => Ok(WebhookOutput {
            delivered: true,
            status: answer.status.as_u16(),
            duration_ms: answer.duration_ms,
            webhook_id,
            timestamp,
            signed: key.is_some(),
            response_preview: http::excerpt(&answer.body, http::EXCERPT_CHARS, &[]),
        }),
        410 => Err(JobError::fatal(
            "webhook_gone",
            format!("{asked} answered 410 Gone: it wants no more deliveries"),
        )),
        status => {
            let retryable = answer.status.is_server_error() || RETRY_STATUSES.contains(&status);
            Err(http::bad_status(&asked, &answer, retryable, &[]))
        }
    }
}

/// What says which event this is, when it is sent and under which fence, and proves by whom.
pub(crate) fn signed_headers(
    id: &str,
    timestamp: i64,
    fence: Lease,
    keys: Option<&SigningKeys>,
    body: &[u8],
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ID, http::ascii(id));
    headers.insert(TIMESTAMP, HeaderValue::from(timestamp));
    headers.insert(FENCE, http::ascii(&fence.to_string()));
    if let Some(keys) = keys {
        headers.insert(SIGNATURE, http::ascii(&keys.sign(id, timestamp, body)));
    }
    headers
}

fn is_printable(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The keys of one receiver: one, or several while they are being changed.
pub(crate) struct SigningKeys(Vec<Vec<u8>>);

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({} keys, redacted)", self.0.len())
    }
}

impl SigningKeys {
    /// Reads `whsec_<Base64>`, or several of them with spaces between.
    pub(crate) fn read(name: &str, secret: &Secret) -> Result<Self, JobError> {
        let keys: Option<Vec<_>> = secret.reveal().split_whitespace().map(signing_key).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self).ok_or_else(|| {
            let text = format!(
                "the secret {name:?} is no signing secret: those are {SIGNING_SECRET_PREFIX} and the Base64 of at least \
                 {KEY_BYTES_MIN} bytes"
            );
            JobError::fatal("secret_unusable", text)
        })
    }

    /// Returns the value of the `webhook-signature` header.
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signatures: Vec<String> =
            self.0.iter().filter_map(|key| signature(key, id, timestamp, body)).collect();
        signatures.join(" ")
    }
}

fn signing_key(text: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(text.strip_prefix(SIGNING_SECRET_PREFIX)?).ok()?;
    (key.len() >= KEY_BYTES_MIN).then_some(key)
}

fn signature(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    // HMAC takes keys of any length, so this is never `None`.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn sign(secret: &str) -> Result<String, String> {
        let keys = SigningKeys::read("hook", &Secret::new(secret)).map_err(|error| format!("{error:?}"))?;
        Ok(keys.sign(ID, 1_614_265_330, br#"{"test": 2432232314}"#))
    }

    #[test]
    fn the_signature_agrees_with_the_specifications_example() {
        assert_eq!(sign(KEY).unwrap(), SIGNED);
    }

    #[test]
    fn while_a_key_is_changed_both_sign() {
        let both = sign(&format!("{KEY} whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).unwrap();
        let (first, second) = both.split_once(' ').unwrap();
        assert!(first == SIGNED && second.starts_with("v1,") && second != SIGNED);
    }

    #[test]
    fn other_secrets_are_no_signing_keys_and_are_not_shown() {
        for secret in
            ["sk_live_1234567890", "whsec_AAAA", "whsec_not base64!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
        {
            let error = sign(secret).expect_err(secret);
            assert!(error.contains("secret_unusable") && !error.contains(secret), "{error}");
        }
        let keys = SigningKeys::read("hook", &Secret::new(KEY)).unwrap();
        assert_eq!(format!("{keys:?}"), "SigningKeys(1 keys, redacted)");
    }
}
