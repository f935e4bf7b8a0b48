//! Taking jobs.

use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::claim::{Claimed, TypeBounds};
use jobforge_core::job::{ClaimedJob, Job, JobId, Lease, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::poison;
use jobforge_core::settle::RetryPolicy;
use jobforge_core::stored_payload::StoredPayload;
use jobforge_core::time::{add, since};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::millis;

/// `POST /v1/worker/claim`: takes due jobs, most urgent first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// Who asks.
    pub worker_id: WorkerId,
    /// How many from each queue, in order of preference.
    pub queues: Vec<QueueRoomView>,
    /// The types it can run; absent is every type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// How long the server may hold the request until there is work.
    #[serde(default)]
    pub wait_ms: u64,
    /// How long until the first heartbeat of a claimed job at the latest; absent is by the server's rhythm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_due_ms: Option<u64>,
    /// How long the worker means to wait before the first heartbeat; absent if it does not say. Silences of more than twice
    /// that are kept with the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_interval_ms: Option<u64>,
    /// One job that must run alone in its process, and no other: asked by a worker that runs nothing. Without it none of
    /// those is given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// What the worker keeps jobs to that have no bounds of their own.
    #[serde(default, skip_serializing_if = "is_unbound")]
    pub bounds: TypeBounds,
    /// Every job that the worker has and whose end it has not reported. Given after a claim whose answer did not
    /// arrive: what the server gave away then is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<HeldJob>>,
}

/// The same beside results, whose worker asks. Written out, for serde's `flatten` does not refuse unknown fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextClaim {
    /// How many from each queue, in order of preference.
    pub queues: Vec<QueueRoomView>,
    /// The types it can run; absent is every type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// How long the server may hold the request until there is work, and with it the answers to the results.
    #[serde(default)]
    pub wait_ms: u64,
    /// As in [`ClaimRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_due_ms: Option<u64>,
    /// As in [`ClaimRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_interval_ms: Option<u64>,
    /// As in [`ClaimRequest`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// As in [`ClaimRequest`].
    #[serde(default, skip_serializing_if = "is_unbound")]
    pub bounds: TypeBounds,
    /// As in [`ClaimRequest`]; without the jobs whose ends are reported beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<HeldJob>>,
}

impl ClaimRequest {
    /// Who asks, and for what.
    pub fn parts(self) -> (WorkerId, NextClaim) {
        let Self {
            worker_id,
            queues,
            types,
            wait_ms,
            heartbeat_due_ms,
            heartbeat_interval_ms,
            alone,
            bounds,
            held,
        } = self;
        let next = NextClaim {
            queues,
            types,
            wait_ms,
            heartbeat_due_ms,
            heartbeat_interval_ms,
            alone,
            bounds,
            held,
        };
        (worker_id, next)
    }
}

fn is_unbound(bounds: &TypeBounds) -> bool {
    bounds.timeout.is_empty() && bounds.progress.is_empty()
}

/// How many jobs of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueRoomView {
    /// The queue.
    pub name: String,
    /// At most this many.
    pub max: usize,
}

/// A job under the fence of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldJob {
    /// The job.
    pub id: JobId,
    /// Its fence.
    pub fence: Lease,
}

/// What a claim gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// The jobs, each now running under its fence.
    pub jobs: Vec<ClaimedJobView>,
    /// More may be had at once.
    pub more: bool,
    /// When the next waiting job of any queue becomes due, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due_ms: Option<u64>,
    /// A job that must run alone waits in one of the queues: ask for it when nothing runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone_waits: bool,
    /// The server's clock at the claim.
    pub as_of: Timestamp,
}

