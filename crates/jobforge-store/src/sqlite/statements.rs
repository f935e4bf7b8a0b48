//! Every statement of the engine, each in its own file of `sql/sqlite`.

/// One statement and the name of its file.
#[derive(Debug)]
pub(super) struct Sql {
    /// The file's name, as it appears in the log.
    pub(super) name: &'static str,
    /// Its text.
    pub(super) text: &'static str,
}

macro_rules! statements {
    ($($constant:ident = $name:literal,)*) => {
        $(
            pub(super) static $constant: Sql = Sql {
                name: $name,
                text: include_str!(concat!("../../sql/sqlite/", $name, ".sql")),
            };
        )*

        /// All of them, for the tests that prepare each and look at its plan.
        #[cfg(test)]
        pub(super) static ALL: &[&Sql] = &[$(&$constant,)*];
    };
}

statements! {
    CLOCK = "clock",
    ENQUEUE = "enqueue",
    ENQUEUE_KEY = "enqueue_key",
    ENQUEUE_ID = "enqueue_id",
    CLAIM_WORKER = "claim_worker",
    CLAIM_PROMOTE = "claim_promote",
    CLAIM_PAUSED = "claim_paused",
    CLAIM = "claim",
    CLAIM_NEXT_DUE = "claim_next_due",
    CLAIM_ALONE_WAITS = "claim_alone_waits",
    HEARTBEAT = "heartbeat",
    SETTLE = "settle",
    SETTLED = "settled",
    OWNER = "owner",
    LOG_PUT = "log_put",
    RESULT_PUT = "result_put",
    ATTEMPT_PUT = "attempt_put",
    ATTEMPT_LATE = "attempt_late",
    REGISTER = "register",
    RENEW = "renew",
    LEAST_LEASE = "least_lease",
    WORKER_SUSPECT = "worker_suspect",
    LEAVE = "leave",
    SUPERSEDE = "supersede",
    DEAD_UNNAMED = "dead_unnamed",
    DEAD_NAME = "dead_name",
    DEAD_CAUSES = "dead_causes",
    DEAD_GROUP = "dead_group",
    DEAD_SAMPLE = "dead_sample",
    DEAD_LIST = "dead_list",
    DEAD_RESOLVE = "dead_resolve",
    DEAD_MARK = "dead_mark",
    DEAD_FIND = "dead_find",
    DEAD_JOBS = "dead_jobs",
    DEAD_COUNT = "dead_count",
    DIED_WITH = "died_with",
    WORKER_STOPPED = "worker_stopped",
    SUSPECTS = "suspects",
    RESCUE = "rescue",
    WATCHDOG_SURVEY = "watchdog_survey",
    WATCHDOG_SIGN = "watchdog_sign",
    WATCHDOG_FORGET = "watchdog_forget",
    WATCHDOGS = "watchdogs",
    WATCHDOG_RUN_PUT = "watchdog_run_put",
    WATCHDOG_RUN_FORGET = "watchdog_run_forget",
    WATCHDOG_RUNS = "watchdog_runs",
    WORKER_EXTEND = "worker_extend",
    WORKER_TIMES = "worker_times",
    JOB_TIMES = "job_times",
    EXPIRE_FIND = "expire_find",
    EXPIRE_MARK = "expire_mark",
    EXPIRE_FORGET = "expire_forget",
    RECONCILE_FIND = "reconcile_find",
    RECONCILE_MEND = "reconcile_mend",
    JOB = "job",
    JOBS = "jobs",
    JOBS_AMONG = "jobs_among",
    FEW_BY_KEY = "few_by_key",
    FEW_BY_WORKER = "few_by_worker",
    FEW_QUEUED = "few_queued",
    FEW_RUNNING = "few_running",
    FEW_ENDED = "few_ended",
    ATTEMPTS = "attempts",
    RESULT = "result",
    LOGS = "logs",
    WORKER = "worker",
    WORKERS = "workers",
    FACTS_PAUSED = "facts_paused",
    FACTS_WORKERS = "facts_workers",
    FACTS_HELD = "facts_held",
    FACTS_ATTEMPT = "facts_attempt",
    QUEUES_READY = "queues_ready",
    QUEUES_SCHEDULED = "queues_scheduled",
    QUEUES_RUNNING = "queues_running",
    QUEUES_PAUSED = "queues_paused",
    QUEUES_SERVED = "queues_served",
    MOVE_LOOK = "move_look",
    CANCEL = "cancel",
    RETRY = "retry",
    RETRY_KEEP_SUCCESS = "retry_keep_success",
    RESULT_DROP = "result_drop",
    DELETE = "delete",
    PAUSE = "pause",
    RESUME = "resume",
    PURGE = "purge",
    CHECK = "check",
    MIGRATIONS_EXIST = "migrations_exist",
    MIGRATIONS_TABLE = "migrations_table",
    MIGRATIONS = "migrations",
    MIGRATIONS_ADD = "migrations_add",
}
