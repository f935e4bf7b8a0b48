//! Queues: whether anybody serves them.

use std::time::Duration;

use super::facts::{Database, Queue};
use super::schedules;
use super::workers::fell;
use super::{Area, Finding, Severity};
use crate::counted::counted;
use crate::time::{since, words};
use crate::worker::WorkerRow;

/// Whoever starts a worker needs a moment; jobs that wait longer than this wait for nobody.
const NOBODY_COMES: Duration = Duration::from_secs(5);
/// Jobs that wait so long behind others wait too long.
const BACKLOG: Duration = Duration::from_secs(600);

fn serves(worker: &WorkerRow, queue: &Queue) -> bool {
    worker.queues.contains(&queue.name)
}

fn waits(database: &Database, queue: &Queue) -> Duration {
    queue.oldest_ready_at.map_or(Duration::ZERO, |at| since(database.as_of, at))
}

/// Whether nothing is taken from a queue although jobs are ready in it.
pub(super) fn stands(database: &Database, queue: &Queue) -> bool {
    queue.paused_at.is_some() && queue.ready > 0 || unserved(database).any(|other| other.name == queue.name)
}

/// Queues with jobs that are ready, which no worker takes from.
pub(super) fn unserved(database: &Database) -> impl Iterator<Item = &Queue> {
    database.queues.iter().filter(|queue| {
        let open = queue.ready > 0 && queue.paused_at.is_none();
        open && waits(database, queue) > NOBODY_COMES
            && !database.living().any(|worker| serves(worker, queue))
    })
}

pub(super) fn queues(database: &Database) -> Area {
    let ready: u64 = database.queues.iter().map(|queue| queue.ready).sum();
    let mut findings: Vec<Finding> = unserved(database).filter_map(|queue| nobody(database, queue)).collect();
    findings.extend(database.queues.iter().filter_map(|queue| paused(database, queue)));
    findings.extend(database.queues.iter().filter_map(|queue| backlog(database, queue)));
    findings.extend(unknown_types(database));
    Area::new("queues", format!("{}, {ready} ready", counted(database.queues.len(), "queue")), findings)
}

/// A queue whose workers fell is told of with them.
fn nobody(database: &Database, queue: &Queue) -> Option<Finding> {
    if database.workers.iter().any(|worker| serves(worker, queue) && fell(database, worker)) {
        return None;
    }
    let others: Vec<String> = database.living().flat_map(|worker| worker.queues.clone()).collect();
    let (cause, because) = match others.is_empty() {
        true => ("no worker runs at all".to_owned(), "none is registered, and none was lost".to_owned()),
        false => (
            "the workers that run take from other queues only".to_owned(),
            format!("they serve {}", distinct(others).join(", ")),
        ),
    };
    let finding = Finding::new(
        "queues.unserved",
        Severity::Error,
        format!("nobody serves queue {}: {} ready", queue.name, counted(queue.ready, "job")),
    )
    .seen([format!("the oldest of them has waited for {}", words(waits(database, queue)))])
    .seen(schedules::waiting_in(database, queue))
    .comes_from(cause, because)
    .mended_by([
        format!("jobforge work --queues {}", queue.name).as_str(),
        "or add it to JOBFORGE_QUEUES of workers that run",
    ])
    .read_more("queue#the-backlog-grows");
    Some(finding)
}

fn distinct(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

fn paused(database: &Database, queue: &Queue) -> Option<Finding> {
    let at = queue.paused_at.filter(|_| queue.ready > 0)?;
    let by = queue.paused_by.clone().unwrap_or_else(|| "by whom, the audit log does not tell".to_owned());
    let what = format!("queue {} is paused and {} wait in it", queue.name, counted(queue.ready, "job"));
    let finding = Finding::new("queues.paused", Severity::Warning, what)
        .seen([format!("for {}, {by}", words(since(database.as_of, at)))])
        .seen(schedules::waiting_in(database, queue))
        .comes_from("somebody paused it", "a queue is never paused by itself")
        .mended_by([
            "ask whoever paused it, for it may be on purpose; then:",
            format!("jobforge queue resume {}", queue.name).as_str(),
        ])
        .read_more("queue#the-backlog-grows");
    Some(finding)
}

fn backlog(database: &Database, queue: &Queue) -> Option<Finding> {
    let workers: Vec<&WorkerRow> = database.living().filter(|worker| serves(worker, queue)).collect();
    let waits = waits(database, queue);
    if workers.is_empty() || queue.paused_at.is_some() || waits <= BACKLOG {
        return None;
    }
    let slots: u64 = workers.iter().map(|worker| u64::from(worker.slots)).sum();
    let (cause, because) = match queue.running >= slots {
        true => ("too few slots for what comes in", "every slot of its workers is taken"),
        false => (
            "its workers do not take what is ready: a database that is slow, or types that they cannot run",
            "slots of its workers are free",
        ),
    };
    let finding = Finding::new(
        "queues.backlog",
        Severity::Warning,
        format!("jobs of queue {} have waited for {}", queue.name, words(waits)),
    )
    .seen([format!(
        "{} ready, {} running in {slots} slots of {}",
        queue.ready,
        queue.running,
        counted(workers.len(), "worker")
    )])
    .comes_from(cause, because)
    .mended_by([
        format!("jobforge work --queues {}", queue.name).as_str(),
        "or raise JOBFORGE_SLOTS of workers with room to spare",
    ])
    .read_more("queue#the-backlog-grows");
    Some(finding)
}

/// Types of which jobs wait, that none of the workers can run.
fn unknown_types(database: &Database) -> Vec<Finding> {
    // A worker that tells no types runs every type; without any, the queue is told of.
    let known: Option<Vec<&String>> =
        database.living().map(|worker| worker.types.as_ref()).try_fold(Vec::new(), |mut known, types| {
            types.map(|types| {
                known.extend(types);
                known
            })
        });
    let Some(known) = known.filter(|known| !known.is_empty()) else { return Vec::new() };
    let lacking = |(job_type, _): &&(String, u64)| !known.contains(&job_type);
    let told = |(job_type, count): &(String, u64)| {
        let what = format!("no worker runs type {job_type}: {} ready", counted(*count, "job"));
        let near = crate::nearest::nearest(job_type, known.iter().map(|name| name.as_str()));
        let types: Vec<String> = distinct(known.iter().map(|name| (*name).clone()).collect());
        Finding::new("queues.unknown_type", Severity::Error, what)
            .seen([format!("workers run {}", types.join(", "))])
            .comes_from(
                near.map_or("no program with its handler runs".to_owned(), |near| {
                    format!("no program with its handler runs, or the type is misspelt: {near} is known")
                }),
                "every worker that is alive tells which types it runs",
            )
            .mended_by([
                "start the program with its handler, or cancel them:",
                format!(
                    "jobforge job list --status queued --type {job_type} --limit 1000 -o name | jobforge job cancel - --yes"
                )
                .as_str(),
            ])
            .read_more("queue#why-does-this-job-not-run")
    };
    let old = database
        .queues
        .iter()
        .any(|queue| waits(database, queue) > NOBODY_COMES && queue.paused_at.is_none());
    if !old {
        return Vec::new();
    }
    database.waiting_types.iter().filter(lacking).map(told).collect()
}
