//! What the store knows, as the wire types say it. The command line prints the same with `--json`.

use jobforge::core::job::{Attempt, Job};
use jobforge::core::redact::Redactor;
use jobforge::core::worker::WorkerRow;
use jobforge::store::rows::{JobDetail, JobPage, LogTail, QueueInfo};
use jobforge_api::{AttemptView, JobDetailView, JobList, JobView, LogView, QueueView, WorkerView};

/// A job; without secrets where a redactor is given.
pub fn job(mut job: Job, redactor: Option<&Redactor>) -> JobView {
    if let Some(redactor) = redactor {
        redactor.job(&mut job);
    }
    job.into()
}

/// A page of jobs.
pub fn job_list(page: JobPage, redactor: Option<&Redactor>) -> JobList {
    JobList {
        jobs: page.jobs.into_iter().map(|listed| job(listed, redactor)).collect(),
        next: page.next.map(|id| id.to_string()),
        stopped_early: page.stopped_early,
    }
}

/// A job with its attempts and its result.
pub fn job_detail(mut detail: JobDetail, redactor: Option<&Redactor>) -> JobDetailView {
    if let Some(redactor) = redactor {
        redact(&mut detail, redactor);
    }
    JobDetailView {
        job: detail.job.into(),
        attempts_made: detail.attempts.into_iter().map(attempt).collect(),
        result: detail.result,
    }
}

/// Hides the secrets in all that is kept of a job but its log; returns how many values.
pub fn redact(detail: &mut JobDetail, redactor: &Redactor) -> usize {
    let attempts: usize = detail.attempts.iter_mut().map(|attempt| redactor.attempt(attempt)).sum();
    let result = detail.result.as_mut().map_or(0, |result| redactor.payload(result));
    redactor.job(&mut detail.job) + attempts + result
}

/// The kept log of a job, oldest attempt first.
pub fn logs(tails: Vec<LogTail>) -> Vec<LogView> {
    tails
        .into_iter()
        .map(|tail| LogView {
            attempt: tail.attempt,
            lease: tail.lease.0,
            updated_at: tail.updated_at,
            text: tail.text,
        })
        .collect()
}

/// A queue with its counts.
pub fn queue(info: QueueInfo) -> QueueView {
    QueueView {
        name: info.name,
        ready: info.ready,
        scheduled: info.scheduled,
        running: info.running,
        oldest_ready_at: info.oldest_ready_at,
        paused_at: info.paused_at,
    }
}

/// A worker as its row says.
pub fn worker(row: WorkerRow) -> WorkerView {
    row.into()
}

fn attempt(attempt: Attempt) -> AttemptView {
    AttemptView {
        attempt: attempt.attempt,
        lease: attempt.lease.0,
        worker: attempt.worker.map(|worker| worker.0),
        outcome: attempt.outcome,
        started_at: attempt.started_at,
        finished_at: attempt.finished_at,
        error: attempt.error,
        stop_ignored_at: attempt.stop_ignored_at,
        refused: attempt.refused,
        heartbeat_at: attempt.heartbeat_at,
        heartbeats: attempt.heard.beats,
        heartbeat_interval_ms: attempt.heard.interval.map(jobforge_api::millis),
        silent_gaps: attempt.heard.gaps,
        progress: attempt.progress,
    }
}
