//! The tenants, and what each has under way.

use std::time::Duration;

use async_trait::async_trait;
use jobforge_core::tenant::{Fallen, LOOK, Load, Loads, MOST_FALLEN, MOST_KINDS, MOST_NAMES, Stopped};
use jobforge_core::time::Now;
use rusqlite::{Row, params};

use super::rows::{self, count, earlier, limit};
use super::tx::{Tx, as_of};
use super::{SqliteStore, statements};
use crate::error::Result;
use crate::traits::Tenants;

/// What counts as lately.
const HOUR: Duration = Duration::from_secs(3600);

#[async_trait]
impl Tenants for SqliteStore {
    async fn tenant_loads(&self, at: Now) -> Result<Loads> {
        self.read("tenant_loads", move |tx| loads(tx, at)).await
    }

    async fn tenant_names(&self, prefix: &str) -> Result<Vec<String>> {
        let prefix = prefix.to_owned();
        let named = move |tx: &Tx<'_>| {
            let most = limit(MOST_NAMES);
            tx.prepare(&statements::TENANTS_NAMED)?.all(params![prefix, most], |row| row.get(0))
        };
        self.read("tenant_names", named).await
    }

    async fn tenants_fallen(&self, tenants: &[String], at: Now) -> Result<Vec<Fallen>> {
        let tenants = tenants.to_vec();
        self.read("tenants_fallen", move |tx| fallen(tx, tenants, at)).await
    }

    async fn tenant_kinds(&self, tenant: &str) -> Result<Vec<(String, String)>> {
        let tenant = tenant.to_owned();
        let kinds = move |tx: &Tx<'_>| {
            let most = limit(MOST_KINDS);
            let mut known = tx.prepare(&statements::TENANT_KINDS)?;
            known.all(params![tenant, most], |row| Ok((row.get(0)?, row.get(1)?)))
        };
        self.read("tenant_kinds", kinds).await
    }

    async fn job_types(&self) -> Result<Vec<String>> {
        let types =
            |tx: &Tx<'_>| tx.prepare(&statements::JOB_TYPES)?.all([limit(MOST_NAMES)], |row| row.get(0));
        self.read("job_types", types).await
    }
}

/// Everything in one snapshot.
fn loads(tx: &Tx<'_>, at: Now) -> Result<Loads> {
    let (now, look) = (tx.now(at)?, limit(LOOK));
    let running = tx
        .prepare(&statements::TENANTS_RUNNING)?
        .all([look], |row| Ok(Load { running: count(row.get(3)?), ..kind(row)? }))?;
    let ready = tx.prepare(&statements::TENANTS_READY)?.all(params![now, look], |row| {
        Ok(Load { ready: count(row.get(3)?), oldest_ready_at: rows::maybe_at(row, 4)?, ..kind(row)? })
    })?;
    let scheduled = tx.prepare(&statements::TENANTS_SCHEDULED)?.all(params![now, look], |row| {
        Ok(Load { scheduled: count(row.get(3)?), retrying: count(row.get(4)?), ..kind(row)? })
    })?;
    let stopped = Stopped {
        running: is_full(&running, |row| row.running),
        ready: is_full(&ready, |row| row.ready),
        scheduled: is_full(&scheduled, |row| row.scheduled),
    };
    Ok(Loads { as_of: as_of(now), rows: [running, ready, scheduled].concat(), stopped })
}

/// Whether as many were found as were looked at at most.
fn is_full(rows: &[Load], number: fn(&Load) -> u64) -> bool {
    rows.iter().map(number).sum::<u64>() >= LOOK as u64
}

fn kind(row: &Row<'_>) -> rusqlite::Result<Load> {
    Ok(Load { tenant_id: row.get(0)?, job_type: row.get(1)?, queue: row.get(2)?, ..Load::default() })
}

fn fallen(tx: &Tx<'_>, tenants: Vec<String>, at: Now) -> Result<Vec<Fallen>> {
    let (since, most) = (earlier(tx.now(at)?, HOUR), MOST_FALLEN.cast_signed());
    let mut statement = tx.prepare(&statements::TENANT_FALLEN)?;
    let mut of = |tenant: &str, status: &str| -> Result<(u64, u64)> {
        let counts = statement
            .one(params![tenant, status, since, most], |row| Ok((count(row.get(0)?), count(row.get(1)?))))?;
        Ok(counts.unwrap_or_default())
    };
    tenants
        .into_iter()
        .map(|tenant_id| {
            let ((_, failed_lately), (dead, dead_lately)) =
                (of(&tenant_id, "failed")?, of(&tenant_id, "dead")?);
            Ok(Fallen { tenant_id, failed_lately, dead_lately, dead })
        })
        .collect()
}
