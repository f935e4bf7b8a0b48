//! Servers with their roles, and workers.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::facts::{Database, Host, Queue};
use super::jobs::Jobs;
use super::memory::starved;
use super::queues::unserved;
use super::{Area, Finding, Fix, LATELY, MANY, Severity};
use crate::counted::counted;
use crate::poison::takes_down;
use crate::role::{HOUSEKEEPER_SILENT, Role, SCHEDULER_SILENT};
use crate::time::{since, words};
use crate::watchdog::{GAP, GuardKind, WatchdogRow};
use crate::worker::{WorkerRow, WorkerState};

/// A worker that was told to restart and has not for so long waits for a job that does not end.
const RESTART_TAKES: Duration = Duration::from_secs(600);

/// What servers do, and whether anybody does it.
pub(super) fn servers(database: &Database, host: &Host) -> Area {
    let now = database.as_of;
    let watched = database.is_watched() && host.stale_sockets.is_empty();
    let tick = database.scheduler.as_ref().map(|scheduler| scheduler.last_tick_at);
    let fires = tick.is_some_and(|tick| since(now, tick) <= SCHEDULER_SILENT);
    let kept = database.housekeeper_at.is_some_and(|at| since(now, at) <= HOUSEKEEPER_SILENT);
    let summary = match database.watchdogs.iter().filter(|w| !w.is_silent(now)).count() {
        _ if !watched => "no watchdog".to_owned(),
        count => format!("{} watching", counted(count, "server")),
    };
    if !watched && !anybody_later(database, tick) {
        return Area::new("servers", "no server", vec![none(database, host)]);
    }
    let mut findings = Vec::new();
    let mut missing = |role: Role, severity, name, harm: &str, last: Option<Timestamp>| {
        let last = last.map_or("nobody ever did".to_owned(), |at| {
            format!("the last sign was {} ago", words(since(now, at)))
        });
        let finding = Finding::new(name, severity, format!("no server has the role {role}: {harm}"))
            .seen([last])
            .comes_from(
                format!("no process that runs has the role {role}, or the one that has it hangs"),
                "whoever has a role says so every few seconds, and others do",
            )
            .mended_by([format!("jobforge serve --roles {role}").as_str()])
            .read_more("heartbeats#is-a-watchdog-running");
        findings.push(finding);
    };
    if !watched {
        let last = database.watchdogs.iter().map(|watchdog| watchdog.last_sign_at).max();
        let harm = "jobs of lost workers do not come back";
        missing(Role::Watchdog, Severity::Error, "servers.no_watchdog", harm, last);
    }
    if !fires && database.schedules.total > database.schedules.paused {
        missing(Role::Scheduler, Severity::Error, "servers.no_scheduler", "no schedule is fired", tick);
    }
    if !kept {
        let harm = "the audit log is not sealed and nothing is tidied";
        let last = database.housekeeper_at;
        missing(Role::Housekeeper, Severity::Warning, "servers.no_housekeeper", harm, last);
    }
    if database.judges_alerts && !database.judged {
        missing(Role::Alerts, Severity::Warning, "servers.no_alerts", "nobody is told of alerts", None);
    }
    findings.extend(held(database));
    findings.extend(failing_watchdog(database));
    if watched && !database.policy.heartbeats {
        findings.push(
            Finding::new(
                "servers.heartbeats_off",
                Severity::Warning,
                "job heartbeats are switched off: silent workers and jobs are not taken back",
            )
            .comes_from("the flag JOB_HEARTBEAT is off", "it counts for this process too")
            .mended_by(["jobforge flag set JOB_HEARTBEAT on"])
            .read_more("heartbeats#switch-heartbeats-off"),
        );
    }
    Area::new("servers", summary, findings)
}

/// Whether some server gave a sign after the watchdogs fell silent.
fn anybody_later(database: &Database, tick: Option<Timestamp>) -> bool {
    let watched = database.watchdogs.iter().map(|watchdog| watchdog.last_sign_at).max();
    let later = |sign: Option<Timestamp>| match (sign, watched) {
        (None, _) => false,
        (Some(sign), Some(watched)) => since(sign, watched) > GAP,
        (Some(sign), None) => since(database.as_of, sign) <= HOUSEKEEPER_SILENT,
    };
    later(tick) || later(database.housekeeper_at)
}

