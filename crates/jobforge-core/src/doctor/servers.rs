//! Servers and their roles: whether anybody does what a fleet needs.

use jiff::Timestamp;

use super::facts::{Database, Host};
use super::{Area, Finding, Fix, LATELY, Severity};
use crate::counted::counted;
use crate::role::{HOUSEKEEPER_SILENT, Role, SCHEDULER_SILENT};
use crate::time::{since, words};
use crate::watchdog::{GAP, GuardKind, WatchdogRow};

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
        .mended_by(["jobforge serve", "or, where server and worker share a machine:", "jobforge up"])
        .read_more("heartbeats#is-a-watchdog-running");
    if let Some(path) = host.stale_sockets.first() {
        finding.fix = Some(Fix::RemoveSocket { path: path.clone() });
    }
    finding
}

/// Silence that is not believed at the moment. After a start that is as it should be.
pub(super) fn held(database: &Database) -> Option<Finding> {
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
            "look what the silent workers share:",
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
    let look = held.guard == GuardKind::MassLoss;
    Some(finding.mended_by(look.then_some("jobforge worker list")))
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
