//! Workers: who died, is frozen, fell silent or does not restart, and what nobody does since.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::{Database, Queue};
use super::group::NAMED;
use super::jobs::{Jobs, Lost};
use super::memory::starved;
use super::queues::unserved;
use super::servers::held;
use super::{Area, Finding, LATELY, MANY, Severity};
use crate::counted::counted;
use crate::job::Job;
use crate::poison::takes_down;
use crate::time::{since, words};
use crate::worker::{WorkerRow, WorkerState};

/// A worker that was told to restart and has not for so long waits for a job that does not end.
const RESTART_TAKES: Duration = Duration::from_secs(600);

/// Workers that are frozen, died, fell silent or do not restart.
pub(super) fn workers(database: &Database, jobs: &Jobs) -> Area {
    let living = database.living().count();
    let slots: u64 = database.living().map(|worker| u64::from(worker.slots)).sum();
    let mut findings = Vec::new();
    findings.extend(frozen(database, jobs));
    findings.extend(died(database, jobs));
    findings.extend(silent(database, jobs));
    findings.extend(not_restarting(database));
    Area::new("workers", format!("{living} alive with {slots} slots"), findings)
}

fn is_frozen(database: &Database, worker: &WorkerRow) -> bool {
    worker.stopped_at.is_some()
        && (worker.state.is_active() || worker.state == WorkerState::Lost && lately(database, worker))
}

fn lately(database: &Database, worker: &WorkerRow) -> bool {
    worker.ended_at.is_some_and(|at| since(database.as_of, at) <= LATELY)
}

/// Workers that ended or stand still through no will of their own: whoever needs them waits because of that.
pub(super) fn fell(database: &Database, worker: &WorkerRow) -> bool {
    is_frozen(database, worker)
        || is_silent(database, worker)
        || has_died(database, worker)
        || starved(database, worker)
}

fn has_died(database: &Database, worker: &WorkerRow) -> bool {
    let taken_down = worker.death.as_ref().is_some_and(|death| takes_down(&death.proof));
    worker.state == WorkerState::Dead && taken_down && lately(database, worker) && !starved(database, worker)
}

fn is_silent(database: &Database, worker: &WorkerRow) -> bool {
    let overdue = worker.state.is_active() && worker.lease_expires_at < database.as_of;
    let lost = worker.state == WorkerState::Lost && lately(database, worker);
    (overdue || lost) && !is_frozen(database, worker)
}

fn named(worker: &WorkerRow) -> String {
    let name = worker.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{}{name} on {}", worker.id, worker.hostname)
}

/// Queues with ready jobs that one of these workers served and nobody serves now.
fn left_alone<'a>(database: &'a Database, fallen: &[&WorkerRow]) -> Vec<&'a Queue> {
    let served = |queue: &&Queue| fallen.iter().any(|worker| worker.queues.contains(&queue.name));
    unserved(database).filter(served).collect()
}

/// Makes a finding worse by what nobody does meanwhile, and adds the jobs that ended for it.
fn with_loss(mut finding: Finding, database: &Database, jobs: &Jobs, fallen: &[&WorkerRow]) -> Finding {
    let theirs = |lost: &&Lost| fallen.iter().any(|worker| lost.workers.contains(worker.id.as_str()));
    if let Some(lost) = jobs.lost.as_ref().filter(theirs) {
        // The evidence has a bound, and this is what is lost.
        finding.evidence.insert(0, lost.what.clone());
        if !lost.again.is_empty() {
            finding.mend.push("then let the jobs run again that ended for it:".to_owned());
            finding.mend.extend(lost.again.iter().cloned());
        }
    }
    let left = left_alone(database, fallen);
    if !left.is_empty() {
        finding.severity = Severity::Error;
    }
    let lines = left
        .iter()
        .map(|queue| format!("nobody serves queue {} any more: {} ready", queue.name, queue.ready));
    finding.seen(lines)
}

