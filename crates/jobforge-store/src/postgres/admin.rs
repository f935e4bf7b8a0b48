//! The schema and its health.

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::time::Now;
use tokio_postgres::{Client, error::SqlState};

use super::PostgresStore;
use super::session::{Sql, map_error, sql};
use super::upkeep;
use crate::error::Result;
use crate::migrate::{self, Applied, Migration};
use crate::rows::{Capabilities, Finding, MAX_FINDINGS, MigrationInfo};
use crate::traits::Admin;

static CHECK: Sql = sql!("check", INT8);

/// Every step, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "core", sql: include_str!("../../migrations/postgres/0001_core.sql") },
    Migration {
        version: 2,
        name: "surface",
        sql: concat!(
            include_str!("../../migrations/postgres/0002_surface.sql"),
            include_str!("../../migrations/postgres/0002_surface_jobs.sql"),
            include_str!("../../migrations/postgres/0002_surface_worker.sql"),
            include_str!("../../migrations/postgres/0002_surface_roles.sql"),
        ),
    },
    Migration { version: 3, name: "admin", sql: include_str!("../../migrations/postgres/0003_admin.sql") },
    Migration {
        version: 4,
        name: "schedules",
        sql: include_str!("../../migrations/postgres/0004_schedules.sql"),
    },
    Migration { version: 5, name: "alerts", sql: include_str!("../../migrations/postgres/0005_alerts.sql") },
];

/// Whether the tables came from a dump of tables alone, which brings no functions.
const RESTORED: &str =
    "SELECT to_regclass('jobforge_jobs') IS NOT NULL AND to_regproc('jobforge_guard') IS NULL";
const RESTORED_OUT: &str = include_str!("../../migrations/postgres/restored_out.sql");
const RESTORED_IN: &str = include_str!("../../migrations/postgres/restored_in.sql");

/// Held while migrating, so that of two programs one waits and then finds nothing to do.
const LOCK: i64 = 0x6a6f_6266_6f72_6765;

/// Waits until no other program migrates or grants; holds until the transaction ends.
pub(super) async fn lock(
    transaction: &tokio_postgres::Transaction<'_>,
) -> std::result::Result<(), tokio_postgres::Error> {
    transaction.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await
}

pub(super) fn newest_version() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

#[async_trait]
impl Admin for PostgresStore {
    async fn migrate(&self) -> Result<Vec<MigrationInfo>> {
        // A connection of its own and direct where one is known: a lock taken through a pooler would lie. Without one,
        // the lock is the transaction's, which a pooler keeps on one server connection.
        let (mut client, driver) = self.direct.open().await?;
        let task = tokio::spawn(driver.run_silent());
        let outcome = self.migrate_on(&mut client, newest_version()).await;
        drop(client);
        // Not awaited: a pooler may keep the connection's other end open.
        task.abort();
        outcome
    }

    async fn sql_surface(&self, runbook_views: bool) -> Result<Vec<String>> {
        let (mut client, driver) = self.direct.open().await?;
        let task = tokio::spawn(driver.run_silent());
        let outcome = self.surface(&mut client, runbook_views).await;
        drop(client);
        task.abort();
        outcome
    }

    async fn migrations(&self) -> Result<Vec<MigrationInfo>> {
        let applied = self.applied().await?;
        let info = |m: &Migration| MigrationInfo {
            version: m.version,
            name: m.name.to_owned(),
            applied_at: applied.iter().find(|(row, _)| row.version == m.version).map(|(_, at)| *at),
        };
        Ok(MIGRATIONS.iter().map(info).collect())
    }

    async fn verify_schema(&self) -> Result<()> {
        let applied: Vec<Applied> = self.applied().await?.into_iter().map(|(row, _)| row).collect();
        migrate::verify(MIGRATIONS, &applied, &self.location)
    }

