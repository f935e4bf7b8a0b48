//! The handler of `system.notify`.

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::alert::notice::{
    NOTIFY_TENANT, Notice, Says, email as mail, fallback, pagerduty, slack, webhook,
};
use jobforge_core::job::JobId;
use jobforge_core::metric::{process, table};
use jobforge_core::time::Now;
use jobforge_store::{Store, StoreError};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response};
use serde::Serialize;
use serde_json::json;
use url::Url;

use super::{Channels, Configured, Target, email};
use crate::builtin::http::retry_after;
use crate::builtin::outbound::{origin, plain_client};
use crate::builtin::secrets::Secret;
use crate::builtin::webhook::{SigningKeys, signed_headers};
use crate::clock;
use crate::context::JobContext;
use crate::job_error::{FailOutcome, JobError};

/// What may become of a message, as it is counted.
const OUTCOMES: [&str; 3] = ["sent", "retried", "failed"];
/// How long a receiver may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How much of a refusal is kept.
const ANSWER_CHARS: usize = 300;
/// How much of a refusal is read.
const ANSWER_BYTES: usize = 16 * 1024;

/// Sends messages for this server.
pub(crate) struct Sender {
    store: Arc<dyn Store>,
    channels: Arc<Channels>,
    http: Client,
}

/// What a message came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sent {
    channel: String,
    /// Requests that the receiver took.
    requests: usize,
}

/// Counts from zero on: a first failure that appears at one has never grown.
pub(crate) fn count_from_zero(channels: &Channels) {
    for channel in channels.all() {
        for outcome in OUTCOMES {
            process().add(&table::NOTIFICATIONS, &[&channel.channel.name, outcome], 0);
        }
    }
}

impl Sender {
    /// Sends to these channels. Their addresses are the operator's, so they may be private ones; no job can change them.
    pub(crate) fn new(store: Arc<dyn Store>, channels: Arc<Channels>) -> reqwest::Result<Self> {
        Ok(Self { store, channels, http: plain_client(ANSWER_WITHIN)? })
    }

    /// Tells one channel; if it is the last attempt and fails, the channel behind it is told.
    pub(crate) async fn run(&self, notice: Notice, ctx: &JobContext) -> Result<Sent, JobError> {
        if ctx.job().tenant_id != NOTIFY_TENANT {
            let text = format!("only the tenant {NOTIFY_TENANT} tells of alerts");
            return Err(JobError::fatal("notify_tenant", text));
        }
        let Some(channel) = self.channels.get(&notice.channel) else {
            // Another server may have it.
            let known: Vec<String> = self.channels.views().into_iter().map(|view| view.name).collect();
            let text =
                format!("this server has no channel {:?}; it has {}", notice.channel, known.join(", "));
            return Err(JobError::retry("notify_channel", text));
        };
        let sent = tokio::select! {
            biased;
            _ = ctx.stopped() => Err(JobError::stopped()),
            sent = self.deliver(channel, &notice, ctx) => sent,
        };
        match sent {
            Ok(requests) => {
                count(&notice.channel, "sent");
                Ok(Sent { channel: notice.channel, requests })
            }
            Err(error) => {
                let is_last = match &error.outcome {
                    FailOutcome::Retry { .. } => ctx.attempt() >= ctx.job().max_attempts,
                    FailOutcome::Fatal { .. } => true,
                    FailOutcome::Snooze { .. } | FailOutcome::Stopped => false,
                };
                if is_last {
                    count(&notice.channel, "failed");
                    stand_in(&self.store, &self.channels, &notice, ctx.id()).await?;
                } else {
                    count(&notice.channel, "retried");
                }
                Err(error)
            }
        }
    }

