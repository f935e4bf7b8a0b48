//! The database, this host, the settings, tokens and alerts.

use std::time::Duration;

use super::facts::{Database, Facts, Fault, Silent};
use super::{Area, Finding, Fix, Severity, schedules};
use crate::alert::rules::Severity as AlertSeverity;
use crate::counted::counted;
use crate::time::{since, words};
use crate::token::{TokenRow, TokenStanding};

/// Two clocks may differ by this without harm.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);
/// A database that needs so long for its clock is too slow.
const SLOW: Duration = Duration::from_secs(1);
/// Of a hundred connections, so many are too many.
const CROWDED_PERCENT: u64 = 90;
/// Rows that a transaction of this age keeps from being cleared slow every claim.
pub(super) const OLD_TRANSACTION: Duration = Duration::from_secs(1800);
/// Finds the session with the oldest transaction, and ends it.
pub(super) const END_THE_OLDEST: [&str; 2] = [
    "SELECT pid, usename, now() - xact_start AS open, query FROM pg_stat_activity ORDER BY xact_start LIMIT 5",
    "SELECT pg_terminate_backend(PID)",
];
/// A token that ends so soon must be replaced now.
const ENDS_SOON: Duration = Duration::from_secs(7 * 86_400);
/// A token that was used within so long before it ended is missed by somebody.
const IN_USE: Duration = Duration::from_secs(86_400);
/// Bytes and percent of a disk below which something must be done soon, and now.
const LOW: (u64, u64) = (512 << 20, 5);
const FULL: (u64, u64) = (64 << 20, 1);
/// Rules that a reconciliation mends; the others are seen to by the watchdog.
const RECONCILED: [&str; 2] = ["queued_is_offered", "offer_is_queued"];

pub(super) fn database(facts: &Facts) -> Area {
    match &facts.database {
        Err(silent) => Area::new("database", "no answer", vec![no_answer(silent)]),
        Ok(database) => {
            let mut findings = Vec::new();
            findings.extend(slow(database));
            findings.extend(clocks(database));
            findings.extend(pressure(database));
            findings.extend(rules(database));
            let summary = format!("{} answers within {}", database.location, words(database.took));
            Area::new("database", summary, findings)
        }
    }
}

fn no_answer(silent: &Silent) -> Finding {
    let (name, what, cause, mend): (_, _, _, &[&str]) = match silent.fault {
        Fault::Unreachable => (
            "database.unreachable",
            "the database cannot be reached",
            "it does not run, starts or stops, or the address, a firewall or the network is wrong",
            &["pg_isready -d \"$DATABASE_URL\"", "start it, or name another: --database-url"],
        ),
        Fault::Slow => (
            "database.slow",
            "the database does not answer in time",
            "it is overloaded, or waits for a lock or a disk",
            &["SELECT pid, state, wait_event, query FROM pg_stat_activity WHERE state <> 'idle'"],
        ),
        Fault::Crowded => (
            "database.crowded",
            "the database takes no more connections",
            "every connection that it allows is in use",
            &[
                "SELECT usename, client_addr, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3",
                "lower DATABASE_POOL_SIZE of the processes, raise max_connections, or put a pooler between",
            ],
        ),
        Fault::Refused => (
            "database.refused",
            "the database refuses this login",
            "the user, the password, the name of the database or the rights are wrong, or a password has expired",
            &[
                "psql \"$DATABASE_URL\" -c 'SELECT 1'",
                "where rights are missing, as the owner of the tables:",
                "jobforge db grant",
            ],
        ),
        Fault::Missing => (
            "database.missing",
            "there is no database here",
            "JobForge has never run in this data directory, or another one is meant",
            &["jobforge up", "or name another: --data-dir, --database-url"],
        ),
        Fault::SchemaTooOld => (
            "database.schema_old",
            "the schema is older than this program",
            "the program was updated and the database was not, or it was never prepared",
            &["jobforge db migrate"],
        ),
        Fault::SchemaUnknown => (
            "database.schema_unknown",
            "this program does not know the schema",
            "a newer program, or another one, made it",
            &["use the program that made it, or a newer one; this one is:", "jobforge version"],
        ),
        Fault::Full => (
            "database.full",
            "the database has no space left",
            "its disk is full: what makes tables grow is refused, such as new jobs",
            &["free space on its disk, or make it larger", "jobforge db purge --dry-run"],
        ),
        Fault::Corrupt => (
            "database.corrupt",
            "the database file is damaged, or none of JobForge",
            "the disk, a copy made while it was written, or another program",
            &["jobforge db check", "restore the last backup:", "jobforge db restore BACKUP"],
        ),
        Fault::Settings => (
            "database.settings",
            "the database cannot be found by these settings",
            "a setting is wrong",
            &["jobforge help-settings"],
        ),
        Fault::Other => {
            let cause = "its schema was changed by hand, it is damaged, or what it says itself";
            let mend: &[&str] = &[
                "jobforge db status",
                "where functions are missing, as after a dump of the tables alone was restored:",
                "jobforge db migrate",
            ];
            ("database.fails", "the database fails", cause, mend)
        }
    };
    Finding::new(name, Severity::Error, format!("{what}; nothing else can be said while that is so"))
        .seen([silent.message.clone()])
        .comes_from(cause, "that is the kind of fault that it, or its driver, reports")
        .mended_by(mend.iter().copied())
        .read_more("background-jobs#the-database-is-slow")
}