    async fn check(&self, at: Now) -> Result<Vec<Finding>> {
        let rows = self.query(at, &CHECK, &[&i64::try_from(MAX_FINDINGS).unwrap_or(i64::MAX)]).await?;
        Ok(rows
            .iter()
            .map(|row| Finding {
                rule: row.get(0),
                meaning: row.get(1),
                self_healing: row.get(2),
                rows: row.get(3),
            })
            .collect())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            engine: "postgres",
            wake_across_processes: self.wake.is_available(),
            operator_sql: true,
            pooled: self.pooled,
        }
    }

    fn location(&self) -> &str {
        &self.location
    }
}

impl PostgresStore {
    /// Applies what is pending up to a version.
    pub(super) async fn migrate_on(&self, client: &mut Client, newest: i64) -> Result<Vec<MigrationInfo>> {
        let fault = |error| self.fault("migrate", error);
        let transaction = client.transaction().await.map_err(fault)?;
        // Creating tables is refused on a standby; say so instead of failing in the middle.
        lock(&transaction).await.map_err(fault)?;
        let create = "CREATE TABLE IF NOT EXISTS jobforge_migrations (\
                        version bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, \
                        applied_at timestamptz NOT NULL DEFAULT now())";
        transaction.batch_execute("SET LOCAL client_min_messages = warning").await.map_err(fault)?;
        transaction.batch_execute(create).await.map_err(fault)?;
        let restored: bool = transaction.query_typed(RESTORED, &[]).await.map_err(fault)?[0].get(0);
        if restored {
            transaction.batch_execute(RESTORED_OUT).await.map_err(fault)?;
        }
        let rows = transaction
            .simple_query("SELECT version, checksum FROM jobforge_migrations")
            .await
            .map_err(fault)?;
        let applied = rows.iter().filter_map(applied_row).collect::<Vec<_>>();
        let mut done = Vec::new();
        let pending = migrate::pending(MIGRATIONS, &applied, &self.location)?;
        for step in pending.into_iter().filter(|step| step.version <= newest) {
            transaction.batch_execute(step.sql).await.map_err(fault)?;
            // Both values are ours: a number and hex digits, and a name from the list above.
            let record = format!(
                "INSERT INTO jobforge_migrations (version, name, checksum) VALUES ({}, '{}', '{}')",
                step.version,
                step.name,
                step.checksum()
            );
            transaction.batch_execute(&record).await.map_err(fault)?;
            done.push(step);
        }
        if restored {
            transaction.batch_execute(RESTORED_IN).await.map_err(fault)?;
            upkeep::begin_anew_in(&transaction, 0).await.map_err(fault)?;
        }
        if !done.is_empty() {
            transaction.batch_execute("SELECT jobforge_close()").await.map_err(fault)?;
        }
        transaction.commit().await.map_err(fault)?;
        let at = if done.is_empty() { Vec::new() } else { self.applied().await? };
        let when = |version: i64| at.iter().find(|(row, _)| row.version == version).map(|(_, at)| *at);
        Ok(done
            .iter()
            .map(|step| MigrationInfo {
                version: step.version,
                name: step.name.to_owned(),
                applied_at: when(step.version),
            })
            .collect())
    }

    /// What the database has applied; nothing if it has no table of it.
    async fn applied(&self) -> Result<Vec<(Applied, Timestamp)>> {
        let client = self.client("migrations").await?;
        let rows = client
            .query_typed(
                "SELECT version, checksum, applied_at FROM jobforge_migrations ORDER BY version",
                &[],
            )
            .await;
        match rows {
            Ok(rows) => Ok(rows
                .iter()
                .map(|row| (Applied { version: row.get(0), checksum: row.get(1) }, row.get(2)))
                .collect()),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Vec::new()),
            Err(error) => Err(map_error(&self.location, "migrations", error)),
        }
    }
}

fn applied_row(message: &tokio_postgres::SimpleQueryMessage) -> Option<Applied> {
    let tokio_postgres::SimpleQueryMessage::Row(row) = message else { return None };
    Some(Applied { version: row.get(0)?.parse().ok()?, checksum: row.get(1)?.to_owned() })
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&CHECK]
}
