//! Taking jobs, behind a low-water cursor.
//!
//! Rows taken from `jobforge_ready` leave dead index entries behind that vacuum cannot remove while an old snapshot
//! lives, and every claim would read through them. So a claim begins where the last one of the same worker and queue
//! ended. What lies before the cursor (a more urgent job, a late commit) is found by a full scan whenever a claim comes
//! back short, and else often enough that full scans take a small share of the time.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::claim::{Bounds, ClaimAsk, Claimed, MAX_CLAIM, QueueAsk};
use jobforge_core::job::{ClaimedJob, JobId, Lease, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::time::{Now, since};
use tokio::time::Instant;
use tokio_postgres::Row;

use super::PostgresStore;
use super::rows::{Json, beginning, count, duration, millis};
use super::session::{Sql, sql};
use crate::error::Result;
use crate::meter::Tally;

static CLAIM: Sql = sql!(
    "claim",
    TEXT,
    TEXT_ARRAY,
    INT8_ARRAY,
    INT2_ARRAY,
    TIMESTAMPTZ_ARRAY,
    TEXT_ARRAY,
    INT8,
    INT8,
    JSONB,
    JSONB,
    BOOL,
    TEXT,
    INT8
);

/// Waiting jobs made claimable by one claim.
const PROMOTION_BATCH: i64 = 1000;
/// A claim with a cursor is followed by a full one after this time at the soonest…
const RESCAN_AFTER: Duration = Duration::from_millis(100);
/// …and after this many times what the last full one took.
const RESCAN_SHARE: u32 = 20;

/// Where the last claims ended.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    by_queue: HashMap<(WorkerId, String), Cursor>,
}

#[derive(Debug, Clone, Copy)]
struct Cursor {
    position: (i16, Timestamp),
    full_scan_at: Instant,
    full_scan_took: Duration,
}

impl Cursor {
    fn is_stale(&self, now: Instant) -> bool {
        now.duration_since(self.full_scan_at) > RESCAN_AFTER.max(self.full_scan_took * RESCAN_SHARE)
    }
}

impl PostgresStore {
    pub(super) async fn claim_jobs(&self, ask: &ClaimAsk, at: Now) -> Result<Claimed> {
        if !ask.alone {
            return self.claim_from(ask, at).await;
        }
        // The statement takes so many of each queue, and this is one of all: rare enough for a statement each.
        let mut found = Claimed::default();
        for queue in &ask.queues {
            let limit = if found.jobs.is_empty() { queue.limit.min(1) } else { 0 };
            let queues = vec![QueueAsk { limit, ..queue.clone() }];
            let claimed = self.claim_from(&ClaimAsk { queues, ..ask.clone() }, at).await?;
            found = Claimed {
                jobs: found.jobs.into_iter().chain(claimed.jobs).collect(),
                more: found.more || claimed.more,
                alone_waits: found.alone_waits || claimed.alone_waits,
                ..claimed
            };
        }
        Ok(found)
    }

