//! Letting handlers run: within their slots, stopped at their time-out, their panics caught.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jobforge_core::enqueue::trace_id;
use jobforge_core::job::{ClaimedJob, ErrorInfo, WorkerId};
use jobforge_core::settle::{AttemptFacts, Outcome, RetryPolicy, Settlement, decide, spread};
use jobforge_core::time::words;
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

use super::pool::Pool;
use super::registry::{HandlerResult, Registered};
use super::settle::{Ended, hand_over};
use crate::clock;
use crate::context::{JobContext, StopReason};
use crate::job_error::{FailOutcome, JobError};
use crate::payloads::Payloads;
use crate::trace;

/// How long a job that was taken ahead of a slot waits for one. Jobs of its queue have been over in milliseconds; where they
/// are not any more, another worker may have a slot, and the database counts the job's time-out from its claim.
const TAKEN_AHEAD: Duration = Duration::from_secs(1);

/// Starts handlers and passes on how they ended. Every started job holds a sender, so the settler outlives them all.
#[derive(Clone)]
pub(crate) struct Runner {
    pool: Arc<Pool>,
    settled: mpsc::Sender<Ended>,
}

impl Runner {
    pub(crate) fn new(pool: Arc<Pool>, settled: mpsc::Sender<Ended>) -> Self {
        Self { pool, settled }
    }

    /// Starts a task for each job; it waits there for its slot.
    pub(crate) fn start(&self, jobs: Vec<ClaimedJob>) {
        let mut started = Vec::with_capacity(jobs.len());
        for job in jobs {
            // A claim answers only for the queues it asked for.
            let Some(queue) = self.pool.queues.iter().position(|queue| queue.name == job.queue) else {
                continue;
            };
            let registered = self.pool.registry.get(&job.job_type).cloned();
            let ctx = JobContext::new(job, Arc::clone(&self.pool.states));
            started.push((queue, ctx, registered));
        }
        self.pool.hold(started.iter().map(|(queue, ctx, _)| (*queue, ctx.clone())));
        let worker = self.pool.id();
        for (queue, ctx, registered) in started {
            tokio::spawn(self.clone().run(worker.clone(), queue, ctx, registered));
        }
    }

    /// Hands over jobs that came too late to be started.
    pub(crate) fn give_back(&self, worker: &WorkerId, jobs: Vec<ClaimedJob>) {
        for job in jobs {
            let ctx = JobContext::new(job, Arc::clone(&self.pool.states));
            let settlement = settle(&ctx, Outcome::Released, &RetryPolicy::default());
            let (pool, worker) = (Arc::clone(&self.pool), worker.clone());
            tokio::spawn(async move { hand_over(&pool, &worker, &settlement).await });
        }
    }

    async fn run(self, worker: WorkerId, queue: usize, ctx: JobContext, registered: Option<Registered>) {
        let queue = &self.pool.queues[queue];
        // The semaphore is never closed; a stop signal that came while waiting is seen by `attempt`.
        let permit = tokio::select! {
            biased;
            () = ctx.stop_signal().cancelled() => None,
            permit = queue.permits.acquire() => permit.ok(),
            () = tokio::time::sleep(TAKEN_AHEAD) => None,
        };
        let began = clock::monotonic();
        let outcome = match &registered {
            None => Some(Outcome::Retry { error: unknown_type(&ctx), delay: None }),
            Some(_) if permit.is_none() && ctx.stop_reason().is_none() => Some(Outcome::Released),
            Some(_) if permit.is_none() => ended(&ctx, Err(JobError::stopped())),
            Some(registered) => {
                let grace = registered.stop_grace.unwrap_or(self.pool.config.stop_grace);
                let traced = trace::process(ctx.job(), &worker);
                trace::traceparent(&traced).into_iter().for_each(|trace| ctx.runs_within(trace));
                // The traced one within, so that it is what surrounds a handler's own enqueues.
                let payloads = self.pool.config.payloads.as_ref();
                let run = attempt(&ctx, registered, payloads, grace).instrument(traced.clone());
                let outcome = run.instrument(span(&ctx, &worker)).await;
                trace::processed(&traced, outcome.as_ref());
                outcome
            }
        };
        // What got no slot in time tells that the queue is not quick, so that it is not taken ahead again at once.
        queue.ran(if permit.is_some() { clock::monotonic().duration_since(began) } else { TAKEN_AHEAD });
        drop(permit);
        let retry = registered.map_or_else(RetryPolicy::default, |registered| registered.retry);
        let mut handed_over = None;
        if let Some(outcome) = outcome {
            let (worker, settlement) = (worker.clone(), settle(&ctx, outcome, &retry));
            self.pool.will_report();
            // A closed channel means the worker is being dropped: the lease will bring the job back.
            let _ = self.settled.send(Ended { worker, settlement }).await;
        } else if self.pool.has_given_up(&worker) {
            handed_over = Some(settle(&ctx, Outcome::Released, &retry));
        }
        self.pool.release(ctx.id(), ctx.fence());
        if let Some(settlement) = handed_over {
            hand_over(&self.pool, &worker, &settlement).await;
        }
    }
}

