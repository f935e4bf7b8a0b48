//! From the layers of configuration to one checked value per setting.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::registry::SETTINGS;
use super::setting::{Kind, Setting, Unit};
use crate::claim::{Bounds, TypeBounds};
use crate::enqueue::check_name;
use crate::heartbeat::BeatPolicy;
use crate::poll::PollPolicy;
use crate::redact::{REDACT_KEYS, names_a_key};
use crate::rescue::{LostPolicy, RescuePolicy};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A command-line flag.
    Flag,
    /// An environment variable.
    Env(&'static str),
    /// The configuration file.
    File,
    /// The database.
    Stored,
    /// Nothing set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File => f.write_str("configuration file"),
            Self::Stored => f.write_str("stored setting"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A configuration that cannot be used, with the names of what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A value does not fit its setting.
    #[error("{origin} is {given:?}; it must be {expected}")]
    Bad {
        /// The variable, key or flag.
        origin: String,
        /// What it holds; `<secret>` for secrets.
        given: String,
        /// What is accepted.
        expected: String,
    },
    /// Two names of one setting disagree.
    #[error(
        "{first} and {second} both set {key} and disagree ({first_value} and {second_value}); remove one of them"
    )]
    Conflict {
        /// The setting.
        key: &'static str,
        /// One name.
        first: String,
        /// The other name.
        second: String,
        /// What the first says, in the setting's own unit.
        first_value: String,
        /// What the second says.
        second_value: String,
    },
    /// A key of the file or the store is not a setting.
    #[error("{key:?} is not a setting{}", hint.as_ref().map(|h| format!("; did you mean {h:?}?")).unwrap_or_default())]
    Unknown {
        /// The key.
        key: String,
        /// The nearest setting.
        hint: Option<&'static str>,
    },
    /// Values that are fine alone do not go together.
    #[error("{0}")]
    Cross(String),
}

/// The layers, strongest first. Maps hold the setting's key; the environment is asked by variable name.
pub struct Layers<'a> {
    /// Values of command-line flags, by key.
    pub flags: BTreeMap<String, String>,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Values of the configuration file, by key.
    pub file: BTreeMap<String, String>,
    /// Values stored in the database, by key.
    pub stored: BTreeMap<String, String>,
}

impl fmt::Debug for Layers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").finish_non_exhaustive()
    }
}

