//! What the routes of runbooks read and answer, in the shapes that runbooks use.

use crate::WorkerTold;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jobforge_core::job::{JobId, Resolution, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::watchdog::Run;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::SettingChanged;

/// Whether the server and its database answer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthShort {
    /// `healthy`; `degraded` while schedules do not run as they should; `unhealthy` while the database does not answer.
    pub status: &'static str,
    /// The server's clock.
    pub timestamp: Timestamp,
    /// `database`: `connected` or `disconnected`; `scheduler`: `ok`, `error`, `warning` or `not_configured`.
    pub services: BTreeMap<&'static str, &'static str>,
    /// What is wrong with schedules, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How each part is, as a list and by its name at the top.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthFull {
    /// `healthy` or `degraded`.
    pub status: &'static str,
    /// The server's clock.
    pub timestamp: Timestamp,
    /// How many parts are `ok`, `error`, `warning` and `not_configured`.
    pub summary: BTreeMap<&'static str, u64>,
    /// What no process of the fleet does: `watchdog`, `scheduler`, `housekeeper`, `alerts`.
    pub missing_roles: Vec<&'static str>,
    /// Each part.
    pub services: Vec<ServiceHealth>,
    /// The same by name.
    #[serde(flatten)]
    pub by_name: BTreeMap<String, ServiceHealth>,
}

/// How one part is.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceHealth {
    /// Its name.
    pub name: String,
    /// `ok`, `error`, `warning` or `not_configured`.
    pub status: &'static str,
    /// Figures of the part.
    pub details: Value,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

/// Flags, and settings for those who may see them.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigView {
    /// Whether each flag is on.
    pub feature_flags: BTreeMap<String, bool>,
    /// Every setting; secrets are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeMap<&'static str, String>>,
}

/// A change of settings that was made.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigChanged {
    /// Always true.
    pub success: bool,
    /// The version of what is stored now.
    pub version: u64,
    /// Setting by setting.
    pub changes: Vec<SettingChanged>,
}

/// What the engineer on call looks at.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DebugView {
    /// Always true.
    pub success: bool,
    /// Who answers.
    pub platform: PlatformView,
    /// Jobs by status, and those in trouble.
    pub jobs: DebugJobs,
    /// Running jobs in trouble, worst first.
    pub stuck_jobs: Vec<DebugJob>,
    /// Running jobs, newest first.
    pub active_jobs: Vec<DebugJob>,
    /// The first five of them.
    pub recent_active: Vec<DebugJob>,
    /// Queued jobs, newest first.
    pub recent_queued: Vec<DebugJob>,
    /// Failed and dead jobs, newest first.
    pub recent_errors: Vec<DebugError>,
    /// What watchdogs did; null for a token of one tenant.
    pub watchdog_metrics: Option<WatchdogMetrics>,
    /// The server's clock.
    pub timestamp: Timestamp,
}

/// Who answers.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlatformView {
    /// `jobforge`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The database.
    pub engine: String,
}

/// Jobs by status.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DebugJobs {
    /// All of them; ended ones of the last day.
    pub total: u64,
    /// By status.
    pub counts: BTreeMap<&'static str, u64>,
    /// How many are in trouble.
    pub stuck_count: usize,
    /// Those.
    pub stuck_jobs: Vec<DebugJob>,
}

/// A job in short.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DebugJob {
    /// Identity.
    pub id: JobId,
    /// Its type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// Its status.
    pub status: &'static str,
    /// The file that it is about, by its payload.
    pub file_name: Option<String>,
    /// 0 to 100.
    pub progress: Option<u8>,
    /// Its named phase.
    pub phase: Option<String>,
    /// The worker that holds it.
    pub worker: Option<WorkerId>,
    /// For how long, in words.
    pub age: String,
    /// The same in seconds.
    pub age_seconds: f64,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// Its last sign of life.
    pub last_heartbeat_at: Option<Timestamp>,
    /// Why its last attempt failed.
    pub error: Option<String>,
    /// What is wrong with it, if it is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A job that failed, in short.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DebugError {
    /// Identity.
    pub id: JobId,
    /// The file that it is about, by its payload.
    pub file_name: Option<String>,
    /// Its status.
    pub status: &'static str,
    /// Why it failed.
    pub error: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}

/// What watchdogs did lately.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WatchdogMetrics {
    /// Whether job heartbeats are on.
    pub enabled: bool,
    /// The watchdogs.
    pub watchdogs: Vec<WatchdogSign>,
    /// When the last run began.
    pub last_run: Option<Timestamp>,
    /// How long ago that is.
    pub last_run_age_seconds: Option<f64>,
    /// How long it took.
    pub last_run_duration_ms: Option<u64>,
    /// The last error of a run.
    pub last_error: Option<String>,
    /// How many runs the sums are of.
    pub recent_runs: usize,
    /// Jobs that were looked at.
    pub jobs_checked: u64,
    /// Jobs that went back to the queue.
    pub jobs_requeued: u64,
    /// Jobs that ended as failed or dead.
    pub jobs_moved_to_dlq: u64,
    /// Workers that were declared lost.
    pub workers_lost: u64,
    /// What it goes by.
    pub thresholds: WatchdogThresholds,
}

/// A watchdog.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WatchdogSign {
    /// `host:pid`.
    pub id: String,
    /// Its last sign of life.
    pub last_sign_at: Timestamp,
    /// Whether that is too long ago.
    pub silent: bool,
}