fn frozen(database: &Database, jobs: &Jobs) -> Option<Finding> {
    let frozen: Vec<&WorkerRow> = database.workers.iter().filter(|w| is_frozen(database, w)).collect();
    let first = frozen.first()?;
    let line = |worker: &&WorkerRow| {
        let stopped = worker.stopped_at.map_or(Duration::ZERO, |at| since(database.as_of, at));
        format!("{}, process {}, has been stopped for {}", named(worker), worker.pid, words(stopped))
    };
    let finding =
        Finding::new("workers.frozen", Severity::Error, format!("{} frozen", are(frozen.len(), "worker")))
            .seen(frozen.iter().map(line))
            .seen(jobs.orphans.iter().cloned())
            .comes_from(
                "somebody stopped the process: SIGSTOP, a debugger, or a paused container",
                "the kernel says that it does not let the process run",
            )
            .mended_by([
                format!("let it go on, on host {}:", first.hostname).as_str(),
                format!("kill -CONT {}", first.pid).as_str(),
                "or end it, and its supervisor starts another:",
                format!("kill -KILL {}", first.pid).as_str(),
            ])
            .read_more("workers#healthy-workers-are-taken-for-dead");
    Some(with_loss(finding, database, jobs, &frozen))
}

fn are(count: usize, thing: &str) -> String {
    format!("{} {}", counted(count, thing), if count == 1 { "is" } else { "are" })
}

fn died(database: &Database, jobs: &Jobs) -> Option<Finding> {
    let mut died: Vec<&WorkerRow> = database.workers.iter().filter(|w| has_died(database, w)).collect();
    if left_alone(database, &died).is_empty() {
        died.retain(|worker| !jobs.poisoned.contains(worker.id.as_str()));
    }
    died.sort_by_key(|worker| std::cmp::Reverse(worker.ended_at));
    let first = died.first()?;
    let loops = most_at_one_place(&died) >= MANY;
    let heir = |worker: &WorkerRow| {
        let takes_its_place =
            |other: &&WorkerRow| other.hostname == worker.hostname && other.queues == worker.queues;
        match database.living().find(takes_its_place) {
            Some(heir) => format!("{} has taken its place", heir.id),
            None => "nobody has taken its place".to_owned(),
        }
    };
    let line = |worker: &&WorkerRow| {
        let ago = worker.ended_at.map_or(Duration::ZERO, |at| since(database.as_of, at));
        let reason = worker.end_reason.clone().unwrap_or_default();
        format!("{} died {} ago: {reason}; {}", named(worker), words(ago), heir(worker))
    };
    let last_words = first.death.as_ref().and_then(|death| death.last_output.last());
    let proof = first.death.as_ref().map_or_else(String::new, |death| death.proof.to_string());
    let (severity, cause) = match loops {
        true => (Severity::Error, format!("it ends soon after each start: {proof}")),
        false => (Severity::Warning, format!("its process ended: {proof}")),
    };
    let what = format!("{} within the last hour", have(died.len(), "died"));
    let finding = Finding::new("workers.died", severity, what)
        .seen(died.iter().map(line))
        .seen(last_words.map(|words| format!("its last words: {words}")))
        .seen(always_there(database, &died))
        .comes_from(cause, "a kernel saw the process end; what it held was taken back at once")
        .mended_by([
            format!("read its log on {}, and where none has taken its place, start one:", first.hostname)
                .as_str(),
            "jobforge work",
        ])
        .read_more("workers#a-worker-died");
    Some(with_loss(finding, database, jobs, &died))
}

/// A job that was running in more than one of these workers when they died: it may be the cause.
fn always_there(database: &Database, died: &[&WorkerRow]) -> Option<String> {
    let there = |job: &Job| {
        let of =
            |worker: &WorkerRow| job.crashes.iter().any(|crash| crash.worker.as_ref() == Some(&worker.id));
        died.iter().filter(|worker| of(worker)).count()
    };
    let all = database.running.iter().chain(&database.fallen).map(|job| (there(job), job));
    let (times, job) = all.max_by_key(|(times, _)| *times).filter(|(times, _)| *times > 1)?;
    Some(format!("job {} of type {} was running in {times} of them: it may kill them", job.id, job.job_type))
}