    async fn claim_from(&self, ask: &ClaimAsk, at: Now) -> Result<Claimed> {
        let began = Instant::now();
        let from = self.cursors_of(ask, at, began);
        let used_cursor = from.iter().any(|position| *position != beginning());
        let queues: Vec<&str> = ask.queues.iter().map(|queue| queue.queue.as_str()).collect();
        let mut room = MAX_CLAIM;
        let mut ask2 = ask.clone();
        for q in &mut ask2.queues {
            q.limit = q.limit.min(room);
            room -= q.limit;
        }
        let ask = &ask2;
        let limits: Vec<i64> =
            ask.queues.iter().map(|queue| i64::try_from(queue.limit).unwrap_or(i64::MAX)).collect();
        let (priorities, moments): (Vec<i16>, Vec<Timestamp>) = from.into_iter().unzip();
        let due_ms = millis(ask.beat_due_in);
        let worker = ask.worker.as_str();
        let bounds = |bounds: &Bounds| (!bounds.is_empty()).then(|| Json::of(bounds));
        let (timeout, progress) = (bounds(&ask.bounds.timeout), bounds(&ask.bounds.progress));
        let rows = self
            .query(
                at,
                &CLAIM,
                &[
                    &worker,
                    &queues,
                    &limits,
                    &priorities,
                    &moments,
                    &ask.types,
                    &due_ms,
                    &PROMOTION_BATCH,
                    &timeout,
                    &progress,
                    &ask.alone,
                    &ask.tenant,
                    &ask.beat_interval.map(millis),
                ],
            )
            .await?;
        let fault = |error| self.fault("claim", error);
        let Some(first) = rows.first() else { return Ok(Claimed::default()) };
        let as_of: Timestamp = first.try_get(0).map_err(fault)?;
        let next_due: Option<Timestamp> = first.try_get(1).map_err(fault)?;
        let promoted: i64 = first.try_get(2).map_err(fault)?;
        let taken: i64 = first.try_get(3).map_err(fault)?;
        let alone_waits: bool = first.try_get(4).map_err(fault)?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(claimed) = claimed(row, as_of).map_err(fault)? {
                jobs.push(claimed);
            }
        }
        let place = |queue: &str| queues.iter().position(|name| *name == queue);
        jobs.sort_by(|(a, at_a), (b, at_b)| {
            (place(&a.queue), a.priority, at_a, a.id).cmp(&(place(&b.queue), b.priority, at_b, b.id))
        });
        for (job, due) in &jobs {
            Tally::Waited(job.queue.clone(), since(as_of, *due)).count();
        }
        let full = self.remember(ask, at, &jobs, began, used_cursor);
        Ok(Claimed {
            // Stale ready rows were taken but gave no job: the next ones may.
            more: full || promoted > 0 || taken > i64::try_from(jobs.len()).unwrap_or(i64::MAX),
            jobs: jobs.into_iter().map(|(job, _)| job).collect(),
            // Rows just promoted are still counted in this statement's snapshot, and `more` covers them.
            next_due: next_due.filter(|due| *due > as_of),
            alone_waits,
            as_of,
        })
    }

    /// The position to claim each queue from. A fixed clock always scans in full, so that tests are deterministic.
    fn cursors_of(&self, ask: &ClaimAsk, at: Now, now: Instant) -> Vec<(i16, Timestamp)> {
        let cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let position = |queue: &QueueAsk| {
            let cursor = cursors.by_queue.get(&(ask.worker.clone(), queue.queue.clone()))?;
            (at == Now::Database && !cursor.is_stale(now)).then_some(cursor.position)
        };
        ask.queues.iter().map(|queue| position(queue).unwrap_or_else(beginning)).collect()
    }

    /// Moves the cursors on, and says whether more jobs may be had at once.
    fn remember(
        &self,
        ask: &ClaimAsk,
        at: Now,
        jobs: &[(ClaimedJob, Timestamp)],
        began: Instant,
        used_cursor: bool,
    ) -> bool {
        let now = Instant::now();
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut more = false;
        for queue in &ask.queues {
            if queue.limit == 0 {
                continue;
            }
            let key = (ask.worker.clone(), queue.queue.clone());
            let mut of_queue = jobs.iter().filter(|(job, _)| job.queue == queue.queue);
            let got = of_queue.clone().count();
            if got < queue.limit || at != Now::Database {
                // A short claim has seen the end of the queue; with a cursor it may have missed the beginning.
                more |= got >= queue.limit || (used_cursor && cursors.by_queue.contains_key(&key));
                cursors.by_queue.remove(&key);
                continue;
            }
            more = true;
            let Some((last, run_at)) = of_queue.next_back() else { continue };
            let position = (last.priority, *run_at);
            let entry = cursors.by_queue.entry(key).or_insert(Cursor {
                position,
                full_scan_at: began,
                full_scan_took: now.duration_since(began),
            });
            if !used_cursor || entry.is_stale(began) {
                (entry.full_scan_at, entry.full_scan_took) = (began, now.duration_since(began));
            }
            entry.position = position;
        }
        more
    }

    /// Forgets the cursors of a worker that has ended.
    pub(super) fn forget_cursors(&self, worker: &WorkerId) {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.by_queue.retain(|(owner, _), _| owner != worker);
    }
}

/// Reads a claimed job with its `run_at`, by position, for a name would be looked for in every row; `None` for the row of nulls that an empty claim returns.
fn claimed(
    row: &Row,
    as_of: Timestamp,
) -> std::result::Result<Option<(ClaimedJob, Timestamp)>, tokio_postgres::Error> {
    let Some(id) = row.try_get::<_, Option<uuid::Uuid>>(5)? else { return Ok(None) };
    let job = ClaimedJob {
        id: JobId(id),
        tenant_id: row.try_get(6)?,
        job_type: row.try_get(7)?,
        queue: row.try_get(8)?,
        priority: row.try_get(9)?,
        payload: Payload::from_stored(row.try_get::<_, Json>(10)?.0),
        attempt: count(row.try_get(11)?),
        max_attempts: count(row.try_get(12)?),
        lease: Lease(row.try_get(13)?),
        timeout: row.try_get::<_, Option<Timestamp>>(14)?.map(|end| since(end, as_of)),
        progress_timeout: duration(row, 21)?,
        created_at: row.try_get(15)?,
        started_at: as_of,
        checkpoint: row.try_get::<_, Option<Json>>(16)?.and_then(|json| json.decode()),
        tags: row.try_get::<_, Option<Vec<String>>>(17)?.unwrap_or_default(),
        traceparent: row.try_get(18)?,
        retry: row.try_get::<_, Option<Json>>(19)?.and_then(|json| json.decode()),
        alone: row.try_get(22)?,
    };
    Ok(Some((job, row.try_get(20)?)))
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&CLAIM]
}
