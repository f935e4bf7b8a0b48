//! Operations that go on in the background.

use std::time::Duration;

use async_trait::async_trait;
use jobforge_core::audit::By;
use jobforge_core::job::JobId;
use jobforge_core::operation::{NewOperation, Operation, OperationState, Progress};
use jobforge_core::time::Now;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{Json, millis};
use super::session::{Sql, sql};
use crate::error::{Result, StoreError};
use crate::rows::MAX_PAGE;
use crate::traits::Operations;

static PUT: Sql = sql!("operation_put", UUID, TEXT, JSONB, BOOL, JSONB);
static GET: Sql = sql!("operation_get", UUID);
static LIST: Sql = sql!("operations", TEXT, INT8);
static TAKE: Sql = sql!("operation_take", TEXT, INT8);
static STEP: Sql = sql!("operation_step", UUID, TEXT, INT8, INT8, UUID, TEXT, TEXT, INT8);
static CANCEL: Sql = sql!("operation_cancel", UUID, JSONB);

#[async_trait]
impl Operations for PostgresStore {
    async fn put_operation(&self, operation: &NewOperation, by: &By, at: Now) -> Result<()> {
        let NewOperation { id, action, filter, dry_run } = operation;
        self.query(at, &PUT, &[id, &action.as_str(), &Json::of(filter), dry_run, &Json::of(by)]).await?;
        Ok(())
    }

    async fn operation(&self, id: Uuid) -> Result<Option<Operation>> {
        let rows = self.query(Now::Database, &GET, &[&id]).await?;
        Ok(self.read_operations("operation", &rows)?.pop())
    }

    async fn operations(&self, tenant_id: Option<&str>, limit: usize) -> Result<Vec<Operation>> {
        let limit = i64::try_from(limit.min(MAX_PAGE)).unwrap_or(1);
        let rows = self.query(Now::Database, &LIST, &[&tenant_id, &limit]).await?;
        self.read_operations("operations", &rows)
    }

    async fn take_operation(&self, runner: &str, turn: Duration, at: Now) -> Result<Option<Operation>> {
        let rows = self.query(at, &TAKE, &[&runner, &millis(turn)]).await?;
        Ok(self.read_operations("take_operation", &rows)?.pop())
    }

    async fn step_operation(
        &self,
        id: Uuid,
        runner: &str,
        progress: &Progress,
        turn: Duration,
        at: Now,
    ) -> Result<bool> {
        let Progress { done, passed_over, cursor, state, error } = progress;
        let (done, passed_over) = (done.cast_signed(), passed_over.cast_signed());
        let cursor = cursor.map(|id| id.0);
        let (state, turn) = (state.as_str(), millis(turn));
        let rows = self
            .query(at, &STEP, &[&id, &runner, &done, &passed_over, &cursor, &state, error, &turn])
            .await?;
        Ok(!rows.is_empty())
    }

    async fn cancel_operation(&self, id: Uuid, by: &By, at: Now) -> Result<bool> {
        Ok(!self.query(at, &CANCEL, &[&id, &Json::of(by)]).await?.is_empty())
    }
}

impl PostgresStore {
    fn read_operations(&self, call: &'static str, rows: &[Row]) -> Result<Vec<Operation>> {
        let read = |row: &Row| {
            operation(row).map_err(|error| self.fault(call, error))?.ok_or_else(|| StoreError::Failed {
                location: self.location.clone(),
                call,
                source: "a stored operation cannot be read".into(),
            })
        };
        rows.iter().map(read).collect()
    }
}

fn operation(row: &Row) -> std::result::Result<Option<Operation>, tokio_postgres::Error> {
    let count = |column: usize| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
    let (Ok(action), Some(filter), Some(by)) = (
        row.try_get::<_, &str>(1)?.parse(),
        row.try_get::<_, Json>(2)?.decode(),
        row.try_get::<_, Json>(8)?.decode::<By>(),
    ) else {
        return Ok(None);
    };
    Ok(Some(Operation {
        id: row.try_get(0)?,
        action,
        filter,
        dry_run: row.try_get(3)?,
        state: OperationState::from_stored(row.try_get(4)?),
        done: count(5)?,
        passed_over: count(6)?,
        cursor: row.try_get::<_, Option<Uuid>>(7)?.map(JobId),
        by,
        error: row.try_get(9)?,
        created_at: row.try_get(10)?,
        updated_at: row.try_get(11)?,
        finished_at: row.try_get(12)?,
    }))
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&PUT, &GET, &LIST, &TAKE, &STEP, &CANCEL]
}
