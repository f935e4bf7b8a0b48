//! What the API answers beside jobs, queues and workers.

use jiff::Timestamp;
use jobforge_core::audit::Entry;
use jobforge_core::dead::DeadGroup;
use jobforge_core::job::{ErrorInfo, JobId};
use jobforge_core::operation::Operation;
use jobforge_core::settings::StoredSetting;
use jobforge_core::token::TokenRow;
use jobforge_core::watchdog::{Run, WatchdogRow};
use serde::{Deserialize, Serialize};

use crate::ReceiptView;

/// What an enqueue of many jobs gave, in their order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceiptList {
    /// One for each job.
    pub jobs: Vec<ReceiptView>,
}

/// How large payloads may be, and what becomes of large ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PayloadLimits {
    /// The largest payload that is taken, in bytes of JSON.
    pub payload_bytes: usize,
    /// What should not be exceeded where nothing is stored elsewhere; beyond it payloads are, where they can be.
    pub payload_inline_bytes: usize,
    /// Whether large payloads are kept outside of the database and brought to handlers by themselves.
    pub payload_store: bool,
}

/// What happened to a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimelineView {
    /// The job.
    pub id: JobId,
    /// In the order of time.
    pub events: Vec<TimelineEvent>,
}

/// One thing that happened to a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimelineEvent {
    /// When.
    pub at: Timestamp,
    /// `enqueued`, `started`, `phase` and `progress` as its handler reported them, `heard_again` after a silent gap,
    /// `ignores_stop` when its worker said that the handler goes on although it was asked to stop, how an attempt ended,
    /// `planned` for the moment from which a waiting job may be claimed, or what an operator did, such as `job.cancel`.
    pub event: String,
    /// Who did it, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in their words, or what is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The queue that it was enqueued in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Its fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<i64>,
    /// The worker that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// How far it said it had come, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// The phase that it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorInfo>,
}

/// Watchdogs and what they did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WatchdogList {
    /// The watchdogs, the last heard of first.
    pub watchdogs: Vec<WatchdogRow>,
    /// Their runs, newest first.
    pub runs: Vec<Run>,
}

/// What jobs died of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeadGroupList {
    /// The most frequent first.
    pub groups: Vec<DeadGroup>,
}

/// What became of dead jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolvedView {
    /// Jobs that stay dead.
    pub resolved: u64,
    /// Jobs that were not dead, or settled before.
    pub passed_over: u64,
}

/// Every setting.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettingList {
    /// The version of what is stored.
    pub version: u64,
    /// The settings.
    pub settings: Vec<SettingView>,
}

/// A setting as the answering server has it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettingView {
    /// Its name.
    pub key: &'static str,
    /// Its value; a secret is not shown.
    pub value: String,
    /// Where the value came from.
    pub source: String,
    /// What it is if nothing sets it.
    pub default: &'static str,
    /// `live`, `restart` or `local`.
    pub effect: &'static str,
    /// What is stored of it.
    pub stored: Option<StoredSetting>,
    /// What it means.
    pub doc: &'static str,
}

/// A change of settings that was made.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettingsChanged {
    /// The version of what is stored now.
    pub version: u64,
    /// Setting by setting.
    pub changes: Vec<SettingChanged>,
}

/// What became of one setting.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettingChanged {
    /// Its key.
    pub key: &'static str,
    /// What counted before, on the answering server.
    pub old: String,
    /// What counts now.
    pub new: String,
    /// `live`, or `restart` where only processes that start afterwards take it over.
    pub effect: &'static str,
    /// What is stronger than the stored value, on the answering server.
    pub overridden_by: Option<String>,
}

/// Changes of settings, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettingHistory {
    /// As the audit log has them.
    pub changes: Vec<Entry>,
}

/// Every flag.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FlagList {
    /// The flags.
    pub flags: Vec<FlagView>,
}

/// A flag.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FlagView {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Where that came from.
    pub source: String,
    /// When what is stored stops counting.
    pub until: Option<Timestamp>,
    /// What it means.
    pub doc: &'static str,
}

/// A page of the audit log, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// The page.
    pub entries: Vec<Entry>,
    /// Give it as `before` to get the next page; null on the last one.
    pub next: Option<i64>,
}

/// Whether the audit log is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditVerdict {
    /// Whether it is.
    pub whole: bool,
    /// How many entries are sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// The hash of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Where it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Every token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenList {
    /// The tokens.
    pub tokens: Vec<TokenView>,
}

/// A token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenView {
    /// What is kept of it.
    #[serde(flatten)]
    pub row: TokenRow,
    /// The beginning that may be shown.
    pub prefix: String,
    /// `good`, `expired` or `revoked`.
    pub standing: String,
    /// The text to send. Told once, when the token is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Operations on many jobs, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OperationList {
    /// The operations.
    pub operations: Vec<Operation>,
}
