//! Jobs and what surrounds them, as seen from outside.

use jiff::Timestamp;
use jobforge_core::heartbeat::SilentGap;
use jobforge_core::job::{ErrorInfo, Job, JobId, Resolution, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::progress::ProgressPoint;
use jobforge_core::settle::RetryPolicy;
use jobforge_core::worker::WorkerRow;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::millis;

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobView {
    /// Identity.
    pub id: String,
    /// Who it belongs to.
    pub tenant_id: String,
    /// Which handler runs it.
    #[serde(rename = "type")]
    pub job_type: String,
    /// The queue it waits in.
    pub queue: String,
    /// `queued`, `running`, `succeeded`, `failed`, `dead` or `canceled`.
    pub status: String,
    /// Lower runs first.
    pub priority: i16,
    /// Attempts used.
    pub attempts: u32,
    /// Attempts it may use.
    pub max_attempts: u32,
    /// Lost leases since the last fresh start.
    pub misses: u32,
    /// Its fence.
    pub lease: i64,
    /// When it may run.
    pub run_at: Timestamp,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The worker that holds it.
    pub locked_by: Option<String>,
    /// Last sign of life.
    pub heartbeat_at: Option<Timestamp>,
    /// Heartbeats of its last attempt.
    #[serde(default)]
    pub heartbeats: u32,
    /// After how long its worker means to send the next one, or meant to; null if it does not say.
    #[serde(default)]
    pub heartbeat_interval_ms: Option<u64>,
    /// Times of its last attempt in which nothing was heard of it for more than two of these intervals, and after which it went
    /// on: the longest, in order.
    #[serde(default)]
    pub silent_gaps: Vec<SilentGap>,
    /// When the running attempt must be over.
    pub deadline_at: Option<Timestamp>,
    /// Bound on one attempt.
    pub timeout_ms: Option<u64>,
    /// Bound on the time between two reports of progress.
    pub progress_timeout_ms: Option<u64>,
    /// How long the running attempt may stand still, by the job's bound or its worker's.
    pub progress_limit_ms: Option<u64>,
    /// How far it has come.
    pub progress: ProgressView,
    /// Items it counted.
    pub items: ItemsView,
    /// Why its last attempt failed.
    pub error: Option<ErrorInfo>,
    /// Names the cause that it shares with other dead jobs.
    pub dead_group: Option<String>,
    /// A person's word that it stays dead.
    pub resolved: Option<Resolution>,
    /// At most one job per (tenant, type, key).
    pub idempotency_key: Option<String>,
    /// Free labels.
    pub tags: Vec<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Who enqueued it.
    pub created_by: Option<String>,
    /// Back-off of its own.
    pub retry: Option<RetryPolicy>,
    /// The handler's input.
    pub payload: Payload,
}

/// How far a job says it has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgressView {
    /// 0 to 100.
    pub percent: Option<u8>,
    /// What it is doing.
    pub message: Option<String>,
    /// Its named phase.
    pub phase: Option<String>,
    /// When any of these last changed.
    pub at: Option<Timestamp>,
}

/// Work items a job has counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ItemsView {
    /// Done.
    pub processed: i64,
    /// Given up.
    pub failed: i64,
    /// Passed over.
    pub skipped: i64,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id.to_string(),
            tenant_id: job.tenant_id,
            job_type: job.job_type,
            queue: job.queue,
            status: job.status.to_string(),
            priority: job.priority,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            misses: job.misses,
            lease: job.lease.0,
            run_at: job.run_at,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            locked_by: job.locked_by.map(|worker| worker.0),
            heartbeat_at: job.heartbeat_at,
            heartbeats: job.heard.beats,
            heartbeat_interval_ms: job.heard.interval.map(millis),
            silent_gaps: job.heard.gaps,
            deadline_at: job.deadline_at,
            timeout_ms: job.timeout.map(millis),
            progress_timeout_ms: job.progress_timeout.map(millis),
            progress_limit_ms: job.progress_limit.map(millis),
            progress: ProgressView {
                percent: job.progress.percent,
                message: job.progress.message,
                phase: job.progress.phase,
                at: job.progress.at,
            },
            items: ItemsView {
                processed: job.items.processed,
                failed: job.items.failed,
                skipped: job.items.skipped,
            },
            error: job.error,
            dead_group: job.dead_group,
            resolved: job.resolved,
            idempotency_key: job.idempotency_key,
            tags: job.tags,
            traceparent: job.traceparent,
            created_by: job.created_by,
            retry: job.retry,
            payload: job.payload,
        }
    }
}

/// A page of jobs, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobList {
    /// The page.
    pub jobs: Vec<JobView>,
    /// Give it as `before` to get the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether the search stopped before the page was full, because it had looked at thousands of jobs that do not match;
    /// `next` goes on from there. Absent if it did not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped_early: bool,
}

/// A job with its history.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobDetailView {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// Its attempts, oldest first.
    pub attempts_made: Vec<AttemptView>,
    /// What its handler returned.
    pub result: Option<Payload>,
}

impl<'de> Deserialize<'de> for JobDetailView {
    /// Reads the text twice, once per half: serde's own flattening buffers values and loses the payload's raw text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct History {
            attempts_made: Vec<AttemptView>,
            result: Option<Payload>,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let job = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let History { attempts_made, result } = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self { job, attempts_made, result })
    }
}