/// What a watchdog goes by.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WatchdogThresholds {
    /// Silence after which a running job is suspect.
    pub heartbeat_threshold_ms: u64,
    /// Lost leases at which a job is dead.
    pub heartbeat_max_misses: u64,
    /// Longest time between two sweeps.
    pub check_interval_ms: u64,
}

/// What the engineer on call has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DebugStep {
    /// Sweep once, now.
    TriggerWatchdog,
    /// Run the named jobs again.
    RetrySpecific,
    /// Run stuck jobs again.
    RetryStuck,
    /// Cancel exactly the jobs that are listed as stuck.
    CancelStuck,
    /// Take stuck jobs from their workers, which stop them, and run them again.
    TriggerWorker,
}

/// An action of the engineer on call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::debug_action))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DebugAction {
    /// What.
    pub action: DebugStep,
    /// The job, for `retry_specific`.
    #[serde(default)]
    pub job_id: Option<Uuid>,
    /// Or the jobs.
    #[serde(default)]
    pub job_ids: Option<Vec<Uuid>>,
    /// The worker, for `trigger_worker`; those that hold stuck jobs if none is named.
    #[serde(default)]
    pub worker_id: Option<String>,
    /// Every active worker, for `trigger_worker`.
    #[serde(default)]
    pub all: Option<bool>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Jobs to run again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::reprocess))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ReprocessRequest {
    /// The job.
    #[serde(default)]
    pub job_id: Option<Uuid>,
    /// Or the jobs.
    #[serde(default)]
    pub job_ids: Option<Vec<Uuid>>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What an action did.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DebugDone {
    /// Always true.
    pub success: bool,
    /// In a sentence.
    pub message: String,
    /// The run of the watchdog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Run>,
    /// Jobs that run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried: Option<usize>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeued: Option<usize>,
    /// Jobs that were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_checked: Option<usize>,
    /// Jobs that were canceled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<usize>,
    /// Jobs that were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_ids: Option<Vec<JobId>>,
    /// Jobs that run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeued_job_ids: Option<Vec<JobId>>,
    /// Jobs that were taken from their workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted: Option<usize>,
    /// The workers that restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<Vec<WorkerTold>>,
    /// The workers that cannot be told to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_told: Option<Vec<WorkerTold>>,
}

/// Dead letters, or their statistics.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum DlqView {
    /// A page.
    Page(DlqPage),
    /// Figures.
    Stats(DlqStatsView),
}

/// A page of dead letters, newest first.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DlqPage {
    /// Always true.
    pub success: bool,
    /// The page.
    pub entries: Vec<DlqEntry>,
    /// How many are pending in all.
    pub total: u64,
    /// Where the page is.
    pub pagination: DlqPagination,
}

/// Where a page is.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DlqPagination {
    /// How many at most.
    pub limit: usize,
    /// How many were passed over.
    pub offset: usize,
    /// Whether there are more.
    pub has_more: bool,
}

/// A dead letter.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DlqEntry {
    /// Identity.
    pub id: JobId,
    /// The same.
    pub job_id: JobId,
    /// Its type.
    pub job_type: String,
    /// Its input.
    pub payload: Payload,
    /// What it died of.
    pub failure_reason: Option<String>,
    /// The same in a word.
    pub failure_code: Option<String>,
    /// Attempts used.
    pub attempt_count: u32,
    /// Attempts that it had.
    pub max_retries: u32,
    /// `pending` or `resolved`.
    pub status: &'static str,
    /// Who settled that it stays dead, and why.
    pub resolution: Option<Resolution>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it died.
    pub died_at: Option<Timestamp>,
}

/// Figures of dead letters.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DlqStatsView {
    /// Always true.
    pub success: bool,
    /// The figures.
    pub stats: DlqStats,
}

/// Figures of dead letters.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DlqStats {
    /// All of them.
    pub total: u64,
    /// Those that nobody has settled.
    pub pending: u64,
    /// Always 0: what is retried is dead no more.
    pub retrying: u64,
    /// Those that stay dead.
    pub resolved: u64,
    /// Always 0.
    pub abandoned: u64,
    /// Pending ones by what they died of.
    pub by_failure_code: BTreeMap<String, u64>,
}

/// How long ago what is purged may have to have died, in days.
pub const MAX_DAYS: u64 = 3650;

/// What is done with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DlqStep {
    /// Run it again.
    Retry,
    /// Settle that it stays dead.
    Resolve,
    /// Delete resolved ones.
    Purge,
}

/// An action on dead letters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::dlq_action))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DlqAction {
    /// What.
    pub action: DlqStep,
    /// The dead job, for `retry` and `resolve`.
    #[serde(default)]
    pub id: Option<Uuid>,
    /// Why it stays dead.
    #[serde(default)]
    pub notes: Option<String>,
    /// Whether `retry` only says what it would do.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// How long ago what is purged died at least; 30 if left out.
    #[serde(default, deserialize_with = "jobforge_core::whole::maybe")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_DAYS)))]
    pub older_than_days: Option<u64>,
}

/// What an action on dead letters did.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DlqDone {
    /// Always true.
    pub success: bool,
    /// In a sentence.
    pub message: String,
    /// The job that runs again: the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_job_id: Option<JobId>,
    /// Whether nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Jobs that were deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purged: Option<u64>,
}

/// A scheduled job to run now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TriggerRequest {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub job_name: String,
}
