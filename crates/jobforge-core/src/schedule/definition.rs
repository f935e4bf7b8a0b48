//! What is to run when, and under which policies; checked in one place for every way in.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock::{Clock, DEFAULT_ZONE, MAX_EVERY, MIN_EVERY, jitter, time_zone};
use crate::enqueue::{FieldError, JobRequest, check_name, validate};
use crate::job::NewJob;
use crate::payload::Payload;
use crate::settle::RetryPolicy;
use crate::time::{add, parse_duration};

/// The most schedules of one tenant.
pub const MAX_PER_TENANT: u64 = 1000;
/// Missed moments that are caught up on at most, unless a schedule says otherwise.
pub const MISSED_LIMIT: u32 = 10;
/// The most that it may say.
pub(crate) const MAX_MISSED_LIMIT: i64 = 1000;
/// What runs every few seconds is not stale because one job took longer.
const LEAST_PATIENCE: Duration = Duration::from_secs(60);
/// The longest time for which a moment is still caught up on, and the longest staleness: a year.
pub(crate) const MAX_WINDOW_MS: i64 = 366 * 86_400_000;
/// The most that a moment may be put off at random: an hour.
pub(crate) const MAX_JITTER_MS: i64 = 3_600_000;
/// The longest description, in bytes.
pub(crate) const MAX_DESCRIPTION: usize = 500;

/// What becomes of a moment while the job of an earlier one has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits for the end of the job; one moment waits at most.
    Queue,
    /// The earlier job is canceled.
    CancelOld,
    /// It runs beside it.
    Allow,
}

/// What becomes of moments at which nobody was there to make a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are noted and that is all.
    Skip,
    /// The last of them runs.
    #[default]
    Once,
    /// Each runs, the last so many of them.
    All,
}

/// A schedule as a person writes it: in a request, in a file, in code. Whatever is left out has a default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::schedule))]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What it is called; also the `job_name` of metrics and logs.
    pub name: String,
    /// Which handler runs it.
    #[serde(rename = "type")]
    pub job_type: String,
    /// The handler's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// Whose the jobs are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The queue they wait in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Lower runs first.
    #[serde(default, deserialize_with = "crate::whole::maybe", skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Attempts of each job.
    #[serde(default, deserialize_with = "crate::whole::maybe", skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    /// Bound on one attempt.
    #[serde(default, deserialize_with = "crate::whole::maybe", skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
    /// Bound on the time between two reports of progress.
    #[serde(default, deserialize_with = "crate::whole::maybe", skip_serializing_if = "Option::is_none")]
    pub progress_timeout_ms: Option<i64>,
    /// Labels of the jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Back-off of the jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// When, as a cron pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The zone of the pattern; UTC if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// When, as an interval: `15m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// A moment that the interval goes through; the beginning of 1970 if left out, so that `15m` is on the quarter hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// While the job of an earlier moment has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// After an outage.
    #[serde(default)]
    pub missed: Missed,
    /// Of missed moments, run the last so many; only with `missed: all`.
    #[serde(default, deserialize_with = "crate::whole::maybe", skip_serializing_if = "Option::is_none")]
    pub missed_limit: Option<i64>,
    /// Missed moments that are older than this are not caught up on.
    #[serde(default, deserialize_with = "crate::whole::maybe", skip_serializing_if = "Option::is_none")]
    pub catch_up_ms: Option<i64>,
    /// Put each moment off by up to so much, at random but the same on every machine.
    #[serde(default, deserialize_with = "crate::whole::maybe", skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<i64>,
    /// Without a success for so long it is stale; twice its interval if left out, or a minute more than that if it is longer.
    #[serde(default, deserialize_with = "crate::whole::maybe", skip_serializing_if = "Option::is_none")]
    pub stale_after_ms: Option<i64>,
    /// The key of each job, in which `{date}` and `{planned_for}` stand for the moment. A job that has the key already
    /// counts as the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it begins paused; says nothing of one that is there already.
    #[serde(default, skip_serializing)]
    pub paused: bool,
}

/// A definition that was refused, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidSchedule {
    /// Never empty.
    pub errors: Vec<FieldError>,
}

impl fmt::Display for InvalidSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

