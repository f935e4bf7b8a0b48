//! Operations that go on in the background.

use std::time::Duration;

use jobforge_core::audit::{By, Deed};
use jobforge_core::operation::{NewOperation, Operation, OperationState, Progress};
use jobforge_core::time::Now;
use rusqlite::{Row, params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::{self, Word, count, later, limit, maybe_at};
use super::tx::Tx;
use super::{audit, statements};
use crate::error::Result;
use crate::rows::MAX_PAGE;

pub(super) fn put(tx: &Tx<'_>, operation: &NewOperation, by: &By, at: Now) -> Result<()> {
    let now = tx.now(at)?;
    let NewOperation { id, action, filter, dry_run } = operation;
    tx.prepare(&statements::OPERATION_PUT)?.execute(params![
        id.to_string(),
        action.as_str(),
        rows::json(filter),
        dry_run,
        rows::json(by),
        now
    ])?;
    let after = json!({ "action": action, "filter": filter, "dry_run": dry_run });
    let deed = Deed { tenant_id: filter.tenant_id.clone(), ..Deed::new("operation.start", id.to_string()) };
    audit::add(tx, by, &deed.changing(&Value::Null, &after), now)
}

pub(super) fn get(tx: &Tx<'_>, id: Uuid) -> Result<Option<Operation>> {
    tx.prepare(&statements::OPERATION_GET)?.one([id.to_string()], operation)
}

pub(super) fn list(tx: &Tx<'_>, tenant_id: Option<&str>, most: usize) -> Result<Vec<Operation>> {
    tx.prepare(&statements::OPERATIONS)?.all(params![tenant_id, limit(most.min(MAX_PAGE))], operation)
}

/// Whether there is one that nobody goes on with.
pub(super) fn next(tx: &Tx<'_>, at: Now) -> Result<Option<Uuid>> {
    let now = tx.now(at)?;
    let found = tx.prepare(&statements::OPERATION_NEXT)?.one([now], |row| row.get::<_, Word<Uuid>>(0))?;
    Ok(found.map(|word| word.0))
}

pub(super) fn take(tx: &Tx<'_>, runner: &str, turn: Duration, at: Now) -> Result<Option<Operation>> {
    let now = tx.now(at)?;
    let Some(id) = next(tx, at)? else { return Ok(None) };
    tx.prepare(&statements::OPERATION_TAKE)?.execute(params![id.to_string(), runner, later(now, turn)])?;
    get(tx, id)
}

pub(super) fn step(
    tx: &Tx<'_>,
    id: Uuid,
    runner: &str,
    progress: &Progress,
    turn: Duration,
    at: Now,
) -> Result<bool> {
    let now = tx.now(at)?;
    let Progress { done, passed_over, cursor, state, error } = progress;
    let changed = tx.prepare(&statements::OPERATION_STEP)?.execute(params![
        id.to_string(),
        runner,
        done.cast_signed(),
        passed_over.cast_signed(),
        cursor.map(|id| id.to_string()),
        state.as_str(),
        error,
        now,
        later(now, turn)
    ])?;
    Ok(changed == 1)
}

pub(super) fn cancel(tx: &Tx<'_>, id: Uuid, by: &By, at: Now) -> Result<bool> {
    let now = tx.now(at)?;
    let canceled = tx.prepare(&statements::OPERATION_CANCEL)?.one(params![id.to_string(), now], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
    })?;
    let Some((done, tenant_id)) = canceled else { return Ok(false) };
    let deed = Deed { tenant_id, ..Deed::new("operation.cancel", id.to_string()) };
    audit::add(tx, by, &deed.changing(&Value::Null, &json!({ "done": done })), now)?;
    Ok(true)
}

fn operation(row: &Row<'_>) -> rusqlite::Result<Operation> {
    let state: String = row.get(4)?;
    let cursor = row.get::<_, Option<Word<_>>>(7)?;
    Ok(Operation {
        id: row.get::<_, Word<Uuid>>(0)?.0,
        action: row.get::<_, Word<_>>(1)?.0,
        filter: row.get::<_, rows::Json<_>>(2)?.0,
        dry_run: row.get(3)?,
        state: OperationState::from_stored(&state),
        done: count(row.get(5)?),
        passed_over: count(row.get(6)?),
        cursor: cursor.map(|word| word.0),
        by: row.get::<_, rows::Json<_>>(8)?.0,
        error: row.get(9)?,
        created_at: rows::at(row, 10)?,
        updated_at: rows::at(row, 11)?,
        finished_at: maybe_at(row, 12)?,
    })
}
