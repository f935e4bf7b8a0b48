//! Deleting what has been kept long enough.

use jobforge_core::retention::{PURGE_BATCH, Retention};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use rusqlite::params;

use super::rows::{limit, micros};
use super::statements;
use super::tx::{Tx, as_of};
use crate::error::Result;

/// Deletes at most one batch of each status and says how many.
pub(super) fn purge(tx: &Tx<'_>, retention: &Retention, at: Now) -> Result<Vec<(Status, u64)>> {
    let now = as_of(tx.now(at)?);
    let mut purged = Vec::new();
    for (status, horizon) in retention.horizons(now) {
        let params = params![status.as_str(), micros(horizon), limit(PURGE_BATCH)];
        let deleted = tx.prepare(&statements::PURGE)?.execute(params)?;
        purged.push((status, deleted as u64));
    }
    Ok(purged)
}

/// How many there are to delete.
pub(super) fn purgeable(tx: &Tx<'_>, retention: &Retention, at: Now) -> Result<Vec<(Status, u64)>> {
    let now = as_of(tx.now(at)?);
    let mut found = Vec::new();
    for (status, horizon) in retention.horizons(now) {
        let params = params![status.as_str(), micros(horizon)];
        let count: Option<i64> = tx.prepare(&statements::PURGEABLE)?.one(params, |row| row.get(0))?;
        found.push((status, count.unwrap_or(0).unsigned_abs()));
    }
    Ok(found)
}
