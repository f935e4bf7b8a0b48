//! Every metric. Names in the first block are verbatim from the runbooks; `HELP` and `TYPE` lines, `docs/metrics.md`, and
//! the checks of rules and dashboards are made from here.

use super::Kind::{Counter, Gauge, Histogram};
use super::Scope::{Process, Shared};
use super::Unit::{Count, Flag, Milliseconds, PerMinute, Seconds, Timestamp};
use super::Values::{Fixed, Names as Of, Own};
use super::{Label, Metric, Names, Unit};

const fn label(name: &'static str, values: super::Values) -> Label {
    Label { name, values }
}

const JOB: Label = label("job_name", Of(Names::Job));
const SCHEDULE: Label = label("job_name", Of(Names::Schedule));
const TYPE: Label = label("type", Of(Names::Job));
const QUEUE: Label = label("queue", Of(Names::Queue));
const TENANT: Label = label("tenant", Of(Names::Tenant));
const OP: Label = label("op", Own);

/// Up to six hours: the runbook's 600 s must not be the last one, or its alert could never fire.
const RUNS: &[f64] =
    &[0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0];
const WAITS: &[f64] = &[0.005, 0.05, 0.25, 1.0, 5.0, 30.0, 300.0, 3600.0];
const CALLS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Makes the statics and the table of them, in this order.
macro_rules! metrics {
    ($($id:ident = $kind:expr, $name:literal, $labels:expr, $unit:expr, $scope:expr, $help:literal;)*) => {
        $(#[doc = $help]
        pub static $id: Metric = Metric {
            name: $name, kind: $kind, labels: &$labels, unit: $unit, scope: $scope, help: $help,
        };)*
        /// Every metric, in the order in which they are told.
        pub static TABLE: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    // The runbooks' own.
    HEARTBEAT_SENT = Counter, "job_heartbeat_sent", [], Count, Process,
        "Heartbeats accepted from workers";
    HEARTBEAT_MISSED = Counter, "job_heartbeat_missed", [], Count, Process,
        "Running jobs found silent beyond their threshold, once for each job and run of the watchdog";
    WATCHDOG_RUN_MS = Gauge, "watchdog_run_duration_ms", [], Milliseconds, Process,
        "How long the last run of the watchdog took";
    WATCHDOG_DEAD = Counter, "watchdog_jobs_moved_to_dlq", [], Count, Process,
        "Jobs that the watchdog made dead";
    EXECUTIONS = Counter, "job_execution_total", [JOB, label("status", Fixed(&["success", "failed"]))], Count, Process,
        "Executions that finished; how others ended is told by jobforge_attempts_total";
    EXECUTION_SECONDS = Histogram(RUNS), "job_execution_duration_seconds", [JOB], Seconds, Process,
        "How long finished executions took";
    LAST_SUCCESS = Gauge, "job_last_success_timestamp_seconds", [JOB], Timestamp, Shared,
        "When an execution last succeeded; absent if none ever did";
    ITEMS = Counter, "job_items_processed_total", [JOB, label("status", Fixed(&["success", "failed", "skipped"]))],
        Count, Process,
        "Items that jobs reported, counted when the attempt has ended";
    QUEUE_SIZE = Gauge, "job_queue_size", [JOB], Count, Shared,
        "Jobs that may run now; counting stops at 100000 over all names";
    JOBS = Counter, "jobforge_jobs_total", [QUEUE], Count, Process,
        "Attempts that reached an outcome";
    JOBS_FAILED = Counter, "jobforge_jobs_failed_total", [QUEUE], Count, Process,
        "Of these, those that failed, timed out, were lost or ended dead";

    // What becomes of jobs.
    ATTEMPTS = Counter, "jobforge_attempts_total",
        [QUEUE, label("outcome", Fixed(&["succeeded", "failed", "dead", "cancelled", "snoozed", "lost"]))],
        Count, Process,
        "Attempts by how they ended";
    ENQUEUED = Counter, "jobforge_jobs_enqueued_total",
        [QUEUE, label("result", Fixed(&["created", "duplicate", "rejected"]))], Count, Process,
        "Jobs asked for: created, answered with the one that has the key, or refused";
    DEAD = Counter, "jobforge_jobs_dead_total",
        [QUEUE, label("source", Fixed(&["worker", "watchdog", "cleanup", "timeout", "operator"]))], Count, Process,
        "New dead letters by who decided: the attempt's end, the watchdog, the proof that a worker died, a time-out, a person";
    RETRIED = Counter, "jobforge_jobs_retried_total", [QUEUE], Count, Process,
        "Jobs queued again after a failed attempt or by a person";
    CANCELLED = Counter, "jobforge_jobs_cancelled_total", [QUEUE], Count, Process,
        "Jobs canceled, waiting or running";
    RECOVERED = Counter, "jobforge_jobs_recovered_total", [QUEUE], Count, Process,
        "Jobs queued again because their worker was lost";

    // What is in the queues.
    BY_STATUS = Gauge, "jobforge_jobs",
        [QUEUE, label("status", Fixed(&["queued", "scheduled", "running", "retrying"]))], Count, Shared,
        "Jobs that have not ended; counting stops at 100000 of each";
    READY = Gauge, "jobforge_jobs_ready", [QUEUE], Count, Shared,
        "Jobs that may be claimed now; counting stops at 100000";
    OLDEST_READY = Gauge, "jobforge_queue_oldest_ready_age_seconds", [QUEUE], Seconds, Shared,
        "How long the oldest of them has waited; 0 if there is none";
    STUCK = Gauge, "jobforge_jobs_stuck", [TYPE], Count, Shared,
        "Running jobs whose worker or handler gives no sign of life, or whose time is over";
    STALLED = Gauge, "jobforge_jobs_stalled", [TYPE], Count, Shared,
        "Running jobs that live and have reported no progress for longer than they may";
    OLDEST_RUNNING = Gauge, "jobforge_running_job_age_seconds_max", [TYPE], Seconds, Shared,
        "How long the oldest running attempt has run";
    RUNNING_TIMEOUT = Gauge, "jobforge_running_job_timeout_seconds_max", [TYPE], Seconds, Shared,
        "The longest that a running attempt may take; absent if none has a limit";
    DEAD_GROUPS = Gauge, "jobforge_dead_groups", [label("state", Fixed(&["new", "known", "resolved"]))], Count, Shared,
        "Causes of dead jobs: first seen within a day, seen before, and settled by a person";

    // Schedules.
    SCHEDULE_RUNS = Counter, "jobforge_schedule_runs_total",
        [SCHEDULE, label("result", Fixed(&["ran", "late", "missed", "skipped"]))], Count, Process,
        "Moments at which the schedule was to run, by what became of them";
    SCHEDULE_MISSED = Counter, "jobforge_schedule_missed_runs_total", [SCHEDULE], Count, Process,
        "Of these, those that were missed";
    SCHEDULE_INTERVAL = Gauge, "jobforge_schedule_interval_seconds", [SCHEDULE], Seconds, Shared,
        "The longest time from one moment to the next";
    SCHEDULE_STALE_AFTER = Gauge, "jobforge_schedule_stale_after_seconds", [SCHEDULE], Seconds, Shared,
        "Without a success for so long the schedule is stale";
    SCHEDULE_FRESH = Gauge, "jobforge_schedule_fresh_timestamp_seconds", [SCHEDULE], Timestamp, Shared,
        "From when on it may be without a success: its last one, or when it was made, changed or resumed, whichever came last";
    SCHEDULE_NEXT = Gauge, "jobforge_schedule_next_run_timestamp_seconds", [SCHEDULE], Timestamp, Shared,
        "When it runs next; absent if it will not";
    SCHEDULE_FAILURES = Gauge, "jobforge_schedule_consecutive_failures", [SCHEDULE], Count, Shared,
        "Runs that have failed since the last success";
    SCHEDULE_PAUSED = Gauge, "jobforge_schedule_paused", [SCHEDULE], Flag, Shared,
        "Whether somebody paused it";
    SCHEDULER_AT = Gauge, "jobforge_scheduler_last_tick_timestamp_seconds", [], Timestamp, Shared,
        "When a scheduler last looked what is due; absent if none ever did";
    LEADER = Gauge, "jobforge_leader", [label("role", Fixed(&["scheduler", "alerts"]))], Flag, Process,
        "Whether this process is the one that does it: fires schedules, judges alerts";

    NOTIFICATIONS = Counter, "jobforge_notifications_total",
        [label("channel", Own), label("outcome", Fixed(&["sent", "retried", "failed"]))], Count, Process,
        "Messages about alerts that a channel took, that are tried again, and that it never took";

    // Claiming and fencing.
    CLAIM_WAIT = Histogram(WAITS), "jobforge_claim_wait_seconds", [QUEUE], Seconds, Process,
        "From when a job was due until it was claimed";
    CLAIM_SECONDS = Histogram(CALLS), "jobforge_claim_duration_seconds", [], Seconds, Process,
        "How long claims took in the database";
    CLAIMS = Counter, "jobforge_claims_total", [label("result", Fixed(&["jobs", "empty"]))], Count, Process,
        "Claims that gave jobs, and those that gave none";
    FENCED = Counter, "jobforge_fence_rejections_total", [label("call", Fixed(&["heartbeat", "result"]))], Count, Process,
        "Reports refused because the job had been moved by another hand";
    EXPECTED_BEATS = Gauge, "jobforge_heartbeats_expected_per_minute", [TENANT], PerMinute, Shared,
        "Running jobs of the tenant times heartbeats a minute at the first interval; only tenants with a budget";
    BEAT_BUDGET = Gauge, "jobforge_heartbeat_budget_per_minute", [TENANT], PerMinute, Shared,
        "The tenant's budget";
    EXPECTED_BEATS_ALL = Gauge, "jobforge_heartbeats_expected_per_minute_global", [], PerMinute, Shared,
        "The same of all running jobs";
    BEAT_BUDGET_ALL = Gauge, "jobforge_heartbeat_budget_per_minute_global", [], PerMinute, Shared,
        "The budget of all; absent if there is none";

    // Workers and who watches them.
    WORKERS = Gauge, "jobforge_workers",
        [QUEUE, label("state", Fixed(&["live", "quiet", "stale", "down", "draining"]))], Count, Shared,
        "Workers that serve the queue: in order, late with a renewal, past their lease, lost or dead within the hour, stopping";
    SLOTS = Gauge, "jobforge_worker_slots", [QUEUE], Count, Shared,
        "Jobs that its active workers may run at once, over all their queues";
    SLOTS_USED = Gauge, "jobforge_worker_slots_used", [QUEUE], Count, Shared,
        "Running jobs of the queue";
    DECLARED_DEAD = Counter, "jobforge_workers_declared_dead_total", [], Count, Process,
        "Workers whose lease ran out or whose death was proven";
    RESURRECTED = Counter, "jobforge_workers_resurrected_total", [], Count, Process,
        "Workers that came back after they had been declared lost: false positives";
    WATCHDOG_AT = Gauge, "jobforge_watchdog_last_run_timestamp_seconds", [], Timestamp, Shared,
        "When a watchdog last ran; absent if none ever did";
    CLEANUP_AT = Gauge, "jobforge_cleanup_last_run_timestamp_seconds", [], Timestamp, Shared,
        "When any watchdog last looked for lost workers; absent if none ever did";
    WATCHDOG_SECONDS = Histogram(CALLS), "jobforge_watchdog_run_duration_seconds", [], Seconds, Process,
        "How long runs of the watchdog took";
    WATCHDOG_RUNS = Counter, "jobforge_watchdog_runs_total", [label("result", Fixed(&["ok", "failed"]))], Count, Process,
        "Runs of the watchdog";

    // What is in force.
    FEATURE = Gauge, "jobforge_feature_enabled", [label("flag", Own)], Flag, Shared,
        "Whether a flag is on";
    THRESHOLD = Gauge, "jobforge_config_threshold_seconds", [label("name", Own)], Unit::Seconds, Shared,
        "Limits in force, so that alerts can compare with them";

    // This process.
    HTTP_REQUESTS = Counter, "jobforge_http_requests_total", [label("route", Own), label("method", Own), label("code", Own)],
        Count, Process,
        "Requests answered";
    HTTP_SECONDS = Histogram(CALLS), "jobforge_http_request_duration_seconds",
        [label("route", Own), label("method", Own), label("code", Own)], Seconds, Process,
        "How long they took, the worker protocol's waiting included";
    DATABASE_UP = Gauge, "jobforge_database_up", [], Flag, Process,
        "Whether the last statement reached the database";
    POOL = Gauge, "jobforge_db_pool_connections", [label("state", Fixed(&["idle", "busy", "waiting"]))], Count, Process,
        "Connections of the pool, and callers that wait for one; zero on SQLite";
    QUERY_SECONDS = Histogram(CALLS), "jobforge_db_query_duration_seconds", [OP], Seconds, Process,
        "How long statements took, by what they are for";
    SLOW_QUERIES = Counter, "jobforge_db_slow_queries_total", [OP], Count, Process,
        "Statements that took longer than slow_query_ms and were logged";
    SSE_CLIENTS = Gauge, "jobforge_sse_clients", [], Count, Process,
        "Streams of events that are open";
    LONG_POLLS = Gauge, "jobforge_long_polls", [], Count, Process,
        "Claims over HTTP that wait for work";
    OVERFLOW = Counter, "jobforge_label_overflow_total",
        [label("label", Fixed(&["job_name", "schedule", "queue", "tenant", "series"]))], Count, Process,
        "Values that were counted under `other`, for there were too many";
    SNAPSHOT_AT = Gauge, "jobforge_snapshot_timestamp_seconds", [], Timestamp, Process,
        "When this process last read the shared numbers from the database";
    BUILD_INFO = Gauge, "jobforge_build_info", [label("version", Own), label("revision", Own), label("rustc", Own)],
        Flag, Process,
        "Always 1; the labels say which program this is";
}
