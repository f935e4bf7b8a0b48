//! Looking.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::job::{Attempt, Job, JobId, Lease, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::progress::ProgressPoint;
use jobforge_core::standing::Facts;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::watchdog::{GAP, Run, WatchdogRow};
use jobforge_core::what_if::Record;
use jobforge_core::worker::WorkerRow;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{Json, count, error_info, heard, job, millis, status, worker};
use super::session::{Params, Sql, sql};
use super::watchdog;
use crate::error::Result;
use crate::rows::{Gauges, JobDetail, JobFilter, JobPage, LogTail, MAX_PAGE, QueueInfo, give_points};
use crate::traits::Inspect;

static CLOCK: Sql = sql!("clock");
static GET: Sql = sql!("job_get", UUID);
static ATTEMPTS: Sql = sql!("job_attempts", UUID);
static LAST_ATTEMPT: Sql = sql!("job_last_attempt", UUID);
static LOGS: Sql = sql!("job_logs", UUID);
static PROGRESS: Sql = sql!("job_progress", UUID);
static RESULT: Sql = sql!("job_result", UUID);
static SURROUNDINGS: Sql = sql!("job_surroundings", TEXT, TEXT, INT8);
static COUNTS: Sql = sql!(each_time "status_counts", TEXT, TIMESTAMPTZ, INT8);
static KNOWN: Sql = sql!("jobs_known", UUID_ARRAY);
static QUEUES: Sql = sql!("queues", INT8);
static WORKERS: Sql = sql!("workers", INT8);
static WORKERS_BY_ID: Sql = sql!("workers_by_id", TEXT_ARRAY);

#[async_trait]
impl Inspect for PostgresStore {
    async fn now(&self) -> Result<Timestamp> {
        let rows = self.query(Now::Database, &CLOCK, &[]).await?;
        Ok(rows.first().map_or(Timestamp::UNIX_EPOCH, |row| row.get(0)))
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        let rows = self.query(Now::Database, &GET, &[&id.0]).await?;
        rows.first().map(job).transpose().map_err(|error| self.fault("job", error))
    }

    async fn job_detail(&self, id: JobId) -> Result<Option<JobDetail>> {
        let Some(job) = self.job(id).await? else { return Ok(None) };
        let fault = |error| self.fault("job_detail", error);
        let key: Params<'_> = &[&id.0];
        let (attempts, points, logs, result) = tokio::try_join!(
            self.query(Now::Database, &ATTEMPTS, key),
            self.query(Now::Database, &PROGRESS, key),
            self.query(Now::Database, &LOGS, key),
            self.query(Now::Database, &RESULT, key),
        )?;
        let mut attempts =
            attempts.iter().map(attempt).collect::<std::result::Result<Vec<_>, _>>().map_err(fault)?;
        attempts.extend(Attempt::untold(&job, attempts.last()));
        let points = points.iter().map(point).collect::<std::result::Result<Vec<_>, _>>().map_err(fault)?;
        give_points(&mut attempts, points);
        let log = |row: &Row| {
            Ok(LogTail {
                attempt: count(row.try_get(0)?),
                lease: Lease(row.try_get(1)?),
                text: row.try_get(2)?,
                updated_at: row.try_get(3)?,
            })
        };
        let logs = logs.iter().map(log).collect::<std::result::Result<Vec<_>, _>>().map_err(fault)?;
        let result = result.first().map(|row| row.try_get::<_, Json>(0)).transpose().map_err(fault)?;
        Ok(Some(JobDetail { job, attempts, result: result.map(|json| Payload::from_stored(json.0)), logs }))
    }