/// A definition that was checked, ready to be asked.
#[derive(Debug, Clone)]
pub struct Checked {
    /// As it was written.
    pub definition: Definition,
    /// When it is due.
    pub clock: Clock,
    /// What each moment makes.
    job: NewJob,
}

/// The next moment, and when it is due, which jitter puts off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Armed {
    /// The moment; none if there will be none.
    pub next_at: Option<Timestamp>,
    /// When its job is made.
    pub due_at: Option<Timestamp>,
}

impl Definition {
    /// A schedule of jobs of a type; say when with `cron` or `every`.
    pub fn new(name: impl Into<String>, job_type: impl Into<String>) -> Self {
        Self { name: name.into(), job_type: job_type.into(), ..Self::default() }
    }

    /// Whose the jobs are.
    pub fn tenant(&self) -> &str {
        self.tenant_id.as_deref().unwrap_or(crate::enqueue::DEFAULT_TENANT)
    }

    /// The definition as JSON, for comparing and storing.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn request(&self) -> JobRequest {
        JobRequest {
            job_type: self.job_type.clone(),
            payload: self.payload.clone(),
            tenant_id: self.tenant_id.clone(),
            queue: self.queue.clone(),
            priority: self.priority,
            max_attempts: self.max_attempts,
            timeout_ms: self.timeout_ms,
            progress_timeout_ms: self.progress_timeout_ms,
            tags: self.tags.clone(),
            retry: self.retry,
            ..JobRequest::default()
        }
    }
}

/// How often a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// The longest time from one moment to the next, if it runs more than once.
    pub longest: Option<Duration>,
    /// Without a success for so long it is stale.
    pub stale_after: Option<Duration>,
}

impl Checked {
    /// The next moment after this one.
    pub fn arm(&self, after: Timestamp) -> Armed {
        self.armed_at(self.clock.next_after(after))
    }

    /// When a moment's job is made.
    pub fn armed_at(&self, next_at: Option<Timestamp>) -> Armed {
        Armed { next_at, due_at: next_at.map(|next| self.due(next)) }
    }

    /// When a moment's job is made.
    pub fn due(&self, moment: Timestamp) -> Timestamp {
        let most = Duration::from_millis(self.definition.jitter_ms.unwrap_or(0).unsigned_abs());
        add(moment, jitter(&self.definition.name, moment, most))
    }

    /// How many missed moments run.
    pub(super) fn missed_limit(&self) -> usize {
        match self.definition.missed {
            Missed::Skip => 0,
            Missed::Once => 1,
            Missed::All => {
                let limit = self.definition.missed_limit.unwrap_or(i64::from(MISSED_LIMIT));
                usize::try_from(limit).unwrap_or(0)
            }
        }
    }

    /// How often it runs, reckoned once: what it comes to must not depend on the hour at which somebody looks.
    pub fn rhythm(&self, now: Timestamp) -> Rhythm {
        let longest = self.clock.longest_gap(now);
        let said = self.definition.stale_after_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
        Rhythm { longest, stale_after: said.or(longest.map(|gap| gap + gap.max(LEAST_PATIENCE))) }
    }

    /// The job of a moment; one that a person asked for has no key, for it is meant to run.
    pub(super) fn job(&self, planned_for: Timestamp, by_hand: bool) -> NewJob {
        let key = self.definition.idempotency_key.as_ref().filter(|_| !by_hand);
        let filled = key.map(|template| self.fill(template, planned_for));
        NewJob { id: crate::job::JobId::new(), idempotency_key: filled, ..self.job.clone() }
    }

    fn fill(&self, template: &str, moment: Timestamp) -> String {
        template.replace("{date}", &self.clock.date(moment)).replace("{planned_for}", &moment.to_string())
    }
}

