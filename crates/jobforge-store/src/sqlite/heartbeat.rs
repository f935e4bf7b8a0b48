//! Signs of life and reports of running jobs.

use jobforge_core::heartbeat::{Beat, BeatReply, Report};
use jobforge_core::job::{JobId, Lease, WorkerId};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use rusqlite::params;

use super::progress::put_progress;
use super::rows::{self, checkpoint, clean, later, millis};
use super::statements;
use super::tx::Tx;
use crate::error::Result;

/// Stores each beat under its lease and says whose the job is.
pub(super) fn heartbeat(tx: &Tx<'_>, worker: &WorkerId, beats: &[Beat], at: Now) -> Result<Vec<BeatReply>> {
    let now = tx.now(at)?;
    let mut keep = tx.prepare(&statements::HEARTBEAT)?;
    let mut replies = Vec::with_capacity(beats.len());
    for beat in beats {
        let report = &beat.report;
        let kept = keep.execute(params![
            beat.id.to_string(),
            beat.lease.0,
            worker.as_str(),
            now,
            later(now, beat.due_in),
            report.progress,
            clean(&report.message),
            clean(&report.phase),
            report.has_progress(),
            report.items.map(|items| items.processed),
            report.items.map(|items| items.failed),
            report.items.map(|items| items.skipped),
            report.checkpoint.as_ref().map(checkpoint),
            beat.interval.map(millis),
        ])?;
        if kept == 0 {
            if report.ignores_stop {
                tell_late(tx, worker, beat.id, beat.lease, Late::Ignoring, now)?;
            }
            replies.push(refusal(tx, beat.id)?);
            continue;
        }
        if report.log_tail.is_some() {
            let attempt = owner(tx, beat.id)?.map_or(0, |owner| owner.attempts);
            put_log(tx, beat.id, beat.lease, attempt, report, now)?;
        }
        put_progress(tx, beat.id, beat.lease, report, now)?;
        replies.push(BeatReply::Kept);
    }
    Ok(replies)
}

fn refusal(tx: &Tx<'_>, id: JobId) -> Result<BeatReply> {
    Ok(match owner(tx, id)?.map(|owner| owner.status) {
        None => BeatReply::Gone,
        Some(Status::Canceled) => BeatReply::Canceled,
        Some(
            status @ (Status::Queued | Status::Running | Status::Succeeded | Status::Failed | Status::Dead),
        ) => BeatReply::Lost { status },
    })
}

/// What a worker still says of an attempt that was ended by another hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// How it ended.
    End,
    /// That its handler does not stop.
    Ignoring,
}

/// Notes it with the attempt.
pub(super) fn tell_late(
    tx: &Tx<'_>,
    worker: &WorkerId,
    id: JobId,
    lease: Lease,
    what: Late,
    now: i64,
) -> Result<()> {
    let (refused, ignoring) = (what == Late::End, what == Late::Ignoring);
    let params = params![id.to_string(), lease.0, worker.as_str(), now, refused, ignoring];
    tx.prepare(&statements::ATTEMPT_LATE)?.execute(params)?;
    Ok(())
}

/// Keeps the newest log lines of an attempt, if the report has any.
pub(super) fn put_log(
    tx: &Tx<'_>,
    id: JobId,
    lease: Lease,
    attempt: i64,
    report: &Report,
    now: i64,
) -> Result<()> {
    let Some(tail) = clean(&report.log_tail) else { return Ok(()) };
    tx.prepare(&statements::LOG_PUT)?.execute(params![id.to_string(), lease.0, attempt, tail, now])?;
    Ok(())
}

/// Where a job stands and who held it last.
pub(super) struct Owner {
    pub(super) status: Status,
    pub(super) lease: Lease,
    pub(super) last_worker: Option<WorkerId>,
    pub(super) attempts: i64,
}

pub(super) fn owner(tx: &Tx<'_>, id: JobId) -> Result<Option<Owner>> {
    tx.prepare(&statements::OWNER)?.one([id.to_string()], |row| {
        Ok(Owner {
            status: rows::status(row, 0)?,
            lease: Lease(row.get(1)?),
            last_worker: rows::maybe_worker(row, 2)?,
            attempts: row.get(3)?,
        })
    })
}
