//! Telling people of alerts: the channels of this server, and the handler that sends.
//!
//! Messages are durable jobs of the type `system.notify`. They name a channel; its address and its secrets are known
//! only to servers that were given them.

mod config;
mod email;
mod send;

use std::collections::BTreeMap;
use std::time::Duration;

use jobforge_core::alert::notice::{NOTIFY, NOTIFY_QUEUE, NOTIFY_TENANT, Notice, Place};
use jobforge_core::alert::route::{Channel, QuietHours};
use jobforge_core::enqueue::{InvalidJob, JobRequest, validate};
use jobforge_core::job::NewJob;
use jobforge_core::payload::Payload;
use jobforge_core::settle::RetryPolicy;
use lettre::message::Mailbox;
use url::Url;

use crate::builtin::secrets::Secret;

pub use config::{ChannelKind, ChannelTable};
pub(crate) use send::{Sender, count_from_zero, stand_in};

/// The time that one message may take.
const TIMEOUT_MS: i64 = 120_000;
/// How messages are tried again.
const RETRY: RetryPolicy = RetryPolicy { base_ms: 10_000, factor: 2.0, max_ms: 300_000, jitter: 0.2 };
/// Attempts where nobody stands in: half an hour.
const ATTEMPTS: i64 = 12;
/// Attempts where another channel does: some minutes.
const ATTEMPTS_WITH_FALLBACK: i64 = 5;

/// The channels that this server can tell, by name.
#[derive(Debug, Clone, Default)]
pub struct Channels {
    by_name: BTreeMap<String, Configured>,
    place: Place,
}

/// One channel.
#[derive(Debug, Clone)]
pub(crate) struct Configured {
    pub(crate) channel: Channel,
    pub(crate) fallback: Option<String>,
    pub(crate) quiet: Option<QuietHours>,
    pub(crate) target: Target,
}

/// Where a channel leads. Nothing of it is ever printed.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Slack { url: Secret },
    PagerDuty { url: Url, key: Secret },
    Webhook { url: Secret, secret: Option<Secret> },
    Email { smtp: Secret, from: Mailbox, to: Vec<Mailbox> },
}

impl Target {
    pub(crate) fn kind(&self) -> ChannelKind {
        match self {
            Self::Slack { .. } => ChannelKind::Slack,
            Self::PagerDuty { .. } => ChannelKind::Pagerduty,
            Self::Webhook { .. } => ChannelKind::Webhook,
            Self::Email { .. } => ChannelKind::Email,
        }
    }
}

/// A channel as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: ChannelKind,
    /// The least severity that it is told of.
    pub least: &'static str,
    /// How often it is told again, in milliseconds.
    pub repeat_ms: u64,
    /// Which channel stands in for it.
    pub fallback: Option<String>,
}

impl Channels {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All of them.
    pub fn views(&self) -> Vec<ChannelView> {
        let view = |one: &Configured| ChannelView {
            name: one.channel.name.clone(),
            kind: one.target.kind(),
            least: one.channel.least.word(),
            repeat_ms: u64::try_from(one.channel.repeat.as_millis()).unwrap_or(u64::MAX),
            fallback: one.fallback.clone(),
        };
        self.by_name.values().map(view).collect()
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Configured> {
        self.by_name.values()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Configured> {
        self.by_name.get(name)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The job that tells; `key` keeps it from being made twice.
    pub(crate) fn job(&self, notice: &Notice, key: Option<String>) -> Result<NewJob, InvalidJob> {
        let stands_in = self.get(&notice.channel).is_some_and(|one| one.fallback.is_some());
        job(notice, key, if stands_in { ATTEMPTS_WITH_FALLBACK } else { ATTEMPTS })
    }
}

/// The job of a test, which is not tried for long: somebody waits for it.
pub(crate) fn test_job(notice: &Notice) -> Result<NewJob, InvalidJob> {
    job(notice, None, 1)
}

fn job(notice: &Notice, key: Option<String>, attempts: i64) -> Result<NewJob, InvalidJob> {
    let request = JobRequest {
        job_type: NOTIFY.to_owned(),
        // Of our own words, so it cannot be refused; an empty payload would be refused by the handler.
        payload: Payload::from_value(notice).ok(),
        tenant_id: Some(NOTIFY_TENANT.to_owned()),
        queue: Some(NOTIFY_QUEUE.to_owned()),
        max_attempts: Some(attempts),
        timeout_ms: Some(TIMEOUT_MS),
        idempotency_key: key,
        retry: Some(RETRY),
        ..JobRequest::default()
    };
    validate(request, Some("alerts".to_owned()))
}

/// How long a repeated message waits unless said.
pub(crate) const REPEAT: Duration = Duration::from_secs(4 * 3600);
/// The same for those who are woken.
pub(crate) const REPEAT_CRITICAL: Duration = Duration::from_secs(3600);
