//! The words of the product as plain data: a job, its identity, its payload and what is known of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::heartbeat::Heard;
use crate::payload::Payload;
use crate::poison::Crash;
use crate::progress::ProgressPoint;
use crate::state::Status;

/// A job's identity: a UUID v7, so ids sort by creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// Makes an id from the moment of creation and 74 random bits (RFC 9562, version 7).
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Placeholders that the runbooks print where an id belongs.
const PLACEHOLDERS: [&str; 4] = ["JOB_ID_HERE", "stuck-job-uuid", "job-uuid", "tenant-uuid"];

/// Why a text is not a job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJobId {
    /// The text is one of the runbooks' placeholders.
    #[error(
        "{0:?} is the placeholder from the runbook; put the job's id here (`jobforge job list` shows ids)"
    )]
    Placeholder(String),
    /// The text is not a UUID at all.
    #[error(
        "{0:?} is not a job id; a job id is a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057 (`jobforge job list` shows ids)"
    )]
    NotAUuid(String),
}

impl FromStr for JobId {
    type Err = BadJobId;

    fn from_str(text: &str) -> Result<Self, BadJobId> {
        let text = text.trim();
        if PLACEHOLDERS.contains(&text) {
            return Err(BadJobId::Placeholder(text.to_owned()));
        }
        // A ten-kilobyte "id" should not be echoed whole.
        Uuid::parse_str(text).map(Self).map_err(|_| BadJobId::NotAUuid(text.chars().take(80).collect()))
    }
}

/// The fence of a job: grows by one at every claim and at every forced move, and is never reset.
///
/// A worker may change a running job only under the lease number it was given at its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Lease(pub i64);

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One incarnation of a worker: `worker-` and eight hex digits, new at every process start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct WorkerId(pub String);

impl WorkerId {
    /// Makes a fresh random identity; never derived from host name or pid, which repeat.
    pub fn random() -> Self {
        let bits = Uuid::new_v4().as_u128() as u32;
        Self(format!("worker-{bits:08x}"))
    }

    /// Returns the identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a caller asks to have run, already validated by [`crate::enqueue`].
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Identity, chosen by the client so that a lost answer can be asked again.
    pub id: JobId,
    /// Who the job belongs to.
    pub tenant_id: String,
    /// Which handler runs it.
    pub job_type: String,
    /// The queue it waits in.
    pub queue: String,
    /// Lower runs first; the default is 0.
    pub priority: i16,
    /// The handler's input.
    pub payload: Payload,
    /// When it may first run.
    pub when: RunAt,
    /// How many attempts it gets before it is dead.
    pub max_attempts: u32,
    /// Bound on one attempt; the handler is stopped when it is reached.
    pub timeout: Option<Duration>,
    /// Bound on the time between two reports of progress; the handler is stopped when it is reached.
    pub progress_timeout: Option<Duration>,
    /// At most one job per (tenant, type, key) exists at a time.
    pub idempotency_key: Option<String>,
    /// Free labels for filtering.
    pub tags: Vec<String>,
    /// W3C trace context of the enqueuer.
    pub traceparent: Option<String>,
    /// Who enqueued it, for the history.
    pub created_by: Option<String>,
    /// Back-off that replaces the default of the type.
    pub retry: Option<crate::settle::RetryPolicy>,
}

/// When a new job may first run. Durations are added by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAt {
    /// At once.
    Now,
    /// After a delay from the moment of enqueue.
    After(Duration),
    /// At a moment the caller named.
    At(Timestamp),
}

/// Why a job carries the status `queued`; the words of `waiting_for`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueuedBecause {
    /// It was enqueued and has not been claimed since.
    Enqueued,
    /// Its last attempt failed and may be tried again.
    Retry,
    /// Its handler asked to be run later.
    Snooze,
    /// Its worker stopped and gave it back.
    Release,
    /// Its worker was lost and the watchdog took it back.
    Rescue,
    /// A person asked for it to run again.
    Operator,
}

