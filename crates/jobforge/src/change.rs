//! Changing stored settings: checked against what is stored and against what this process has of its own, then made.

use jobforge_core::audit::{AuditFilter, By};
use jobforge_core::settings::{Change, ChangeRefused, Effect, Settings, Source, Stored, check_changes};
use jobforge_core::time::Now;
use jobforge_store::{Store, StoreError};
use serde::Serialize;

use crate::live::OwnSettings;

/// How often a change is tried when somebody else is faster.
const TRIES: u32 = 8;
/// How many changes of one setting are looked through for the one before.
const LOOKED_BACK: usize = 1;

/// What became of one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its key.
    pub key: &'static str,
    /// What counted before, where this was done.
    pub old: String,
    /// What counts now.
    pub new: String,
    /// `live`, or `restart` where only processes that start afterwards take it over.
    pub effect: &'static str,
    /// What is stronger than the stored value, where this was done.
    pub overridden_by: Option<String>,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeReport {
    /// The version of the settings now.
    pub version: u64,
    /// Setting by setting.
    pub changes: Vec<Changed>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It may not be made: everything that is wrong with it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<ChangeRefused>),
    /// Somebody else changed the settings meanwhile.
    #[error("the settings are at version {found}, not {expected}; look at them again")]
    Outdated {
        /// The version that was asked for.
        expected: u64,
        /// The one that is there.
        found: u64,
    },
    /// There is nothing to go back to.
    #[error("{0} was never stored, so there is nothing to go back to")]
    NoHistory(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes all of the changes or none. `expected` is the version that the caller saw; without it the newest counts.
///
/// # Errors
/// As [`ChangeError`] says; nothing was changed then.
pub async fn change_settings(
    store: &dyn Store,
    own: &OwnSettings,
    changes: &[Change],
    expected: Option<u64>,
    by: &By,
) -> Result<ChangeReport, ChangeError> {
    for _ in 0..TRIES {
        let stored = store.stored_settings(Now::Database).await?;
        if let Some(expected) = expected.filter(|expected| *expected != stored.version) {
            return Err(ChangeError::Outdated { expected, found: stored.version });
        }
        let checked = check_changes(&stored, changes).map_err(ChangeError::Refused)?;
        let (before, after) = around(&stored, own, &checked)?;
        if let Some(version) = store.change_settings(stored.version, &checked, by, Now::Database).await? {
            let changes =
                checked.iter().filter_map(|change| changed(change, before.as_ref(), &after)).collect();
            return Ok(ChangeReport { version, changes });
        }
    }
    let found = store.stored_settings(Now::Database).await?.version;
    Err(ChangeError::Outdated { expected: expected.unwrap_or(found), found })
}

/// What counts in this process before and after; a healthy worker must not be late here either.
fn around(
    stored: &Stored,
    own: &OwnSettings,
    changes: &[Change],
) -> Result<(Option<Settings>, Settings), ChangeError> {
    let mut layer = stored.layer();
    let before = own.above(layer.clone()).ok();
    for change in changes {
        match &change.value {
            Some(value) => layer.insert(change.key.clone(), value.clone()),
            None => layer.remove(&change.key),
        };
    }
    let refused = |faults: Vec<_>| faults.into_iter().map(ChangeRefused::Bad).collect();
    let after = own.above(layer).map_err(|faults| ChangeError::Refused(refused(faults)))?;
    Ok((before, after))
}

fn changed(change: &Change, before: Option<&Settings>, after: &Settings) -> Option<Changed> {
    let new = after.get(&change.key)?;
    let stronger = matches!(new.source, Source::Flag | Source::Env(_) | Source::File);
    let restart = new.setting.effect == Effect::Restart;
    Some(Changed {
        key: new.setting.key,
        old: before.and_then(|settings| settings.get(&change.key)).map_or("", |old| old.shown()).to_owned(),
        new: new.shown().to_owned(),
        effect: if restart { Effect::Restart } else { Effect::Live }.as_str(),
        overridden_by: stronger.then(|| new.source.to_string()),
    })
}

/// The change that takes a setting back to what was stored before its last change.
///
/// # Errors
/// `NoHistory`, or when the database fails.
pub async fn change_back(store: &dyn Store, key: &str) -> Result<Change, ChangeError> {
    let filter = AuditFilter {
        action: Some("setting.set".to_owned()),
        target: Some(key.to_owned()),
        ..AuditFilter::default()
    };
    let last = store.audit(&filter, LOOKED_BACK).await?.pop();
    let last = last.ok_or_else(|| ChangeError::NoHistory(key.to_owned()))?;
    let before: serde_json::Value =
        last.before.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let value = before["value"].as_str().map(str::to_owned);
    let until = before["until"].as_str().and_then(|text| text.parse().ok());
    // What was there for a while only, and would be over by now, was as good as not there.
    let over = until.is_some_and(|until| until <= last.at);
    Ok(Change { key: key.to_owned(), value: value.filter(|_| !over), until: until.filter(|_| !over) })
}
