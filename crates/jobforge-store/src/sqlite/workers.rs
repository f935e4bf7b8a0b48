//! Workers: making them known, their leases and their end.

use std::time::Duration;

use jobforge_core::job::WorkerId;
use jobforge_core::time::Now;
use jobforge_core::worker::{NewWorker, Renewal};
use rusqlite::params;

use super::death;
use super::rows::{earlier, json, later, millis};
use super::statements;
use super::tx::Tx;
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::Deaths;

/// Ended workers are remembered for a day, and longer while they hold a job.
pub(super) const REMEMBERED: Duration = Duration::from_secs(86_400);

/// Makes a worker known with its lease running, and buries those before it in its slot.
pub(super) fn register(tx: &Tx<'_>, worker: &NewWorker, at: Now) -> Result<Deaths> {
    let now = tx.now(at)?;
    let process = worker.place.as_ref().map(|place| &place.process);
    let slot = worker.place.as_ref().and_then(|place| place.slot.as_ref());
    let back = tx.prepare(&statements::WORKER_BACK)?.one(
        params![
            worker.id.as_str(),
            worker.hostname,
            worker.pid,
            process.map(|process| process.started.cast_signed()),
            json(&worker.queues),
            worker.name,
        ],
        |row| row.get(0),
    )?;
    if back == Some(true) {
        tx.tally(Tally::Resurrected);
    }
    tx.prepare(&statements::REGISTER)?.execute(params![
        worker.id.as_str(),
        worker.name,
        worker.hostname,
        worker.pid,
        json(&worker.queues),
        worker.types.as_ref().map(json),
        worker.slots,
        millis(worker.lease),
        now,
        later(now, worker.lease),
        process.map(|process| &process.machine_id),
        process.map(|process| &process.boot_id),
        process.map(|process| process.pid_namespace.cast_signed()),
        process.map(|process| process.started.cast_signed()),
        slot.map(|slot| &slot.name),
        slot.map(|slot| &slot.id),
        worker.lease_scales,
    ])?;
    worker.place.as_ref().map_or_else(|| Ok(Deaths::default()), |place| death::supersede(tx, place, at))
}

/// Renews a lease that has not run out.
pub(super) fn renew(tx: &Tx<'_>, worker: &WorkerId, draining: bool, at: Now) -> Result<Option<Renewal>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::RENEW)?.one(params![worker.as_str(), now, draining], |row| {
        // One file has one history.
        Ok(Renewal { lease: Duration::from_millis(row.get::<_, i64>(0)?.unsigned_abs()), epoch: 0 })
    })
}

/// Notes that active workers have lost their connection.
pub(super) fn mark_suspect(tx: &Tx<'_>, workers: &[WorkerId], at: Now) -> Result<Vec<WorkerId>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::WORKER_SUSPECT)?
        .all(params![json(&workers), now], |row| Ok(WorkerId(row.get(0)?)))
}

/// Sets the shortest lease of workers that let it grow.
pub(super) fn set_least_lease(tx: &Tx<'_>, lease: Duration) -> Result<()> {
    tx.prepare(&statements::LEAST_LEASE)?.execute([millis(lease)])?;
    Ok(())
}

/// Marks a worker as gone.
pub(super) fn leave(tx: &Tx<'_>, worker: &WorkerId, reason: &str, at: Now) -> Result<()> {
    let now = tx.now(at)?;
    tx.prepare(&statements::LEAVE)?.execute(params![worker.as_str(), now, reason])?;
    Ok(())
}

/// Gives every active worker a whole lease from now.
pub(super) fn extend(tx: &Tx<'_>, at: Now) -> Result<u64> {
    let now = tx.now(at)?;
    Ok(tx.prepare(&statements::WORKER_EXTEND)?.execute([now])? as u64)
}

/// Gives every active worker and every running job its whole time from now.
pub(super) fn renew_all_times(tx: &Tx<'_>, at: Now) -> Result<()> {
    let now = tx.now(at)?;
    tx.prepare(&statements::WORKER_TIMES)?.execute([now])?;
    tx.prepare(&statements::JOB_TIMES)?.execute([now])?;
    Ok(())
}

/// Marks workers as lost whose lease has run out, and forgets those that ended long ago.
pub(super) fn expire(tx: &Tx<'_>, at_most: u32, at: Now) -> Result<Vec<WorkerId>> {
    let now = tx.now(at)?;
    let silent = tx
        .prepare(&statements::EXPIRE_FIND)?
        .all(params![now, at_most], |row| Ok((WorkerId(row.get(0)?), row.get::<_, i64>(1)?)))?;
    let mut lost = Vec::with_capacity(silent.len());
    for (id, heard_at) in silent {
        let silent_s = (now - heard_at + 500_000) / 1_000_000;
        let reason = format!("not heard for {silent_s} s");
        tx.prepare(&statements::EXPIRE_MARK)?.execute(params![id.as_str(), now, reason])?;
        tx.tally(Tally::DeclaredDead);
        lost.push(id);
    }
    tx.prepare(&statements::EXPIRE_FORGET)?.execute([earlier(now, REMEMBERED)])?;
    Ok(lost)
}
