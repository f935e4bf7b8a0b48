//! Settings in the database: what is stored, and whether a change to it may be made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::registry::SETTINGS;
use super::resolve::{Layers, SettingError, find, normalise, resolve, unknown};
use super::setting::{Effect, Kind, Unit};

/// One stored setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoredSetting {
    /// Its key.
    pub key: String,
    /// Its value, in the unit of the key.
    pub value: String,
    /// The version with which it was stored.
    pub version: u64,
    /// When.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
    /// Why.
    pub reason: Option<String>,
    /// When it stops counting.
    pub expires_at: Option<Timestamp>,
}

/// Everything that is stored, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Grows with every change.
    pub version: u64,
    /// The database's clock.
    pub as_of: Timestamp,
    /// The settings, by key.
    pub settings: Vec<StoredSetting>,
}

impl Stored {
    /// What counts now, as the layer of [`resolve`]. What cannot be stored does not count, whoever wrote it there.
    pub fn layer(&self) -> BTreeMap<String, String> {
        let counts = |setting: &&StoredSetting| {
            setting.expires_at.is_none_or(|end| end > self.as_of)
                && find(&setting.key).is_some_and(|known| known.effect != Effect::Local)
        };
        self.settings.iter().filter(counts).map(|s| (s.key.clone(), s.value.clone())).collect()
    }

    /// One that counts now.
    pub fn get(&self, key: &str) -> Option<&StoredSetting> {
        self.settings.iter().find(|s| s.key == key && s.expires_at.is_none_or(|end| end > self.as_of))
    }
}

/// One setting to be stored, or with no value, to be taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its key.
    pub key: String,
    /// What it shall be.
    pub value: Option<String>,
    /// When it shall stop counting.
    pub until: Option<Timestamp>,
}

/// Why a change may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// No such setting, or no such value.
    #[error(transparent)]
    Bad(#[from] SettingError),
    /// It belongs to the process.
    #[error("{0} cannot be stored; set it where the process is started, by flag, environment or file")]
    Local(&'static str),
    /// It is there twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// There is nothing to do.
    #[error("no setting is given; name at least one")]
    Nothing,
    /// Its end has come already.
    #[error("{0} would have expired already")]
    Expired(String),
}

impl ChangeRefused {
    /// The stable word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bad(SettingError::Unknown { .. }) => "unknown_setting",
            Self::Bad(SettingError::Cross(_)) => "settings_disagree",
            Self::Bad(SettingError::Bad { .. } | SettingError::Conflict { .. }) => "bad_setting",
            Self::Local(_) => "local_setting",
            Self::Twice(_) => "duplicate_key",
            Self::Nothing => "no_setting",
            Self::Expired(_) => "expired",
        }
    }
}

/// Checks changes against what is stored and among each other; returns them as they are to be stored.
///
/// All or none: what a process would get that has nothing of its own must go together as well.
///
/// # Errors
/// Everything that is wrong.
pub fn check_changes(stored: &Stored, changes: &[Change]) -> Result<Vec<Change>, Vec<ChangeRefused>> {
    if changes.is_empty() {
        return Err(vec![ChangeRefused::Nothing]);
    }
    let mut layer = stored.layer();
    let (mut fine, mut refused): (Vec<Change>, _) = (Vec::new(), Vec::new());
    for change in changes {
        if fine.iter().any(|earlier| earlier.key == change.key) {
            refused.push(ChangeRefused::Twice(change.key.clone()));
            continue;
        }
        match check_one(change, stored.as_of) {
            Ok(change) => {
                match &change.value {
                    Some(value) => layer.insert(change.key.clone(), value.clone()),
                    None => layer.remove(&change.key),
                };
                fine.push(change);
            }
            Err(fault) => refused.push(fault),
        }
    }
    if refused.is_empty() {
        let layers = Layers { flags: BTreeMap::new(), env: &|_| None, file: BTreeMap::new(), stored: layer };
        if let Err(faults) = resolve(&layers) {
            refused.extend(faults.into_iter().map(ChangeRefused::Bad));
        }
    }
    if refused.is_empty() { Ok(fine) } else { Err(refused) }
}

fn check_one(change: &Change, now: Timestamp) -> Result<Change, ChangeRefused> {
    let setting = find(&change.key).ok_or_else(|| unknown(&change.key))?;
    if setting.effect == Effect::Local {
        return Err(ChangeRefused::Local(setting.key));
    }
    if change.until.is_some_and(|end| end <= now) {
        return Err(ChangeRefused::Expired(change.key.clone()));
    }
    let value = change.value.as_deref().map(|text| normalise(setting, setting.key, text, Unit::Plain));
    Ok(Change { value: value.transpose()?, ..change.clone() })
}

