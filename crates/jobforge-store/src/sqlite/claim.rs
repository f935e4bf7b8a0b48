//! Taking due jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use jobforge_core::claim::{Bounds, ClaimAsk, Claimed, MAX_CLAIM};
use jobforge_core::job::{ClaimedJob, JobId, Lease};
use jobforge_core::payload::Payload;
use jobforge_core::time::{Now, since};
use rusqlite::{Row, params};

use super::rows::{self, Json, later, limit, millis, moment};
use super::statements;
use super::tx::{Tx, as_of};
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::WakeEvent;

/// Waiting jobs that one claim makes claimable; when more are due, the claim says that it should be repeated.
pub(super) const MAX_PROMOTED: usize = 1000;

/// Takes jobs for a worker whose lease is valid; any other gets none.
pub(super) fn claim(tx: &Tx<'_>, ask: &ClaimAsk, at: Now) -> Result<Claimed> {
    let now = tx.now(at)?;
    let mut claimed = Claimed { as_of: as_of(now), ..Claimed::default() };
    let may = tx.prepare(&statements::CLAIM_WORKER)?.one(params![ask.worker.as_str(), now], |_| Ok(()))?;
    if may.is_none() {
        return Ok(claimed);
    }
    claimed.more = promote(tx, ask, now)?;
    let types = ask.types.as_ref().map(rows::json);
    let bounds = |bounds: &Bounds| (!bounds.is_empty()).then(|| rows::json(bounds));
    let (timeout, progress) = (bounds(&ask.bounds.timeout), bounds(&ask.bounds.progress));
    let mut room = if ask.alone { 1 } else { MAX_CLAIM };
    for queue in &ask.queues {
        let wanted = queue.limit.min(room);
        let paused = tx.prepare(&statements::CLAIM_PAUSED)?.one([&queue.queue], |_| Ok(()))?;
        if queue.limit == 0 || paused.is_some() {
            continue;
        }
        let waits = tx
            .prepare(&statements::CLAIM_ALONE_WAITS)?
            .one(params![queue.queue, types, ask.tenant], |_| Ok(()))?;
        claimed.alone_waits |= waits.is_some();
        if wanted == 0 {
            continue;
        }
        let mut taken = tx.prepare(&statements::CLAIM)?.all(
            params![
                ask.worker.as_str(),
                now,
                later(now, ask.beat_due_in),
                queue.queue,
                types,
                limit(wanted),
                timeout,
                progress,
                ask.alone,
                ask.tenant,
                ask.beat_interval.map(millis),
            ],
            |row| taken(row, now),
        )?;
        // RETURNING gives the rows in no order.
        taken.sort_by_key(|(order, _)| *order);
        for ((_, due, _), job) in &taken {
            let wait = Duration::from_micros((now - due).max(0).unsigned_abs());
            tx.tally(Tally::Waited(job.queue.clone(), wait));
        }
        room -= taken.len();
        claimed.more |= taken.len() == wanted;
        claimed.jobs.extend(taken.into_iter().map(|(_, job)| job));
    }
    let next_due = tx.prepare(&statements::CLAIM_NEXT_DUE)?.one([], |row| rows::maybe_at(row, 0))?;
    claimed.next_due = next_due.flatten();
    Ok(claimed)
}

/// Makes jobs claimable whose time has come, and says whether there may be more of them.
fn promote(tx: &Tx<'_>, ask: &ClaimAsk, now: i64) -> Result<bool> {
    let mut promote = tx.prepare(&statements::CLAIM_PROMOTE)?;
    let queues: Vec<String> = promote.all(params![now, limit(MAX_PROMOTED)], |row| row.get(0))?;
    let full = queues.len() == MAX_PROMOTED;
    let asked: BTreeSet<&str> = ask.queues.iter().map(|queue| queue.queue.as_str()).collect();
    // The asker is about to look at its own queues; others may be asleep.
    let others: BTreeSet<String> =
        queues.into_iter().filter(|queue| !asked.contains(queue.as_str())).collect();
    for queue in others {
        tx.wake(WakeEvent::Work { queue });
    }
    Ok(full)
}

/// Where a job stands in its queue: priority, time, id.
type Order = (i16, i64, JobId);

fn taken(row: &Row<'_>, now: i64) -> rusqlite::Result<(Order, ClaimedJob)> {
    let job = ClaimedJob {
        id: rows::id(row, 0)?,
        tenant_id: row.get(1)?,
        job_type: row.get(2)?,
        queue: row.get(3)?,
        priority: row.get(4)?,
        payload: Payload::from_stored(row.get(6)?),
        attempt: row.get(7)?,
        max_attempts: row.get(8)?,
        lease: Lease(row.get(9)?),
        timeout: row.get::<_, Option<i64>>(10)?.map(|end| since(moment(end), moment(now))),
        progress_timeout: rows::maybe_duration(row, 16)?,
        created_at: rows::at(row, 11)?,
        started_at: moment(now),
        checkpoint: rows::maybe_json(row, 12)?,
        tags: row.get::<_, Json<Vec<String>>>(13)?.0,
        traceparent: row.get(14)?,
        retry: rows::maybe_json(row, 15)?,
        alone: row.get(17)?,
    };
    Ok(((job.priority, row.get(5)?, job.id), job))
}