/// Checks a definition.
///
/// # Errors
/// Lists every fault, not only the first.
pub fn check(definition: Definition, now: Timestamp) -> Result<Checked, InvalidSchedule> {
    let mut errors = Vec::new();
    let mut fail = |field: &str, code: &'static str, message: String| {
        errors.push(FieldError { field: field.to_owned(), code, message });
    };
    if let Err(fault) = check_name(&definition.name) {
        fail("name", "bad_name", fault);
    }
    let mut whole = |field: &str, value: Option<i64>, min: i64, max: i64| {
        if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
            fail(field, "out_of_range", format!("{value} is out of range; allowed is {min} to {max}"));
        }
    };
    whole("missed_limit", definition.missed_limit, 1, MAX_MISSED_LIMIT);
    whole("catch_up_ms", definition.catch_up_ms, 1000, MAX_WINDOW_MS);
    whole("jitter_ms", definition.jitter_ms, 0, MAX_JITTER_MS);
    whole("stale_after_ms", definition.stale_after_ms, 1000, MAX_WINDOW_MS);
    if definition.description.as_ref().is_some_and(|text| text.len() > MAX_DESCRIPTION) {
        fail("description", "out_of_range", format!("at most {MAX_DESCRIPTION} bytes are allowed"));
    }
    if let Some(fault) = definition.payload.as_ref().and_then(|given| Payload::parse(given.as_str()).err()) {
        fail("payload", fault.code(), fault.to_string());
    }
    let clock = clock(&definition, &mut fail);
    let never = clock.as_ref().is_some_and(|clock| clock.never_fires(now));
    if let (true, Some(pattern)) = (never, &definition.cron) {
        let fault = super::BadCron::NeverFires(pattern.trim().to_owned());
        fail("cron", fault.code(), fault.to_string());
    }
    let clock = clock.filter(|_| !never);
    let jitter = Duration::from_millis(definition.jitter_ms.unwrap_or(0).unsigned_abs());
    let gap = clock.as_ref().filter(|_| !jitter.is_zero()).and_then(|clock| clock.shortest_gap(now));
    if gap.is_some_and(|gap| jitter >= gap) {
        let told = "it must be shorter than the time from one moment to the next";
        fail("jitter_ms", "out_of_range", told.to_owned());
    }
    if let (Some(template), Some(clock)) = (&definition.idempotency_key, &clock) {
        let probe = JobRequest {
            job_type: "probe".to_owned(),
            idempotency_key: Some(template.replace("{date}", &clock.date(now)).replace("{planned_for}", "")),
            ..JobRequest::default()
        };
        for error in validate(probe, None).err().into_iter().flat_map(|invalid| invalid.errors) {
            errors.push(error);
        }
        if !template.contains("{date}") && !template.contains("{planned_for}") {
            errors.push(FieldError {
                field: "idempotency_key".to_owned(),
                code: "bad_idempotency_key",
                message:
                    "names no moment, so only the first would ever run; put {date} or {planned_for} into it"
                        .to_owned(),
            });
        }
    }
    let job = validate(definition.request(), Some(format!("schedule:{}", definition.name)));
    match (job, clock) {
        (Ok(job), Some(clock)) if errors.is_empty() => Ok(Checked { definition, clock, job }),
        (job, _) => {
            errors.extend(job.err().into_iter().flat_map(|invalid| invalid.errors));
            Err(InvalidSchedule { errors })
        }
    }
}

