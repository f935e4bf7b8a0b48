//! Settings that every process goes by.

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::settings::{Change, Stored, StoredSetting};
use jobforge_core::time::Now;
use tokio_postgres::Row;

use super::PostgresStore;
use super::rows::Json;
use super::session::{Sql, sql};
use crate::error::{Result, StoreError};
use crate::traits::{ChangeSettings, StoredSettings};

static SETTINGS: Sql = sql!("settings");
static CHANGE: Sql = sql!("settings_change", INT8, TEXT_ARRAY, TEXT_ARRAY, TIMESTAMPTZ_ARRAY, JSONB);

#[async_trait]
impl StoredSettings for PostgresStore {
    async fn stored_settings(&self, at: Now) -> Result<Stored> {
        let rows = self.query(at, &SETTINGS, &[]).await?;
        stored(&rows).map_err(|error| self.fault("settings", error))?.ok_or_else(|| StoreError::Failed {
            location: self.location.clone(),
            call: "settings",
            source: "the row of the version is missing".into(),
        })
    }
}

#[async_trait]
impl ChangeSettings for PostgresStore {
    async fn change_settings(
        &self,
        expected: u64,
        changes: &[Change],
        by: &By,
        at: Now,
    ) -> Result<Option<u64>> {
        let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
        let values: Vec<Option<&str>> = changes.iter().map(|change| change.value.as_deref()).collect();
        let untils: Vec<Option<Timestamp>> = changes.iter().map(|change| change.until).collect();
        let rows = self
            .query(at, &CHANGE, &[&expected.cast_signed(), &keys, &values, &untils, &Json::of(by)])
            .await?;
        Ok(rows.first().map(|row| row.get::<_, i64>(0).cast_unsigned()))
    }
}

fn stored(rows: &[Row]) -> std::result::Result<Option<Stored>, tokio_postgres::Error> {
    let Some(first) = rows.first() else { return Ok(None) };
    let mut settings = Vec::new();
    for row in rows {
        if let Some(key) = row.try_get::<_, Option<String>>(2)? {
            settings.push(StoredSetting {
                key,
                value: row.try_get(3)?,
                version: row.try_get::<_, i64>(4)?.cast_unsigned(),
                updated_at: row.try_get(5)?,
                updated_by: row.try_get(6)?,
                reason: row.try_get(7)?,
                expires_at: row.try_get(8)?,
            });
        }
    }
    let version = first.try_get::<_, i64>(0)?.cast_unsigned();
    Ok(Some(Stored { version, as_of: first.try_get(1)?, settings }))
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&SETTINGS, &CHANGE]
}