fn slow(database: &Database) -> Option<Finding> {
    (database.took > SLOW).then(|| {
        Finding::new("database.slow", Severity::Warning, "the database answers slowly")
            .seen([format!("it took {} to tell the time", words(database.took))])
            .comes_from("it is overloaded, or far away", "that question needs no table and no lock")
            .mended_by(["SELECT pid, state, wait_event, query FROM pg_stat_activity WHERE state <> 'idle'"])
            .read_more("background-jobs#the-database-is-slow")
    })
}

fn clocks(database: &Database) -> Option<Finding> {
    let ahead = since(database.local, database.as_of);
    let behind = since(database.as_of, database.local);
    let by = ahead.max(behind).saturating_sub(database.took);
    (by > CLOCKS_DIFFER).then(|| {
        let word = if ahead > behind { "ahead of" } else { "behind" };
        Finding::new(
            "host.clock",
            Severity::Warning,
            format!("this host's clock is {} {word} the database's", words(by)),
        )
        .seen([format!("here it is {:.0}, there {:.0}", database.local, database.as_of)])
        .comes_from(
            "one of the two is not kept by NTP, or was set",
            "both were read at the same time; JobForge goes by the database's, tokens and logs by others",
        )
        .mended_by(["timedatectl", "chronyc tracking"])
        .read_more("workers#healthy-workers-are-taken-for-dead")
    })
}

fn pressure(database: &Database) -> Vec<Finding> {
    let Some(pressure) = database.pressure else { return Vec::new() };
    let mut findings = Vec::new();
    if pressure.connections * 100 >= pressure.max_connections * CROWDED_PERCENT {
        findings.push(
            Finding::new(
                "database.crowded",
                Severity::Error,
                "the database has hardly a connection left",
            )
            .seen([format!("{} of {} connections are open", pressure.connections, pressure.max_connections)])
            .comes_from(
                "too many processes, or pools that are too large for so many processes",
                "the server counts them",
            )
            .mended_by([
                "SELECT usename, client_addr, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3",
                "lower DATABASE_POOL_SIZE of the processes, raise max_connections, or put a pooler between",
            ])
            .read_more("queue#behind-a-pooler"),
        );
    }
    if pressure.oldest_transaction > OLD_TRANSACTION {
        findings.push(
            Finding::new(
                "database.old_transaction",
                Severity::Warning,
                "a transaction has been open for long",
            )
            .seen([format!(
                "the oldest for {}; {} wait for a lock",
                words(pressure.oldest_transaction),
                counted(usize::try_from(pressure.blocked).unwrap_or(usize::MAX), "session")
            )])
            .seen(schedules::held_by_a_session(database))
            .comes_from(
                "a session that was left open, a long report or a dump",
                "while it is open no dead row is cleared, and claims become slow",
            )
            .mended_by(END_THE_OLDEST)
            .read_more("background-jobs#the-database-is-slow"),
        );
    }
    findings
}

