//! Looking after the database as a whole: forgetting, sizes, vacuum, and a fresh start after it was restored.

use std::time::Duration;

use async_trait::async_trait;
use jobforge_core::death::{Death, Proof};
use jobforge_core::doctor::Pressure;
use jobforge_core::job::WorkerId;
use jobforge_core::time::Now;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Statement, Transaction, error::SqlState};

use super::PostgresStore;
use super::rows::{Json, millis};
use super::session::{Sql, fix_clock, run, sql};
use crate::error::Result;
use crate::rows::{
    ENDED_KEPT, LAST_USE_KEPT, LastSign, OPERATIONS_KEPT, PartSize, RUNS_KEPT, SUCCESSES_KEPT, TIDY_BATCH,
};
use crate::traits::{TellPart, Upkeep};

static TIDY: Sql = sql!("tidy", INT8, INT8, INT8, INT8, INT8, INT8);
static HOUSEKEEPER: Sql = sql!("housekeeper");
static HOUSEKEEPER_SIGN: Sql = sql!("housekeeper_sign", TEXT);
static SIZES: Sql = sql!("sizes");
static PRESSURE: Sql = sql!("pressure");
static ROOM: Sql = sql!("room");
static BEGIN_ANEW: Sql = sql!("begin_anew", TEXT, JSONB, INT8);
static EPOCH: Sql = sql!("epoch");

/// Lets a statement write what it makes where the database lies, however much memory and whichever other disk it may use.
const TO_DISK: &str = "SET LOCAL work_mem = '64kB'; SET LOCAL temp_tablespaces = ''";

#[async_trait]
impl Upkeep for PostgresStore {
    async fn tidy(&self, at: Now) -> Result<u64> {
        let batch = i64::try_from(TIDY_BATCH).unwrap_or(i64::MAX);
        let [ended, runs, operations, uses, successes]: [i64; 5] =
            [ENDED_KEPT, RUNS_KEPT, OPERATIONS_KEPT, LAST_USE_KEPT, SUCCESSES_KEPT]
                .map(|kept: Duration| millis(kept));
        let params: &[&(dyn ToSql + Sync)] = &[&batch, &ended, &runs, &operations, &uses, &successes];
        let rows = self.query(at, &TIDY, params).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }

    async fn sign_housekeeper(&self, who: &str, at: Now) -> Result<()> {
        self.query(at, &HOUSEKEEPER_SIGN, &[&who]).await.map(drop)
    }

    async fn housekeeper(&self) -> Result<Option<LastSign>> {
        let rows = self.query(Now::Database, &HOUSEKEEPER, &[]).await?;
        Ok(rows.first().map(|row| LastSign { by: row.get(0), at: row.get(1) }))
    }

    async fn sizes(&self) -> Result<Vec<PartSize>> {
        let rows = self.query(Now::Database, &SIZES, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| PartSize { part: row.get(0), bytes: row.get::<_, i64>(1).unsigned_abs() })
            .collect())
    }

    async fn pressure(&self) -> Result<Option<Pressure>> {
        let rows = self.query(Now::Database, &PRESSURE, &[]).await?;
        let number = |row: &tokio_postgres::Row, index: usize| row.get::<_, i64>(index).unsigned_abs();
        Ok(rows.first().map(|row| Pressure {
            connections: number(row, 0),
            max_connections: number(row, 1),
            oldest_transaction: Duration::from_millis(number(row, 2)),
            blocked: number(row, 3),
        }))
    }

    async fn ask_for_room(&self) -> Result<()> {
        let fault = |error| self.fault("ask_for_room", error);
        let mut client = self.client("ask_for_room").await?;
        let transaction = client.transaction().await.map_err(fault)?;
        transaction.batch_execute(TO_DISK).await.map_err(fault)?;
        match run(&*transaction, None, &ROOM, &[]).await {
            // A bound of its own, which says nothing of the disk.
            Err(error) if error.code() == Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED) => Ok(()),
            answer => answer.map(drop).map_err(fault),
        }
    }

    async fn vacuum(&self, told: &TellPart) -> Result<()> {
        let (client, driver) = self.direct.open().await?;
        let task = tokio::spawn(driver.run_silent());
        for table in self.sizes().await? {
            told(&table.part);
            // One statement each, outside of a transaction, as VACUUM wants it. The name came from the catalogue.
            let vacuum = format!("VACUUM (ANALYZE) \"{}\"", table.part.replace('"', "\"\""));
            client.batch_execute(&vacuum).await.map_err(|error| self.fault("vacuum", error))?;
        }
        drop(client);
        task.abort();
        Ok(())
    }

    async fn epoch(&self) -> Result<i64> {
        let rows = self.query(Now::Database, &EPOCH, &[]).await?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    async fn begin_anew(&self, replaced: i64, at: Now) -> Result<Vec<WorkerId>> {
        let fault = |error| self.fault("begin_anew", error);
        let mut client = self.client("begin_anew").await?;
        let transaction = client.transaction().await.map_err(fault)?;
        fix_clock(&*transaction, at).await.map_err(fault)?;
        let workers = begin_anew_in(&transaction, replaced).await.map_err(fault)?;
        transaction.commit().await.map_err(fault)?;
        Ok(workers)
    }
}

/// Ends whoever held a lease where the copy was made, and lifts the fences.
pub(super) async fn begin_anew_in(
    transaction: &Transaction<'_>,
    replaced: i64,
) -> std::result::Result<Vec<WorkerId>, tokio_postgres::Error> {
    let (words, certificate) = (Proof::Restored.to_string(), Json::of(&Death::new(Proof::Restored, [])));
    let unnamed: Option<&Statement> = None;
    let rows = run(transaction, unnamed, &BEGIN_ANEW, &[&words, &certificate, &replaced]).await?;
    Ok(rows.iter().map(|row| WorkerId(row.get(0))).collect())
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&TIDY, &HOUSEKEEPER, &HOUSEKEEPER_SIGN, &SIZES, &PRESSURE, &ROOM, &BEGIN_ANEW, &EPOCH]
}