    async fn known_jobs(&self, ids: &[JobId]) -> Result<BTreeSet<JobId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = self.query(Now::Database, &KNOWN, &[&ids]).await?;
        Ok(rows.iter().map(|row| JobId(row.get(0))).collect())
    }

    async fn job_facts(&self, id: JobId, at: Now) -> Result<Option<Facts>> {
        let Some(job) = self.job(id).await? else { return Ok(None) };
        let fault = |error| self.fault("job_facts", error);
        let owners: Vec<&str> = job.locked_by.iter().map(WorkerId::as_str).collect();
        let found = self.query(at, &WORKERS_BY_ID, &[&owners]).await?;
        let worker = found.first().map(worker).transpose().map_err(fault)?;
        let attempts = self.query(at, &LAST_ATTEMPT, &[&id.0]).await?;
        let last_attempt = attempts.first().map(attempt).transpose().map_err(fault)?;
        let rows = self.query(at, &SURROUNDINGS, &[&job.queue, &job.job_type, &millis(GAP)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let some = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Some(Facts {
            as_of: row.try_get("as_of").map_err(fault)?,
            queue_paused_at: row.try_get("paused_at").map_err(fault)?,
            queue_workers: some(row.try_get("queue_workers").map_err(fault)?),
            able_workers: some(row.try_get("able_workers").map_err(fault)?),
            held: watchdog::held(row).map_err(fault)?,
            worker,
            last_attempt,
            job,
        }))
    }

    async fn job_page(&self, filter: &JobFilter) -> Result<JobPage> {
        self.page(filter).await
    }

    async fn status_counts_to(
        &self,
        cap: u64,
        tenant_id: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<(Status, u64)>> {
        let cap = cap.cast_signed();
        let rows = self.query(Now::Database, &COUNTS, &[&tenant_id, &since, &cap]).await?;
        Ok(rows.iter().map(|row| (status(row.get(0)), row.get::<_, i64>(1).unsigned_abs())).collect())
    }

    async fn gauges(&self, at: Now) -> Result<Gauges> {
        self.read_gauges(at).await
    }

    async fn queues_to(&self, cap: u64, at: Now) -> Result<Vec<QueueInfo>> {
        let cap = cap.cast_signed();
        let rows = self.query(at, &QUEUES, &[&cap]).await?;
        let read = |row: &Row| {
            Ok(QueueInfo {
                name: row.try_get(0)?,
                ready: row.try_get::<_, i64>(1)?.unsigned_abs(),
                scheduled: row.try_get::<_, i64>(2)?.unsigned_abs(),
                running: row.try_get::<_, i64>(3)?.unsigned_abs(),
                oldest_ready_at: row.try_get(4)?,
                paused_at: row.try_get(5)?,
            })
        };
        rows.iter()
            .map(read)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| self.fault("queues", error))
    }

    async fn worker(&self, id: &WorkerId) -> Result<Option<WorkerRow>> {
        let rows = self.query(Now::Database, &WORKERS_BY_ID, &[&[id.as_str()].as_slice()]).await?;
        rows.first().map(worker).transpose().map_err(|error| self.fault("worker", error))
    }

    async fn workers(&self, at: Now) -> Result<Vec<WorkerRow>> {
        let limit = i64::try_from(MAX_PAGE).unwrap_or(i64::MAX);
        let rows = self.query(at, &WORKERS, &[&limit]).await?;
        rows.iter()
            .map(worker)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| self.fault("workers", error))
    }

    async fn watchdogs(&self, at: Now) -> Result<Vec<WatchdogRow>> {
        self.all_watchdogs(at).await
    }

    async fn watchdog_runs(&self, limit: usize) -> Result<Vec<Run>> {
        self.last_runs(limit).await
    }

    async fn silent_attempts(&self, since: Timestamp, most: usize, at: Now) -> Result<Record> {
        self.read_silent(since, most, at).await
    }
}

fn attempt(row: &Row) -> std::result::Result<Attempt, tokio_postgres::Error> {
    Ok(Attempt {
        attempt: count(row.try_get(0)?),
        lease: Lease(row.try_get(1)?),
        worker: row.try_get::<_, Option<String>>(2)?.map(WorkerId),
        outcome: row.try_get(3)?,
        error: row.try_get::<_, Option<Json>>(4)?.as_ref().map(error_info),
        started_at: row.try_get(5)?,
        finished_at: row.try_get(6)?,
        stop_ignored_at: row.try_get(7)?,
        refused: count(row.try_get(8)?),
        heartbeat_at: row.try_get("heartbeat_at")?,
        heard: heard(row)?,
        progress: Vec::new(),
    })
}

/// How far an attempt said it had come, with its fence.
fn point(row: &Row) -> std::result::Result<(Lease, ProgressPoint), tokio_postgres::Error> {
    let percent: Option<i16> = row.try_get(2)?;
    let point = ProgressPoint {
        at: row.try_get(1)?,
        percent: percent.and_then(|percent| u8::try_from(percent).ok()),
        phase: row.try_get(3)?,
        message: row.try_get(4)?,
    };
    Ok((Lease(row.try_get(0)?), point))
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![
        &CLOCK,
        &GET,
        &KNOWN,
        &ATTEMPTS,
        &LAST_ATTEMPT,
        &LOGS,
        &PROGRESS,
        &RESULT,
        &SURROUNDINGS,
        &COUNTS,
        &QUEUES,
        &WORKERS,
        &WORKERS_BY_ID,
    ]
}
