//! Looking at jobs and workers.

use jobforge_core::job::{Attempt, Job, JobId, Lease, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::standing::Facts;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::watchdog::GAP;
use jobforge_core::worker::WorkerRow;
use rusqlite::{Row, params};

use super::rows::{self, earlier, limit};
use super::statements;
use super::tx::{Tx, as_of};
use super::watchdog;
use crate::error::Result;
use crate::rows::{ENDED_KEPT, JobDetail, JobFilter, LogTail, MAX_PAGE};

/// A filter that an index says matches at most so many jobs is answered from that index; any other in the order of ids.
const FEW: usize = 5_000;

/// One job.
pub(super) fn job(tx: &Tx<'_>, id: JobId) -> Result<Option<Job>> {
    tx.prepare(&statements::JOB)?.one([id.to_string()], rows::job)
}

/// One job with all that is kept of it.
pub(super) fn detail(tx: &Tx<'_>, id: JobId) -> Result<Option<JobDetail>> {
    let Some(job) = job(tx, id)? else { return Ok(None) };
    let key = id.to_string();
    let mut attempts = tx.prepare(&statements::ATTEMPTS)?.all([&key], attempt)?;
    attempts.extend(Attempt::untold(&job, attempts.last()));
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

/// Jobs that match, newest first.
pub(super) fn jobs(tx: &Tx<'_>, filter: &JobFilter) -> Result<Vec<Job>> {
    let statuses = (!filter.statuses.is_empty()).then(|| rows::json(&filter.statuses));
    let worker = filter.worker.as_ref().map(WorkerId::as_str);
    let before = filter.before.map(|id| id.to_string());
    let most = limit(filter.limit.min(MAX_PAGE));
    let all = params![
        filter.tenant_id,
        statuses,
        filter.job_type,
        filter.queue,
        filter.tag,
        filter.idempotency_key,
        worker,
        before,
        most,
    ];
    match few(tx, filter)? {
        None => tx.prepare(&statements::JOBS)?.all(all, rows::job),
        Some(ids) => {
            let ids = rows::json(&ids);
            let mut among = all.to_vec();
            among.push(&ids);
            tx.prepare(&statements::JOBS_AMONG)?.all(&among[..], rows::job)
        }
    }
}

/// The ids among which every match is, when an index tells that they are few.
///
/// Without this, a list of the three dead jobs of a million would read the million.
fn few(tx: &Tx<'_>, filter: &JobFilter) -> Result<Option<Vec<String>>> {
    let most = limit(FEW + 1);
    let ids = if let Some(key) = &filter.idempotency_key {
        tx.prepare(&statements::FEW_BY_KEY)?.all(params![key, most], |row| row.get(0))?
    } else if let Some(worker) = &filter.worker {
        tx.prepare(&statements::FEW_BY_WORKER)?.all(params![worker.as_str(), most], |row| row.get(0))?
    } else if filter.statuses.is_empty() {
        return Ok(None);
    } else {
        let mut ids: Vec<String> = Vec::new();
        for status in &filter.statuses {
            ids.extend(of_status(tx, *status, most)?);
        }
        ids
    };
    Ok((ids.len() <= FEW).then_some(ids))
}

fn of_status(tx: &Tx<'_>, status: Status, most: i64) -> Result<Vec<String>> {
    match status {
        Status::Queued => tx.prepare(&statements::FEW_QUEUED)?.all([most], |row| row.get(0)),
        Status::Running => tx.prepare(&statements::FEW_RUNNING)?.all([most], |row| row.get(0)),
        Status::Succeeded | Status::Failed | Status::Dead | Status::Canceled => {
            tx.prepare(&statements::FEW_ENDED)?.all(params![status.as_str(), most], |row| row.get(0))
        }
    }
}

/// Workers that are active or ended lately.
pub(super) fn workers(tx: &Tx<'_>, at: Now) -> Result<Vec<WorkerRow>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::WORKERS)?.all([earlier(now, ENDED_KEPT)], rows::worker)
}
