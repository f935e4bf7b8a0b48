//! A real Prometheus, with our configuration and our rules, scrapes a real fleet. Every fault that an alert is for is
//! really caused, and the alert is seen firing: by Prometheus, and by the judge that JobForge has of its own. Then every
//! query of the dashboards is asked.

mod fleet;
mod grafana;
mod judge;
mod server;

use std::collections::BTreeSet;
use std::time::Duration;

use jobforge::core::alert::pace::Pace;
use jobforge::core::alert::rules::{Group, groups};

use fleet::{Fleet, Watched};

/// The time in which the fleet's alerts are judged: as real as a test can wait for. The order of lengths is kept.
const PACE: Pace = Pace { hold, length };

/// A minute of patience is two seconds, and an hour's is five.
fn hold(real: Duration) -> Duration {
    (real / 60).clamp(Duration::from_secs(2), Duration::from_secs(5))
}

/// Minutes become twelve seconds, for shared metrics may be five seconds old and a sample two; the longer, the shorter.
fn length(real: Duration) -> Duration {
    Duration::from_secs(match real.as_secs() / 60 {
        0..60 => 12,
        60..120 => 18,
        120..1440 => 22,
        _ => 30,
    })
}

/// Our alerts in that time.
fn table() -> Vec<Group> {
    groups().into_iter().map(|group| PACE.group(group)).collect()
}

/// Alerts that cannot be caused in a test, each with the reason. There are none.
const NOT_CAUSED: [(&str, &str); 0] = [];

/// Alerts that only Prometheus sees fire here, and why.
const ONLY_FROM_OUTSIDE: [(&str, &str); 4] = [
    ("JobForgeDown", "who judges is JobForge"),
    ("JobForgeDatabaseUnreachable", "what is judged and what fires is kept in that database"),
    ("CleanupDaemonDown", "caused by killing the only server, and with it who lists alerts"),
    ("JobForgeSchedulerNotTicking", "caused by killing the only server, and with it who lists alerts"),
];

/// What is wrong as soon as everything is broken that a running fleet can survive.
const AT_ONCE: [&str; 22] = [
    "heartbeat_missed",
    "heartbeat_missed_high",
    "dlq_from_watchdog_high",
    "WorkerFalselyDeclaredDead",
    "WorkerDown",
    "NoLiveWorkersForQueue",
    "HeartbeatProtectionOff",
    "BackgroundJobFailing",
    "BackgroundJobFailingRepeatedly",
    "BackgroundJobCriticalFailureRate",
    "BackgroundJobHighDuration",
    "BackgroundJobCriticalDuration",
    "BackgroundJobQueueGrowing",
    "BackgroundJobCriticalQueueSize",
    "BackgroundJobHighItemFailureRate",
    "HighJobFailureRate",
    "QueueBacklog",
    "DeadLetterSpike",
    "HeartbeatBudgetTenant",
    "HeartbeatBudgetGlobal",
    "JobForgeScheduleMissed",
    "JobForgeNotificationsFailing",
];

/// What takes its time.
const LATER: [&str; 5] = [
    "watchdog_not_running",
    "qc_job_stuck",
    "SlowJobs",
    "BackgroundJobNotRunning",
    "BackgroundJobCriticallyStale",
];

#[test]
fn process_a_real_prometheus_sees_each_fault_of_a_real_fleet_and_every_panel_has_data() {
    let mut fleet = Fleet::start();
    let mut watched = Watched::default();
    fleet.is_healthy_and_nothing_fires(&mut watched);

    fleet.freeze_a_worker_with_jobs();
    fleet.kill_the_worker_of_a_schedule();
    fleet.fail_and_dawdle();
    fleet.flood_a_queue_that_nobody_serves();
    fleet.kill_jobs();
    fleet.exceed_the_budgets();
    fleet.miss_moments_of_a_schedule();
    fleet.tell_a_channel_that_refuses();
    fleet.until_fired(&["heartbeat_missed_high", "dlq_from_watchdog_high", "WorkerDown"], &mut watched);
    fleet.thaw_the_worker();
    fleet.stop_the_watchdog_and_switch_heartbeats_off();
    fleet.until_fired(&AT_ONCE, &mut watched);
    fleet.switch_heartbeats_on();
    fleet.let_a_job_fall_silent();
    fleet.until_fired(&LATER, &mut watched);
    grafana::every_panel_has_data(&fleet.prometheus);

    fleet.mend();
    let mended = [
        "watchdog_not_running",
        "qc_job_stuck",
        "HeartbeatProtectionOff",
        "NoLiveWorkersForQueue",
        "WorkerDown",
        "QueueBacklog",
        "BackgroundJobCriticalQueueSize",
        "BackgroundJobCriticallyStale",
        "BackgroundJobNotRunning",
    ];
    fleet.until_resolved(&mended, &mut watched);

    fleet.stop_the_database();
    fleet.until_fired_outside(&["JobForgeDatabaseUnreachable"], &mut watched);
    fleet.start_the_database();
    fleet.until_resolved_outside(&["JobForgeDatabaseUnreachable"], &mut watched);
    fleet.kill_the_server();
    fleet.until_fired_outside(&["CleanupDaemonDown", "JobForgeSchedulerNotTicking"], &mut watched);
    fleet.kill_the_workers();
    fleet.until_fired_outside(&["JobForgeDown"], &mut watched);

    let all: BTreeSet<String> =
        table().iter().flat_map(|group| &group.rules).map(|rule| rule.name.to_owned()).collect();
    assert_eq!(
        with(&watched.outside, &NOT_CAUSED),
        all,
        "alerts that Prometheus saw, and that nobody can cause"
    );
    let inside = with(&with(&watched.inside, &ONLY_FROM_OUTSIDE), &NOT_CAUSED);
    assert_eq!(inside, all, "alerts that JobForge saw itself, or cannot see");
}

fn with(seen: &BTreeSet<String>, excepted: &[(&str, &str)]) -> BTreeSet<String> {
    seen.iter().cloned().chain(excepted.iter().map(|(name, _)| (*name).to_owned())).collect()
}