/// A job handed to a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimedJobView {
    /// Identity, the same in every attempt.
    pub id: JobId,
    /// The fence of this attempt; every later word about it carries this number.
    pub fence: Lease,
    /// Which handler runs it.
    #[serde(rename = "type")]
    pub job_type: String,
    /// Who it belongs to.
    pub tenant_id: String,
    /// The queue it came from.
    pub queue: String,
    /// Lower runs first.
    pub priority: i16,
    /// The handler's input, or a reference to it.
    pub payload: Payload,
    /// Present where `payload` is a reference: the input itself is what `GET /v1/worker/payload/{id}` answers, and this is
    /// what it can be told by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_stored: Option<StoredPayload>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts it may use.
    pub max_attempts: u32,
    /// Bound on this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Bound on the time between two reports of progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_timeout_ms: Option<u64>,
    /// What an earlier attempt saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Value>,
    /// Free labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// W3C trace context of the enqueuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Back-off of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Nothing else may run in the process while it does: workers died that were running it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// When this attempt began.
    pub started_at: Timestamp,
}

impl ClaimedJobView {
    /// A job that already runs, as it was when its worker claimed it.
    pub fn running(job: Job) -> Self {
        Self {
            id: job.id,
            fence: job.lease,
            job_type: job.job_type,
            tenant_id: job.tenant_id,
            queue: job.queue,
            priority: job.priority,
            payload_stored: StoredPayload::of(&job.payload),
            payload: job.payload,
            attempt: job.attempts,
            max_attempts: job.max_attempts,
            timeout_ms: job.deadline_at.zip(job.started_at).map(|(end, start)| millis(since(end, start))),
            progress_timeout_ms: job.progress_limit.map(millis),
            checkpoint: job.checkpoint,
            tags: job.tags,
            traceparent: job.traceparent,
            retry: job.retry,
            alone: poison::runs_alone(&job.crashes),
            enqueued_at: job.created_at,
            started_at: job.started_at.unwrap_or(job.updated_at),
        }
    }
}

impl From<ClaimedJob> for ClaimedJobView {
    fn from(job: ClaimedJob) -> Self {
        Self {
            id: job.id,
            fence: job.lease,
            job_type: job.job_type,
            tenant_id: job.tenant_id,
            queue: job.queue,
            priority: job.priority,
            payload_stored: StoredPayload::of(&job.payload),
            payload: job.payload,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            timeout_ms: job.timeout.map(millis),
            progress_timeout_ms: job.progress_timeout.map(millis),
            checkpoint: job.checkpoint,
            tags: job.tags,
            traceparent: job.traceparent,
            retry: job.retry,
            alone: job.alone,
            enqueued_at: job.created_at,
            started_at: job.started_at,
        }
    }
}

impl From<ClaimedJobView> for ClaimedJob {
    fn from(job: ClaimedJobView) -> Self {
        Self {
            id: job.id,
            lease: job.fence,
            job_type: job.job_type,
            tenant_id: job.tenant_id,
            queue: job.queue,
            priority: job.priority,
            payload: job.payload,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            timeout: job.timeout_ms.map(Duration::from_millis),
            progress_timeout: job.progress_timeout_ms.map(Duration::from_millis),
            checkpoint: job.checkpoint,
            tags: job.tags,
            traceparent: job.traceparent,
            retry: job.retry,
            alone: job.alone,
            created_at: job.enqueued_at,
            started_at: job.started_at,
        }
    }
}

impl From<Claimed> for ClaimAnswer {
    fn from(claimed: Claimed) -> Self {
        Self {
            next_due_ms: claimed.next_due.map(|due| millis(since(due, claimed.as_of))),
            jobs: claimed.jobs.into_iter().map(ClaimedJobView::from).collect(),
            more: claimed.more,
            alone_waits: claimed.alone_waits,
            as_of: claimed.as_of,
        }
    }
}

impl From<ClaimAnswer> for Claimed {
    fn from(answer: ClaimAnswer) -> Self {
        Self {
            next_due: answer.next_due_ms.map(|ms| add(answer.as_of, Duration::from_millis(ms))),
            jobs: answer.jobs.into_iter().map(ClaimedJob::from).collect(),
            more: answer.more,
            alone_waits: answer.alone_waits,
            as_of: answer.as_of,
        }
    }
}
