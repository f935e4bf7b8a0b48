//! Ending attempts.

use std::collections::BTreeSet;
use std::time::Duration;

use jobforge_core::job::{ErrorInfo, JobId, Lease, QueuedBecause, WorkerId};
use jobforge_core::metric::{Attempt, End};
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use rusqlite::{Row, params};
use uuid::Uuid;

use super::heartbeat::{Late, owner, put_log, tell_late};
use super::progress::put_progress;
use super::rows::{checkpoint, clean, count, json, later};
use super::statements;
use super::tx::{Stmt, Tx};
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::WakeEvent;

/// Applies each settlement under its lease.
pub(super) fn settle(
    tx: &Tx<'_>,
    worker: &WorkerId,
    settlements: &[Settlement],
    at: Now,
) -> Result<Vec<Settled>> {
    let now = tx.now(at)?;
    let mut update = tx.prepare(&statements::SETTLE)?;
    let mut succeeded = BTreeSet::new();
    let mut settle = |plan| settle_one(tx, &mut update, worker, plan, now, &mut succeeded);
    let answers = settlements.iter().map(&mut settle).collect::<Result<_>>()?;
    let mut note = tx.prepare(&statements::SUCCESS_PUT)?;
    for name in succeeded {
        note.execute(params![name, now])?;
    }
    Ok(answers)
}

fn settle_one(
    tx: &Tx<'_>,
    update: &mut Stmt<'_>,
    worker: &WorkerId,
    plan: &Settlement,
    now: i64,
    succeeded: &mut BTreeSet<String>,
) -> Result<Settled> {
    let run_at = (plan.to == Status::Queued).then(|| later(now, plan.delay));
    let result_id = plan.result.as_ref().map(|_| Uuid::now_v7().to_string());
    let given_back = i64::from(!plan.burns_attempt);
    let report = &plan.report;
    let changed = update.execute(params![
        plan.id.to_string(),
        plan.lease.0,
        worker.as_str(),
        now,
        plan.to.as_str(),
        plan.because.as_str(),
        run_at,
        run_at.map(|run_at| run_at <= now),
        given_back,
        plan.error.as_ref().map(json),
        result_id,
        report.progress,
        clean(&report.message),
        clean(&report.phase),
        report.has_progress(),
        report.items.map(|items| items.processed),
        report.items.map(|items| items.failed),
        report.items.map(|items| items.skipped),
        report.checkpoint.as_ref().map(checkpoint),
    ])?;
    if changed == 0 {
        let refused = refusal(tx, worker, plan)?;
        if matches!(refused, Settled::Fenced { .. }) {
            tell_late(tx, worker, plan.id, plan.lease, Late::End, now)?;
        }
        return Ok(refused);
    }
    let place = tx.prepare(&statements::SETTLED)?.one([plan.id.to_string()], place)?;
    let Some(place) = place else {
        return Err(tx.failed(format!("job {} vanished while it was settled", plan.id)));
    };
    put_progress(tx, plan.id, plan.lease, report, now)?;
    if !is_plain(plan) {
        keep_records(tx, worker, plan, result_id.as_deref(), &place, now)?;
    }
    if let Some(end) = End::settled(plan) {
        tx.tally(Tally::Ended(place.attempt(end, now)));
    }
    if plan.to == Status::Succeeded {
        succeeded.insert(place.job_name);
    }
    Ok(Settled::Applied)
}

/// What is kept and counted of an attempt that has just ended.
pub(super) struct Place {
    pub(super) tenant_id: String,
    pub(super) queue: String,
    pub(super) attempts: i64,
    pub(super) started_at: Option<i64>,
    pub(super) job_name: String,
    pub(super) items: [u64; 3],
}

/// Reads it: the columns of `settled.sql` and of others that say the same.
pub(super) fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place {
        tenant_id: row.get(0)?,
        queue: row.get(1)?,
        attempts: row.get(2)?,
        started_at: row.get(3)?,
        job_name: row.get(4)?,
        items: [count(row.get(5)?), count(row.get(6)?), count(row.get(7)?)],
    })
}