/// One attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptView {
    /// Its number since the last fresh start.
    pub attempt: u32,
    /// Its fence.
    pub lease: i64,
    /// The worker that ran it.
    pub worker: Option<String>,
    /// How it ended, or `running`.
    pub outcome: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<ErrorInfo>,
    /// When its worker said that the handler goes on although the job was taken from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_ignored_at: Option<Timestamp>,
    /// Reports of its worker that were refused after it had ended.
    #[serde(default)]
    pub refused: u32,
    /// Its last sign of life, or its beginning.
    #[serde(default)]
    pub heartbeat_at: Option<Timestamp>,
    /// Its heartbeats.
    #[serde(default)]
    pub heartbeats: u32,
    /// After how long its worker meant to send the next one; null if it did not say.
    #[serde(default)]
    pub heartbeat_interval_ms: Option<u64>,
    /// Times in which nothing was heard of it for more than two of these intervals, and after which it went on: the longest, in
    /// order.
    #[serde(default)]
    pub silent_gaps: Vec<SilentGap>,
    /// How far it said it had come, in order: at most 64 points, the first, the last and changes of phase among them. Kept of
    /// the newest 32 fences of a job.
    #[serde(default)]
    pub progress: Vec<ProgressPoint>,
}

/// The kept log lines of one attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogView {
    /// The attempt.
    pub attempt: u32,
    /// Its fence.
    pub lease: i64,
    /// When lines were last added.
    pub updated_at: Timestamp,
    /// The newest lines.
    pub text: String,
}

/// The kept log of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogList {
    /// One entry per attempt that wrote something, oldest first.
    pub logs: Vec<LogView>,
}

/// What an enqueue gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceiptView {
    /// The job that stands for the request.
    pub id: String,
    /// Whether it was created now.
    pub created: bool,
}

/// A queue and what is in it; counts stop at 100,000.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// Jobs that may be claimed now.
    pub ready: u64,
    /// Jobs that wait for their time.
    pub scheduled: u64,
    /// Jobs that run.
    pub running: u64,
    /// Since when the oldest claimable job waits.
    pub oldest_ready_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
}

/// Every queue that has jobs, is paused or is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueueList {
    /// The queues.
    pub queues: Vec<QueueView>,
}

/// What a pause or a resume did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueuePauseView {
    /// The queue.
    pub name: String,
    /// Whether it is paused now.
    pub paused: bool,
    /// Whether this call changed that.
    pub changed: bool,
}

/// What became of telling one worker to restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerTold {
    /// The worker.
    pub worker: WorkerId,
    /// Its label.
    pub name: Option<String>,
    /// Its machine.
    pub hostname: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// Whether it is on the machine of the server that answers.
    pub place: Option<WorkerPlace>,
    /// Jobs that are stuck on it.
    pub jobs: Vec<JobId>,
    /// Why it shall restart.
    pub reason: String,
    /// Whether it does.
    pub answer: RestartAnswer,
}

/// Where a worker is, seen from the server that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorkerPlace {
    /// On the same machine.
    Local,
    /// On another.
    Remote,
}

/// Whether a worker that was told to restart does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RestartAnswer {
    /// It learns of it with its next renewal.
    Told,
    /// An earlier order has not been followed yet.
    ToldBefore,
    /// It speaks SQL and has no process that could be told.
    NoProcess,
    /// It has ended.
    Gone,
}

impl WorkerTold {
    /// Whether it restarts.
    pub fn restarts(&self) -> bool {
        matches!(self.answer, RestartAnswer::Told | RestartAnswer::ToldBefore)
    }
}

/// A worker process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerView {
    /// Its incarnation.
    pub id: String,
    /// A free label.
    pub name: Option<String>,
    /// The machine.
    pub hostname: String,
    /// The process.
    pub pid: u32,
    /// `live`, `draining`, `gone`, `lost` or `dead`.
    pub state: String,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// Jobs it runs at once.
    pub slots: u32,
    /// When it registered.
    pub started_at: Timestamp,
    /// Its last renewal.
    pub last_heartbeat_at: Timestamp,
    /// Until when it may act.
    pub lease_expires_at: Timestamp,
    /// When it was told to restart, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<Timestamp>,
    /// How it ended, if it did.
    pub end_reason: Option<String>,
    /// The token that registered it, by its public id, if it came over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<String>,
}

/// Every worker that is active or ended within the last day.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerList {
    /// The workers.
    pub workers: Vec<WorkerView>,
}

impl From<WorkerRow> for WorkerView {
    fn from(worker: WorkerRow) -> Self {
        Self {
            id: worker.id.0,
            name: worker.name,
            hostname: worker.hostname,
            pid: worker.pid,
            state: worker.state.as_str().to_owned(),
            queues: worker.queues,
            slots: worker.slots,
            started_at: worker.started_at,
            last_heartbeat_at: worker.last_heartbeat_at,
            lease_expires_at: worker.lease_expires_at,
            restart_at: worker.restart_at,
            end_reason: worker.end_reason,
            registered_by: worker.registered_by,
        }
    }
}