impl QueuedBecause {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Enqueued, Self::Retry, Self::Snooze, Self::Release, Self::Rescue, Self::Operator];

    /// The word stored in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Retry => "retry",
            Self::Snooze => "snooze",
            Self::Release => "release",
            Self::Rescue => "rescue",
            Self::Operator => "operator",
        }
    }

    /// Reads a stored word; anything unknown counts as an operator's hand.
    pub fn from_stored(word: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word).unwrap_or(Self::Operator)
    }
}

/// How far a running job says it has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: Option<u8>,
    /// What it is doing, for people.
    pub message: Option<String>,
    /// Its named phase, for grouping.
    pub phase: Option<String>,
    /// When percent, message or phase last changed.
    pub at: Option<Timestamp>,
}

/// Work items a job has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// Done.
    pub processed: i64,
    /// Given up.
    pub failed: i64,
    /// Passed over on purpose.
    pub skipped: i64,
}

/// What went wrong, as stored in `error`: always a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorInfo {
    /// One sentence for people.
    pub message: String,
    /// A stable word for grouping, such as `timeout` or `exit_code`.
    pub kind: String,
    /// Whether another attempt might succeed.
    pub retryable: bool,
    /// Anything structured the handler added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl ErrorInfo {
    /// What is said where nothing is known.
    pub fn none() -> Self {
        Self {
            message: "no reason was stored".to_owned(),
            kind: "unknown".to_owned(),
            retryable: true,
            details: None,
        }
    }
}

/// A job as stored: one row.
#[derive(Debug, Clone)]
pub struct Job {
    /// Identity.
    pub id: JobId,
    /// Who it belongs to.
    pub tenant_id: String,
    /// Which handler runs it.
    pub job_type: String,
    /// The queue it waits in.
    pub queue: String,
    /// Lower runs first.
    pub priority: i16,
    /// The handler's input.
    pub payload: Payload,
    /// Where it stands in its life.
    pub status: Status,
    /// Why it is queued; meaningful only while it is.
    pub queued_because: QueuedBecause,
    /// Attempts used so far, the running one included.
    pub attempts: u32,
    /// Attempts it may use.
    pub max_attempts: u32,
    /// Lost leases since the last fresh start.
    pub misses: u32,
    /// Deaths of workers in which it was running since the last fresh start.
    pub crashes: Vec<Crash>,
    /// When it may run, or could.
    pub run_at: Timestamp,
    /// The worker that holds it now.
    pub locked_by: Option<WorkerId>,
    /// When that worker claimed it.
    pub locked_at: Option<Timestamp>,
    /// The worker of the last ended attempt.
    pub last_worker: Option<WorkerId>,
    /// Its fence.
    pub lease: Lease,
    /// Last sign of life of the handler.
    pub heartbeat_at: Option<Timestamp>,
    /// When the next sign of life is due at the latest.
    pub heartbeat_due_at: Option<Timestamp>,
    /// What was heard of the last attempt.
    pub heard: Heard,
    /// Bound on one attempt, of the job's own.
    pub timeout: Option<Duration>,
    /// Bound on the time between two reports of progress, of the job's own.
    pub progress_timeout: Option<Duration>,
    /// When the running attempt must be over, by the job's bound or its worker's.
    pub deadline_at: Option<Timestamp>,
    /// How long the running attempt may stand still, by the job's bound or its worker's.
    pub progress_limit: Option<Duration>,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal status.
    pub finished_at: Option<Timestamp>,
    /// How far it says it has come.
    pub progress: Progress,
    /// Items it counted.
    pub items: Items,
    /// What its handler last saved for a later attempt.
    pub checkpoint: Option<serde_json::Value>,
    /// Why its last attempt failed, or why it ended.
    pub error: Option<ErrorInfo>,
    /// What it died of, if it is dead (see [`crate::dead`]).
    pub dead_group: Option<String>,
    /// Who settled that it stays dead, and why, if somebody did.
    pub resolved: Option<Resolution>,
    /// Its stored result.
    pub result_id: Option<Uuid>,
    /// At most one job per (tenant, type, key).
    pub idempotency_key: Option<String>,
    /// Free labels.
    pub tags: Vec<String>,
    /// W3C trace context of the enqueuer.
    pub traceparent: Option<String>,
    /// Who enqueued it.
    pub created_by: Option<String>,
    /// Back-off of its own.
    pub retry: Option<crate::settle::RetryPolicy>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its row last changed state.
    pub updated_at: Timestamp,
}