impl Place {
    pub(super) fn attempt(&self, end: End, now: i64) -> Attempt {
        let took = self.started_at.map_or(0, |started| (now - started).max(0).unsigned_abs());
        Attempt {
            queue: self.queue.clone(),
            job_name: self.job_name.clone(),
            end,
            took: Duration::from_micros(took),
            items: self.items,
        }
    }
}

/// Whether there is nothing to keep beyond the job's own row. The lease counts the claims of a job, so lease 1 is a
/// first attempt, which needs no record when it succeeds.
fn is_plain(plan: &Settlement) -> bool {
    plan.to == Status::Succeeded
        && plan.lease.0 <= 1
        && plan.result.is_none()
        && plan.report.log_tail.is_none()
}

/// Keeps the result, the log and the attempt, and wakes whoever may run the job again.
fn keep_records(
    tx: &Tx<'_>,
    worker: &WorkerId,
    plan: &Settlement,
    result_id: Option<&str>,
    place: &Place,
    now: i64,
) -> Result<()> {
    let Place { tenant_id, queue, started_at, .. } = place;
    let attempt = place.attempts + i64::from(!plan.burns_attempt);
    if let (Some(result_id), Some(result)) = (result_id, &plan.result) {
        let params = params![result_id, plan.id.to_string(), tenant_id, result.as_str(), now];
        tx.prepare(&statements::RESULT_PUT)?.execute(params)?;
    }
    put_log(tx, plan.id, plan.lease, attempt, &plan.report, now)?;
    if let Some(outcome) = recorded_outcome(plan, attempt) {
        let ended = Ended {
            id: plan.id,
            tenant_id,
            attempt,
            lease: plan.lease,
            worker: Some(worker),
            outcome,
            started_at: *started_at,
            error: plan.error.as_ref(),
        };
        put_attempt(tx, &ended, now)?;
    }
    if plan.to == Status::Queued {
        tx.wake(WakeEvent::Work { queue: queue.clone() });
    }
    Ok(())
}

/// The word under which an attempt is recorded; none for those that the job's own row tells, and for snoozes.
fn recorded_outcome(plan: &Settlement, attempt: i64) -> Option<&'static str> {
    match plan.to {
        Status::Succeeded => (attempt > 1).then_some("succeeded"),
        Status::Failed => Some("failed"),
        Status::Dead => Some("dead"),
        Status::Canceled => Some("canceled"),
        Status::Queued => match plan.because {
            QueuedBecause::Snooze => None,
            QueuedBecause::Release => Some("released"),
            QueuedBecause::Enqueued
            | QueuedBecause::Retry
            | QueuedBecause::Rescue
            | QueuedBecause::Operator => Some("retry"),
        },
        // No attempt ends in running; the table's checks have refused it.
        Status::Running => None,
    }
}

/// Says why a settlement was not applied.
fn refusal(tx: &Tx<'_>, worker: &WorkerId, plan: &Settlement) -> Result<Settled> {
    let Some(owner) = owner(tx, plan.id)? else { return Ok(Settled::Gone) };
    let mine =
        owner.lease == plan.lease && owner.last_worker.as_ref() == Some(worker) && owner.status == plan.to;
    Ok(if mine { Settled::Replayed } else { Settled::Fenced { status: owner.status, lease: owner.lease } })
}

/// An attempt that ended.
pub(super) struct Ended<'a> {
    pub(super) id: JobId,
    pub(super) tenant_id: &'a str,
    pub(super) attempt: i64,
    pub(super) lease: Lease,
    pub(super) worker: Option<&'a WorkerId>,
    pub(super) outcome: &'static str,
    pub(super) started_at: Option<i64>,
    pub(super) error: Option<&'a ErrorInfo>,
}

/// Records an ended attempt.
pub(super) fn put_attempt(tx: &Tx<'_>, ended: &Ended<'_>, now: i64) -> Result<()> {
    tx.prepare(&statements::ATTEMPT_PUT)?.execute(params![
        Uuid::now_v7().to_string(),
        ended.id.to_string(),
        ended.tenant_id,
        ended.attempt,
        ended.lease.0,
        ended.worker.map(WorkerId::as_str),
        ended.outcome,
        ended.started_at,
        now,
        ended.error.map(json),
    ])?;
    Ok(())
}
