//! Every alert, as data. The rules file of Prometheus, the built-in evaluator and the docs are made from this table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::expr::{Expr, absent, grown, max, metric, min, quantile, sum, time};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at in working hours.
    Warning,
    /// Somebody is woken.
    Critical,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity that a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.word() == word)
    }
}

/// One alert.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name; where a runbook names it, that name.
    pub name: &'static str,
    /// Holds for each series that is in trouble.
    pub expr: Expr,
    /// How long it must hold before it fires.
    pub hold: Duration,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence with numbers; see [`super::text`].
    pub summary: &'static str,
    /// What it means, and what to do first.
    pub description: &'static str,
}

/// From when on a schedule may be without a success.
const FRESH: &str = "jobforge_schedule_fresh_timestamp_seconds";

/// Rules that concern the same part.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name in the rules file.
    pub name: &'static str,
    /// Its heading for people.
    pub title: &'static str,
    /// The runbook that helps, in `runbooks/`.
    pub runbook: &'static str,
    /// The alerts.
    pub rules: Vec<Rule>,
}

/// All of them, in the order of the runbooks.
pub fn groups() -> Vec<Group> {
    let group = |name, title, runbook, rules| Group { name, title, runbook, rules };
    vec![
        group("jobforge_liveness", "Heartbeats, watchdog and workers", "heartbeats.md", liveness()),
        group("jobforge_background_jobs", "Background jobs", "background-jobs.md", schedules()),
        group("jobforge_queues", "Queues and dead letters", "queue.md", queues()),
        group("jobforge_platform", "JobForge itself", "queue.md", platform()),
    ]
}

/// Every alert.
pub fn rules() -> Vec<Rule> {
    groups().into_iter().flat_map(|group| group.rules).collect()
}

fn rule(name: &'static str, severity: Severity, hold: Duration, expr: Expr) -> Rule {
    Rule { name, expr, hold, severity, summary: "", description: "" }
}

impl Rule {
    fn says(self, summary: &'static str, description: &'static str) -> Self {
        Self { summary, description, ..self }
    }
}

use Severity::{Critical, Info, Warning};

/// Heartbeats, the watchdog, workers, jobs that hang: runbooks 1 to 3.
fn liveness() -> Vec<Rule> {
    let silent =
        |seen, limit: Duration| time().minus(max(&[], metric(seen))).above(limit).or(absent(metric(seen)));
    let switched_off =
        || max(&[], metric("jobforge_feature_enabled").with("flag", "JOB_HEARTBEAT")).equals(0.0);
    vec![
        rule("heartbeat_missed", Info, Duration::ZERO, grown(&[], metric("job_heartbeat_missed"), 5 * MINUTE).above(0.0))
            .says(
                "{value} heartbeats of running jobs were missed in 5 minutes",
                "A job's worker fell silent, or does not know of the job. The watchdog takes such jobs back by itself; \
                 look only if it goes on.",
            ),
        rule(
            "heartbeat_missed_high",
            Critical,
            Duration::ZERO,
            grown(&[], metric("job_heartbeat_missed"), 5 * MINUTE).above(5.0),
        )
        .says(
            "{value} heartbeats of running jobs were missed in 5 minutes",
            "Many jobs are silent at once: a host is lost, a network is cut, or the database is too slow to take \
             heartbeats. See which worker held them.",
        ),
        rule(
            "watchdog_not_running",
            Critical,
            // Five minutes in all: one scrape that failed is no watchdog that stopped.
            MINUTE,
            silent("jobforge_watchdog_last_run_timestamp_seconds", 4 * MINUTE).unless(switched_off()).on(&[]),
        )
        .says(
            "no watchdog has run for 5 minutes",
            "Jobs of workers that die are not taken back. Start one: a server, or jobforge cleanup-daemon.",
        ),
        rule(
            "dlq_from_watchdog_high",
            Warning,
            Duration::ZERO,
            grown(&[], metric("watchdog_jobs_moved_to_dlq"), HOUR).above(10.0),
        )
        .says(
            "the watchdog gave up {value} jobs in an hour",
            "These jobs lost their worker again and again, or it died with them. See what they died of before they \
             are retried.",
        ),
        rule(
            "CleanupDaemonDown",
            Critical,
            MINUTE,
            silent("jobforge_cleanup_last_run_timestamp_seconds", 3 * MINUTE),
        )
        .says(
            "no sweep for stale workers in 3 minutes",
            "The cleanup daemon, or the watchdog within a server, has stopped or hangs.",
        ),
        rule(
            "WorkerFalselyDeclaredDead",
            Warning,
            Duration::ZERO,
            grown(&[], metric("jobforge_workers_resurrected_total"), 15 * MINUTE).above(0.0),
        )
        .says(
            "{value} workers that were given up came back in 15 minutes",
            "They were frozen or cut off for longer than their lease. Their jobs ran elsewhere, and nothing they did \
             since counts; a longer lease would have spared the work.",
        ),
        rule("qc_job_stuck", Critical, MINUTE, max(&["type"], metric("jobforge_jobs_stuck")).above(0.0)).says(
            "{value} jobs of type {type} are stuck",
            "They run, but neither heartbeat nor progress came within the limit, and recovery has not helped for a \
             minute.",
        ),
        rule("WorkerDown", Critical, MINUTE, max(&["queue"], metric("jobforge_workers").with("state", "down")).above(0.0))
            .says(
                "{value} workers of queue {queue} were lost within the hour and have not been replaced",
                "They did not say goodbye. Their jobs run elsewhere; the workers are missing.",
            ),
        rule(
            "NoLiveWorkersForQueue",
            Critical,
            2 * MINUTE,
            max(&["queue"], metric("jobforge_jobs_ready"))
                .above(0.0)
                .unless(max(&["queue"], metric("jobforge_workers").with("state", "live")).above(0.0))
                .on(&["queue"]),
        )
        .says("{value} jobs of queue {queue} are due and no worker serves it", "Start a worker for this queue."),
        rule("HeartbeatProtectionOff", Warning, 30 * MINUTE, switched_off()).says(
            "heartbeats of jobs are switched off",
            "Somebody switched JOB_HEARTBEAT off. Hung jobs are found by their time-outs only.",
        ),
    ]
}

