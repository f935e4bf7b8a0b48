//! The worker protocol, version 1: what a worker process and a server say to each other under `/v1/worker`.
//!
//! Requests are strict (an unknown field is refused), answers may grow (ignore what you do not know). Times are
//! durations in whole milliseconds, because only the server's clock counts and a worker measures intervals; the few
//! moments that are told are for people. What each call promises is in `docs/worker-protocol.md`.

mod claim;
mod deaths;
mod heartbeat;
mod results;

use jobforge_core::job::{JobId, WorkerId};
use jobforge_core::retention::Retention;
use jobforge_core::state::Status;
use serde::{Deserialize, Serialize};

pub use claim::{ClaimAnswer, ClaimRequest, ClaimedJobView, HeldJob, NextClaim, QueueRoomView};
pub use deaths::{DeathAnswer, DeathRequest, ProcessEnd, ProcessView, TakenBack};
pub use heartbeat::{
    BeatAnswer, HeartbeatAnswer, HeartbeatRequest, HoldState, JobBeat, JobReport, LeaseState, WorkerMode,
};
pub use results::{
    Acceptance, ErrorReport, JobOutcome, JobResult, ResultAnswer, ResultsAnswer, ResultsRequest,
};

/// The version of the protocol, sent with every request in [`PROTOCOL_HEADER`].
pub const PROTOCOL: &str = "1";
/// The header that names the version.
pub const PROTOCOL_HEADER: &str = "jobforge-protocol";

/// `POST /v1/worker/register`: makes a worker known, with its lease running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// This incarnation, `worker-` and eight hex digits, new at every start and after every lost lease. The server
    /// chooses one if it is absent; a request that is sent again must name one, to be the same worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// A label for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The machine it runs on.
    pub host: String,
    /// Its process on that machine. Over a Unix socket the server takes the kernel's word instead.
    pub pid: u32,
    /// Which library speaks, such as `jobforge-rust/0.1.0`; for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<String>,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// The types it can run; absent is every type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// The lease it wishes; absent is the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// Whether a supervisor watches its process and will tell how it ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supervised: bool,
}

/// The rhythm and the limits that a worker keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisterAnswer {
    /// Its identity until it leaves or loses its lease.
    pub worker_id: WorkerId,
    /// How long it may be silent before its jobs are taken away, counted from the last renewal.
    pub lease_ms: u64,
    /// How often to renew.
    pub renew_ms: u64,
    /// The rhythm of the jobs' heartbeats.
    pub heartbeat: HeartbeatRhythm,
    /// How to ask for work.
    pub poll: PollRhythm,
    /// What one request may hold.
    pub limits: Limits,
}

/// How often running jobs give signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatRhythm {
    /// False: send heartbeats only when there is something to report.
    pub enabled: bool,
    /// First interval of an attempt.
    pub interval_ms: u64,
    /// Longest interval.
    pub max_interval_ms: u64,
    /// Growth from one interval to the next.
    pub multiplier: f64,
    /// Silence after which a job is suspect.
    pub stale_after_ms: u64,
}

/// How an idle worker asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PollRhythm {
    /// The longest useful `wait_ms` of a claim.
    pub wait_ms: u64,
    /// First pause of a worker that does not use `wait_ms`.
    pub interval_ms: u64,
    /// Longest such pause.
    pub max_interval_ms: u64,
    /// Growth from one pause to the next.
    pub multiplier: f64,
}

/// What one request may hold; more is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Jobs that one claim gives.
    pub claim: usize,
    /// Jobs of one heartbeat.
    pub heartbeat: usize,
    /// Results of one call.
    pub results: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
}

/// `POST /v1/worker/leave`: says goodbye. What the worker still holds is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveRequest {
    /// Who leaves.
    pub worker_id: WorkerId,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/worker/purge`: deletes one batch of ended jobs, for the worker that runs `system.cleanup.old_jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// Who runs the clean-up job.
    pub worker_id: WorkerId,
    /// How long to keep what.
    pub keep: Retention,
    /// Only count what there is to delete, all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What one batch deleted, or all that there is to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeAnswer {
    /// How many of each status; all zero means that nothing is left to delete.
    pub deleted: Vec<(Status, u64)>,
}

/// `POST /v1/worker/samples`: what a process of workers counted, for whoever judges the alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRequest {
    /// The process, told apart from others by its name.
    pub process: String,
    /// The lines of its metrics that rules look at, in Prometheus' text format.
    pub series: String,
}

/// What the stream `GET /v1/worker/signals?worker_id=…` tells. Hints only: whoever listens must also look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "signal", rename_all = "snake_case")]
pub enum Signal {
    /// The stream begins, or signals may have been missed: claim, and send a heartbeat for every job.
    Look,
    /// A queue may have work: claim.
    Work {
        /// The queue.
        queue: String,
    },
    /// A running job was moved by another hand: if it is yours, send a heartbeat for it and heed the answer.
    Moved {
        /// The job.
        id: JobId,
    },
    /// Somebody told the worker something that it learns with its next renewal: renew now.
    Renew,
}
