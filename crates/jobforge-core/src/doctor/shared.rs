//! What jobs with one ailment have in common, and other jobs have not.

use std::collections::BTreeMap;

use serde_json::Value;

use super::MANY;
use crate::job::Job;

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
    /// The same in sentences, with how many of how many.
    pub(super) said: Vec<String>,
}

/// Looks for what most of the patients share. Hosts and tenants tell something only where there are others: `elsewhere` says
/// whether jobs run well on another host, or for another tenant.
pub(super) fn shared(patients: &[Patient<'_>], fleet: &Fleet) -> Shared {
    let mut said = Vec::new();
    let mut find = |what: &str, of: &dyn Fn(&Patient<'_>) -> Option<String>, tells: &dyn Fn(&str) -> bool| {
        let (value, count) = most_frequent(patients.iter().filter_map(of))?;
        let enough = count >= MANY.min(patients.len()) && count * 100 >= patients.len() * MOST;
        if !enough || patients.len() < 2 || !tells(&value) {
            return None;
        }
        said.push(format!("{count} of {} {what} {value}", patients.len()));
        Some(value)
    };
    let step = find("stopped at", &|patient| step(patient.job), &|_| true);
    let host =
        find("ran on host", &|patient| patient.host.map(str::to_owned), &|host| fleet.has_other_host(host));
    let tenant = find("are of tenant", &|patient| Some(patient.job.tenant_id.clone()), &|tenant| {
        fleet.has_other_tenant(tenant)
    });
    let credential = find("use the credential", &|patient| credential(patient.job), &|_| true);
    Shared { step, host, tenant, credential, said }
}

/// Hosts and tenants that there are beside those in trouble.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    pub(super) hosts: Vec<String>,
    pub(super) tenants: Vec<String>,
}

impl Fleet {
    fn has_other_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|other| other != host)
    }

    fn has_other_tenant(&self, tenant: &str) -> bool {
        self.tenants.iter().any(|other| other != tenant)
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
