//! The watchdog's side of the seam.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::job::WorkerId;
use jobforge_core::rescue::{Rescue, Suspect, SuspectPage};
use jobforge_core::time::Now;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{Json, job, millis, worker};
use super::session::{Sql, sql};
use crate::error::Result;
use crate::rows::RescueReport;
use crate::traits::{Inspect, Watchdog};

static SUSPECTS: Sql = sql!("suspects", INT8);
static WORKERS_BY_ID: Sql = sql!("workers_by_id", TEXT_ARRAY);
static RESCUE: Sql = sql!(
    "rescue",
    UUID_ARRAY,
    INT8_ARRAY,
    TIMESTAMPTZ_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    INT8_ARRAY,
    INT4_ARRAY,
    JSONB_ARRAY,
);
static EXPIRE: Sql = sql!("worker_expire");
static FORGET: Sql = sql!("worker_forget");
static RECONCILE: Sql = sql!("reconcile", INT8);

/// Jobs mended by one reconciliation.
const RECONCILE_BATCH: i64 = 10_000;

#[async_trait]
impl Watchdog for PostgresStore {
    async fn suspects(&self, limit: usize, at: Now) -> Result<SuspectPage> {
        let fault = |error| self.fault("suspects", error);
        let rows = self.query(at, &SUSPECTS, &[&i64::try_from(limit).unwrap_or(i64::MAX)]).await?;
        let as_of: Option<Timestamp> =
            rows.first().map(|row| row.try_get("as_of")).transpose().map_err(fault)?;
        let jobs = rows.iter().map(job).collect::<std::result::Result<Vec<_>, _>>().map_err(fault)?;
        let owners: Vec<&str> =
            jobs.iter().filter_map(|job| job.locked_by.as_ref()).map(WorkerId::as_str).collect();
        // Read after the jobs: a worker that renewed in between is judged alive, which is the safe side.
        let found = self.query(at, &WORKERS_BY_ID, &[&owners]).await?;
        let mut workers = HashMap::new();
        for row in &found {
            let worker = worker(row).map_err(fault)?;
            workers.insert(worker.id.clone(), worker);
        }
        let suspects = jobs
            .into_iter()
            .map(|job| Suspect {
                worker: job.locked_by.as_ref().and_then(|id| workers.get(id)).cloned(),
                job,
            })
            .collect();
        let as_of = match (as_of, at.fixed()) {
            (Some(moment), _) | (None, Some(moment)) => moment,
            (None, None) => self.now().await?,
        };
        Ok(SuspectPage { as_of, suspects })
    }

    async fn apply_rescues(&self, plan: &[Rescue], at: Now) -> Result<RescueReport> {
        if plan.is_empty() {
            return Ok(RescueReport::default());
        }
        let ids: Vec<Uuid> = plan.iter().map(|line| line.id.0).collect();
        let leases: Vec<i64> = plan.iter().map(|line| line.lease.0).collect();
        let seen: Vec<Option<Timestamp>> = plan.iter().map(|line| line.seen_due_at).collect();
        let to: Vec<&str> = plan.iter().map(|line| line.to.as_str()).collect();
        let because: Vec<&str> = plan.iter().map(|line| line.because.as_str()).collect();
        let delays: Vec<i64> = plan.iter().map(|line| millis(line.delay)).collect();
        let misses: Vec<i32> =
            plan.iter().map(|line| i32::try_from(line.misses).unwrap_or(i32::MAX)).collect();
        let errors: Vec<Json> = plan.iter().map(|line| Json::of(&line.error)).collect();
        let rows = self
            .query(at, &RESCUE, &[&ids, &leases, &seen, &to, &because, &delays, &misses, &errors])
            .await?;
        let moved: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        let (moved, lost_races) = plan.iter().map(|line| line.id).partition(|id| moved.contains(&id.0));
        Ok(RescueReport { moved, lost_races })
    }

    async fn expire_workers(&self, at: Now) -> Result<Vec<WorkerId>> {
        let rows = self.query(at, &EXPIRE, &[]).await?;
        Ok(rows.iter().map(|row| WorkerId(row.get(0))).collect())
    }

    async fn reconcile(&self, at: Now) -> Result<u64> {
        self.query(at, &FORGET, &[]).await?;
        let rows = self.query(at, &RECONCILE, &[&RECONCILE_BATCH]).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&SUSPECTS, &WORKERS_BY_ID, &RESCUE, &EXPIRE, &FORGET, &RECONCILE]
}
