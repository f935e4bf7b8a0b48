//! How attempts ended.

use std::time::Duration;

use jobforge_core::job::{ErrorInfo, JobId, Lease, QueuedBecause, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::settle::{Outcome, Settled, Settlement};
use jobforge_core::state::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claim::{ClaimAnswer, NextClaim};
use super::heartbeat::JobReport;
use crate::millis;

/// `POST /v1/worker/results`: says how attempts ended, each by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultsRequest {
    /// Who reports.
    pub worker_id: WorkerId,
    /// The attempts that ended.
    pub results: Vec<JobResult>,
    /// What the worker asks for next, once they are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<NextClaim>,
}

/// How one attempt ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobResult {
    /// The job.
    pub id: JobId,
    /// Its fence.
    pub fence: Lease,
    /// How it ended.
    pub outcome: JobOutcome,
    /// What the handler returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Payload>,
    /// What went wrong; needed for `retry`, `failed` and `dead`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// For `retry`, a wait that replaces the job's back-off; for `snoozed`, how much later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// The handler's last words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<JobReport>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// The handler is done.
    Succeeded,
    /// It failed, and another attempt may succeed: queued again, or dead after the last attempt.
    Retry,
    /// It failed for good.
    Failed,
    /// It failed and belongs to the dead letters, whatever attempts are left.
    Dead,
    /// The handler wants to run later; costs no attempt.
    Snoozed,
    /// The worker stops before the handler has ended; costs no attempt.
    Released,
}

/// What went wrong in an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorReport {
    /// One sentence for people.
    pub message: String,
    /// A stable word for grouping.
    #[serde(default = "unnamed")]
    pub kind: String,
    /// Whether another attempt might succeed; absent is by the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Anything structured, such as a stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

fn unnamed() -> String {
    "error".to_owned()
}

/// What the server says to results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResultsAnswer {
    /// One answer for each result, in the order of the request.
    pub results: Vec<ResultAnswer>,
    /// What the claim beside them gave; absent if there was none, or if it failed.
    #[serde(flatten)]
    pub claim: Option<ClaimAnswer>,
}

/// What became of one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultAnswer {
    /// The job.
    pub id: JobId,
    /// What was done.
    pub answer: Acceptance,
    /// Where the job stands, if the result came too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Its fence now, if the result came too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Lease>,
}

/// What was done with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// Stored now.
    Applied,
    /// It had been stored before by this worker under this fence.
    Replayed,
    /// Somebody else moved the job: nothing was changed, and sending it again is useless.
    Fenced,
    /// The job no longer exists.
    Gone,
}

impl JobResult {
    /// A settlement that a worker has decided; `None` for a move that no worker makes.
    pub fn of(plan: &Settlement) -> Option<Self> {
        let waits = |outcome| (outcome, Some(millis(plan.delay)));
        let (outcome, retry_in_ms) = match (plan.to, plan.because) {
            (Status::Succeeded, _) => (JobOutcome::Succeeded, None),
            (Status::Failed, _) => (JobOutcome::Failed, None),
            (Status::Dead, _) => (JobOutcome::Dead, None),
            (Status::Queued, QueuedBecause::Retry) => waits(JobOutcome::Retry),
            (Status::Queued, QueuedBecause::Snooze) => waits(JobOutcome::Snoozed),
            (Status::Queued, QueuedBecause::Release) => (JobOutcome::Released, None),
            (Status::Queued, QueuedBecause::Enqueued | QueuedBecause::Rescue | QueuedBecause::Operator)
            | (Status::Running | Status::Canceled, _) => return None,
        };
        Some(Self {
            id: plan.id,
            fence: plan.lease,
            outcome,
            result: plan.result.clone(),
            error: plan.error.clone().map(ErrorReport::from),
            retry_in_ms,
            report: JobReport::of(plan.report.clone()),
        })
    }

    /// How the attempt ended, as the rules of settling read it; the payload must have been checked.
    ///
    /// # Errors
    /// One sentence naming the field that does not fit the outcome.
    pub fn ending(self) -> Result<Outcome, String> {
        use JobOutcome::{Dead, Failed, Released, Retry, Snoozed, Succeeded};
        let outcome = self.outcome;
        let error = self.error.map(|error| error.into_info(outcome));
        let wait = self.retry_in_ms.map(Duration::from_millis);
        match (outcome, self.result, error, wait) {
            (Succeeded, result, None, None) => Ok(Outcome::Succeeded { result }),
            (Retry, None, Some(error), delay) => Ok(Outcome::Retry { error, delay }),
            // A retry after the last attempt is what makes a job dead.
            (Dead, None, Some(error), None) => Ok(Outcome::Retry { error, delay: None }),
            (Failed, None, Some(error), None) => Ok(Outcome::Failed { error }),
            (Snoozed, None, None, Some(delay)) => Ok(Outcome::Snoozed { delay }),
            (Released, None, None, None) => Ok(Outcome::Released),
            (Retry | Dead | Failed, _, None, _) => {
                Err("error is missing; say what went wrong in error.message".to_owned())
            }
            (Snoozed, _, _, None) => {
                Err("retry_in_ms is missing; say how much later the job shall run".to_owned())
            }
            (Succeeded | Retry | Dead | Failed | Snoozed | Released, ..) => Err(
                "a field does not fit the outcome: result belongs to succeeded; error to retry, failed and dead; \
                 retry_in_ms to retry and snoozed"
                    .to_owned(),
            ),
        }
    }
}

impl ErrorReport {
    fn into_info(self, outcome: JobOutcome) -> ErrorInfo {
        ErrorInfo {
            message: self.message,
            kind: self.kind,
            retryable: self.retryable.unwrap_or(outcome == JobOutcome::Retry),
            details: self.details,
        }
    }
}

impl From<ErrorInfo> for ErrorReport {
    fn from(error: ErrorInfo) -> Self {
        Self {
            message: error.message,
            kind: error.kind,
            retryable: Some(error.retryable),
            details: error.details,
        }
    }
}

impl ResultAnswer {
    /// The store's answer for a job.
    pub fn of(id: JobId, settled: &Settled) -> Self {
        let late = |answer, status, fence| Self { id, answer, status, fence };
        match settled {
            Settled::Applied => late(Acceptance::Applied, None, None),
            Settled::Replayed => late(Acceptance::Replayed, None, None),
            Settled::Fenced { status, lease } => late(Acceptance::Fenced, Some(*status), Some(*lease)),
            Settled::Gone => late(Acceptance::Gone, None, None),
        }
    }

    /// The same as a store says it.
    pub fn settled(&self) -> Settled {
        match self.answer {
            Acceptance::Applied => Settled::Applied,
            Acceptance::Replayed => Settled::Replayed,
            Acceptance::Fenced => Settled::Fenced {
                status: self.status.unwrap_or(Status::Queued),
                lease: self.fence.unwrap_or(Lease(0)),
            },
            Acceptance::Gone => Settled::Gone,
        }
    }
}