fn have(count: usize, verb: &str) -> String {
    format!("{} {} {verb}", counted(count, "worker"), if count == 1 { "has" } else { "have" })
}

/// The most deaths that one place had.
fn most_at_one_place(died: &[&WorkerRow]) -> usize {
    let mut places: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
    for worker in died {
        *places.entry((&worker.hostname, worker.slot.as_deref())).or_default() += 1;
    }
    places.into_values().max().unwrap_or(0)
}

fn silent(database: &Database, jobs: &Jobs) -> Option<Finding> {
    // While nobody watches, or a guard holds, that is what is told.
    let watched = database.is_watched() && held(database).is_none();
    let silent: Vec<&WorkerRow> = database
        .workers
        .iter()
        .filter(|w| is_silent(database, w) && (watched || w.state == WorkerState::Lost))
        .collect();
    let first = silent.first()?;
    let host = first.hostname.as_str();
    let one_host = silent.iter().all(|worker| worker.hostname == host);
    let others = database.living().any(|worker| worker.hostname != host);
    let (cause, because) = match (one_host, others) {
        (true, true) => (
            format!("host {host} is down, or cut off from the database"),
            "all of them ran there, and workers on other hosts are heard".to_owned(),
        ),
        (true, false) => (
            format!("host {host} or its network, or a process that was killed with its supervisor"),
            "nobody saw a process end; they ceased to renew their leases".to_owned(),
        ),
        (false, _) => (
            "the network between workers and database, or a database that was too slow to take renewals"
                .to_owned(),
            "workers of several hosts ceased to renew their leases, and nobody saw a process end".to_owned(),
        ),
    };
    let line = |worker: &&WorkerRow| {
        let last = words(since(database.as_of, worker.last_heartbeat_at));
        format!("{} was last heard {last} ago", named(worker))
    };
    let what = format!("{} fallen silent", have(silent.len(), "").trim_end());
    let finding = Finding::new("workers.silent", Severity::Warning, what)
        .seen(silent.iter().map(line))
        .seen(jobs.orphans.iter().cloned())
        .comes_from(cause, because)
        .mended_by(["see to that host; where none has taken its place, start one:", "jobforge work"])
        .read_more("workers#a-worker-died");
    Some(with_loss(finding, database, jobs, &silent))
}

fn not_restarting(database: &Database) -> Option<Finding> {
    let waits =
        |worker: &&WorkerRow| worker.restart_at.is_some_and(|at| since(database.as_of, at) > RESTART_TAKES);
    let waiting: Vec<&WorkerRow> = database.living().filter(waits).collect();
    let first = waiting.first()?;
    let line = |worker: &&WorkerRow| {
        let told = worker.restart_at.map_or(Duration::ZERO, |at| since(database.as_of, at));
        format!("{} was told {} ago", named(worker), words(told))
    };
    let what = format!("{} told to restart and not restarted", are(waiting.len(), "worker"));
    let held: Vec<&Job> =
        database.running.iter().filter(|job| job.locked_by.as_ref() == Some(&first.id)).take(NAMED).collect();
    let ids: Vec<String> = held.iter().map(|job| job.id.to_string()).collect();
    let mut finding = Finding::new("workers.not_restarting", Severity::Warning, what)
        .seen(waiting.iter().map(line))
        .comes_from(
            "a job that it still runs does not end",
            "it takes no more jobs, and finishes what it has first",
        )
        .seen(held.iter().map(|job| format!("job {} of type {} runs on {}", job.id, job.job_type, first.id)))
        .mended_by(["take the jobs from it that do not end:"])
        .read_more("stuck-jobs#a-handler-hangs");
    finding.mend.push(match ids.is_empty() {
        true => "jobforge job list --status running".to_owned(),
        false => format!("jobforge job retry {}", ids.join(" ")),
    });
    Some(finding)
}
