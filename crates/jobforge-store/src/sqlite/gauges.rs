//! Numbers of the whole, without counting a big table.

use std::time::Duration;

use jobforge_core::time::Now;
use rusqlite::params;

use super::rows::{self, count, earlier};
use super::statements;
use super::tx::{Tx, as_of};
use crate::error::Result;
use crate::rows::{COUNT_CAP, DOWN_FOR, Gauges, MOST_NAMES, RunningGauge, WorkersGauge};

/// Everything in one snapshot.
pub(super) fn gauges(tx: &Tx<'_>, at: Now) -> Result<Gauges> {
    let now = tx.now(at)?;
    let cap = COUNT_CAP.cast_signed();
    let numbers = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, count(row.get(1)?)));
    Ok(Gauges {
        as_of: as_of(now),
        ready: tx.prepare(&statements::GAUGE_READY)?.all(params![now, cap], numbers)?,
        retrying: tx.prepare(&statements::GAUGE_RETRYING)?.all(params![now, cap], numbers)?,
        running: tx.prepare(&statements::GAUGE_RUNNING)?.all([cap], |row| {
            Ok(RunningGauge {
                job_type: row.get(0)?,
                tenant_id: row.get(1)?,
                jobs: count(row.get(2)?),
                oldest: rows::maybe_at(row, 3)?,
                timeout: row
                    .get::<_, Option<i64>>(4)?
                    .map(|micros| Duration::from_micros(micros.unsigned_abs())),
            })
        })?,
        workers: tx.prepare(&statements::GAUGE_WORKERS)?.all(
            params![now, earlier(now, DOWN_FOR)],
            |row| {
                Ok(WorkersGauge {
                    queue: row.get(0)?,
                    state: row.get(1)?,
                    workers: count(row.get(2)?),
                    slots: count(row.get(3)?),
                })
            },
        )?,
        successes: tx
            .prepare(&statements::GAUGE_SUCCESSES)?
            .all([MOST_NAMES], |row| Ok((row.get::<_, String>(0)?, rows::at(row, 1)?)))?,
    })
}
