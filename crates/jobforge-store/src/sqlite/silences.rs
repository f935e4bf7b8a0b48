//! What is recorded of attempts that fell silent.

use jiff::Timestamp;
use jobforge_core::job::Lease;
use jobforge_core::time::Now;
use jobforge_core::what_if::{Record, Trace};
use rusqlite::{Row, params};

use super::rows::{self, limit, micros};
use super::statements;
use super::tx::{Tx, as_of};
use crate::error::Result;

/// Reads it, at most so many of each kind.
pub(super) fn silent_attempts(tx: &Tx<'_>, since: Timestamp, most: usize, at: Now) -> Result<Record> {
    let now = tx.now(at)?;
    let (since, ask) = (micros(since), limit(most.saturating_add(1)));
    let mut record = Record { as_of: as_of(now), traces: Vec::new(), cut: false };
    record.add(tx.prepare(&statements::SILENT_ATTEMPTS)?.all(params![since, ask], trace)?, most);
    record.add(tx.prepare(&statements::SILENT_ENDED)?.all(params![since, ask], trace)?, most);
    record.add(tx.prepare(&statements::SILENT_RUNNING)?.all(params![now, ask], trace)?, most);
    Ok(record)
}

fn trace(row: &Row<'_>) -> rusqlite::Result<Trace> {
    Ok(Trace {
        job: rows::id(row, 0)?,
        tenant_id: row.get(1)?,
        job_type: row.get(2)?,
        queue: row.get(3)?,
        attempt: row.get(4)?,
        lease: Lease(row.get(5)?),
        worker: rows::maybe_worker(row, 6)?,
        outcome: row.get(7)?,
        cause: rows::maybe_error(row, 8)?.map(|error| error.kind),
        finished_at: rows::maybe_at(row, 9)?,
        heartbeat_at: rows::maybe_at(row, 10)?,
        refused: row.get(11)?,
        heard: rows::heard(row)?,
    })
}
