//! Who did what: written beside the deed, sealed afterwards.

use async_trait::async_trait;
use jobforge_core::audit::{AuditFilter, By, Deed, Entry, SEAL_STEP, seal};
use jobforge_core::time::Now;
use tokio_postgres::Row;

use super::PostgresStore;
use super::rows::Json;
use super::session::{Attempted, CONFLICT_TRIES, Sql, run, sql};
use crate::error::Result;
use crate::rows::MAX_PAGE;
use crate::traits::Audit;

pub(super) static NOTE: Sql =
    sql!("audit_note", JSONB, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY);
static LIST: Sql = sql!(each_time "audit_list", TEXT, TEXT, TEXT, TEXT, TIMESTAMPTZ, INT8, INT8, INT8);
static CHAIN: Sql = sql!("audit_chain", INT8, INT8);
static LOCK: Sql = sql!("audit_lock");
static UNSEALED: Sql = sql!("audit_unsealed", INT8);
static SEAL: Sql = sql!("audit_seal", INT8_ARRAY, INT8_ARRAY, TEXT_ARRAY);

#[async_trait]
impl Audit for PostgresStore {
    async fn note(&self, by: &By, deeds: &[Deed], at: Now) -> Result<()> {
        if deeds.is_empty() {
            return Ok(());
        }
        let column = |field: fn(&Deed) -> Option<&String>| deeds.iter().map(field).collect::<Vec<_>>();
        let actions: Vec<&String> = deeds.iter().map(|deed| &deed.action).collect();
        let targets = column(|deed| deed.target.as_ref());
        let tenants = column(|deed| deed.tenant_id.as_ref());
        let before = column(|deed| deed.before.as_ref());
        let after = column(|deed| deed.after.as_ref());
        self.query(at, &NOTE, &[&Json::of(by), &actions, &targets, &tenants, &before, &after]).await?;
        Ok(())
    }

    async fn seal_audit(&self) -> Result<u64> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.seal_once().await {
                Err(Attempted::Conflict(_)) if tries < CONFLICT_TRIES => {}
                Err(Attempted::Conflict(error) | Attempted::Final(error)) => return Err(error),
                Ok(sealed) => return Ok(sealed),
            }
        }
    }

    async fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<Entry>> {
        let AuditFilter { actor, action, target, tenant_id, since, before, down_to } = filter;
        let rows = self
            .query(
                Now::Database,
                &LIST,
                &[actor, action, target, tenant_id, since, before, &page(limit), down_to],
            )
            .await?;
        self.entries("audit", &rows)
    }

    async fn audit_chain(&self, behind: u64, limit: usize) -> Result<Vec<Entry>> {
        let rows = self.query(Now::Database, &CHAIN, &[&behind.cast_signed(), &page(limit)]).await?;
        self.entries("audit_chain", &rows)
    }
}

impl PostgresStore {
    /// One at a time, in a transaction of its own: what is written meanwhile is sealed the next time.
    async fn seal_once(&self) -> std::result::Result<u64, Attempted> {
        let call = "seal_audit";
        let mut client = self.client(call).await.map_err(Attempted::Final)?;
        let fault = |error| self.attempted(call, error);
        let transaction = client.transaction().await.map_err(fault)?;
        run(&*transaction, None, &LOCK, &[]).await.map_err(fault)?;
        let rows = run(&*transaction, None, &UNSEALED, &[&page(SEAL_STEP)]).await.map_err(fault)?;
        let entries = self.entries(call, &rows).map_err(Attempted::Final)?;
        if entries.is_empty() {
            return Ok(0);
        }
        let head = |row: &Row| -> std::result::Result<_, tokio_postgres::Error> {
            let place = row.try_get::<_, Option<i64>>("head_place")?;
            Ok(place.map(i64::cast_unsigned).zip(row.try_get("head_hash")?))
        };
        let head = rows.first().map(head).transpose().map_err(fault)?.flatten();
        let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
        let (places, hashes): (Vec<i64>, Vec<String>) =
            seal(head, &entries).into_iter().map(|(place, hash)| (place.cast_signed(), hash)).unzip();
        run(&*transaction, None, &SEAL, &[&ids, &places, &hashes]).await.map_err(fault)?;
        transaction.commit().await.map_err(fault)?;
        Ok(ids.len() as u64)
    }

    fn entries(&self, call: &'static str, rows: &[Row]) -> Result<Vec<Entry>> {
        let read = rows.iter().map(entry).collect::<std::result::Result<_, _>>();
        read.map_err(|error| self.fault(call, error))
    }
}

fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE)).unwrap_or(1)
}

fn entry(row: &Row) -> std::result::Result<Entry, tokio_postgres::Error> {
    Ok(Entry {
        id: row.try_get(0)?,
        at: row.try_get(1)?,
        by: By {
            actor: row.try_get(2)?,
            reason: row.try_get(3)?,
            request_id: row.try_get(4)?,
            address: row.try_get(5)?,
        },
        action: row.try_get(6)?,
        target: row.try_get(7)?,
        tenant_id: row.try_get(8)?,
        before: row.try_get(9)?,
        after: row.try_get(10)?,
        place: row.try_get::<_, Option<i64>>(11)?.map(i64::cast_unsigned),
        hash: row.try_get(12)?,
    })
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&NOTE, &LIST, &CHAIN, &LOCK, &UNSEALED, &SEAL]
}
