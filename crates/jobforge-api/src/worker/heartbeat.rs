//! Staying alive, and reporting on the way.

use jobforge_core::heartbeat::{BeatReply, Report};
use jobforge_core::job::{Items, JobId, Lease, WorkerId};
use jobforge_core::state::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /v1/worker/heartbeat`: renews the worker's lease, reports on its jobs, and learns what has become of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// Who reports.
    pub worker_id: WorkerId,
    /// What the worker is doing; absent leaves its lease as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<WorkerMode>,
    /// The lease that it wishes from now on, where `state` renews it; absent is the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// Jobs that give a sign of life; a job that is left out is not late before its time.
    #[serde(default)]
    pub jobs: Vec<JobBeat>,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerMode {
    /// It takes jobs.
    Run,
    /// It finishes what it has and takes nothing new, for good.
    Draining,
}

/// A sign of life of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobBeat {
    /// The job.
    pub id: JobId,
    /// Its fence.
    pub fence: Lease,
    /// How long until the next one at the latest; absent is by the server's rhythm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_in_ms: Option<u64>,
    /// How long the worker means to wait before the next one; absent if it does not say. Silences of more than twice that are
    /// kept with the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// What its handler has to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<JobReport>,
}

/// What a handler says of its work; absent fields are unchanged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobReport {
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What it is doing, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its named phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Items counted in this attempt so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Items>,
    /// A point to go on from in a later attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Value>,
    /// The newest log lines of this attempt, replacing those sent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The handler goes on although its job was taken from it and it was asked to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignores_stop: bool,
}

/// What the server says to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Whether the worker still has its lease; absent if it did not ask to renew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<LeaseState>,
    /// How long the renewed lease lasts from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// Counts the databases that have taken over from one another: when it changes, the worker asks for all its jobs at once,
    /// for the last claims may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// The worker was told to restart: it gets no more jobs, finishes what it has, leaves and begins anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
    /// One answer for each job, in the order of the request.
    pub jobs: Vec<BeatAnswer>,
}

/// Whether a worker may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Its lease runs anew.
    Live,
    /// It has lost its lease: it stops its jobs and registers as a new worker.
    Lost,
}

/// Whose a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatAnswer {
    /// The job.
    pub id: JobId,
    /// Whether the worker may go on with it.
    pub state: HoldState,
    /// Where it stands, if it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// Whether a worker may go on with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// It is still this worker's.
    Kept,
    /// A person or program canceled it: stop the handler.
    Canceled,
    /// It was moved by another hand: stop the handler.
    Lost,
    /// It no longer exists: stop the handler.
    Gone,
}

impl JobReport {
    /// What a handler reported since the last time, if that is anything.
    pub fn of(report: Report) -> Option<Self> {
        (report.changed || report.ignores_stop).then_some(Self {
            percent: report.progress,
            message: report.message,
            phase: report.phase,
            items: report.items,
            checkpoint: report.checkpoint,
            log: report.log_tail,
            ignores_stop: report.ignores_stop,
        })
    }
}

impl From<JobReport> for Report {
    fn from(report: JobReport) -> Self {
        let changed = report != JobReport::default();
        Self {
            // More than all is all, as in a handler's own report.
            progress: report.percent.map(|percent| percent.min(100)),
            message: report.message,
            phase: report.phase,
            items: report.items,
            checkpoint: report.checkpoint,
            log_changed: report.log.is_some(),
            log_tail: report.log,
            changed,
            ignores_stop: report.ignores_stop,
        }
    }
}

impl BeatAnswer {
    /// The store's answer for a job.
    pub fn of(id: JobId, reply: BeatReply) -> Self {
        let (state, status) = match reply {
            BeatReply::Kept => (HoldState::Kept, None),
            BeatReply::Canceled => (HoldState::Canceled, None),
            BeatReply::Lost { status } => (HoldState::Lost, Some(status)),
            BeatReply::Gone => (HoldState::Gone, None),
        };
        Self { id, state, status }
    }

    /// The same as a store says it.
    pub fn reply(&self) -> BeatReply {
        match self.state {
            HoldState::Kept => BeatReply::Kept,
            HoldState::Canceled => BeatReply::Canceled,
            HoldState::Lost => BeatReply::Lost { status: self.status.unwrap_or(Status::Queued) },
            HoldState::Gone => BeatReply::Gone,
        }
    }
}
