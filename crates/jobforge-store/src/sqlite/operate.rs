//! An operator's moves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use jobforge_core::audit::{By, Deed};
use jobforge_core::job::{JobId, Lease, WorkerId};
use jobforge_core::metric::{Attempt, End};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use rusqlite::params;
use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::{self, count, later};
use super::settle::{Ended, put_attempt};
use super::tx::Tx;
use super::{audit, statements};
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::{Move, Moved, WakeEvent};

/// Moves each job; an id that is given twice is moved once and answered twice.
pub(super) fn move_jobs(tx: &Tx<'_>, ids: &[JobId], step: Move, by: &By, at: Now) -> Result<Vec<Moved>> {
    let now = tx.now(at)?;
    let mut moved = HashMap::with_capacity(ids.len());
    for id in ids {
        if let Entry::Vacant(entry) = moved.entry(*id) {
            entry.insert(move_one(tx, *id, step, by, now)?);
        }
    }
    Ok(ids.iter().map(|id| moved[id]).collect())
}

/// What a move must know of its job.
struct Place {
    status: Status,
    tenant_id: String,
    queue: String,
    attempts: i64,
    lease: Lease,
    locked_by: Option<WorkerId>,
    started_at: Option<i64>,
    job_type: String,
    items: [u64; 3],
    job_name: String,
}

impl Place {
    /// The attempt that a cancel ends.
    fn attempt(&self, now: i64) -> Attempt {
        let took = self.started_at.map_or(0, |started| (now - started).max(0).unsigned_abs());
        Attempt {
            queue: self.queue.clone(),
            job_name: self.job_name.clone(),
            end: End::Cancelled,
            took: Duration::from_micros(took),
            items: self.items,
        }
    }
}

fn move_one(tx: &Tx<'_>, id: JobId, step: Move, by: &By, now: i64) -> Result<Moved> {
    let place = tx.prepare(&statements::MOVE_LOOK)?.one([id.to_string()], |row| {
        Ok(Place {
            status: rows::status(row, 0)?,
            tenant_id: row.get(1)?,
            queue: row.get(2)?,
            attempts: row.get(3)?,
            lease: Lease(row.get(4)?),
            locked_by: rows::maybe_worker(row, 5)?,
            started_at: row.get(6)?,
            job_type: row.get(7)?,
            items: [count(row.get(8)?), count(row.get(9)?), count(row.get(10)?)],
            job_name: row.get(11)?,
        })
    })?;
    let Some(place) = place else { return Ok(Moved::Missing) };
    let from = place.status;
    let before = json!({ "status": from });
    let deed = |action: &str| Deed::new(action, id.to_string()).of(place.tenant_id.clone());
    match (step, from) {
        (Move::Cancel, Status::Queued | Status::Running) => {
            cancel(tx, id, &place, now)?;
            tx.tally(match place.status {
                Status::Running => Tally::Ended(place.attempt(now)),
                _ => Tally::Cancelled(place.queue.clone()),
            });
            audit::add(tx, by, &deed("job.cancel").changing(&before, &json!({ "status": "canceled" })), now)?;
        }
        (Move::Cancel, Status::Canceled) => {}
        (Move::Cancel, Status::Succeeded | Status::Failed | Status::Dead) => {
            return Ok(Moved::Refused { status: from });
        }
        (Move::Retry { delay }, _) => {
            retry(tx, id, &place, later(now, delay), now)?;
            tx.tally(Tally::Retried(place.queue.clone()));
            audit::add(tx, by, &deed("job.retry").changing(&before, &json!({ "status": "queued" })), now)?;
        }
        (Move::Delete, Status::Running) => return Ok(Moved::Refused { status: from }),
        (
            Move::Delete,
            Status::Queued | Status::Succeeded | Status::Failed | Status::Dead | Status::Canceled,
        ) => {
            tx.prepare(&statements::DELETE)?.execute([id.to_string()])?;
            let before = json!({ "status": from, "type": place.job_type, "queue": place.queue });
            audit::add(tx, by, &deed("job.delete").changing(&before, &Value::Null), now)?;
        }
    }
    Ok(Moved::Done { from })
}

fn cancel(tx: &Tx<'_>, id: JobId, place: &Place, now: i64) -> Result<()> {
    take_from_worker(tx, id, place, "canceled", now)?;
    tx.prepare(&statements::CANCEL)?.execute(params![id.to_string(), now])?;
    Ok(())
}

fn retry(tx: &Tx<'_>, id: JobId, place: &Place, run_at: i64, now: i64) -> Result<()> {
    take_from_worker(tx, id, place, "reset", now)?;
    if place.status == Status::Succeeded {
        tx.prepare(&statements::RETRY_KEEP_SUCCESS)?.execute(params![
            Uuid::now_v7().to_string(),
            id.to_string(),
            now
        ])?;
    }
    tx.prepare(&statements::RESULT_DROP)?.execute([id.to_string()])?;
    tx.prepare(&statements::RETRY)?.execute(params![id.to_string(), now, run_at, run_at <= now])?;
    tx.wake(WakeEvent::Work { queue: place.queue.clone() });
    Ok(())
}

/// Records the attempt that a move breaks off, if the job runs, and has its worker told.
fn take_from_worker(tx: &Tx<'_>, id: JobId, place: &Place, outcome: &'static str, now: i64) -> Result<()> {
    if place.status != Status::Running {
        return Ok(());
    }
    let ended = Ended {
        id,
        tenant_id: &place.tenant_id,
        attempt: place.attempts,
        lease: place.lease,
        worker: place.locked_by.as_ref(),
        outcome,
        started_at: place.started_at,
        error: None,
    };
    put_attempt(tx, &ended, now)?;
    tx.wake(WakeEvent::Moved { id });
    Ok(())
}

/// Pauses or resumes a queue and says whether that changed anything.
pub(super) fn pause(tx: &Tx<'_>, queue: &str, paused: bool, by: &By, at: Now) -> Result<bool> {
    let now = tx.now(at)?;
    let changed = if paused {
        tx.prepare(&statements::PAUSE)?.execute(params![queue, now])? == 1
    } else {
        tx.prepare(&statements::RESUME)?.execute([queue])? == 1
    };
    if changed {
        audit::add(tx, by, &Deed::new(if paused { "queue.pause" } else { "queue.resume" }, queue), now)?;
    }
    if changed && !paused {
        tx.wake(WakeEvent::Work { queue: queue.to_owned() });
    }
    Ok(changed)
}
