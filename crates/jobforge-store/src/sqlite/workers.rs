//! Workers: making them known, their leases and their end.

use std::time::Duration;

use jobforge_core::alert::kept::WHOLE_TURN;
use jobforge_core::audit::{By, Deed};
use jobforge_core::job::WorkerId;
use jobforge_core::time::Now;
use jobforge_core::worker::{LeaseWish, NewWorker, Renewal};
use rusqlite::params;

use super::audit;
use super::death;
use super::rows::{json, later, millis};
use super::statements;
use super::tx::Tx;
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::{Deaths, RestartTold, WakeEvent};

/// Makes a worker known with its lease running, and buries those before it in its slot.
pub(super) fn register(tx: &Tx<'_>, worker: &NewWorker, at: Now) -> Result<Deaths> {
    let now = tx.now(at)?;
    let process = worker.place.as_ref().map(|place| &place.process);
    let slot = worker.place.as_ref().and_then(|place| place.slot.as_ref());
    let made = tx.prepare(&statements::REGISTER)?.execute(params![
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
        worker.registered_by,
    ])?;
    if made > 0 && is_back(tx, worker)? {
        tx.tally(Tally::Resurrected);
    }
    worker.place.as_ref().map_or_else(|| Ok(Deaths::default()), |place| death::supersede(tx, place, at))
}

/// Whether its process had been declared lost.
fn is_back(tx: &Tx<'_>, worker: &NewWorker) -> Result<bool> {
    let process = worker.place.as_ref().map(|place| &place.process);
    let params = params![
        worker.id.as_str(),
        worker.hostname,
        worker.pid,
        process.map(|process| process.started.cast_signed()),
        json(&worker.queues),
        worker.name,
    ];
    Ok(tx.prepare(&statements::WORKER_BACK)?.one(params, |row| row.get(0))? == Some(true))
}

/// Renews a lease that has not run out.
pub(super) fn renew(
    tx: &Tx<'_>,
    worker: &WorkerId,
    draining: bool,
    wish: Option<LeaseWish>,
    at: Now,
) -> Result<Option<Renewal>> {
    let now = tx.now(at)?;
    let found = tx.prepare(&statements::RENEW_LOOK)?.one(params![worker.as_str(), now], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, i64>(2)?))
    })?;
    let Some((lease_ms, scales, least_ms)) = found else { return Ok(None) };
    let (lease_ms, scales) = wish.map_or((lease_ms, scales), |wish| (millis(wish.lease), wish.scales));
    let lasts_ms = if scales { lease_ms.max(least_ms) } else { lease_ms };
    tx.prepare(&statements::RENEW)?.one(
        params![worker.as_str(), now, draining, lasts_ms, lease_ms, scales],
        |row| {
            // One file has one history.
            let lease = Duration::from_millis(lasts_ms.unsigned_abs());
            Ok(Renewal { lease, epoch: 0, restart: row.get(0)? })
        },
    )
}

/// Tells active workers to restart; answers in the order of the ids.
pub(super) fn restart(tx: &Tx<'_>, workers: &[WorkerId], by: &By, at: Now) -> Result<Vec<RestartTold>> {
    let now = tx.now(at)?;
    let mut answers = Vec::with_capacity(workers.len());
    for worker in workers {
        let found = tx
            .prepare(&statements::RESTART_LOOK)?
            .one(params![worker.as_str(), now], |row| Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?)))?;
        let answer = RestartTold::of(found);
        if answer == RestartTold::Told {
            tx.prepare(&statements::RESTART)?.execute(params![worker.as_str(), now])?;
            audit::add(tx, by, &Deed::new("worker.restart", worker.as_str()), now)?;
            tx.wake(WakeEvent::Renew { worker: worker.clone() });
        }
        answers.push(answer);
    }
    Ok(answers)
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

/// Gives every active worker and every running job its whole time from now, and whoever gives signs the time to the next.
pub(super) fn renew_all_times(tx: &Tx<'_>, at: Now) -> Result<()> {
    let now = tx.now(at)?;
    for statement in [
        &statements::WORKER_TIMES,
        &statements::JOB_TIMES,
        &statements::TIMES_HOUSEKEEPER,
        &statements::TIMES_SCHEDULER,
    ] {
        tx.prepare(statement)?.execute([now])?;
    }
    tx.prepare(&statements::TIMES_JUDGE)?.execute([now, later(now, WHOLE_TURN)])?;
    Ok(())
}

/// Marks workers as lost whose lease has run out.
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
    Ok(lost)
}