/// One ended or running attempt of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// Its fence.
    pub lease: Lease,
    /// The worker that ran it.
    pub worker: Option<WorkerId>,
    /// `succeeded`, `failed`, `retry`, `dead`, `snoozed`, `released`, `lost`, `canceled`, `reset` or `running`.
    pub outcome: String,
    /// What went wrong.
    pub error: Option<ErrorInfo>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended; absent while it runs.
    pub finished_at: Option<Timestamp>,
    /// When its worker said that the handler goes on although the job was taken from it.
    pub stop_ignored_at: Option<Timestamp>,
    /// Reports of its worker that were refused after it had ended.
    pub refused: u32,
    /// Its last sign of life, or its beginning.
    #[serde(default)]
    pub heartbeat_at: Option<Timestamp>,
    /// What was heard of it.
    #[serde(default)]
    pub heard: Heard,
    /// How far it said it had come, in order; where only the last attempt is asked for, this is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progress: Vec<ProgressPoint>,
}

impl Attempt {
    /// The attempt that has no row of its own: the running one, or a success at the first try.
    pub fn untold(job: &Job, last_told: Option<&Self>) -> Option<Self> {
        let outcome = match job.status {
            Status::Running => "running",
            Status::Succeeded if last_told.is_none_or(|told| told.lease < job.lease) => "succeeded",
            Status::Queued | Status::Succeeded | Status::Failed | Status::Dead | Status::Canceled => {
                return None;
            }
        };
        Some(Self {
            attempt: job.attempts,
            lease: job.lease,
            worker: job.locked_by.clone().or_else(|| job.last_worker.clone()),
            outcome: outcome.to_owned(),
            error: None,
            started_at: job.started_at,
            finished_at: job.finished_at,
            stop_ignored_at: None,
            refused: 0,
            heartbeat_at: job.heartbeat_at,
            heard: job.heard.clone(),
            progress: Vec::new(),
        })
    }
}

/// A person's word that a dead job need not run any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resolution {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub note: String,
}

/// A job handed to a worker, with the lease under which it may be changed.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// Identity.
    pub id: JobId,
    /// Who it belongs to.
    pub tenant_id: String,
    /// Which handler runs it.
    pub job_type: String,
    /// The queue it came from.
    pub queue: String,
    /// Lower runs first.
    pub priority: i16,
    /// The handler's input.
    pub payload: Payload,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts it may use.
    pub max_attempts: u32,
    /// The fence of this attempt.
    pub lease: Lease,
    /// Bound on this attempt: the job's own, or what the claim said of its type.
    pub timeout: Option<Duration>,
    /// Bound on the time between two reports of progress, likewise.
    pub progress_timeout: Option<Duration>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When this attempt began, on the database's clock.
    pub started_at: Timestamp,
    /// What an earlier attempt saved.
    pub checkpoint: Option<serde_json::Value>,
    /// Free labels.
    pub tags: Vec<String>,
    /// W3C trace context of the enqueuer.
    pub traceparent: Option<String>,
    /// Back-off of its own.
    pub retry: Option<crate::settle::RetryPolicy>,
    /// Nothing else may run in the process while it does (see [`crate::poison`]).
    pub alone: bool,
}