/// Background jobs: runbook 4.
fn schedules() -> Vec<Rule> {
    const BY: &[&str] = &["job_name"];
    let runs = || metric("job_execution_total");
    let failed = || runs().with("status", "failed");
    let size = || max(BY, metric("job_queue_size"));
    let stale = |least: Duration| {
        let limit = max(BY, metric("jobforge_schedule_stale_after_seconds")).at_least_as(least);
        let paused = max(BY, metric("jobforge_schedule_paused")).equals(1.0);
        time().minus(max(BY, metric(FRESH))).above(limit).on(BY).unless(paused).on(BY)
    };
    let slow = |limit: Duration| {
        let runs = metric("job_execution_duration_seconds_bucket").rate(HOUR);
        quantile(0.95, sum(&["job_name", "le"], runs)).above(limit)
    };
    let items = || metric("job_items_processed_total");
    vec![
        rule("BackgroundJobFailing", Warning, 5 * MINUTE, sum(BY, failed().rate(5 * MINUTE)).above(0.1)).says(
            "{job_name} fails {value} times a second",
            "See what its last attempts died of.",
        ),
        rule(
            "BackgroundJobFailingRepeatedly",
            Warning,
            Duration::ZERO,
            max(BY, metric("jobforge_schedule_consecutive_failures")).at_least(3.0),
        )
        .says(
            "{job_name} has failed {value} times in a row",
            "A schedule that fires every few minutes or hours never reaches a rate per second; this finds it.",
        ),
        rule(
            "BackgroundJobCriticalFailureRate",
            Critical,
            5 * MINUTE,
            sum(BY, failed().rate(5 * MINUTE)).over(sum(BY, runs().rate(5 * MINUTE))).above(0.5),
        )
        .says("{value:percent} of the runs of {job_name} fail", "Most of its runs fail: look at its last deploy first."),
        rule("BackgroundJobNotRunning", Warning, Duration::ZERO, stale(2 * HOUR)).says(
            "{job_name} has not succeeded for {value:duration}",
            "That is more than twice its interval and more than 2 hours. See its last runs and why they were late, \
             missed or skipped.",
        ),
        rule("BackgroundJobCriticallyStale", Critical, Duration::ZERO, stale(DAY)).says(
            "{job_name} has not succeeded for {value:duration}",
            "That is more than twice its interval and more than a day.",
        ),
        rule("BackgroundJobHighDuration", Warning, 15 * MINUTE, slow(5 * MINUTE)).says(
            "one run of {job_name} in twenty takes longer than {value:duration}",
            "Look for slow statements and slow services.",
        ),
        rule("BackgroundJobCriticalDuration", Critical, 10 * MINUTE, slow(10 * MINUTE)).says(
            "one run of {job_name} in twenty takes longer than {value:duration}",
            "Pause the schedule if it harms others.",
        ),
        rule(
            "BackgroundJobQueueGrowing",
            Warning,
            2 * MINUTE,
            size().above(100.0).unless(
                size().at_most(max(BY, metric("job_queue_size").offset(10 * MINUTE)).times(1.5)),
            ),
        )
        .says(
            "{value} jobs of {job_name} are due, over half as many again as 10 minutes ago",
            "Work comes faster than it is done.",
        ),
        rule("BackgroundJobCriticalQueueSize", Critical, 10 * MINUTE, size().above(1000.0))
            .says("{value} jobs of {job_name} are due", "Start more workers, or see what holds them up."),
        rule(
            "BackgroundJobHighItemFailureRate",
            Warning,
            15 * MINUTE,
            sum(BY, items().with("status", "failed").rate(HOUR))
                .over(sum(BY, items().without("status", "skipped").rate(HOUR)))
                .above(0.2),
        )
        .says("{value:percent} of the items of {job_name} fail", "Bad data, or a service that refuses."),
    ]
}

