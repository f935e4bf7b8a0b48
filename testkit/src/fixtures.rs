//! Jobs, workers and calls in the fewest words, on a clock that only the test moves.
//!
//! Moments are seconds after [`start`]: `at(60)` reads "one minute into the story". Workers keep their lease for ten
//! hours unless a test is about leases, so that no test has to renew by the way.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use jobforge_core::audit::By;
use jobforge_core::claim::{ClaimAsk, Claimed, QueueAsk, TypeBounds};
use jobforge_core::heartbeat::{Beat, BeatReply, Report};
use jobforge_core::job::{ClaimedJob, ErrorInfo, Job, JobId, Lease, NewJob, RunAt, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::rescue::{self, RescuePolicy};
use jobforge_core::settle::{self, AttemptFacts, Outcome, RetryPolicy, Settled, Settlement};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::worker::NewWorker;
use jobforge_store::Store;
use jobforge_store::rows::{JobDetail, RescueReport};
use uuid::Uuid;

/// How long the heartbeat of a job may take in the fixtures.
pub const BEAT_DUE_IN: Duration = Duration::from_secs(3600);
/// And after how long its worker means to send it.
pub const BEAT_INTERVAL: Duration = Duration::from_secs(30);
/// Suspects that one sweep of a test looks at.
const SWEEP_PAGE: usize = 1000;
/// The lease of a worker in tests that are not about leases.
const LONG_LEASE: Duration = Duration::from_secs(36_000);
/// A claim that answers "more" this many times without giving anything is broken.
const MAX_EMPTY_CLAIMS: usize = 20;

/// The moment at which every story begins: 2026-03-01T12:00:00Z.
pub fn start() -> Timestamp {
    Timestamp::constant(1_772_366_400, 0)
}

/// The moment so many seconds into the story.
pub fn moment(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// The store's clock, fixed so many seconds into the story.
pub fn at(seconds: i64) -> Now {
    Now::Fixed(moment(seconds))
}

/// Who does things by hand in the tests.
pub fn by() -> By {
    By::named("tester")
}

/// A number of seconds.
pub fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A valid job of this type in queue `default`, due at once, without anything special.
pub fn job(job_type: &str) -> NewJob {
    NewJob {
        id: JobId::new(),
        tenant_id: "default".to_owned(),
        job_type: job_type.to_owned(),
        queue: "default".to_owned(),
        priority: 0,
        payload: Payload::empty(),
        when: RunAt::Now,
        max_attempts: 5,
        timeout: None,
        progress_timeout: None,
        idempotency_key: None,
        tags: Vec::new(),
        traceparent: None,
        created_by: None,
        retry: None,
    }
}

/// A job with an idempotency key and this payload.
pub fn keyed(key: &str, payload: &str) -> NewJob {
    NewJob { idempotency_key: Some(key.to_owned()), payload: json(payload), ..job("invoice") }
}

/// A payload from JSON text.
pub fn json(text: &str) -> Payload {
    Payload::parse(text).expect("the test's own JSON is valid")
}

/// A job id that no job has.
pub fn unknown_job() -> JobId {
    JobId(Uuid::from_u128(0x7fff_ffff_ffff_7000_8000_0000_0000_dead))
}

/// An ordinary retryable error.
pub fn error(message: &str) -> ErrorInfo {
    ErrorInfo { message: message.to_owned(), kind: "error".to_owned(), retryable: true, details: None }
}

/// A worker of queue `default` that knows every type.
pub fn new_worker(id: &str) -> NewWorker {
    NewWorker {
        id: WorkerId(id.to_owned()),
        name: None,
        hostname: "host-a".to_owned(),
        pid: 42,
        queues: vec!["default".to_owned()],
        types: None,
        slots: 8,
        lease: LONG_LEASE,
        lease_scales: false,
        place: None,
        registered_by: None,
    }
}

/// Registers a worker of queue `default`.
pub async fn register(store: &Arc<dyn Store>, id: &str, now: Now) -> Result<WorkerId> {
    store.register(&new_worker(id), now).await?;
    Ok(WorkerId(id.to_owned()))
}

/// Registers a worker whose lease lasts only so long.
pub async fn register_for(store: &Arc<dyn Store>, id: &str, lease: Duration, now: Now) -> Result<WorkerId> {
    store.register(&NewWorker { lease, ..new_worker(id) }, now).await?;
    Ok(WorkerId(id.to_owned()))
}

/// Enqueues one job, which must be new.
pub async fn enqueue(store: &Arc<dyn Store>, job: NewJob, now: Now) -> Result<JobId> {
    let answer = store.enqueue(&[job], now).await?;
    anyhow::ensure!(answer.len() == 1 && answer[0].created, "expected one new job, got {answer:?}");
    Ok(answer[0].id)
}

/// Asks for up to `limit` jobs of one queue, of any type.
pub fn asking(worker: &WorkerId, queue: &str, limit: usize) -> ClaimAsk {
    ClaimAsk {
        worker: worker.clone(),
        queues: vec![QueueAsk { queue: queue.to_owned(), limit }],
        types: None,
        tenant: None,
        beat_due_in: BEAT_DUE_IN,
        beat_interval: Some(BEAT_INTERVAL),
        alone: false,
        bounds: TypeBounds::default(),
    }
}

/// Claims as a worker does: a claim that gives nothing but says "more" is repeated at once.
pub async fn claim_as(store: &Arc<dyn Store>, ask: &ClaimAsk, now: Now) -> Result<Claimed> {
    for _ in 0..MAX_EMPTY_CLAIMS {
        let claimed = store.claim(ask, now).await?;
        if !claimed.jobs.is_empty() || !claimed.more {
            return Ok(claimed);
        }
    }
    anyhow::bail!("{MAX_EMPTY_CLAIMS} claims in a row promised more and gave nothing")
}

/// Claims up to `limit` jobs of queue `default`.
pub async fn claim(
    store: &Arc<dyn Store>,
    worker: &WorkerId,
    limit: usize,
    now: Now,
) -> Result<Vec<ClaimedJob>> {
    Ok(claim_as(store, &asking(worker, "default", limit), now).await?.jobs)
}

/// Claims the one job that is there to be claimed.
pub async fn claim_one(store: &Arc<dyn Store>, worker: &WorkerId, now: Now) -> Result<ClaimedJob> {
    let mut jobs = claim(store, worker, 10, now).await?;
    anyhow::ensure!(jobs.len() == 1, "expected one job to claim, got {}", jobs.len());
    Ok(jobs.remove(0))
}

/// Enqueues a plain job, registers the worker and lets it claim the job, all at one moment.
pub async fn running_job(store: &Arc<dyn Store>, worker: &str, now: Now) -> Result<(WorkerId, ClaimedJob)> {
    running(store, worker, job("email"), now).await
}

/// Enqueues this job, registers the worker and lets it claim the job, all at one moment.
pub async fn running(
    store: &Arc<dyn Store>,
    worker: &str,
    job: NewJob,
    now: Now,
) -> Result<(WorkerId, ClaimedJob)> {
    let worker = register(store, worker, now).await?;
    enqueue(store, job, now).await?;
    let claimed = claim_one(store, &worker, now).await?;
    Ok((worker, claimed))
}

/// Ends the attempt of a claimed job as a worker would decide it, with the retries in the middle of their spread.
pub fn settlement(job: &ClaimedJob, outcome: Outcome) -> Settlement {
    reported(job, outcome, Report::default())
}

/// As [`settlement`], with a last report.
pub fn reported(job: &ClaimedJob, outcome: Outcome, report: Report) -> Settlement {
    let facts = AttemptFacts {
        id: job.id,
        lease: job.lease,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        retry: job.retry,
    };
    settle::decide(&facts, outcome, report, &RetryPolicy::default(), 0.5)
}

/// A success without a result.
pub fn success() -> Outcome {
    Outcome::Succeeded { result: None }
}

/// A failure that may be retried after the usual back-off.
pub fn failure(message: &str) -> Outcome {
    Outcome::Retry { error: error(message), delay: None }
}

/// Settles one attempt.
pub async fn settle_one(
    store: &Arc<dyn Store>,
    worker: &WorkerId,
    job: &ClaimedJob,
    outcome: Outcome,
    now: Now,
) -> Result<Settled> {
    let mut answers = store.settle(worker, &[settlement(job, outcome)], now).await?;
    anyhow::ensure!(answers.len() == 1, "expected one answer, got {answers:?}");
    Ok(answers.remove(0))
}

/// Brings a new job to the given terminal status. Uses a worker of its own.
pub async fn ended_job(store: &Arc<dyn Store>, status: Status, new: NewJob, now: Now) -> Result<JobId> {
    let outcome = match status {
        Status::Canceled => {
            let id = enqueue(store, new, now).await?;
            store.move_jobs(&[id], jobforge_store::rows::Move::Cancel, &by(), now).await?;
            return Ok(id);
        }
        Status::Succeeded => success(),
        Status::Failed => Outcome::Failed { error: error("no such account") },
        Status::Dead => failure("boom"),
        Status::Queued | Status::Running => anyhow::bail!("{status} is not an end"),
    };
    end_with(store, new, outcome, now).await
}

/// Runs a new job once, as its last attempt, with this outcome. Uses a worker of its own.
pub async fn end_with(store: &Arc<dyn Store>, new: NewJob, outcome: Outcome, now: Now) -> Result<JobId> {
    let queue = new.queue.clone();
    let worker = WorkerId::random();
    let id = enqueue(store, new, now).await?;
    store.register(&NewWorker { queues: vec![queue.clone()], ..new_worker(worker.as_str()) }, now).await?;
    let claimed = claim_as(store, &asking(&worker, &queue, 1), now).await?.jobs;
    anyhow::ensure!(claimed.len() == 1 && claimed[0].id == id, "another job of queue {queue} was in the way");
    // The last attempt, as the worker sees it, so that a failure is the end.
    let last = ClaimedJob { attempt: claimed[0].max_attempts, ..claimed[0].clone() };
    let settled = settle_one(store, &worker, &last, outcome, now).await?;
    anyhow::ensure!(settled == Settled::Applied, "the job was not ended: {settled:?}");
    store.leave(&worker, "done", now).await?;
    Ok(id)
}

/// A heartbeat without news.
pub fn beat(job: &ClaimedJob) -> Beat {
    Beat {
        id: job.id,
        lease: job.lease,
        due_in: BEAT_DUE_IN,
        interval: Some(BEAT_INTERVAL),
        report: Report::default(),
    }
}

/// A heartbeat that carries this report.
pub fn beat_with(job: &ClaimedJob, report: Report) -> Beat {
    Beat { report: Report { changed: true, ..report }, ..beat(job) }
}

/// Sends one heartbeat.
pub async fn heartbeat_one(
    store: &Arc<dyn Store>,
    worker: &WorkerId,
    beat: Beat,
    now: Now,
) -> Result<BeatReply> {
    let answers = store.heartbeat(worker, &[beat], now).await?;
    anyhow::ensure!(answers.len() == 1, "expected one answer, got {answers:?}");
    Ok(answers[0])
}

/// Does what a watchdog does in one tick.
pub async fn sweep(store: &Arc<dyn Store>, policy: &RescuePolicy, now: Now) -> Result<RescueReport> {
    store.expire_workers(u32::MAX, now).await?;
    let page = store.suspects(&[], SWEEP_PAGE, now).await?;
    Ok(store.apply_rescues(&rescue::plan(&page, policy), now).await?)
}

/// Reads a job that must exist.
pub async fn read(store: &Arc<dyn Store>, id: JobId) -> Result<Job> {
    store.job(id).await?.with_context(|| format!("job {id} does not exist"))
}

/// Reads all that is kept of a job that must exist.
pub async fn detail(store: &Arc<dyn Store>, id: JobId) -> Result<JobDetail> {
    store.job_detail(id).await?.with_context(|| format!("job {id} does not exist"))
}

/// Number, fence, outcome and error of each attempt.
pub fn attempts(detail: &JobDetail) -> Vec<(u32, i64, &str, Option<&str>)> {
    detail
        .attempts
        .iter()
        .map(|attempt| {
            let message = attempt.error.as_ref().map(|error| error.message.as_str());
            (attempt.attempt, attempt.lease.0, attempt.outcome.as_str(), message)
        })
        .collect()
}

/// The lease after this one.
pub fn next(lease: Lease) -> Lease {
    Lease(lease.0 + 1)
}

/// A directory that goes with its handle.
pub fn directory() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("jf-test-").tempdir()?)
}