fn clock(definition: &Definition, fail: &mut impl FnMut(&str, &'static str, String)) -> Option<Clock> {
    match (&definition.cron, &definition.every) {
        (Some(_), Some(_)) => {
            fail("cron", "conflict", "give either cron or every, not both".to_owned());
            None
        }
        (None, None) => {
            let told = "say when: cron, such as \"30 2 * * 1-5\", or every, such as \"15m\"";
            fail("cron", "missing", told.to_owned());
            None
        }
        (Some(pattern), None) => {
            if definition.anchor.is_some() {
                fail("anchor", "conflict", "an anchor goes with every, not with cron".to_owned());
            }
            let name = definition.time_zone.as_deref().unwrap_or(DEFAULT_ZONE);
            let zone = time_zone(name).map_err(|bad| fail("time_zone", "bad_timezone", bad.to_string()));
            let read = Clock::cron(pattern, name, zone.clone().unwrap_or(jiff::tz::TimeZone::UTC));
            let clock = read.map_err(|bad| fail("cron", bad.code(), bad.to_string()));
            zone.and(clock).ok()
        }
        (None, Some(every)) => {
            if definition.time_zone.is_some() {
                let told = "an interval is the same in every time zone; leave it out, or use cron";
                fail("time_zone", "conflict", told.to_owned());
            }
            let anchor = anchor(definition.anchor.as_deref(), fail);
            let every = match parse_duration(every) {
                Ok(every) if (MIN_EVERY..=MAX_EVERY).contains(&every) => Some(every),
                Ok(_) => {
                    let told = format!("{every:?} is out of range; allowed is 1s to 3660d");
                    fail("every", "out_of_range", told);
                    None
                }
                Err(bad) => {
                    fail("every", "bad_interval", bad.to_string());
                    None
                }
            };
            Some(Clock::Every { every: every?, anchor: anchor? })
        }
    }
}

fn anchor(text: Option<&str>, fail: &mut impl FnMut(&str, &'static str, String)) -> Option<Timestamp> {
    let Some(text) = text else { return Some(Timestamp::UNIX_EPOCH) };
    let shown: String = text.chars().take(60).collect();
    let read = text.parse::<Timestamp>().map_err(|_| {
        let advice = "write RFC 3339 with an offset, such as 2027-01-31T08:00:00Z";
        fail("anchor", "bad_time", format!("{shown:?} is not a moment in time; {advice}"));
    });
    read.ok()
}

/// A definition with some of its fields changed, as a JSON merge patch says; null takes a field out.
///
/// Who names a new kind of time takes the old one out.
///
/// # Errors
/// Says which field cannot be read. The name stays.
pub fn patched(definition: &Definition, patch: Map<String, Value>) -> Result<Definition, String> {
    let Value::Object(mut fields) = definition.to_value() else { return Err("it cannot be read".to_owned()) };
    for (given, old) in [("cron", ["every", "anchor"]), ("every", ["cron", "time_zone"])] {
        if patch.get(given).is_some_and(|value| !value.is_null()) {
            for key in old.into_iter().filter(|key| !patch.contains_key(*key)) {
                fields.remove(key);
            }
        }
    }
    let keeps_payload = !patch.contains_key("payload");
    for (key, value) in patch {
        if key == "name" && fields.get("name") != Some(&value) {
            return Err("name: a schedule cannot be renamed; add another and remove this one".to_owned());
        }
        match value {
            Value::Null => fields.remove(&key),
            value => fields.insert(key, value),
        };
    }
    let read: Definition =
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    // JSON values are less exact than payloads, which are kept to the last digit.
    Ok(if keeps_payload { Definition { payload: definition.payload.clone(), ..read } } else { read })
}

/// Environment variables that override the interval of a schedule, with the unit that a bare number in each has.
///
/// `hot_score_refresh` obeys `HOT_SCORE_REFRESH_INTERVAL=5m`, and the same with `_MINUTES`, `_SECONDS` or `_MS` behind it.
pub fn interval_variables(name: &str) -> [(String, &'static str); 4] {
    let word: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    [("", ""), ("_MINUTES", "m"), ("_SECONDS", "s"), ("_MS", "ms")]
        .map(|(suffix, unit)| (format!("{word}_INTERVAL{suffix}"), unit))
}

/// The definition with the interval that the environment says, and the variable that says so.
///
/// # Errors
/// When the variable's value is no duration, or the schedule has no interval that could be another.
pub fn overridden(
    definition: Definition,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<(Definition, Option<String>), String> {
    let given = |(name, unit): (String, &'static str)| {
        let value = variable(&name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        value.map(|value| (name, value, unit))
    };
    let Some((name, value, unit)) = interval_variables(&definition.name).into_iter().find_map(given) else {
        return Ok((definition, None));
    };
    if definition.every.is_none() {
        let told = format!("{name} is set, but schedule {} goes by a cron pattern", definition.name);
        return Err(format!("{told}; unset it, or give the schedule `every`"));
    }
    let is_bare = value.bytes().all(|byte| byte.is_ascii_digit());
    if is_bare && unit.is_empty() {
        return Err(format!("{name} is {value:?}; write the unit, such as {value}m or {value}s"));
    }
    let every = if is_bare { format!("{value}{unit}") } else { value };
    parse_duration(&every).map_err(|bad| format!("{name}: {bad}"))?;
    Ok((Definition { every: Some(every), ..definition }, Some(name)))
}
