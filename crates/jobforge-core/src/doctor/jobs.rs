//! Jobs that are stuck, that fail alike, and that are dead: what ails them, and what they share.

use std::collections::{BTreeMap, BTreeSet};

use super::ailment::Ailment;
use super::alike::finding;
use super::facts::{Database, Host};
use super::group::{Case, Group, is_poison, key};
use super::hung::{standing_still, stopped_children};
use super::memory::{out_of_memory, starved};
use super::schedules;
use super::shared::Well;
use super::workers::fell;
use super::{Area, LATELY};
use crate::job::{Job, JobId};
use crate::overview::{DEAD_CAUSES, DEAD_COUNTED_TO};
use crate::rescue::{DEADLINE_GRACE, cause, describe};
use crate::state::Status;
use crate::time::since;
use crate::worker::WorkerRow;

/// What is known of the jobs in trouble.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) area: Area,
    /// Running jobs whose worker is lost, in words; told of with the worker, or with who should take them back.
    pub(super) orphans: Vec<String>,
    /// Jobs that died with workers that are told of.
    pub(super) lost: Option<Lost>,
    /// Workers that a job killed which is told of.
    pub(super) poisoned: BTreeSet<String>,
    /// Schedules whose jobs are told of.
    pub(super) schedules: BTreeSet<String>,
}

/// Jobs that died with workers.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) workers: BTreeSet<String>,
    pub(super) what: String,
    /// What lets them run again.
    pub(super) again: Vec<String>,
}

pub(super) fn examine(database: &Database, host: &Host) -> Jobs {
    let mut orphans = Vec::new();
    let mut groups: BTreeMap<(Ailment, String), Group<'_>> = BTreeMap::new();
    let mut troubled: BTreeSet<JobId> = BTreeSet::new();
    let mut stuck_count = 0;
    for suspect in &database.suspects {
        let worker = suspect.worker.as_ref();
        let Some(cause) = cause(&suspect.job, worker, database.as_of, &database.policy) else { continue };
        let why = describe(&cause, suspect, database.as_of);
        let ailment = Ailment::of_cause(&cause);
        let lasts = cause.since(worker).map(|at| since(database.as_of, at));
        troubled.insert(suspect.job.id);
        if ailment == Ailment::WorkerLost {
            orphans.push(format!("job {} of type {}: {why}", suspect.job.id, suspect.job.job_type));
        } else if lasts.is_none_or(|lasts| lasts > DEADLINE_GRACE) {
            // Before that its own worker sees to it.
            stuck_count += 1;
            let hostname = worker.map(|worker| worker.hostname.as_str());
            let case = Case::stuck(&suspect.job, hostname, why);
            groups.entry(key(ailment, &suspect.job)).or_default().cases.push(case);
        }
    }
    for job in fallen(database) {
        let Some(error) = &job.error else { continue };
        let ailment = Ailment::of_error(&error.kind, &error.message);
        let hostname = job.last_worker.as_ref().and_then(|id| hostname(database, id.as_str()));
        let case = Case::fallen(job, hostname, &error.message);
        groups.entry(key(ailment, job)).or_default().cases.push(case);
    }
    let well = Well::of(database, &troubled);
    let poisoned = poisoned(database);
    let lost = lost(database, &mut groups, &poisoned);
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    let starved = groups.remove(&(Ailment::OutOfMemory, String::new())).unwrap_or_default();
    if let Some(finding) = out_of_memory(database, &starved, &well) {
        findings.push(schedules::of_jobs(finding, &starved.jobs(), database, &mut told));
    }
    for ((ailment, of), group) in groups.iter().filter(|(_, group)| group.tells()) {
        let finding = finding(*ailment, of, group, &well, database, host);
        findings.push(schedules::of_jobs(finding, &group.jobs(), database, &mut told));
    }
    findings.extend(stopped_children(database, host));
    findings.extend(standing_still(database, host, &well));
    let dead: u64 = database.dead.iter().map(|group| group.count).sum();
    let is_all =
        database.dead.len() < DEAD_CAUSES && database.dead.iter().all(|group| group.count < DEAD_COUNTED_TO);
    let summary = format!(
        "{} running, {stuck_count} stuck, {dead}{} dead",
        database.queues.iter().map(|queue| queue.running).sum::<u64>(),
        if is_all { "" } else { "+" }
    );
    Jobs { area: Area::new("jobs", summary, findings), orphans, lost, poisoned, schedules: told }
}

/// Jobs whose last attempt failed lately; the dead until somebody has looked at them.
fn fallen(database: &Database) -> impl Iterator<Item = &Job> {
    database.fallen.iter().filter(|job| match job.status {
        Status::Dead => job.resolved.is_none(),
        Status::Failed | Status::Queued => since(database.as_of, job.updated_at) <= LATELY,
        Status::Running | Status::Succeeded | Status::Canceled => false,
    })
}

/// Takes out the jobs that were lost with workers which are told of anyway: one fault is one finding.
fn lost(
    database: &Database,
    groups: &mut BTreeMap<(Ailment, String), Group<'_>>,
    poisoned: &BTreeSet<String>,
) -> Option<Lost> {
    let key = (Ailment::WorkerLost, String::new());
    let group = groups.get(&key)?;
    let last = |case: &Case<'_>| case.job.last_worker.as_ref().map(|id| id.as_str().to_owned());
    let held: BTreeSet<String> = group.cases.iter().filter_map(last).collect();
    let ended = |worker: &WorkerRow| !worker.state.is_active() && fell(database, worker);
    let elsewhere = |worker: &WorkerRow| starved(database, worker) || poisoned.contains(worker.id.as_str());
    let told = |worker: &&WorkerRow| held.contains(worker.id.as_str()) && ended(worker) && !elsewhere(worker);
    let workers: BTreeSet<String> =
        database.workers.iter().filter(told).map(|worker| worker.id.as_str().to_owned()).collect();
    if workers.is_empty() {
        return None;
    }
    let group = groups.remove(&key)?;
    let again = if group.tells() { group.again() } else { Vec::new() };
    Some(Lost {
        workers,
        what: group.what("was lost with its worker", "were lost with their workers"),
        again,
    })
}

/// Workers that died of a job which is dead for it.
fn poisoned(database: &Database) -> BTreeSet<String> {
    let killers = fallen(database).filter(|job| is_poison(job));
    let crashes = killers.flat_map(|job| &job.crashes);
    crashes.filter_map(|crash| crash.worker.as_ref()).map(|id| id.as_str().to_owned()).collect()
}

pub(super) fn hostname<'a>(database: &'a Database, worker: &str) -> Option<&'a str> {
    database.workers.iter().find(|w| w.id.as_str() == worker).map(|w| w.hostname.as_str())
}