fn rules(database: &Database) -> Vec<Finding> {
    let mended = |rule: &&super::BrokenRule| !rule.self_healing || RECONCILED.contains(&rule.rule.as_str());
    let told = |rule: &super::BrokenRule| {
        let what = format!("the database breaks the rule {}: {}", rule.rule, rule.meaning);
        let (name, severity) = match rule.self_healing {
            true => ("database.unoffered", Severity::Warning),
            false => ("database.inconsistent", Severity::Error),
        };
        let mut finding = Finding::new(name, severity, what)
            .seen(rule.rows.iter().cloned())
            .comes_from(
                "raw SQL past the triggers, a restored dump, or damage",
                "no step of JobForge leaves it so, and tests look for that",
            )
            .read_more("queue#back-up-and-restore");
        match rule.self_healing {
            true => {
                finding.fix = Some(Fix::Reconcile);
                finding.mend.push("jobforge doctor --fix".to_owned());
                finding.mend.push("or start a server, whose housekeeper does the same".to_owned());
            }
            false => finding.mend.push("jobforge db check".to_owned()),
        }
        finding
    };
    database.broken.iter().filter(mended).map(told).collect()
}

pub(super) fn host(facts: &Facts) -> Area {
    let Some(disk) = &facts.host.disk else {
        return Area::new("host", facts.host.name.clone(), Vec::new());
    };
    let below = |(bytes, percent): (u64, u64)| {
        disk.free < bytes || u128::from(disk.free) * 100 < u128::from(disk.total) * u128::from(percent)
    };
    let free =
        format!("{} MiB of {} MiB are free where {} lies", disk.free >> 20, disk.total >> 20, disk.path);
    let severity = match (below(FULL), below(LOW)) {
        (true, _) => Some(Severity::Error),
        // A large disk is not low because of its percentage alone.
        (false, true) if disk.free < 8 << 30 => Some(Severity::Warning),
        (false, _) => None,
    };
    let finding = severity.map(|severity| {
        Finding::new("host.disk", severity, format!("little disk space: {free}"))
            .comes_from("the disk fills", "the file system says so; a full one refuses every new job")
            .mended_by([
                "jobforge db purge --dry-run",
                "jobforge db vacuum",
                "or move the data directory to a larger disk",
            ])
            .read_more("background-jobs#old-jobs-pile-up")
    });
    Area::new("host", format!("{}; {free}", facts.host.name), finding.into_iter().collect())
}

pub(super) fn settings(facts: &Facts) -> Area {
    let host = &facts.host;
    let mut findings = Vec::new();
    if !host.setting_faults.is_empty() {
        findings.push(
            Finding::new("settings.invalid", Severity::Error, "no process can start with these settings")
                .seen(host.setting_faults.iter().cloned())
                .comes_from(
                    "a flag, a variable of the environment or the configuration file is wrong",
                    "JobForge reads all of them before it starts, and refuses what cannot work",
                )
                .mended_by(["jobforge help-settings"]),
        );
    }
    for (variable, near) in &host.unknown_variables {
        let meant = near.map(|near| format!("{near} is one; if that is meant, rename it"));
        findings.push(
            Finding::new(
                "settings.unknown_variable",
                Severity::Warning,
                format!("{variable} is set and is no setting: it has no effect"),
            )
            .comes_from("a name that is misspelt, or of another version", "no setting is read from it")
            .mended_by([meant.as_deref().unwrap_or("jobforge help-settings")]),
        );
    }
    if let Ok(database) = &facts.database
        && !database.stored_faults.is_empty()
    {
        findings.push(
            Finding::new(
                "settings.stored",
                Severity::Error,
                "the stored settings do not count in a process that is set like this one",
            )
            .seen(database.stored_faults.iter().cloned())
            .comes_from(
                "a stored value does not go together with what this process has of its own",
                "together they are refused, so it goes on with its own",
            )
            .mended_by(["jobforge config list --stored", "jobforge config unset KEY"])
            .read_more("heartbeats#the-threshold-is-too-short"),
        );
    }
    let summary = match findings.is_empty() {
        true => "they go together".to_owned(),
        false => "see below".to_owned(),
    };
    Area::new("settings", summary, findings)
}

