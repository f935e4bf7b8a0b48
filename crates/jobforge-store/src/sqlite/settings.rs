//! Settings that every process goes by.

use jobforge_core::audit::{By, Deed};
use jobforge_core::settings::{Change, Stored, StoredSetting};
use jobforge_core::time::Now;
use rusqlite::params;
use serde_json::json;

use super::rows::{self, maybe_at, micros, moment};
use super::tx::{Tx, as_of};
use super::{audit, statements};
use crate::error::Result;
use crate::rows::WakeEvent;

pub(super) fn stored(tx: &Tx<'_>, at: Now) -> Result<Stored> {
    let now = tx.now(at)?;
    let version = version(tx)?;
    let settings = tx.prepare(&statements::SETTINGS)?.all([], |row| {
        Ok(StoredSetting {
            key: row.get(0)?,
            value: row.get(1)?,
            version: row.get::<_, i64>(2)?.cast_unsigned(),
            updated_at: rows::at(row, 3)?,
            updated_by: row.get(4)?,
            reason: row.get(5)?,
            expires_at: maybe_at(row, 6)?,
        })
    })?;
    Ok(Stored { version: version.cast_unsigned(), as_of: as_of(now), settings })
}

fn version(tx: &Tx<'_>) -> Result<i64> {
    let version = tx.prepare(&statements::SETTINGS_VERSION)?.one([], |row| row.get(0))?;
    version.ok_or_else(|| tx.failed("the row of the version is missing"))
}

pub(super) fn change(
    tx: &Tx<'_>,
    expected: u64,
    changes: &[Change],
    by: &By,
    at: Now,
) -> Result<Option<u64>> {
    let now = tx.now(at)?;
    if tx.prepare(&statements::SETTINGS_BUMP)?.execute([expected.cast_signed()])? == 0 {
        return Ok(None);
    }
    let version = version(tx)?;
    for change in changes {
        let until = change.until.map(micros);
        let old = tx
            .prepare(&statements::SETTING_LOOK)?
            .one([&change.key], |row| Ok((row.get::<_, Option<String>>(0)?, maybe_at(row, 1)?)))?;
        match &change.value {
            Some(value) => {
                tx.prepare(&statements::SETTING_PUT)?
                    .execute(params![change.key, value, version, now, by.actor, by.reason, until])?;
            }
            None => {
                tx.prepare(&statements::SETTING_DROP)?.execute([&change.key])?;
            }
        }
        let (value, old_until) = old.unwrap_or_default();
        let before = json!({ "value": value, "until": old_until });
        let after = json!({ "value": change.value, "until": until.map(moment), "version": version });
        audit::add(tx, by, &Deed::new("setting.set", change.key.clone()).changing(&before, &after), now)?;
    }
    tx.wake(WakeEvent::Everything);
    Ok(Some(version.cast_unsigned()))
}