/// One resolved value, in the unit of its key.
#[derive(Clone)]
pub struct Resolved {
    /// The setting.
    pub setting: &'static Setting,
    /// The normalised text; empty is unset.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

impl Resolved {
    /// The value for people: secrets are never shown.
    pub fn shown(&self) -> &str {
        match (self.setting.kind, self.value.is_empty()) {
            (_, true) => "",
            (Kind::Secret, false) => "<secret>",
            (_, false) => &self.value,
        }
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({})", self.setting.key, self.shown(), self.source)
    }
}

/// Every setting with its value.
#[derive(Debug, Clone)]
pub struct Settings {
    values: BTreeMap<&'static str, Resolved>,
}

/// Resolves all settings and checks that they go together.
///
/// # Errors
/// Everything that is wrong, in the order of the registry, so that a person can mend all at once.
pub fn resolve(layers: &Layers<'_>) -> Result<Settings, Vec<SettingError>> {
    let mut errors = Vec::new();
    // A newer program may have stored settings that this one does not know; they are none of its business.
    for map in [&layers.flags, &layers.file] {
        errors.extend(map.keys().filter(|key| find(key).is_none()).map(|key| unknown(key)));
    }
    let mut values = BTreeMap::new();
    for setting in SETTINGS {
        match resolve_one(setting, layers) {
            Ok(resolved) => {
                values.insert(setting.key, resolved);
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let settings = Settings { values };
    let errors = settings.cross_check();
    if errors.is_empty() { Ok(settings) } else { Err(errors) }
}

pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

pub(super) fn unknown(key: &str) -> SettingError {
    let distance = |setting: &&Setting| edit_distance(key, setting.key);
    let nearest = SETTINGS.iter().min_by_key(distance).filter(|setting| edit_distance(key, setting.key) <= 4);
    SettingError::Unknown { key: key.chars().take(80).collect(), hint: nearest.map(|setting| setting.key) }
}

/// Levenshtein's distance, for hints on misspelt names.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(80).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn resolve_one(setting: &'static Setting, layers: &Layers<'_>) -> Result<Resolved, SettingError> {
    let key = setting.key;
    if let Some(text) = layers.flags.get(key) {
        let value = normalise(setting, &format!("--{}", key.replace('_', "-")), text, Unit::Plain)?;
        return Ok(Resolved { setting, value, source: Source::Flag });
    }
    let mut found: Option<(&'static str, String)> = None;
    for name in setting.env {
        let Some(text) = (layers.env)(name.name) else { continue };
        let value = normalise(setting, name.name, &text, name.unit)?;
        match &found {
            Some((first, first_value)) if *first_value != value => {
                let shown = |value: &str| {
                    if setting.kind == Kind::Secret { "<secret>".to_owned() } else { value.to_owned() }
                };
                return Err(SettingError::Conflict {
                    key,
                    first: (*first).to_owned(),
                    second: name.name.to_owned(),
                    first_value: shown(first_value),
                    second_value: shown(&value),
                });
            }
            Some(_) => {}
            None => found = Some((name.name, value)),
        }
    }
    if let Some((name, value)) = found {
        return Ok(Resolved { setting, value, source: Source::Env(name) });
    }
    for (layer, source, origin) in
        [(&layers.file, Source::File, "the file's"), (&layers.stored, Source::Stored, "the stored")]
    {
        if let Some(text) = layer.get(key) {
            let value = normalise(setting, &format!("{origin} {key}"), text, Unit::Plain)?;
            return Ok(Resolved { setting, value, source });
        }
    }
    Ok(Resolved { setting, value: setting.default.to_owned(), source: Source::Default })
}

/// Checks a text and brings it into the unit of the key.
pub(super) fn normalise(
    setting: &Setting,
    origin: &str,
    text: &str,
    unit: Unit,
) -> Result<String, SettingError> {
    let text = text.trim();
    let bad = |expected: String| SettingError::Bad {
        origin: origin.to_owned(),
        given: if setting.kind == Kind::Secret {
            "<secret>".to_owned()
        } else {
            text.chars().take(80).collect()
        },
        expected,
    };
    match setting.kind {
        Kind::Millis { min, max } | Kind::Integer { min, max } => {
            let (factor, name) = match unit {
                Unit::Seconds => (1000.0, "seconds"),
                Unit::Minutes => (60_000.0, "minutes"),
                Unit::Milliseconds => (1.0, "milliseconds"),
                Unit::Plain if matches!(setting.kind, Kind::Millis { .. }) => (1.0, "milliseconds"),
                Unit::Plain => (1.0, ""),
            };
            let range = || {
                let kind = if factor > 1.0 { "a number" } else { "a whole number" };
                let of = if name.is_empty() { String::new() } else { format!(" of {name}") };
                bad(format!("{kind}{of} from {} to {}", min as f64 / factor, max as f64 / factor))
            };
            let number = if factor > 1.0 {
                let given: f64 = text.parse().map_err(|_| range())?;
                let scaled = given * factor;
                if !scaled.is_finite() || scaled < 0.0 || scaled > max as f64 {
                    return Err(range());
                }
                scaled.round() as u64
            } else {
                text.parse::<u64>().map_err(|_| range())?
            };
            if (min..=max).contains(&number) { Ok(number.to_string()) } else { Err(range()) }
        }
        Kind::Decimal { min, max } => match text.parse::<f64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => Err(bad(format!("a number from {min} to {max}"))),
        },
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok("true".to_owned()),
            "false" | "0" | "no" | "off" => Ok("false".to_owned()),
            _ => Err(bad("true or false".to_owned())),
        },
        Kind::Word(words) => match words.iter().find(|word| text.eq_ignore_ascii_case(word)) {
            Some(word) => Ok((*word).to_owned()),
            None => Err(bad(format!("one of {}", words.join(", ")))),
        },
        Kind::List => {
            let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            if setting.key == REDACT_KEYS && !items.iter().all(|item| names_a_key(item)) {
                let told =
                    "names of keys separated by commas, each with a letter or a digit: iban,tax_number";
                return Err(bad(told.to_owned()));
            }
            Ok(items.join(","))
        }
        Kind::Words(words) => by_name(text, |word| words.contains(&word)).ok_or_else(|| {
            bad(format!("name=word separated by commas, each word one of {}", words.join(", ")))
        }),
        Kind::MillisByName { min, max } => {
            by_name(text, |number| number.parse().is_ok_and(|ms: u64| (min..=max).contains(&ms))).ok_or_else(
                || bad(format!("name=milliseconds separated by commas, each from {min} to {max}")),
            )
        }
        Kind::Text | Kind::Secret => Ok(text.to_owned()),
    }
}

/// Checks `name=value,…`; a name that stands twice is refused, for nobody can know which was meant.
fn by_name(text: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let mut pairs = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, value) = item.split_once('=').map(|(name, value)| (name.trim(), value.trim()))?;
        if check_name(name).is_err() || !fits(value) || pairs.insert(name, value).is_some() {
            return None;
        }
    }
    Some(pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
}

impl Settings {
    /// All defaults.
    pub fn defaults() -> Self {
        let values = SETTINGS
            .iter()
            .map(|setting| {
                let value = setting.default.to_owned();
                (setting.key, Resolved { setting, value, source: Source::Default })
            })
            .collect();
        Self { values }
    }