fn none(database: &Database, host: &Host) -> Finding {
    let last = database.watchdogs.iter().map(|watchdog| watchdog.last_sign_at).max();
    let last = last.map_or("no server has ever been here".to_owned(), |at| {
        format!("the last sign of one was {} ago", words(since(database.as_of, at)))
    });
    let sockets = host.stale_sockets.iter().map(|path| format!("{path} is left of one that was killed"));
    let orphans = database.suspects.len();
    let waits = (orphans > 0).then(|| format!("{} wait to be taken back", counted(orphans, "running job")));
    let what = "no server runs: nothing is taken back, fired, tidied or answered over HTTP";
    let mut finding = Finding::new("servers.none", Severity::Error, what)
        .seen([last])
        .seen(sockets)
        .seen(waits)
        .comes_from(
            "it was never started, or it ended",
            "no role gave a sign of life after the last one above",
        )
        .mended_by(["jobforge serve", "or on one machine: jobforge up"])
        .read_more("heartbeats#is-a-watchdog-running");
    if let Some(path) = host.stale_sockets.first() {
        finding.fix = Some(Fix::RemoveSocket { path: path.clone() });
    }
    finding
}

/// Silence that is not believed at the moment. After a start that is as it should be.
fn held(database: &Database) -> Option<Finding> {
    let holds = |watchdog: &WatchdogRow| watchdog.held.filter(|held| held.until > database.as_of);
    let held = database.watchdogs.iter().find_map(holds)?;
    let (severity, cause, mend) = match held.guard {
        GuardKind::Gap | GuardKind::Blind => return None,
        GuardKind::ClockStep => (
            Severity::Warning,
            "the clock of the database's host was set",
            "let time be kept by NTP on that host; it goes on by itself",
        ),
        GuardKind::Failover => {
            (Severity::Warning, "a standby has taken over", "nothing: it goes on by itself")
        }
        GuardKind::MassLoss => (
            Severity::Error,
            "a network is cut, or a host or the database was overloaded",
            "look what the silent workers share: jobforge worker list",
        ),
    };
    let until = words(since(held.until, database.as_of));
    let finding = Finding::new(
        "servers.held",
        severity,
        format!("the watchdog holds its verdicts back for {until} more"),
    )
    .seen([held.guard.reason().to_owned()])
    .comes_from(cause, format!("its guard {} says so", held.guard.as_str()))
    .mended_by([mend])
    .read_more("workers#healthy-workers-are-taken-for-dead");
    Some(finding)
}

fn failing_watchdog(database: &Database) -> Option<Finding> {
    let run = database.last_run.as_ref()?;
    let error = run.error.as_ref().filter(|_| since(database.as_of, run.started_at) <= LATELY)?;
    let finding =
        Finding::new("servers.watchdog_fails", Severity::Error, "the last run of the watchdog broke off")
            .seen([format!("{} at {:.0}: {error}", run.watchdog, run.started_at)])
            .comes_from("the database refused or did not answer what it asked", "its run kept the error")
            .mended_by(["jobforge db status", "jobforge watchdog run"])
            .read_more("heartbeats#is-a-watchdog-running");
    Some(finding)
}

/// Workers that are frozen, died, fell silent or do not restart.
pub(super) fn workers(database: &Database, jobs: &Jobs) -> Area {
    let living = database.living().count();
    let slots: u64 = database.living().map(|worker| u64::from(worker.slots)).sum();
    let mut findings = Vec::new();
    findings.extend(frozen(database, jobs));
    findings.extend(died(database));
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

/// Makes a finding worse by what nobody does meanwhile.
fn with_loss(mut finding: Finding, database: &Database, fallen: &[&WorkerRow]) -> Finding {
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
        format!("{}, process {}, is stopped since {}", named(worker), worker.pid, words(stopped))
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
                format!("on {}: kill -CONT {}", first.hostname, first.pid).as_str(),
                "or end it, and its supervisor starts another: kill -9 with the same number",
            ])
            .read_more("workers#healthy-workers-are-taken-for-dead");
    Some(with_loss(finding, database, &frozen))
}

fn are(count: usize, thing: &str) -> String {
    format!("{} {}", counted(count, thing), if count == 1 { "is" } else { "are" })
}

fn died(database: &Database) -> Option<Finding> {
    let mut died: Vec<&WorkerRow> = database.workers.iter().filter(|w| has_died(database, w)).collect();
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
        .comes_from(cause, "a kernel saw the process end; what it held was taken back at once")
        .mended_by([
            format!("jobforge worker list; journalctl or the log of {}", first.hostname).as_str(),
            "start one where none has taken its place: jobforge work",
        ])
        .read_more("workers#a-worker-died");
    Some(with_loss(finding, database, &died))
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
    let watched = database.is_watched();
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
        .mended_by([
            "jobforge worker list --active",
            "start one where none has taken its place: jobforge work",
        ])
        .read_more("workers#a-worker-died");
    Some(with_loss(finding, database, &silent))
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
    let finding = Finding::new("workers.not_restarting", Severity::Warning, what)
        .seen(waiting.iter().map(line))
        .comes_from(
            "a job that it still runs does not end",
            "it takes no more jobs, and finishes what it has first",
        )
        .mended_by([format!(
            "jobforge job list --status running; then jobforge job retry those on {}",
            first.id
        )
        .as_str()])
        .read_more("stuck-jobs#a-handler-hangs");
    Some(finding)
}