/// Queues, dead letters, slow jobs: runbook 5.
fn queues() -> Vec<Rule> {
    let rate = |name| sum(&[], metric(name).rate(HOUR));
    let longest = || max(&["type"], metric("jobforge_running_job_age_seconds_max"));
    vec![
        rule(
            "HighJobFailureRate",
            Warning,
            5 * MINUTE,
            rate("jobforge_jobs_failed_total").over(rate("jobforge_jobs_total")).above(0.1),
        )
        .says(
            "High job failure rate ({value:percent})",
            "Of all attempts of the last hour. See the groups of causes.",
        ),
        rule(
            "QueueBacklog",
            Warning,
            5 * MINUTE,
            sum(&[], max(&["queue"], metric("jobforge_jobs_ready"))).above(1000.0),
        )
        .says("{value} jobs are due and wait", "Start more workers, or see what holds them up."),
        rule(
            "DeadLetterSpike",
            Critical,
            Duration::ZERO,
            grown(&[], metric("jobforge_jobs_dead_total"), HOUR).above(100.0),
        )
        .says(
            "{value} jobs died within an hour",
            "See the groups of causes; retry them when the cause is gone.",
        ),
        rule(
            "SlowJobs",
            Warning,
            Duration::ZERO,
            longest().above(HOUR).unless(
                longest().at_most(max(&["type"], metric("jobforge_running_job_timeout_seconds_max"))),
            ),
        )
        .says(
            "a job of type {type} has run for {value:duration}",
            "Longer than an hour, and longer than its time-out, if it has one.",
        ),
        rule(
            "HeartbeatBudgetTenant",
            Warning,
            5 * MINUTE,
            max(&["tenant"], metric("jobforge_heartbeats_expected_per_minute"))
                .above(max(&["tenant"], metric("jobforge_heartbeat_budget_per_minute")))
                .on(&["tenant"]),
        )
        .says(
            "tenant {tenant} causes {value} heartbeats a minute, more than its budget",
            "It runs too many jobs at once.",
        ),
        rule(
            "HeartbeatBudgetGlobal",
            Warning,
            5 * MINUTE,
            max(&[], metric("jobforge_heartbeats_expected_per_minute_global"))
                .above(max(&[], metric("jobforge_heartbeat_budget_per_minute_global"))),
        )
        .says("running jobs cause {value} heartbeats a minute, more than the budget", "Beat less often."),
    ]
}

/// JobForge itself: without these, silence looks like health.
fn platform() -> Vec<Rule> {
    let tick = "jobforge_scheduler_last_tick_timestamp_seconds";
    vec![
        rule("JobForgeDown", Critical, 2 * MINUTE, absent(metric("jobforge_build_info"))).says(
            "no JobForge is scraped",
            "Every process of it is gone, or Prometheus cannot reach them. Where workers are scraped too, \
                 CleanupDaemonDown and JobForgeSchedulerNotTicking tell that the servers are gone.",
        ),
        rule(
            "JobForgeDatabaseUnreachable",
            Critical,
            MINUTE,
            min(&["instance"], metric("jobforge_database_up")).equals(0.0),
        )
        .says(
            "{instance} does not reach its database",
            "Nothing is enqueued, claimed or settled through it.",
        ),
        rule(
            "JobForgeSchedulerNotTicking",
            Critical,
            MINUTE,
            time().minus(max(&[], metric(tick))).above(2 * MINUTE).or(absent(metric(tick))),
        )
        .says(
            "no scheduler has ticked for 2 minutes",
            "Schedules do not fire. Start a server with the role scheduler.",
        ),
        rule(
            "JobForgeScheduleMissed",
            Warning,
            Duration::ZERO,
            grown(&["job_name"], metric("jobforge_schedule_missed_runs_total"), HOUR).above(0.0),
        )
        .says(
            "{job_name} missed {value} runs within an hour",
            "No server was there, or the run before was not done.",
        ),
        rule(
            "JobForgeNotificationsFailing",
            Warning,
            Duration::ZERO,
            grown(
                &["channel"],
                metric("jobforge_notifications_total").with("outcome", "failed"),
                15 * MINUTE,
            )
            .above(0.0),
        )
        .says(
            "{value} notifications could not be sent to {channel}",
            "Alerts of the built-in evaluator do not arrive.",
        ),
    ]
}