    /// Every setting in the order of the registry.
    pub fn iter(&self) -> impl Iterator<Item = &Resolved> {
        SETTINGS.iter().filter_map(|setting| self.values.get(setting.key))
    }

    /// One setting; `None` for a key that is not one.
    pub fn get(&self, key: &str) -> Option<&Resolved> {
        self.values.get(key)
    }

    /// The text of a setting; empty is unset.
    pub fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |resolved| resolved.value.as_str())
    }

    /// The items of a list.
    pub fn list(&self, key: &str) -> Vec<String> {
        self.text(key).split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// The values of a list of `name=value`.
    pub(crate) fn named<T: FromStr>(&self, key: &str) -> BTreeMap<String, T> {
        let pair = |item: &str| {
            let (name, value) = item.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        self.text(key).split(',').filter_map(pair).collect()
    }

    /// A whole number; 0 for a key that is none.
    pub fn integer(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or(0)
    }

    /// A duration.
    pub fn millis(&self, key: &str) -> Duration {
        Duration::from_millis(self.integer(key))
    }

    /// A flag.
    pub fn flag(&self, key: &str) -> bool {
        self.text(key) == "true"
    }

    fn decimal(&self, key: &str) -> f64 {
        self.text(key).parse().unwrap_or(1.0)
    }

    /// The rhythm of idle polling.
    pub fn poll_policy(&self) -> PollPolicy {
        PollPolicy {
            interval: self.millis("poll_interval_ms"),
            max_interval: self.millis("max_poll_interval_ms").max(self.millis("poll_interval_ms")),
            multiplier: self.decimal("idle_backoff_multiplier"),
        }
    }

    /// The rhythm of job heartbeats.
    pub fn beat_policy(&self) -> BeatPolicy {
        BeatPolicy {
            enabled: self.flag("job_heartbeat"),
            interval: self.millis("heartbeat_interval_ms"),
            max_interval: self.millis("heartbeat_max_interval_ms").max(self.millis("heartbeat_interval_ms")),
            multiplier: self.decimal("heartbeat_backoff_multiplier"),
            threshold: self.millis("heartbeat_threshold_ms"),
        }
    }

    /// What the watchdog goes by.
    pub fn rescue_policy(&self) -> RescuePolicy {
        RescuePolicy {
            heartbeats: self.flag("job_heartbeat"),
            max_misses: u32::try_from(self.integer("heartbeat_max_misses")).unwrap_or(u32::MAX),
            on_lost: LostPolicy {
                other: self.text("on_lost").parse().unwrap_or_default(),
                by_type: self.named("on_lost_types"),
                by_queue: self.named("on_lost_queues"),
            },
            fast: self.list("fast_types"),
        }
    }

    /// Whether nobody has set how long a worker's lease is, so that it may grow with the fleet.
    pub fn lease_scales(&self) -> bool {
        self.get("worker_lease_ms").is_none_or(|resolved| resolved.source == Source::Default)
    }

    /// What a worker keeps jobs to that have no bounds of their own.
    pub fn bounds(&self) -> TypeBounds {
        let bounds = |by_type: &str, other: &str| Bounds {
            by_type: self.named(by_type),
            other: Some(self.integer(other)).filter(|ms| *ms > 0),
        };
        TypeBounds {
            timeout: bounds("job_timeouts_ms", "job_timeout_ms"),
            progress: bounds("progress_timeouts_ms", "progress_timeout_ms"),
        }
    }

    /// Refuses settings under which a healthy worker would be late.
    fn cross_check(&self) -> Vec<SettingError> {
        let (interval, threshold) =
            (self.integer("heartbeat_interval_ms"), self.integer("heartbeat_threshold_ms"));
        let mut errors = Vec::new();
        if interval * 2 > threshold {
            errors.push(SettingError::Cross(format!(
                "HEARTBEAT_INTERVAL_MS is {interval} and HEARTBEAT_THRESHOLD_MS is {threshold}: a healthy job would be declared stuck; \
                 the threshold must be at least twice the interval"
            )));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rescue::OnLost;

    fn with(env: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let env: BTreeMap<String, String> =
            env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let look = |name: &str| env.get(name).cloned();
        let layers =
            Layers { flags: BTreeMap::new(), env: &look, file: BTreeMap::new(), stored: BTreeMap::new() };
        resolve(&layers).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_default_fits_its_own_range() {
        for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
            let unit = Unit::Plain;
            assert_eq!(
                normalise(setting, setting.key, setting.default, unit).as_deref(),
                Ok(setting.default)
            );
        }
        assert!(Settings::defaults().cross_check().is_empty());
    }

    #[test]
    fn keys_and_environment_names_are_unique() {
        let mut names: Vec<&str> = SETTINGS.iter().flat_map(|s| s.env.iter().map(|e| e.name)).collect();
        names.extend(SETTINGS.iter().map(|s| s.key));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn one_setting_answers_to_two_names_in_two_units() {
        for env in
            [("CHECK_INTERVAL", "30"), ("WATCHDOG_CHECK_INTERVAL_MS", "30000"), ("CHECK_INTERVAL", "30.0")]
        {
            assert_eq!(with(&[env]).expect("fine").integer("watchdog_check_interval_ms"), 30_000);
        }
        assert_eq!(
            with(&[("STALE_THRESHOLD_MINUTES", "3")]).expect("fine").integer("worker_lease_ms"),
            180_000
        );
    }

    #[test]
    fn two_names_that_agree_are_fine_and_two_that_disagree_are_both_shown() {
        assert!(with(&[("CHECK_INTERVAL", "30"), ("WATCHDOG_CHECK_INTERVAL_MS", "30000")]).is_ok());
        let errors =
            with(&[("CHECK_INTERVAL", "30"), ("WATCHDOG_CHECK_INTERVAL_MS", "60000")]).expect_err("conflict");
        assert_eq!(
            errors,
            [
                "WATCHDOG_CHECK_INTERVAL_MS and CHECK_INTERVAL both set watchdog_check_interval_ms and disagree (60000 and 30000); remove one of them"
            ]
        );
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_accepted() {
        for given in ["abc", "0", "-1", "1e20", "", "30s", "99999999999999999999"] {
            let errors = with(&[("HEARTBEAT_INTERVAL_MS", given)]).expect_err(given);
            assert_eq!(
                errors,
                [format!(
                    "HEARTBEAT_INTERVAL_MS is {given:?}; it must be a whole number of milliseconds from 100 to 3600000"
                )]
            );
        }
        assert!(with(&[("CHECK_INTERVAL", "inf")]).is_err());
        assert!(with(&[("FEATURE_FLAG_JOB_HEARTBEAT", "maybe")]).is_err());
    }

    #[test]
    fn lists_of_names_are_checked_one_by_one() {
        let settings = with(&[
            ("JOBFORGE_ON_LOST_TYPES", "email.send=fail, report=dead_letter,"),
            ("JOBFORGE_JOB_TIMEOUTS_MS", "report=60000"),
            ("JOBFORGE_JOB_TIMEOUT_MS", "5000"),
        ])
        .expect("fine");
        let policy = settings.rescue_policy().on_lost;
        assert_eq!((policy.by_type["email.send"], policy.other), (OnLost::Fail, OnLost::Requeue));
        let bounds = settings.bounds();
        assert_eq!(bounds.timeout.of("report"), Some(Duration::from_secs(60)));
        assert_eq!(bounds.timeout.of("email.send"), Some(Duration::from_secs(5)));
        assert_eq!(bounds.progress.of("report"), None);
        for (name, given) in [
            ("JOBFORGE_ON_LOST_TYPES", "email.send"),
            ("JOBFORGE_ON_LOST_QUEUES", "mail=forget"),
            ("JOBFORGE_ON_LOST_QUEUES", "mail=fail,mail=requeue"),
            ("JOBFORGE_JOB_TIMEOUTS_MS", "report=1"),
            ("JOBFORGE_PROGRESS_TIMEOUTS_MS", "a b=1000"),
        ] {
            let errors = with(&[(name, given)]).expect_err(given);
            assert!(errors[0].starts_with(&format!("{name} is {given:?}; it must be name=")), "{errors:?}");
        }
    }

    #[test]
    fn settings_that_would_condemn_healthy_jobs_are_refused_with_both_numbers() {
        let errors = with(&[("HEARTBEAT_INTERVAL_MS", "90000")]).expect_err("late");
        assert!(errors[0].contains("90000") && errors[0].contains("120000"));
        // Runbook 5's back-off to 120 s with runbook 1's threshold of 120 s is allowed: each row says when it is due.
        assert!(
            with(&[("HEARTBEAT_MAX_INTERVAL_MS", "120000"), ("HEARTBEAT_THRESHOLD_MS", "120000")]).is_ok()
        );
    }

    #[test]
    fn stronger_layers_win_and_unknown_keys_get_a_hint() {
        let none = |_: &str| None;
        let env = |name: &str| (name == "JOBFORGE_SLOTS").then(|| "3".to_owned());
        let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let layers = Layers {
            flags: map("slots", "4"),
            env: &env,
            file: map("slots", "2"),
            stored: map("slots", "1"),
        };
        assert_eq!(resolve(&layers).expect("fine").integer("slots"), 4);
        let layers = Layers { flags: BTreeMap::new(), ..layers };
        assert_eq!(
            resolve(&layers).expect("fine").get("slots").map(|r| r.source.clone()),
            Some(Source::Env("JOBFORGE_SLOTS"))
        );
        let layers = Layers { env: &none, ..layers };
        assert_eq!(resolve(&layers).expect("fine").integer("slots"), 2);
        let layers = Layers { file: map("slotz", "2"), ..layers };
        assert_eq!(
            resolve(&layers).expect_err("typo")[0].to_string(),
            "\"slotz\" is not a setting; did you mean \"slots\"?"
        );
    }

    #[test]
    fn secrets_are_never_printed() {
        let settings = with(&[("DATABASE_URL", "postgres://u:hunter2@h/d")]).expect("fine");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