    async fn deliver(
        &self,
        channel: &Configured,
        notice: &Notice,
        ctx: &JobContext,
    ) -> Result<usize, JobError> {
        let place = self.channels.place();
        match &channel.target {
            Target::Slack { url } => {
                self.post(url, HeaderMap::new(), slack::body(notice, place).to_string(), None).await?;
                Ok(1)
            }
            Target::PagerDuty { url, key } => {
                let events = pagerduty::events(notice, place);
                for event in &events {
                    let mut event = event.clone();
                    event["routing_key"] = json!(key.reveal());
                    let url = Secret::new(url.as_str());
                    self.post(&url, HeaderMap::new(), event.to_string(), Some(key)).await?;
                }
                Ok(events.len())
            }
            Target::Webhook { url, secret } => {
                let body = webhook::body(notice, place).to_string();
                let keys = secret.as_ref().map(|secret| SigningKeys::read("secret", secret)).transpose()?;
                let at = clock::wall().as_second();
                let headers =
                    signed_headers(&ctx.id().to_string(), at, ctx.fence(), keys.as_ref(), body.as_bytes());
                self.post(url, headers, body, None).await?;
                Ok(1)
            }
            Target::Email { smtp, from, to } => {
                email::send(smtp, from, to, mail::mail(notice, place), ctx.id()).await?;
                Ok(1)
            }
        }
    }

    /// Posts JSON and takes any 2xx for an answer. Of the address only the origin is ever told: of an answer that repeats
    /// it the rest is left out, as is `hidden`.
    async fn post(
        &self,
        url: &Secret,
        mut headers: HeaderMap,
        body: String,
        hidden: Option<&Secret>,
    ) -> Result<(), JobError> {
        let url = Url::parse(url.reveal())
            .map_err(|_| JobError::fatal("notify_address", "the channel's address is no URL"))?;
        let place = origin(&url);
        let mut secrets = vec![Secret::new(url.path())];
        secrets.extend(url.query().map(Secret::new));
        secrets.extend(hidden.cloned());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.http.post(url).headers(headers).body(body).send().await.map_err(|error| {
            let why = if error.is_timeout() {
                format!("no answer within {} s", ANSWER_WITHIN.as_secs())
            } else {
                innermost(&error.without_url())
            };
            JobError::retry("notify_http", format!("POST {place}: {why}"))
        })?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(refused(&place, answer, &secrets).await)
    }
}

/// Tells the channel behind a channel whose message died; any number of times, and once only.
pub(crate) async fn stand_in(
    store: &Arc<dyn Store>,
    channels: &Channels,
    notice: &Notice,
    died: JobId,
) -> Result<(), StoreError> {
    let Some(to) = channels.get(&notice.channel).and_then(|channel| channel.fallback.as_deref()) else {
        return Ok(());
    };
    // A message that stands in already has nobody behind it: two dead channels must not call each other for ever.
    if notice.instead_of.is_some() || notice.says == Says::Test {
        return Ok(());
    }
    let Ok(job) = channels.job(&fallback(notice, to), Some(format!("instead-of:{died}"))) else {
        return Ok(());
    };
    match store.enqueue(&[job], Now::Database).await {
        Ok(receipts) if receipts.iter().any(|receipt| receipt.created) => {
            let (channel, rule) = (&notice.channel, &notice.rule);
            tracing::warn!(job.id = %died, "The channel {channel} could not be told of {rule}; telling {to}");
            Ok(())
        }
        // Somebody stands in already, perhaps one that was behind it before the configuration changed.
        Ok(_) | Err(StoreError::IdempotencyConflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn refused(place: &str, mut answer: Response, secrets: &[Secret]) -> JobError {
    let status = answer.status();
    let wait = retry_after(answer.headers(), clock::wall());
    let mut said = Vec::new();
    while said.len() < ANSWER_BYTES
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        said.extend_from_slice(&chunk);
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    let said = secrets.iter().fold(said, |said, secret| secret.redact(said));
    let said: String = said.chars().take(ANSWER_CHARS).collect();
    let text = format!("POST {place} answered {status}");
    let passes = status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
    let error =
        if passes { JobError::retry("notify_http", text) } else { JobError::fatal("notify_http", text) };
    let error = match wait {
        Some(wait) => error.after(wait),
        None => error,
    };
    error.with_details(json!({ "status": status.as_u16(), "body_excerpt": said }))
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Counts what became of a message.
fn count(channel: &str, outcome: &'static str) {
    process().add(&table::NOTIFICATIONS, &[channel, outcome], 1);
}
