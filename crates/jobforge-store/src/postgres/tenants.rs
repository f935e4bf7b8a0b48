//! The tenants, and what each has under way.

use async_trait::async_trait;
use jobforge_core::tenant::{Fallen, LOOK, Load, Loads, MOST_FALLEN, MOST_KINDS, MOST_NAMES, Stopped};
use jobforge_core::time::Now;
use tokio_postgres::Row;

use super::PostgresStore;
use super::session::{Params, Sql, sql};
use crate::error::Result;
use crate::traits::Tenants;

static CLOCK: Sql = sql!("clock");
static RUNNING: Sql = sql!("tenants_running", INT8);
static READY: Sql = sql!("tenants_ready", INT8);
static SCHEDULED: Sql = sql!("tenants_scheduled", INT8);
static NAMED: Sql = sql!("tenants_named", TEXT, INT8);
static FALLEN: Sql = sql!("tenants_fallen", TEXT_ARRAY, INT8);
static KINDS: Sql = sql!("tenant_kinds", TEXT, INT8);
static TYPES: Sql = sql!("job_types", INT8);

type Read<T> = std::result::Result<T, tokio_postgres::Error>;

#[async_trait]
impl Tenants for PostgresStore {
    async fn tenant_loads(&self, at: Now) -> Result<Loads> {
        let look = limit(LOOK);
        let bound: Params<'_> = &[&look];
        let (clock, running, ready, scheduled) = tokio::try_join!(
            self.query(at, &CLOCK, &[]),
            self.query(at, &RUNNING, bound),
            self.query(at, &READY, bound),
            self.query(at, &SCHEDULED, bound),
        )?;
        let fault = |error| self.fault("tenant_loads", error);
        let mut loads = loads([&running, &ready, &scheduled]).map_err(fault)?;
        let now = clock.first().map(|row| row.try_get(0)).transpose().map_err(fault)?;
        loads.as_of = at.fixed().or(now).unwrap_or_default();
        Ok(loads)
    }

    async fn tenant_names(&self, prefix: &str) -> Result<Vec<String>> {
        let rows = self.query(Now::Database, &NAMED, &[&prefix, &limit(MOST_NAMES)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn tenants_fallen(&self, tenants: &[String], at: Now) -> Result<Vec<Fallen>> {
        let rows = self.query(at, &FALLEN, &[&tenants, &MOST_FALLEN.cast_signed()]).await?;
        let fallen = |row: &Row| {
            Ok(Fallen {
                tenant_id: row.try_get(0)?,
                failed_lately: number(row, 1)?,
                dead_lately: number(row, 2)?,
                dead: number(row, 3)?,
            })
        };
        rows.iter().map(fallen).collect::<Read<_>>().map_err(|error| self.fault("tenants_fallen", error))
    }

    async fn tenant_kinds(&self, tenant: &str) -> Result<Vec<(String, String)>> {
        let rows = self.query(Now::Database, &KINDS, &[&tenant, &limit(MOST_KINDS)]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    async fn job_types(&self) -> Result<Vec<String>> {
        let rows = self.query(Now::Database, &TYPES, &[&limit(MOST_NAMES)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

fn loads([running, ready, scheduled]: [&[Row]; 3]) -> Read<Loads> {
    let mut loads = Loads {
        stopped: Stopped {
            running: is_full(running)?,
            ready: is_full(ready)?,
            scheduled: is_full(scheduled)?,
        },
        ..Loads::default()
    };
    for row in running {
        loads.rows.push(Load { running: number(row, 3)?, ..kind(row)? });
    }
    for row in ready {
        loads.rows.push(Load { ready: number(row, 3)?, oldest_ready_at: row.try_get(4)?, ..kind(row)? });
    }
    for row in scheduled {
        loads.rows.push(Load { scheduled: number(row, 3)?, retrying: number(row, 4)?, ..kind(row)? });
    }
    Ok(loads)
}

/// Whether as many were found as were looked at at most.
fn is_full(rows: &[Row]) -> Read<bool> {
    let found = rows.iter().map(|row| number(row, 3)).sum::<Read<u64>>()?;
    Ok(found >= LOOK as u64)
}

fn kind(row: &Row) -> Read<Load> {
    Ok(Load {
        tenant_id: row.try_get(0)?,
        job_type: row.try_get(1)?,
        queue: row.try_get(2)?,
        ..Load::default()
    })
}

fn number(row: &Row, column: usize) -> Read<u64> {
    Ok(row.try_get::<_, i64>(column)?.unsigned_abs())
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&CLOCK, &RUNNING, &READY, &SCHEDULED, &NAMED, &FALLEN, &KINDS, &TYPES]
}