/// What every line of a handler's log is told with.
fn span(ctx: &JobContext, worker: &WorkerId) -> Span {
    let job = ctx.job();
    let trace = job.traceparent.as_deref().and_then(trace_id);
    tracing::info_span!(
        "attempt",
        job.id = %job.id,
        job_name = job.job_type,
        r#type = job.job_type,
        tenant_id = job.tenant_id,
        queue = job.queue,
        worker.id = %worker,
        attempt = job.attempt,
        lease = job.lease.0,
        trace_id = trace,
    )
}

/// Runs one attempt to its end; `None` if nothing may be said about it any more.
async fn attempt(
    ctx: &JobContext,
    registered: &Registered,
    payloads: Option<&Payloads>,
    grace: Duration,
) -> Option<Outcome> {
    let whole = async {
        ctx.load(payloads).await.map_err(|fault| fault.of_attempt())?;
        (registered.run)(ctx.clone()).await
    };
    let run = AssertUnwindSafe(whole).catch_unwind();
    tokio::pin!(run);
    let ended_by_itself = tokio::select! {
        biased;
        // An end counts before a time-out in the same moment.
        result = &mut run => Some(result),
        () = time_out(ctx) => {
            ctx.ask_to_stop(StopReason::TimedOut);
            None
        }
        () = standstill(ctx) => {
            ctx.ask_to_stop(StopReason::NoProgress);
            None
        }
        () = ctx.stop_signal().cancelled() => None,
    };
    let result = match ended_by_itself {
        Some(result) => Some(result),
        // It was asked to stop and may use its grace to clean up; after that it is dropped where it stands.
        None => tokio::time::timeout(grace, &mut run).await.ok(),
    };
    match result {
        Some(Ok(result)) => ended(ctx, result),
        Some(Err(panic)) => Some(Outcome::Retry { error: panicked(panic.as_ref()), delay: None }),
        None => {
            let reason = ctx.stop_reason();
            tracing::warn!(job.id = %ctx.id(), ?reason, "the handler ignored the request to stop and was dropped");
            ended(ctx, Err(JobError::stopped()))
        }
    }
}

/// Resolves when the attempt's time is over; never if it has no bound.
async fn time_out(ctx: &JobContext) {
    match ctx.timeout() {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the handler has reported no progress for as long as its job may stand still; never if it may for ever.
async fn standstill(ctx: &JobContext) {
    let Some(limit) = ctx.progress_timeout() else { return std::future::pending().await };
    let mut since = clock::monotonic();
    loop {
        tokio::time::sleep_until((since + limit).into()).await;
        match ctx.progressed() {
            Some(last) if last > since => since = last,
            Some(_) | None => return,
        }
    }
}

/// What a handler's return means, together with why it was asked to stop.
fn ended(ctx: &JobContext, result: HandlerResult) -> Option<Outcome> {
    let stopped_by = ctx.stop_reason();
    let failure = match result {
        Ok(result) => return Some(Outcome::Succeeded { result }),
        Err(error) => error.outcome,
    };
    match (failure, stopped_by) {
        // The job is not ours any more: whatever the handler says would be refused.
        (_, Some(StopReason::Canceled | StopReason::LeaseLost)) => None,
        (_, Some(StopReason::TimedOut)) => Some(Outcome::Retry { error: timed_out(ctx), delay: None }),
        (_, Some(StopReason::NoProgress)) => Some(Outcome::Retry { error: stood_still(ctx), delay: None }),
        (FailOutcome::Stopped, Some(StopReason::Shutdown)) => Some(Outcome::Released),
        (FailOutcome::Stopped, None) => Some(Outcome::Retry {
            error: info("stopped", "the handler said it was stopped, but nobody had asked it to"),
            delay: None,
        }),
        (FailOutcome::Retry { error, delay }, _) => Some(Outcome::Retry { error, delay }),
        (FailOutcome::Fatal { error }, _) => Some(Outcome::Failed { error }),
        (FailOutcome::Snooze { delay }, _) => Some(Outcome::Snoozed { delay }),
    }
}

fn settle(ctx: &JobContext, outcome: Outcome, retry: &RetryPolicy) -> Settlement {
    let job = ctx.job();
    let facts = AttemptFacts {
        id: job.id,
        lease: job.lease,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        retry: job.retry,
    };
    decide(&facts, outcome, ctx.take_report(), retry, spread(job.id, job.lease))
}

fn info(kind: &str, message: impl Into<String>) -> ErrorInfo {
    ErrorInfo { message: message.into(), kind: kind.to_owned(), retryable: true, details: None }
}

fn unknown_type(ctx: &JobContext) -> ErrorInfo {
    info("unknown_type", format!("this worker has no handler for type {}", ctx.job().job_type))
}

fn timed_out(ctx: &JobContext) -> ErrorInfo {
    let limit = ctx.timeout().map(words).unwrap_or_default();
    info("timeout", format!("the attempt reached its time-out of {limit} and was stopped"))
}

fn stood_still(ctx: &JobContext) -> ErrorInfo {
    let limit = ctx.progress_timeout().map(words).unwrap_or_default();
    info(
        "no_progress",
        format!("the handler reported nothing for {limit}, which is its limit, and was stopped"),
    )
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> ErrorInfo {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    info("panic", format!("the handler panicked: {}", text.unwrap_or_else(|| "no message".to_owned())))
}
