//! What watchdogs know of each other, and what they tell of their runs.

use std::time::Duration;

use jobforge_core::alert::kept::WHOLE_TURN;
use jobforge_core::time::Now;
use jobforge_core::verdict::HeldBack;
use jobforge_core::watchdog::{GuardKind, Run, Survey, WatchdogRow};
use tokio_postgres::Row;

use super::PostgresStore;
use super::rows::{Json, duration, millis};
use super::session::{Sql, sql};
use crate::error::{Result, StoreError};
use crate::rows::MAX_PAGE;

static SURVEY: Sql = sql!("watchdog_survey");
static SIGN: Sql = sql!("watchdog_sign", TEXT, INT8, TEXT, TIMESTAMPTZ);
static EXTEND: Sql = sql!("worker_extend");
static TIMES: Sql = sql!("worker_times", INT8);
static WATCHDOGS: Sql = sql!("watchdogs");
static PUT: Sql =
    sql!("watchdog_run_put", TEXT, TIMESTAMPTZ, INT8, TEXT, TEXT, INT8, INT8, INT8, INT8, INT8, JSONB, TEXT,);
static RUNS: Sql = sql!("watchdog_runs", INT8);

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl PostgresStore {
    pub(super) async fn take_survey(&self, at: Now) -> Result<Survey> {
        let (seen, failed_over) = self.look(at).await?;
        if !failed_over {
            return Ok(seen);
        }
        self.notice_failover(at).await?;
        Ok(self.look(at).await?.0)
    }

    async fn look(&self, at: Now) -> Result<(Survey, bool)> {
        let rows = self.query(at, &SURVEY, &[]).await?;
        let read = |row: &Row| {
            let some = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
            let seen = Survey {
                as_of: row.try_get(0)?,
                last_sign_at: row.try_get(1)?,
                active: some(row.try_get(2)?),
                overdue: some(row.try_get(3)?),
                silent: some(row.try_get(4)?),
                least_lease: duration(row, 5)?.unwrap_or_default(),
                claims_from: row.try_get(6)?,
            };
            Ok((seen, row.try_get(7)?))
        };
        let seen = rows.first().map(read).transpose().map_err(|error| self.fault("survey", error))?;
        seen.ok_or_else(|| StoreError::Failed {
            location: self.location.clone(),
            call: "survey",
            source: "the row of jobforge_fleet is missing".into(),
        })
    }

    pub(super) async fn sign(
        &self,
        watchdog: &str,
        check_interval: Duration,
        held: Option<HeldBack>,
        at: Now,
    ) -> Result<()> {
        let (guard, until) = held.map(|held| (held.guard.as_str(), held.until)).unzip();
        self.query(at, &SIGN, &[&watchdog, &millis(check_interval), &guard, &until]).await?;
        Ok(())
    }

    pub(super) async fn extend(&self, at: Now) -> Result<u64> {
        Ok(self.query(at, &EXTEND, &[]).await?.len() as u64)
    }

    pub(super) async fn renew_times(&self, at: Now) -> Result<()> {
        self.query(at, &TIMES, &[&millis(WHOLE_TURN)]).await?;
        Ok(())
    }

    pub(super) async fn put_run(&self, run: &Run, at: Now) -> Result<()> {
        self.query(
            at,
            &PUT,
            &[
                &run.watchdog,
                &run.started_at,
                &signed(run.duration_ms),
                &run.trigger,
                &run.guard,
                &signed(run.suspects),
                &signed(run.workers_lost),
                &signed(run.requeued),
                &signed(run.ended),
                &signed(run.lost_races),
                &Json::of(&run.verdicts),
                &run.error,
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn all_watchdogs(&self, at: Now) -> Result<Vec<WatchdogRow>> {
        let rows = self.query(at, &WATCHDOGS, &[]).await?;
        let read = |row: &Row| {
            Ok(WatchdogRow {
                id: row.try_get(0)?,
                started_at: row.try_get(1)?,
                last_sign_at: row.try_get(2)?,
                check_interval_ms: row.try_get::<_, i64>(3)?.unsigned_abs(),
                held: held(row)?,
            })
        };
        rows.iter().map(read).collect::<std::result::Result<_, _>>().map_err(|e| self.fault("watchdogs", e))
    }

    pub(super) async fn last_runs(&self, limit: usize) -> Result<Vec<Run>> {
        let limit = i64::try_from(limit.min(MAX_PAGE)).unwrap_or(1);
        let rows = self.query(Now::Database, &RUNS, &[&limit]).await?;
        rows.iter()
            .map(run)
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| self.fault("watchdog_runs", e))
    }
}

/// What holds verdicts back, if the row tells of anything.
pub(super) fn held(row: &Row) -> std::result::Result<Option<HeldBack>, tokio_postgres::Error> {
    let guard = row.try_get::<_, Option<&str>>("guard")?.and_then(GuardKind::from_stored);
    let until = row.try_get("guard_until")?;
    Ok(guard.zip(until).map(|(guard, until)| HeldBack { guard, until }))
}

fn run(row: &Row) -> std::result::Result<Run, tokio_postgres::Error> {
    let count = |index| row.try_get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(Run {
        watchdog: row.try_get(0)?,
        started_at: row.try_get(1)?,
        duration_ms: count(2)?,
        trigger: row.try_get(3)?,
        guard: row.try_get(4)?,
        suspects: count(5)?,
        workers_lost: count(6)?,
        requeued: count(7)?,
        ended: count(8)?,
        lost_races: count(9)?,
        verdicts: row.try_get::<_, Json>(10)?.decode().unwrap_or_default(),
        error: row.try_get(11)?,
    })
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&SURVEY, &SIGN, &EXTEND, &TIMES, &WATCHDOGS, &PUT, &RUNS]
}
