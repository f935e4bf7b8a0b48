//! Runs a handler without a worker, for tests: a job that nobody stores, and a look at what the handler said.

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::heartbeat::Report;
use jobforge_core::job::{ClaimedJob, JobId, Lease};
use jobforge_core::payload::Payload;

use crate::clock;
use crate::context::{JobContext, StopReason};
use crate::job_error::{FailOutcome, JobError};

/// A [`JobError`] with its fields open.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Another attempt may help; after a wait of its own, if `after` says one.
    Retry {
        /// The stable word.
        kind: String,
        /// The sentence.
        message: String,
        /// The wait that replaces the back-off.
        after: Option<Duration>,
    },
    /// No attempt can help.
    Fatal {
        /// The stable word.
        kind: String,
        /// The sentence.
        message: String,
    },
    /// Later, without using an attempt.
    Snooze(Duration),
    /// It stopped because it was told to.
    Stopped,
}

/// Returns the context of a first attempt at a job of `job_type`, under lease 7.
pub fn context(job_type: &str) -> JobContext {
    let now = clock::wall();
    let job = ClaimedJob {
        id: JobId::new(),
        tenant_id: "default".to_owned(),
        job_type: job_type.to_owned(),
        queue: "default".to_owned(),
        priority: 0,
        payload: Payload::empty(),
        attempt: 1,
        max_attempts: 5,
        lease: Lease(7),
        timeout: None,
        progress_timeout: None,
        created_at: now,
        started_at: now,
        checkpoint: None,
        tags: Vec::new(),
        traceparent: None,
        retry: None,
        alone: false,
    };
    JobContext::new(job, Arc::default())
}

/// Asks the handler to stop, as a worker does.
pub fn stop(ctx: &JobContext, reason: StopReason) {
    ctx.ask_to_stop(reason);
}

/// Takes what the handler reported since the last call.
pub fn report(ctx: &JobContext) -> Report {
    let report = ctx.take_report();
    ctx.heard();
    report
}

/// Opens an error.
pub fn outcome(error: JobError) -> Outcome {
    match error.outcome {
        FailOutcome::Retry { error, delay } => {
            Outcome::Retry { kind: error.kind, message: error.message, after: delay }
        }
        FailOutcome::Fatal { error } => Outcome::Fatal { kind: error.kind, message: error.message },
        FailOutcome::Snooze { delay } => Outcome::Snooze(delay),
        FailOutcome::Stopped => Outcome::Stopped,
    }
}