pub(super) fn tokens(database: &Database) -> Area {
    let now = database.as_of;
    let good: Vec<&TokenRow> =
        database.tokens.iter().filter(|token| token.standing(now) == TokenStanding::Good).collect();
    let ends = |token: &&TokenRow| token.expires_at.is_some_and(|at| since(at, now) < ENDS_SOON);
    let missed = |token: &&TokenRow| {
        let ended = token.expires_at.filter(|end| since(now, *end) < ENDS_SOON);
        let used = ended.zip(token.last_used_at).is_some_and(|(end, used)| since(end, used) < IN_USE);
        token.standing(now) == TokenStanding::Expired && used
    };
    let mut findings = Vec::new();
    for token in database.tokens.iter().filter(missed) {
        let ended = token.expires_at.map_or(Duration::ZERO, |at| since(now, at));
        // To the minute, so that its last use is not compared.
        let heir = |other: &&TokenRow| other.name == token.name && other.created_at > token.created_at;
        let replaced = good.iter().any(|other| heir(other) && other.last_used_at.is_some());
        if replaced {
            continue;
        }
        let what = format!("the token {} ({}) has expired and was in use", token.name, token.id);
        findings.push(
            replace(token, "tokens.expired", Severity::Error, what)
                .seen([format!("it ended {} ago; whoever uses it is refused with 401", words(ended))]),
        );
    }
    for token in good.iter().copied().filter(ends).filter(|token| token.last_used_at.is_some()) {
        let left = token.expires_at.map_or(Duration::ZERO, |at| since(at, now));
        let what = format!("the token {} ({}) ends in {}", token.name, token.id, words(left));
        findings.push(replace(token, "tokens.expiring", Severity::Warning, what));
    }
    Area::new("tokens", format!("{} good", good.len()), findings)
}

fn replace(token: &TokenRow, name: &'static str, severity: Severity, what: String) -> Finding {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let make = format!("jobforge token create {:?} --scope {}", token.name, scopes.join(","));
    let used = token.last_used_at.map(|at| format!("it was last used at {at:.0}"));
    Finding::new(name, severity, what)
        .seen(used)
        .comes_from(
            "the time that it was made for",
            "the database keeps until when it is good, and its last use",
        )
        .mended_by([make.as_str(), "then give the new one to whoever uses the old one"])
        .read_more("schedules-alerts#nobody-was-told")
}

/// Which alerts follow from what was found: their finding says more than they do.
fn told_by(alert: &str) -> &'static [&'static str] {
    match alert {
        "heartbeat_missed" | "heartbeat_missed_high" | "WorkerDown" | "WorkerFalselyDeclaredDead" => {
            &["workers.", "servers.", "jobs.out_of_memory"]
        }
        "watchdog_not_running" | "CleanupDaemonDown" | "JobForgeSchedulerNotTicking" => &["servers."],
        "NoLiveWorkersForQueue"
        | "QueueBacklog"
        | "BackgroundJobQueueGrowing"
        | "BackgroundJobCriticalQueueSize" => &["queues.", "workers."],
        "HeartbeatProtectionOff" => &["servers.heartbeats_off"],
        "qc_job_stuck" | "SlowJobs" => &["jobs.", "servers.", "workers."],
        "BackgroundJobNotRunning" | "BackgroundJobCriticallyStale" | "JobForgeScheduleMissed" => {
            &["schedules.", "servers.", "queues.", "workers."]
        }
        "BackgroundJobFailing"
        | "BackgroundJobFailingRepeatedly"
        | "BackgroundJobCriticalFailureRate"
        | "HighJobFailureRate"
        | "DeadLetterSpike"
        | "dlq_from_watchdog_high" => &["jobs.", "schedules."],
        "JobForgeDatabaseUnreachable" | "JobForgeDown" => &["database.", "servers."],
        _ => &[],
    }
}

pub(super) fn alerts(database: &Database, areas: &[Area]) -> Area {
    let found = |prefix: &&str| {
        areas.iter().flat_map(|area| &area.findings).any(|finding| finding.name.starts_with(*prefix))
    };
    let own = database.alerts.iter().filter(|alert| !told_by(&alert.rule).iter().any(&found));
    let told = own.filter(|alert| alert.severity != AlertSeverity::Info).map(|alert| {
        let severity = match alert.severity {
            AlertSeverity::Critical => Severity::Error,
            AlertSeverity::Warning | AlertSeverity::Info => Severity::Warning,
        };
        let since_when = since(database.as_of, alert.fired_at.unwrap_or(alert.since));
        Finding::new("alerts.firing", severity, format!("the alert {} fires: {}", alert.rule, alert.summary))
            .seen([format!("for {}", words(since_when))])
            .comes_from("what the alert says", "nothing else that was found explains it")
            .mended_by([format!("jobforge runbook show {}", alert.rule).as_str()])
            .read_more("schedules-alerts#an-alert-fires")
    });
    let findings: Vec<Finding> = told.collect();
    Area::new("alerts", format!("{} firing", database.alerts.len()), findings)
}
