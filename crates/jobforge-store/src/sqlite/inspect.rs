//! Looking at jobs and workers.

use std::collections::BTreeSet;

use jobforge_core::job::{Attempt, Job, JobId, Lease, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::standing::Facts;
use jobforge_core::time::Now;
use jobforge_core::watchdog::GAP;
use jobforge_core::worker::WorkerRow;
use rusqlite::{Row, params};

use super::progress::progress;
use super::rows::{self, earlier};
use super::statements;
use super::tx::{Tx, as_of};
use super::watchdog;
use crate::error::Result;
use crate::rows::{ENDED_KEPT, JobDetail, LogTail, give_points};

/// One job.
pub(super) fn job(tx: &Tx<'_>, id: JobId) -> Result<Option<Job>> {
    tx.prepare(&statements::JOB)?.one([id.to_string()], rows::job)
}

/// Which of these jobs there are.
pub(super) fn known(tx: &Tx<'_>, ids: &[String]) -> Result<BTreeSet<JobId>> {
    let found = tx.prepare(&statements::JOBS_KNOWN)?.all([rows::json(ids)], |row| row.get::<_, String>(0))?;
    Ok(found.iter().filter_map(|id| id.parse().ok()).collect())
}

/// One job with all that is kept of it.
pub(super) fn detail(tx: &Tx<'_>, id: JobId) -> Result<Option<JobDetail>> {
    let Some(job) = job(tx, id)? else { return Ok(None) };
    let key = id.to_string();
    let mut attempts = tx.prepare(&statements::ATTEMPTS)?.all([&key], attempt)?;
    attempts.extend(Attempt::untold(&job, attempts.last()));
    give_points(&mut attempts, progress(tx, id)?);
    let result = tx.prepare(&statements::RESULT)?.one([&key], |row| row.get(0).map(Payload::from_stored))?;
    let logs = tx.prepare(&statements::LOGS)?.all([&key], log)?;
    Ok(Some(JobDetail { job, attempts, result, logs }))
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        attempt: row.get(0)?,
        lease: Lease(row.get(1)?),
        worker: rows::maybe_worker(row, 2)?,
        outcome: row.get(3)?,
        error: rows::maybe_error(row, 4)?,
        started_at: rows::maybe_at(row, 5)?,
        finished_at: rows::maybe_at(row, 6)?,
        stop_ignored_at: rows::maybe_at(row, 7)?,
        refused: row.get(8)?,
        heartbeat_at: rows::maybe_at(row, "heartbeat_at")?,
        heard: rows::heard(row)?,
        progress: Vec::new(),
    })
}

fn log(row: &Row<'_>) -> rusqlite::Result<LogTail> {
    Ok(LogTail {
        attempt: row.get(0)?,
        lease: Lease(row.get(1)?),
        text: row.get(2)?,
        updated_at: rows::at(row, 3)?,
    })
}

/// What an assessment of a job needs, as of one moment.
pub(super) fn facts(tx: &Tx<'_>, id: JobId, at: Now) -> Result<Option<Facts>> {
    let now = tx.now(at)?;
    let Some(job) = job(tx, id)? else { return Ok(None) };
    let worker = match &job.locked_by {
        Some(worker) => tx.prepare(&statements::WORKER)?.one([worker.as_str()], rows::worker)?,
        None => None,
    };
    let queue_paused_at = tx.prepare(&statements::FACTS_PAUSED)?.one([&job.queue], |row| rows::at(row, 0))?;
    let workers = tx
        .prepare(&statements::FACTS_WORKERS)?
        .one(params![job.queue, job.job_type, now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (queue_workers, able_workers) = workers.unwrap_or_default();
    Ok(Some(Facts {
        last_attempt: tx.prepare(&statements::FACTS_ATTEMPT)?.one([id.to_string()], attempt)?,
        held: tx.prepare(&statements::FACTS_HELD)?.one([now, earlier(now, GAP)], watchdog::held)?.flatten(),
        as_of: as_of(now),
        job,
        worker,
        queue_paused_at,
        queue_workers,
        able_workers,
    }))
}

/// One worker.
pub(super) fn worker(tx: &Tx<'_>, id: &WorkerId) -> Result<Option<WorkerRow>> {
    tx.prepare(&statements::WORKER)?.one([id.as_str()], rows::worker)
}

/// Workers that are active or ended lately.
pub(super) fn workers(tx: &Tx<'_>, at: Now) -> Result<Vec<WorkerRow>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::WORKERS)?.all([earlier(now, ENDED_KEPT)], rows::worker)
}
