//! Bringing a file to this program's schema.

use jobforge_core::time::Now;
use rusqlite::params;

use super::rows::moment;
use super::statements;
use super::tx::Tx;
use crate::error::Result;
use crate::migrate::{self, Applied, Migration};
use crate::rows::MigrationInfo;

/// Every step, in order. Steps are only ever added.
pub(super) static MIGRATIONS: [Migration; 4] = [
    Migration { version: 1, name: "core", sql: include_str!("../../migrations/sqlite/0001_core.sql") },
    Migration { version: 2, name: "admin", sql: include_str!("../../migrations/sqlite/0002_admin.sql") },
    Migration {
        version: 3,
        name: "schedules",
        sql: include_str!("../../migrations/sqlite/0003_schedules.sql"),
    },
    Migration { version: 4, name: "alerts", sql: include_str!("../../migrations/sqlite/0004_alerts.sql") },
];

/// Applies the first pending step and returns it; `None` when there is none left. One call is one transaction.
pub(super) fn migrate_one(tx: &Tx<'_>, at: Now) -> Result<Option<MigrationInfo>> {
    tx.prepare(&statements::MIGRATIONS_TABLE)?.execute([])?;
    let pending = migrate::pending(&MIGRATIONS, &applied(tx)?, &tx.home().location)?;
    let Some(next) = pending.first() else { return Ok(None) };
    let now = tx.now(at)?;
    tx.conn().execute_batch(next.sql).map_err(|error| tx.error(&error))?;
    tx.prepare(&statements::MIGRATIONS_ADD)?.execute(params![
        next.version,
        next.name,
        next.checksum(),
        now
    ])?;
    Ok(Some(MigrationInfo {
        version: next.version,
        name: next.name.to_owned(),
        applied_at: Some(moment(now)),
    }))
}

/// Every known step, applied or pending.
pub(super) fn migrations(tx: &Tx<'_>) -> Result<Vec<MigrationInfo>> {
    let rows = recorded(tx)?;
    let applied_at =
        |step: &Migration| rows.iter().find(|row| row.applied.version == step.version).map(|row| row.at);
    let info = |step: &Migration| MigrationInfo {
        version: step.version,
        name: step.name.to_owned(),
        applied_at: applied_at(step).map(moment),
    };
    Ok(MIGRATIONS.iter().map(info).collect())
}

/// Fails unless every step is applied as this program knows it, and no other.
pub(super) fn verify_schema(tx: &Tx<'_>) -> Result<()> {
    migrate::verify(&MIGRATIONS, &applied(tx)?, &tx.home().location)
}

/// An applied step, and when it was.
struct Recorded {
    applied: Applied,
    at: i64,
}

fn applied(tx: &Tx<'_>) -> Result<Vec<Applied>> {
    Ok(recorded(tx)?.into_iter().map(|row| row.applied).collect())
}

fn recorded(tx: &Tx<'_>) -> Result<Vec<Recorded>> {
    let tables = tx.prepare(&statements::MIGRATIONS_EXIST)?.one([], |row| row.get::<_, i64>(0))?;
    if tables != Some(1) {
        return Ok(Vec::new());
    }
    tx.prepare(&statements::MIGRATIONS)?.all([], |row| {
        Ok(Recorded { applied: Applied { version: row.get(0)?, checksum: row.get(1)? }, at: row.get(2)? })
    })
}