/// The name of a flag as runbooks write it: `JOB_HEARTBEAT`.
pub fn flag_name(key: &str) -> String {
    key.to_ascii_uppercase()
}

/// The key of a flag, however it is written: `JOB_HEARTBEAT`, `FEATURE_FLAG_JOB_HEARTBEAT`, `job_heartbeat`.
pub fn flag_key(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let bare = name.strip_prefix("feature_flag_").unwrap_or(&name);
    SETTINGS
        .iter()
        .find(|setting| setting.kind == Kind::Flag && setting.key == bare)
        .map(|setting| setting.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(values: &[(&str, &str, Option<i64>)]) -> Stored {
        let moment = |second| Timestamp::from_second(second).expect("a moment");
        let setting = |(key, value, end): &(&str, &str, Option<i64>)| StoredSetting {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            version: 1,
            updated_at: moment(0),
            updated_by: "ada".to_owned(),
            reason: None,
            expires_at: end.map(moment),
        };
        Stored { version: 1, as_of: moment(100), settings: values.iter().map(setting).collect() }
    }

    fn change(key: &str, value: &str) -> Change {
        Change { key: key.to_owned(), value: Some(value.to_owned()), until: None }
    }

    fn refused(stored: &Stored, changes: &[Change]) -> Vec<String> {
        let faults = check_changes(stored, changes).expect_err("refused");
        faults.iter().map(|fault| format!("{}: {fault}", fault.code())).collect()
    }

    #[test]
    fn a_change_is_brought_into_the_form_in_which_it_is_stored() {
        let fine = check_changes(&stored(&[]), &[change("job_heartbeat", "off"), change("slots", " 4 ")]);
        let fine = fine.expect("fine");
        assert_eq!((fine[0].value.as_deref(), fine[1].value.as_deref()), (Some("false"), Some("4")));
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once_and_nothing_is_half_done() {
        let wrong = [
            change("heartbeat_treshold_ms", "1"),
            change("heartbeat_threshold_ms", "5"),
            change("exec_allow", "*"),
            change("slots", "4"),
            change("slots", "5"),
        ];
        let told = refused(&stored(&[]), &wrong);
        let codes: Vec<&str> = told.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(codes, ["unknown_setting", "bad_setting", "local_setting", "duplicate_key"]);
        assert!(told[0].contains("did you mean \"heartbeat_threshold_ms\"?"), "{told:?}");
        assert!(told[1].contains("from 1000 to 86400000"), "{told:?}");
        assert_eq!(refused(&stored(&[]), &[]), ["no_setting: no setting is given; name at least one"]);
    }

    #[test]
    fn values_under_which_a_healthy_job_would_be_late_are_refused_with_both_numbers() {
        let before = stored(&[("heartbeat_interval_ms", "50000", None)]);
        let told = refused(&before, &[change("heartbeat_threshold_ms", "60000")]);
        assert!(
            told[0].starts_with("settings_disagree")
                && told[0].contains("50000")
                && told[0].contains("60000")
        );
        let both = [change("heartbeat_threshold_ms", "60000"), change("heartbeat_interval_ms", "30000")];
        assert!(check_changes(&before, &both).is_ok());
    }

    #[test]
    fn taking_a_setting_out_is_checked_too() {
        let before =
            stored(&[("heartbeat_interval_ms", "90000", None), ("heartbeat_threshold_ms", "300000", None)]);
        let out = Change { key: "heartbeat_threshold_ms".to_owned(), value: None, until: None };
        assert!(refused(&before, &[out])[0].starts_with("settings_disagree"));
    }

    #[test]
    fn what_has_expired_or_belongs_to_the_process_does_not_count() {
        let stored = stored(&[
            ("job_heartbeat", "false", Some(100)),
            ("slots", "3", Some(101)),
            ("exec_allow", "*", None),
            ("from_the_future", "1", None),
        ]);
        assert_eq!(stored.layer(), BTreeMap::from([("slots".to_owned(), "3".to_owned())]));
        assert!(stored.get("job_heartbeat").is_none());
        let late = Change { until: Some(stored.as_of), ..change("slots", "2") };
        assert!(refused(&stored, &[late])[0].starts_with("expired"));
    }

    #[test]
    fn flags_answer_to_every_name_of_theirs() {
        for name in ["JOB_HEARTBEAT", "job_heartbeat", "FEATURE_FLAG_JOB_HEARTBEAT"] {
            assert_eq!(flag_key(name), Some("job_heartbeat"));
        }
        assert_eq!((flag_key("slots"), flag_key("")), (None, None));
        assert_eq!(flag_name("job_heartbeat"), "JOB_HEARTBEAT");
    }
}
