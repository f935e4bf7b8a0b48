//! Numbers of the whole, without counting a big table.

use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::metric::{Attempt, End};
use jobforge_core::time::Now;
use tokio_postgres::Row;

use super::PostgresStore;
use super::rows::millis;
use super::session::{Sql, sql};
use crate::error::Result;
use crate::rows::{COUNT_CAP, DOWN_FOR, Gauges, MOST_NAMES, RunningGauge, WorkersGauge};

static READY: Sql = sql!("gauge_ready", INT8);
static RETRYING: Sql = sql!("gauge_retrying", INT8);
static RUNNING: Sql = sql!("gauge_running", INT8);
static WORKERS: Sql = sql!("gauge_workers", INT8);
static SUCCESSES: Sql = sql!("gauge_successes", INT8);

type Read<T> = std::result::Result<T, tokio_postgres::Error>;

impl PostgresStore {
    pub(super) async fn read_gauges(&self, at: Now) -> Result<Gauges> {
        let fault = |error| self.fault("gauges", error);
        let cap = COUNT_CAP.cast_signed();
        // One after the other: this is no hurry, and the pool is for those who are in one.
        let workers = self.query(at, &WORKERS, &[&millis(DOWN_FOR)]).await?;
        let ready = self.query(at, &READY, &[&cap]).await?;
        let retrying = self.query(at, &RETRYING, &[&cap]).await?;
        let running = self.query(at, &RUNNING, &[&cap]).await?;
        let successes = self.query(at, &SUCCESSES, &[&MOST_NAMES]).await?;
        let as_of: Option<Timestamp> =
            workers.first().map(|row| row.try_get(0)).transpose().map_err(fault)?;
        Ok(Gauges {
            as_of: as_of.unwrap_or_default(),
            ready: ready.iter().map(number).collect::<Read<_>>().map_err(fault)?,
            retrying: retrying.iter().map(number).collect::<Read<_>>().map_err(fault)?,
            running: running.iter().map(self::running).collect::<Read<_>>().map_err(fault)?,
            workers: workers
                .iter()
                .filter_map(|row| self::workers(row).transpose())
                .collect::<Read<_>>()
                .map_err(fault)?,
            successes: successes
                .iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect::<Read<_>>()
                .map_err(fault)?,
        })
    }
}

fn number(row: &Row) -> Read<(String, u64)> {
    Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs()))
}

fn running(row: &Row) -> Read<RunningGauge> {
    Ok(RunningGauge {
        job_type: row.try_get(0)?,
        tenant_id: row.try_get(1)?,
        jobs: row.try_get::<_, i64>(2)?.unsigned_abs(),
        oldest: row.try_get(3)?,
        timeout: row.try_get::<_, Option<i64>>(4)?.map(|ms| Duration::from_millis(ms.unsigned_abs())),
    })
}

fn workers(row: &Row) -> Read<Option<WorkersGauge>> {
    let Some(queue) = row.try_get(1)? else { return Ok(None) };
    Ok(Some(WorkersGauge {
        queue,
        state: row.try_get(2)?,
        workers: row.try_get::<_, i64>(3)?.unsigned_abs(),
        slots: row.try_get::<_, i64>(4)?.unsigned_abs(),
    }))
}

/// The attempt that a row tells of: from column `first` on queue, name, seconds and items.
pub(super) fn attempt(row: &Row, first: usize, end: End) -> Attempt {
    let took: Option<f64> = row.get(first + 2);
    let items = [3, 4, 5].map(|column| row.get::<_, i64>(first + column).unsigned_abs());
    Attempt {
        queue: row.get(first),
        job_name: row.get(first + 1),
        end,
        took: Duration::try_from_secs_f64(took.unwrap_or_default()).unwrap_or_default(),
        items,
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&READY, &RETRYING, &RUNNING, &WORKERS, &SUCCESSES]
}
