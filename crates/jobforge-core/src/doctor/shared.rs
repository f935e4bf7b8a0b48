//! What jobs with one ailment have in common, and other jobs have not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::facts::Database;
use super::jobs::hostname;
use super::{LATELY, MANY};
use crate::job::{Job, JobId};
use crate::time::since;

/// Of so many in a hundred it is said that they share something.
const MOST: usize = 80;
/// How deep a payload is looked through for the name of a credential.
const DEEPEST: usize = 8;

/// A job, and where it ran.
#[derive(Debug, Clone)]
pub(super) struct Patient<'a> {
    pub(super) job: &'a Job,
    pub(super) host: Option<&'a str>,
}

/// What a group shares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) step: Option<String>,
    pub(super) host: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) credential: Option<String>,
    /// Whether jobs without that credential go well.
    pub(super) others_do_without: bool,
    /// The same in sentences, with how many of how many.
    pub(super) said: Vec<String>,
}

/// Looks for what most of the patients share and jobs of the same types that go well do not.
///
/// That all of them ran on one host, or for one tenant, tells something only where jobs on others go well.
pub(super) fn shared(patients: &[Patient<'_>], well: &Well<'_>) -> Shared {
    let well = well.beside(patients);
    let mut said = Vec::new();
    let mut others_do_without = false;
    let mut find = |what: &str, of: &dyn Fn(&Patient<'_>) -> Option<String>, compared: bool, alone: bool| {
        let (value, count) = most_frequent(patients.iter().filter_map(of))?;
        if patients.len() < 2 || count < MANY.min(patients.len()) || count * 100 < patients.len() * MOST {
            return None;
        }
        let line = format!("{count} of {} {what} {value}", patients.len());
        if !compared {
            said.push(line);
            return Some(value);
        }
        let same = well.iter().filter(|witness| of(witness).as_ref() == Some(&value)).count();
        let without = well.len() - same;
        if same >= count || without == 0 && !alone {
            return None;
        }
        others_do_without = alone && without > 0;
        said.push(match well.len() {
            0 => line,
            all => format!("{line}, and {same} of {all} that go well"),
        });
        Some(value)
    };
    let step = find("stopped at", &|patient| step(patient.job), false, true);
    let host = find("ran on host", &|patient| patient.host.map(str::to_owned), true, false);
    let tenant = find("are of tenant", &|patient| Some(patient.job.tenant_id.clone()), true, false);
    let credential = find("use the credential", &|patient| credential(patient.job), true, true);
    Shared { step, host, tenant, credential, others_do_without, said }
}

/// Jobs that go on, and those that ended well lately: beside them those in trouble are seen.
#[derive(Debug, Default)]
pub(super) struct Well<'a>(Vec<Witness<'a>>);

#[derive(Debug)]
struct Witness<'a> {
    patient: Patient<'a>,
    /// How long it has been running, or when it ended.
    is: Being,
}

#[derive(Debug)]
enum Being {
    Running(Duration),
    Ended(Timestamp),
}

impl<'a> Well<'a> {
    /// All of them but those in trouble, and those that run again after they failed.
    pub(super) fn of(database: &'a Database, troubled: &BTreeSet<JobId>) -> Self {
        let running =
            database.running.iter().filter(|job| job.error.is_none() && !troubled.contains(&job.id));
        let running = running.filter_map(|job| {
            let worker = job.locked_by.as_ref()?;
            let is = Being::Running(since(database.as_of, job.started_at?));
            Some(Witness { patient: Patient { job, host: hostname(database, worker.as_str()) }, is })
        });
        let ended = database.succeeded.iter().filter(|job| since(database.as_of, job.updated_at) <= LATELY);
        let ended = ended.map(|job| {
            let host = job.last_worker.as_ref().and_then(|worker| hostname(database, worker.as_str()));
            Witness { patient: Patient { job, host }, is: Being::Ended(job.updated_at) }
        });
        Self(running.chain(ended).collect())
    }

    /// Those that say something about these patients: of the same types, and ended since the first of them began. One that
    /// runs may yet fall as they did, unless it has been running for longer than they were.
    fn beside(&self, patients: &[Patient<'_>]) -> Vec<&Patient<'a>> {
        let first =
            patients.iter().map(|patient| patient.job.started_at.unwrap_or(patient.job.updated_at)).min();
        let lasted = |job: &Job| job.started_at.map_or(Duration::ZERO, |at| since(job.updated_at, at));
        let lasted = patients.iter().map(|patient| lasted(patient.job)).max().unwrap_or_default();
        let tells = |witness: &&Witness<'a>| {
            let job = witness.patient.job;
            let after = match witness.is {
                Being::Running(time) => time > lasted,
                Being::Ended(at) => first.is_some_and(|first| at > first),
            };
            after
                && patients.iter().any(|patient| patient.job.job_type == job.job_type)
                && patients.iter().all(|patient| patient.job.id != job.id)
        };
        self.0.iter().filter(tells).map(|witness| &witness.patient).collect()
    }
}

fn most_frequent(values: impl Iterator<Item = String>) -> Option<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}

/// Where a job stopped, as far as it said: its phase, or how far it had come to the ten.
pub(super) fn step(job: &Job) -> Option<String> {
    match (&job.progress.phase, job.progress.percent) {
        (Some(phase), _) => Some(format!("phase {phase}")),
        (None, Some(percent)) if percent >= 100 => Some("100 %".to_owned()),
        (None, Some(percent)) => Some(format!("{0}0 to {0}9 %", percent / 10).replace("00 to 09", "0 to 9")),
        (None, None) => None,
    }
}

/// The name of the credential that a payload refers to, never a credential itself: only fields that hold a reference count.
pub(super) fn credential(job: &Job) -> Option<String> {
    let payload: Value = job.payload.decode().ok()?;
    reference(&payload, DEEPEST)
}

fn reference(value: &Value, deep: usize) -> Option<String> {
    const REFERENCES: [&str; 5] =
        ["secret_ref", "credential_ref", "credential_id", "connector_id", "account_id"];
    if deep == 0 {
        return None;
    }
    match value {
        Value::Object(fields) => {
            let named = REFERENCES.iter().find_map(|name| fields.get(*name)?.as_str());
            named
                .filter(|name| !name.is_empty() && name.chars().count() <= 100)
                .map(str::to_owned)
                .or_else(|| fields.values().find_map(|field| reference(field, deep - 1)))
        }
        Value::Array(items) => items.iter().take(20).find_map(|item| reference(item, deep - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
