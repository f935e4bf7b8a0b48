//! Looking after the file as a whole: forgetting, sizes, and a fresh start after it was restored.

use jobforge_core::death::{Death, Proof};
use jobforge_core::job::WorkerId;
use jobforge_core::time::Now;
use rusqlite::params;

use super::rows::{self, earlier, json, limit};
use super::statements;
use super::tx::Tx;
use crate::error::Result;
use crate::rows::{
    ENDED_KEPT, LAST_USE_KEPT, LastSign, OPERATIONS_KEPT, PartSize, RUNS_KEPT, SUCCESSES_KEPT, TIDY_BATCH,
};

/// Forgets what ended long ago.
pub(super) fn tidy(tx: &Tx<'_>, at: Now) -> Result<u64> {
    let now = tx.now(at)?;
    let mut forgotten = 0;
    for (statement, kept) in [
        (&statements::WORKER_FORGET, ENDED_KEPT),
        (&statements::WATCHDOG_FORGET, ENDED_KEPT),
        (&statements::WATCHDOG_RUN_FORGET, RUNS_KEPT),
        (&statements::OPERATION_FORGET, OPERATIONS_KEPT),
        (&statements::TOKEN_FORGET, LAST_USE_KEPT),
        (&statements::SUCCESS_FORGET, SUCCESSES_KEPT),
    ] {
        forgotten += tx.prepare(statement)?.execute(params![earlier(now, kept), limit(TIDY_BATCH)])?;
    }
    Ok(forgotten as u64)
}

pub(super) fn sign_housekeeper(tx: &Tx<'_>, who: &str, at: Now) -> Result<()> {
    tx.prepare(&statements::HOUSEKEEPER_SIGN)?.execute(params![who, tx.now(at)?]).map(drop)
}

pub(super) fn housekeeper(tx: &Tx<'_>) -> Result<Option<LastSign>> {
    tx.prepare(&statements::HOUSEKEEPER)?
        .one([], |row| Ok(LastSign { by: row.get(0)?, at: rows::at(row, 1)? }))
}

/// The bytes of the file.
pub(super) fn sizes(tx: &Tx<'_>) -> Result<Vec<PartSize>> {
    let bytes: Option<i64> = tx.prepare(&statements::SIZES)?.one([], |row| row.get(0))?;
    Ok(vec![PartSize { part: "the file".to_owned(), bytes: bytes.unwrap_or(0).unsigned_abs() }])
}

/// How often the file was restored.
pub(super) fn epoch(tx: &Tx<'_>) -> Result<i64> {
    Ok(tx.prepare(&statements::EPOCH)?.one([], |row| row.get(0))?.unwrap_or(0))
}

/// Ends whoever held a lease where the copy was made, and lifts the fences.
pub(super) fn begin_anew(tx: &Tx<'_>, replaced: i64, at: Now) -> Result<Vec<WorkerId>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::ANEW_FLEET)?.execute([replaced])?;
    for statement in [
        &statements::ANEW_WATCHDOGS,
        &statements::ANEW_TURNS,
        &statements::ANEW_SCHEDULER,
        &statements::ANEW_HOUSEKEEPER,
        &statements::ANEW_JUDGE,
        &statements::ANEW_SAMPLES,
    ] {
        tx.prepare(statement)?.execute([])?;
    }
    let (words, certificate) = (Proof::Restored.to_string(), json(&Death::new(Proof::Restored, [])));
    tx.prepare(&statements::ANEW_WORKERS)?
        .all(params![now, words, certificate], |row| Ok(WorkerId(row.get(0)?)))
}
