//! Finding jobs in trouble and taking them back.

use std::collections::BTreeMap;

use jobforge_core::job::{Job, JobId, QueuedBecause, WorkerId};
use jobforge_core::metric::{DeadSource, End};
use jobforge_core::poison;
use jobforge_core::presence::FAST_AFTER;
use jobforge_core::rescue::{DEADLINE_GRACE, Rescue, Suspect, SuspectPage};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::worker::WorkerRow;
use rusqlite::params;

use super::rows::{self, earlier, json, later, limit, micros};
use super::settle::{Ended, place, put_attempt};
use super::statements;
use super::tx::{Tx, as_of};
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::{RescueReport, WakeEvent};

/// Marks that one reconciliation mends at most; the next one goes on.
pub(super) const MAX_MENDED: usize = 1000;

/// Returns running jobs that may be in trouble, with their workers, all as of one moment.
pub(super) fn suspects(tx: &Tx<'_>, fast: &[String], most: usize, at: Now) -> Result<SuspectPage> {
    let now = tx.now(at)?;
    let jobs = tx.prepare(&statements::SUSPECTS)?.all(
        params![now, earlier(now, DEADLINE_GRACE), limit(most), json(&fast), earlier(now, FAST_AFTER)],
        rows::job,
    )?;
    let mut known: BTreeMap<WorkerId, Option<WorkerRow>> = BTreeMap::new();
    let mut page = SuspectPage { as_of: as_of(now), suspects: Vec::with_capacity(jobs.len()) };
    for job in jobs {
        let worker = worker_of(tx, &job, &mut known)?;
        page.suspects.push(Suspect { job, worker, beside: None });
    }
    Ok(page)
}

/// A lost host leaves many jobs of one worker: each worker is read once.
fn worker_of(
    tx: &Tx<'_>,
    job: &Job,
    known: &mut BTreeMap<WorkerId, Option<WorkerRow>>,
) -> Result<Option<WorkerRow>> {
    let Some(id) = &job.locked_by else { return Ok(None) };
    if let Some(worker) = known.get(id) {
        return Ok(worker.clone());
    }
    let worker = tx.prepare(&statements::WORKER)?.one([id.as_str()], rows::worker)?;
    known.insert(id.clone(), worker.clone());
    Ok(worker)
}

/// Applies each line of a plan whose facts still hold.
pub(super) fn apply(tx: &Tx<'_>, plan: &[Rescue], by: DeadSource, at: Now) -> Result<RescueReport> {
    let now = tx.now(at)?;
    let mut report = RescueReport::default();
    for line in plan {
        if apply_one(tx, line, by, now)? {
            report.moved.push(line.id);
        } else {
            report.lost_races.push(line.id);
        }
    }
    Ok(report)
}

fn apply_one(tx: &Tx<'_>, line: &Rescue, by: DeadSource, now: i64) -> Result<bool> {
    let run_at = (line.to == Status::Queued).then(|| later(now, line.delay));
    let taken = tx.prepare(&statements::RESCUE)?.one(
        params![
            line.id.to_string(),
            line.lease.0,
            line.seen_due_at.map(micros),
            now,
            line.to.as_str(),
            line.because.as_str(),
            run_at,
            run_at.map(|run_at| run_at <= now),
            line.misses,
            json(&line.error),
            i64::from(!line.burns_attempt),
            (!line.crashes.is_empty()).then(|| json(&line.crashes)),
            poison::runs_alone(&line.crashes),
        ],
        |row| Ok((place(row)?, rows::maybe_worker(row, 8)?)),
    )?;
    let Some((place, worker)) = taken else { return Ok(false) };
    let ended = Ended {
        id: line.id,
        tenant_id: &place.tenant_id,
        attempt: place.attempts + i64::from(!line.burns_attempt),
        lease: line.lease,
        worker: worker.as_ref(),
        outcome: if line.because == QueuedBecause::Retry { "timed_out" } else { "lost" },
        started_at: place.started_at,
        error: Some(&line.error),
    };
    put_attempt(tx, &ended, now)?;
    tx.tally(Tally::Ended(place.attempt(End::rescued(line, by), now)));
    tx.wake(WakeEvent::Moved { id: line.id });
    if line.to == Status::Queued {
        tx.wake(WakeEvent::Work { queue: place.queue });
    }
    Ok(true)
}

/// Finds queued jobs that are marked as due before their time. Those marked the other way are mended by every claim.
pub(super) fn find_early(tx: &Tx<'_>, at: Now) -> Result<Vec<JobId>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::RECONCILE_FIND)?.all(params![now, limit(MAX_MENDED)], |row| rows::id(row, 0))
}

/// Mends what was found, and what waits although its time has come; returns how many.
pub(super) fn reconcile(tx: &Tx<'_>, early: &[JobId], at: Now) -> Result<u64> {
    let now = tx.now(at)?;
    let mut mended = 0;
    for id in early {
        mended += tx.prepare(&statements::RECONCILE_MEND)?.execute(params![id.to_string(), now])?;
    }
    Ok(mended as u64)
}
