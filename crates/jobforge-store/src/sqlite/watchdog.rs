//! What watchdogs know of each other, and what they tell of their runs.

use std::time::Duration;

use jobforge_core::time::Now;
use jobforge_core::verdict::HeldBack;
use jobforge_core::watchdog::{GuardKind, Run, Survey, WatchdogRow};
use rusqlite::{Row, params};

use super::rows::{self, count, earlier, json, limit, maybe_at, maybe_json, micros, millis};
use super::statements;
use super::tx::{Tx, as_of};
use crate::error::Result;
use crate::rows::ENDED_KEPT;

pub(super) fn survey(tx: &Tx<'_>, at: Now) -> Result<Survey> {
    let now = tx.now(at)?;
    let seen = tx.prepare(&statements::WATCHDOG_SURVEY)?.one([now], |row| {
        Ok(Survey {
            as_of: as_of(now),
            last_sign_at: maybe_at(row, 0)?,
            active: row.get(1)?,
            overdue: row.get(2)?,
            silent: row.get(3)?,
            least_lease: Duration::from_millis(row.get::<_, i64>(4)?.unsigned_abs()),
            claims_from: None,
        })
    })?;
    seen.ok_or_else(|| tx.failed("a count gave no row"))
}

pub(super) fn sign(
    tx: &Tx<'_>,
    watchdog: &str,
    check_interval: Duration,
    held: Option<HeldBack>,
    at: Now,
) -> Result<()> {
    let now = tx.now(at)?;
    let (guard, until) = held.map(|held| (held.guard.as_str(), micros(held.until))).unzip();
    tx.prepare(&statements::WATCHDOG_SIGN)?.execute(params![
        watchdog,
        now,
        millis(check_interval),
        guard,
        until
    ])?;
    Ok(())
}

pub(super) fn record(tx: &Tx<'_>, run: &Run) -> Result<()> {
    tx.prepare(&statements::WATCHDOG_RUN_PUT)?.execute(params![
        run.watchdog,
        micros(run.started_at),
        signed(run.duration_ms),
        run.trigger,
        run.guard,
        signed(run.suspects),
        signed(run.workers_lost),
        signed(run.requeued),
        signed(run.ended),
        signed(run.lost_races),
        json(&run.verdicts),
        run.error,
    ])?;
    Ok(())
}

pub(super) fn watchdogs(tx: &Tx<'_>, at: Now) -> Result<Vec<WatchdogRow>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::WATCHDOGS)?.all([earlier(now, ENDED_KEPT)], |row| {
        Ok(WatchdogRow {
            id: row.get(0)?,
            started_at: rows::at(row, 1)?,
            last_sign_at: rows::at(row, 2)?,
            check_interval_ms: count(row.get(3)?),
            held: held(row)?,
        })
    })
}

/// What holds verdicts back, if the row tells of anything.
pub(super) fn held(row: &Row<'_>) -> rusqlite::Result<Option<HeldBack>> {
    let guard = row.get::<_, Option<String>>("guard")?;
    let guard = guard.as_deref().and_then(GuardKind::from_stored);
    let until = maybe_at(row, "guard_until")?;
    Ok(guard.zip(until).map(|(guard, until)| HeldBack { guard, until }))
}

pub(super) fn runs(tx: &Tx<'_>, most: usize) -> Result<Vec<Run>> {
    tx.prepare(&statements::WATCHDOG_RUNS)?.all([limit(most)], run)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        watchdog: row.get(0)?,
        started_at: rows::at(row, 1)?,
        duration_ms: count(row.get(2)?),
        trigger: row.get(3)?,
        guard: row.get(4)?,
        suspects: count(row.get(5)?),
        workers_lost: count(row.get(6)?),
        requeued: count(row.get(7)?),
        ended: count(row.get(8)?),
        lost_races: count(row.get(9)?),
        verdicts: maybe_json(row, 10)?.unwrap_or_default(),
        error: row.get(11)?,
    })
}
