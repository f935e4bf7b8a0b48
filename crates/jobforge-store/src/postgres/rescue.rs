//! The watchdog's side of the seam.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::death::{DeathReport, ProcessId};
use jobforge_core::job::WorkerId;
use jobforge_core::metric::{DeadSource, End};
use jobforge_core::poison;
use jobforge_core::presence::FAST_AFTER;
use jobforge_core::rescue::{DEADLINE_GRACE, Rescue, RescuePolicy, Suspect, SuspectPage};
use jobforge_core::time::Now;
use jobforge_core::verdict::HeldBack;
use jobforge_core::watchdog::{Run, Survey};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::death::Event;
use super::gauges::attempt;
use super::rows::{Json, job, millis, worker};
use super::session::{Sql, sql};
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::{Deaths, RescueReport};
use crate::traits::{Inspect, Upkeep, Watchdog};

static SUSPECTS: Sql = sql!("suspects", INT8, INT8, TEXT_ARRAY, INT8);
static WORKERS_BY_ID: Sql = sql!("workers_by_id", TEXT_ARRAY);
pub(super) static RESCUE: Sql = sql!(
    "rescue",
    UUID_ARRAY,
    INT8_ARRAY,
    TIMESTAMPTZ_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    INT8_ARRAY,
    INT4_ARRAY,
    JSONB_ARRAY,
    BOOL_ARRAY,
    JSONB_ARRAY,
    BOOL_ARRAY,
);
static EXPIRE: Sql = sql!("worker_expire", INT8);
static STOPPED: Sql = sql!("worker_stopped", TEXT, TEXT, INT8, INT8, INT8, BOOL);
static RECONCILE: Sql = sql!("reconcile", INT8);

/// Jobs mended by one reconciliation.
const RECONCILE_BATCH: i64 = 10_000;

#[async_trait]
impl Watchdog for PostgresStore {
    async fn suspects(&self, fast: &[String], limit: usize, at: Now) -> Result<SuspectPage> {
        let fault = |error| self.fault("suspects", error);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (grace, wait) = (millis(DEADLINE_GRACE), millis(FAST_AFTER));
        let rows = self.query(at, &SUSPECTS, &[&limit, &grace, &fast, &wait]).await?;
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
                beside: None,
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
        let rows = self.query(at, &RESCUE, &Columns::of(plan).params()).await?;
        ended(plan, &rows, DeadSource::Watchdog).into_iter().for_each(Tally::count);
        Ok(report(plan, &rows))
    }

    async fn survey(&self, at: Now) -> Result<Survey> {
        self.take_survey(at).await
    }

    async fn watchdog_sign(
        &self,
        watchdog: &str,
        check_interval: Duration,
        held: Option<HeldBack>,
        at: Now,
    ) -> Result<()> {
        self.sign(watchdog, check_interval, held, at).await
    }

    async fn extend_leases(&self, at: Now) -> Result<u64> {
        self.extend(at).await
    }

    async fn attending(&self) -> Result<Option<BTreeSet<WorkerId>>> {
        self.who_attends().await
    }

    async fn mark_suspect(&self, workers: &[WorkerId], at: Now) -> Result<Vec<WorkerId>> {
        self.suspect(workers, at).await
    }

    async fn set_least_lease(&self, lease: Duration, at: Now) -> Result<()> {
        self.put_least_lease(lease, at).await
    }

    async fn renew_all_times(&self, at: Now) -> Result<()> {
        self.renew_times(at).await
    }

    async fn record_run(&self, run: &Run, at: Now) -> Result<()> {
        self.put_run(run, at).await?;
        self.tidy(at).await.map(drop)
    }

    async fn expire_workers(&self, at_most: u32, at: Now) -> Result<Vec<WorkerId>> {
        let rows = self.query(at, &EXPIRE, &[&i64::from(at_most)]).await?;
        rows.iter().for_each(|_| Tally::DeclaredDead.count());
        Ok(rows.iter().map(|row| WorkerId(row.get(0))).collect())
    }

    async fn report_death(&self, report: &DeathReport, policy: &RescuePolicy, at: Now) -> Result<Deaths> {
        self.bury(&Event::Reported(report, policy), at).await
    }

    async fn report_stopped(&self, process: &ProcessId, stopped: bool, at: Now) -> Result<Vec<WorkerId>> {
        let (namespace, pid) = (process.pid_namespace.cast_signed(), i64::from(process.pid));
        let started = process.started.cast_signed();
        let (machine, boot) = (&process.machine_id, &process.boot_id);
        let rows = self.query(at, &STOPPED, &[machine, boot, &namespace, &pid, &started, &stopped]).await?;
        Ok(rows.iter().map(|row| WorkerId(row.get(0))).collect())
    }

    async fn reconcile(&self, at: Now) -> Result<u64> {
        let rows = self.query(at, &RECONCILE, &[&RECONCILE_BATCH]).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }
}

/// A plan as the parameters of `rescue.sql`: one array a column.
pub(super) struct Columns<'a> {
    ids: Vec<Uuid>,
    leases: Vec<i64>,
    seen: Vec<Option<Timestamp>>,
    to: Vec<&'a str>,
    because: Vec<&'a str>,
    delays: Vec<i64>,
    misses: Vec<i32>,
    errors: Vec<Json>,
    burns: Vec<bool>,
    crashes: Vec<Option<Json>>,
    alone: Vec<bool>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(plan: &'a [Rescue]) -> Self {
        Self {
            ids: plan.iter().map(|line| line.id.0).collect(),
            leases: plan.iter().map(|line| line.lease.0).collect(),
            seen: plan.iter().map(|line| line.seen_due_at).collect(),
            to: plan.iter().map(|line| line.to.as_str()).collect(),
            because: plan.iter().map(|line| line.because.as_str()).collect(),
            delays: plan.iter().map(|line| millis(line.delay)).collect(),
            misses: plan.iter().map(|line| i32::try_from(line.misses).unwrap_or(i32::MAX)).collect(),
            errors: plan.iter().map(|line| Json::of(&line.error)).collect(),
            burns: plan.iter().map(|line| line.burns_attempt).collect(),
            crashes: plan
                .iter()
                .map(|line| (!line.crashes.is_empty()).then(|| Json::of(&line.crashes)))
                .collect(),
            alone: plan.iter().map(|line| poison::runs_alone(&line.crashes)).collect(),
        }
    }

    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 11] {
        let Self { ids, leases, seen, to, because, delays, misses, errors, burns, crashes, alone } = self;
        [ids, leases, seen, to, because, delays, misses, errors, burns, crashes, alone]
    }
}

/// Which lines of a plan took effect, from what `rescue.sql` returned.
pub(super) fn report(plan: &[Rescue], rows: &[Row]) -> RescueReport {
    let moved: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let (moved, lost_races) = plan.iter().map(|line| line.id).partition(|id| moved.contains(&id.0));
    RescueReport { moved, lost_races }
}

/// What the lines that took effect count as.
pub(super) fn ended(plan: &[Rescue], rows: &[Row], by: DeadSource) -> Vec<Tally> {
    let lines: HashMap<Uuid, &Rescue> = plan.iter().map(|line| (line.id.0, line)).collect();
    let tally = |row: &Row| {
        let line = lines.get(&row.get::<_, Uuid>(0))?;
        Some(Tally::Ended(attempt(row, 1, End::rescued(line, by))))
    };
    rows.iter().filter_map(tally).collect()
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&SUSPECTS, &WORKERS_BY_ID, &RESCUE, &EXPIRE, &STOPPED, &RECONCILE]
}
