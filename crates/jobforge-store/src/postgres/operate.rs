//! Moves made by a person's hand, and the purge.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::job::{JobId, WorkerId};
use jobforge_core::metric::End;
use jobforge_core::retention::{PURGE_BATCH, Retention};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::gauges::attempt;
use super::rows::{Json, millis, status};
use super::session::{Sql, sql};
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::{Move, Moved, RestartTold};
use crate::traits::{Inspect, Operate, Purge};

pub(super) static MOVE: Sql = sql!("job_move", UUID_ARRAY, TEXT, INT8, JSONB);
static DELETE: Sql = sql!("job_delete", UUID_ARRAY, JSONB);
static PAUSE: Sql = sql!("queue_pause", TEXT, BOOL, JSONB);
static PURGEABLE: Sql = sql!("purgeable", TEXT_ARRAY, TIMESTAMPTZ_ARRAY);
static RESTART: Sql = sql!("worker_restart", TEXT_ARRAY, JSONB);
static PURGE: Sql = sql!("purge", TEXT_ARRAY, TIMESTAMPTZ_ARRAY, INT8);

#[async_trait]
impl Operate for PostgresStore {
    async fn move_jobs(&self, ids: &[JobId], step: Move, by: &By, at: Now) -> Result<Vec<Moved>> {
        let by = Json::of(by);
        let uuids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = match step {
            Move::Cancel => self.query(at, &MOVE, &[&uuids, &"cancel", &0_i64, &by]).await?,
            Move::Retry { delay } => self.query(at, &MOVE, &[&uuids, &"retry", &millis(delay), &by]).await?,
            Move::Delete => self.query(at, &DELETE, &[&uuids, &by]).await?,
        };
        if step != Move::Delete {
            rows.iter().filter_map(|row| moved(step, row)).for_each(Tally::count);
        }
        let before: HashMap<Uuid, Status> = rows.iter().map(|row| (row.get(0), status(row.get(1)))).collect();
        Ok(ids
            .iter()
            .map(|id| before.get(&id.0).map_or(Moved::Missing, |from| outcome(step, *from)))
            .collect())
    }

    async fn pause_queue(&self, queue: &str, paused: bool, by: &By, at: Now) -> Result<bool> {
        Ok(!self.query(at, &PAUSE, &[&queue, &paused, &Json::of(by)]).await?.is_empty())
    }

    async fn restart_workers(&self, workers: &[WorkerId], by: &By, at: Now) -> Result<Vec<RestartTold>> {
        let ids: Vec<&str> = workers.iter().map(WorkerId::as_str).collect();
        let rows = self.query(at, &RESTART, &[&ids, &Json::of(by)]).await?;
        let found: HashMap<&str, (bool, bool)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        Ok(ids.iter().map(|id| RestartTold::of(found.get(id).copied())).collect())
    }
}

#[async_trait]
impl Purge for PostgresStore {
    async fn purge(&self, retention: &Retention, at: Now) -> Result<Vec<(Status, u64)>> {
        let (statuses, horizons) = self.horizons(retention, at).await?;
        let batch = i64::try_from(PURGE_BATCH).unwrap_or(i64::MAX);
        let rows = self.query(at, &PURGE, &[&statuses, &horizons, &batch]).await?;
        Ok(counts(&rows))
    }

    async fn purgeable(&self, retention: &Retention, at: Now) -> Result<Vec<(Status, u64)>> {
        let (statuses, horizons) = self.horizons(retention, at).await?;
        Ok(counts(&self.query(at, &PURGEABLE, &[&statuses, &horizons]).await?))
    }
}

impl PostgresStore {
    async fn horizons(&self, retention: &Retention, at: Now) -> Result<(Vec<&'static str>, Vec<Timestamp>)> {
        let now = match at.fixed() {
            Some(moment) => moment,
            None => self.now().await?,
        };
        Ok(retention.horizons(now).into_iter().map(|(status, before)| (status.as_str(), before)).unzip())
    }
}

fn counts(rows: &[Row]) -> Vec<(Status, u64)> {
    rows.iter().map(|row| (status(row.get(0)), row.get::<_, i64>(1).unsigned_abs())).collect()
}

/// What a move of one job counts as.
pub(super) fn moved(step: Move, row: &Row) -> Option<Tally> {
    match (step, status(row.get(1))) {
        (Move::Cancel, Status::Running) => Some(Tally::Ended(attempt(row, 2, End::Cancelled))),
        (Move::Cancel, Status::Queued) => Some(Tally::Cancelled(row.get(2))),
        (Move::Retry { .. }, _) => Some(Tally::Retried(row.get(2))),
        (Move::Cancel | Move::Delete, _) => None,
    }
}

/// What a move did, from where the job stood: the statements follow the same rule.
fn outcome(step: Move, from: Status) -> Moved {
    let done = match (step, from) {
        (Move::Cancel, Status::Queued | Status::Running | Status::Canceled) => true,
        (Move::Cancel, Status::Succeeded | Status::Failed | Status::Dead) => false,
        (Move::Retry { .. }, _) => true,
        (Move::Delete, Status::Running) => false,
        (Move::Delete, _) => true,
    };
    if done { Moved::Done { from } } else { Moved::Refused { status: from } }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&MOVE, &DELETE, &PAUSE, &RESTART, &PURGE, &PURGEABLE]
}
