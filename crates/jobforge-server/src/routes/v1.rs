//! The routes of `/v1`, and what is asked without a token.

use axum::routing::{delete, get, patch, post, put};
use jobforge::core::json::CODES;
use jobforge::core::operation::Operation;
use jobforge::core::payload::Payload;
use jobforge::core::schedule::Definition;
use jobforge::core::standing::Standing;
use jobforge::core::tenant::TenantList;
use jobforge::core::token::Scope::{Admin, Enqueue, Operate, Read};
use jobforge::core::watchdog::Run;
use jobforge::core::what_if::WhatIf;
use jobforge_api::alerts::{
    AlertList, ChannelRequest, ChannelTried, RuleList, SilenceEnded, SilenceList, SilenceRequest, SilenceView,
};
use jobforge_api::requests::{
    BulkRequest, EnqueueMany, FlagRequest, RescheduleRequest, ResolveRequest, TokenRequest,
};
use jobforge_api::{
    AuditPage, AuditVerdict, DeadGroupList, FlagList, JobDetailView, JobList, JobView, LogList,
    OperationList, PauseScheduleRequest, PayloadLimits, QueueList, QueuePauseView, ReceiptList, ReceiptView,
    ResolvedView, RunScheduleRequest, ScheduleDetail, ScheduleHistory, ScheduleList, ScheduleNext,
    SchedulePauseView, ScheduleRan, ScheduleRemoved, SettingHistory, SettingList, SettingsChanged,
    TimelineView, TokenList, TokenView, WatchdogList, WorkerList, WorkerTold,
};
use serde_json::Value;

use super::schedule_patch::SchedulePatch;
use super::settings_patch::SettingsPatch;
use super::table::Need::{self, All, Nobody, Own};
use super::table::Route;
use super::{
    admin, alerts, dead, events, front, health, jobs, operations, payloads, queues, restart, schedules,
    settings, tenants,
};
use crate::metrics;
use crate::query::{
    ALERTS, AUDIT, DEAD_FILTER, DEAD_PAGE, HISTORY, IDEMPOTENCY_KEY, IF_MATCH, JOB_FILTER, Kind, LAST_EVENT,
    LIMIT, SCHEDULE_HISTORY, SCHEDULES, TENANTS, TRACEPARENT, WHAT_IF,
};

type Handler = axum::routing::MethodRouter<std::sync::Arc<crate::server::App>>;

fn look(path: &'static str, need: Need, says: &'static str, handler: Handler) -> Route {
    Route::new("GET", path, need, says, handler)
}

fn act(path: &'static str, need: Need, says: &'static str, handler: Handler) -> Route {
    Route::new("POST", path, need, says, handler)
}

/// A route below one job.
fn job(route: Route) -> Route {
    route.refuses(404, &["job_not_found"])
}

/// What may be wrong with a payload that is kept elsewhere.
fn stored(route: Route) -> Route {
    route
        .refuses(404, &["payload_missing"])
        .refuses(500, &["payload_damaged"])
        .refuses(503, &["payload_store_unset", "payload_store_unavailable", "too_many_payloads"])
}

/// What may be wrong with a job that is enqueued.
fn enqueues(route: Route) -> Route {
    route
        .hears(IDEMPOTENCY_KEY)
        .hears(TRACEPARENT)
        .refuses(400, &["bad_idempotency_key"])
        .refuses(403, &["queue_bound"])
        .refuses(413, &["payload_too_large"])
        .refuses(503, &["payload_store_unavailable", "too_many_payloads"])
        .refuses(409, &["idempotency_conflict", "duplicate_id"])
        .refuses(422, &["invalid_job", "idempotency_key_mismatch"])
}

/// What may be wrong with a change of settings.
fn changes_settings(route: Route) -> Route {
    route.gives::<SettingsChanged>(200).tells(200, "ETag").refuses(
        422,
        &[
            "unknown_setting",
            "settings_disagree",
            "bad_setting",
            "local_setting",
            "duplicate_key",
            "no_setting",
            "expired",
        ],
    )
}

/// Everything below `/v1`.
pub(super) fn routes() -> Vec<Route> {
    [of_jobs(), of_queues(), of_schedules(), of_alerts(), of_admins()].into_iter().flatten().collect()
}

fn of_jobs() -> Vec<Route> {
    vec![
        look("/v1/jobs", Own(Read), "List jobs, newest first", get(jobs::list))
            .query(JOB_FILTER)
            .gives::<JobList>(200),
        enqueues(act("/v1/jobs", Own(Enqueue), "Enqueue a job", post(jobs::enqueue)))
            .takes::<jobforge::core::enqueue::JobRequest>()
            .gives::<ReceiptView>(201)
            .gives::<ReceiptView>(200)
            .tells(201, "Location")
            .tells(200, "Location"),
        enqueues(act(
            "/v1/jobs/many",
            Own(Enqueue),
            "Enqueue many jobs, all or none",
            post(jobs::enqueue_many),
        ))
        .takes::<EnqueueMany>()
        .gives::<ReceiptList>(200),
        act(
            "/v1/jobs/bulk",
            Own(Operate),
            "Cancel, retry or delete many jobs in the background",
            post(operations::begin),
        )
        .hears(IDEMPOTENCY_KEY)
        .takes::<BulkRequest>()
        .gives::<Operation>(202)
        .gives::<Operation>(200)
        .tells(202, "Location")
        .tells(200, "Location")
        .refuses(400, &["bad_idempotency_key"])
        .refuses(409, &["idempotency_conflict"]),
        job(look("/v1/jobs/{id}", Own(Read), "One job with its attempts and result", get(jobs::detail)))
            .gives::<JobDetailView>(200),
        job(Route::new(
            "DELETE",
            "/v1/jobs/{id}",
            Own(Operate),
            "Remove a job that is not running",
            delete(jobs::delete),
        ))
        .gives_nothing()
        .refuses(409, &["invalid_transition"]),
        job(look(
            "/v1/jobs/{id}/explain",
            Own(Read),
            "What a job is now, why, and what happens next",
            get(jobs::explain),
        ))
        .gives::<Standing>(200),
        job(look(
            "/v1/jobs/{id}/timeline",
            Own(Read),
            "What happened to a job, in order",
            get(jobs::timeline),
        ))
        .gives::<TimelineView>(200),
        stored(job(look(
            "/v1/jobs/{id}/payload",
            Own(Read),
            "A job's payload as it was enqueued, wherever it is kept; without secrets to who may only look",
            get(payloads::payload),
        )))
        .gives::<Payload>(200),
        look("/v1/limits", Own(Enqueue), "How large payloads may be", get(payloads::limits))
            .gives::<PayloadLimits>(200),
        job(look("/v1/jobs/{id}/logs", Own(Read), "What a job's handler printed", get(jobs::logs)))
            .gives::<LogList>(200),
        job(act("/v1/jobs/{id}/cancel", Own(Operate), "End a queued or running job", post(jobs::cancel)))
            .gives::<JobView>(200)
            .refuses(409, &["invalid_transition"]),
        job(act(
            "/v1/jobs/{id}/retry",
            Own(Operate),
            "Run a job again with fresh attempts",
            post(jobs::retry),
        ))
        .gives::<JobView>(200)
        .refuses(409, &["invalid_transition"]),
        job(act(
            "/v1/jobs/{id}/reschedule",
            Own(Operate),
            "Run a job again later, with fresh attempts",
            post(jobs::reschedule),
        ))
        .takes::<RescheduleRequest>()
        .gives::<JobView>(200)
        .refuses(409, &["invalid_transition"]),
        look("/v1/operations", Own(Read), "Operations on many jobs, newest first", get(operations::list))
            .query(&[LIMIT])
            .gives::<OperationList>(200),
        look("/v1/operations/{id}", Own(Read), "An operation and how far it is", get(operations::one))
            .gives::<Operation>(200)
            .refuses(404, &["operation_not_found"]),
        act(
            "/v1/operations/{id}/cancel",
            Own(Operate),
            "End an operation; what it did stays done",
            post(operations::cancel),
        )
        .gives::<Operation>(200)
        .refuses(404, &["operation_not_found"])
        .refuses(409, &["operation_ended"]),
        look(
            "/v1/events",
            Own(Read),
            "Jobs and workers as they change (server-sent events)",
            get(events::stream),
        )
        .hears(LAST_EVENT)
        .gives_text(&["text/event-stream"])
        .refuses(429, &["too_many_failures", "rate_limited", "too_many_streams"]),
    ]
}

fn of_queues() -> Vec<Route> {
    vec![
        look("/v1/queues", All(Read), "Queues and what is in them", get(queues::list))
            .gives::<QueueList>(200),
        act(
            "/v1/queues/{name}/pause",
            All(Operate),
            "Let nothing more of a queue start",
            post(queues::pause),
        )
        .gives::<QueuePauseView>(200),
        act("/v1/queues/{name}/resume", All(Operate), "Let a queue run again", post(queues::resume))
            .gives::<QueuePauseView>(200),
        look("/v1/tenants", Own(Read), "Tenants and what each has under way", get(tenants::list))
            .query(TENANTS)
            .gives::<TenantList>(200),
        look("/v1/workers", All(Read), "Workers and their leases", get(queues::workers))
            .gives::<WorkerList>(200),
        act(
            "/v1/workers/{id}/restart",
            All(Operate),
            "Let a worker finish what it has and begin anew",
            post(restart::restart),
        )
        .gives::<WorkerTold>(202)
        .refuses(404, &["worker_not_found"])
        .refuses(409, &["no_process", "worker_ended"]),
        look("/v1/watchdog/runs", All(Read), "What watchdogs did, newest first", get(queues::watchdog_runs))
            .query(&[LIMIT])
            .gives::<WatchdogList>(200),
        look(
            "/v1/watchdog/what-if",
            All(Read),
            "What another heartbeat threshold would have caught sooner, and which healthy jobs it would have hit",
            get(queues::what_if),
        )
        .query(WHAT_IF)
        .gives::<WhatIf>(200),
        act("/v1/watchdog/run", All(Operate), "Sweep once, now", post(queues::watchdog_run))
            .gives::<Run>(200),
        look("/v1/dead/groups", Own(Read), "What jobs died of, the most frequent first", get(dead::groups))
            .query(DEAD_FILTER)
            .gives::<DeadGroupList>(200),
        look("/v1/dead/jobs", Own(Read), "Dead jobs, newest first", get(dead::jobs))
            .query(DEAD_PAGE)
            .gives::<JobList>(200),
        job(act("/v1/dead/resolve", Own(Operate), "Settle that dead jobs stay dead", post(dead::resolve)))
            .takes::<ResolveRequest>()
            .gives::<ResolvedView>(200),
    ]
}

/// A route below one schedule.
fn schedule(route: Route) -> Route {
    route.refuses(404, &["schedule_not_found"])
}

/// What may be wrong with a schedule. One fault alone is told by its own word.
fn defines(route: Route) -> Route {
    const FAULTS: &[&str] = &[
        "invalid_schedule",
        "bad_name",
        "out_of_range",
        "conflict",
        "missing",
        "bad_cron",
        "cron_never_fires",
        "bad_timezone",
        "bad_interval",
        "bad_time",
        "bad_tag",
        "bad_idempotency_key",
        "body_empty",
        "payload_too_large",
        "reserved_key",
    ];
    let done = if route.method == "POST" { 201 } else { 200 };
    route
        .tells(done, "ETag")
        .refuses(400, &["payload_unstorable", "payload_too_large", "duplicate_key"])
        .refuses(400, &CODES)
        .refuses(422, FAULTS)
        .refuses(422, &CODES)
}

fn of_schedules() -> Vec<Route> {
    vec![
        look("/v1/schedules", All(Read), "Schedules by name", get(schedules::list))
            .query(SCHEDULES)
            .gives::<ScheduleList>(200),
        defines(act("/v1/schedules", All(Admin), "Add a schedule", post(schedules::create)))
            .takes::<Definition>()
            .gives::<ScheduleDetail>(201)
            .refuses(409, &["schedule_exists"])
            .refuses(422, &["schedule_quota"]),
        schedule(look("/v1/schedules/{name}", All(Read), "A schedule and how it is", get(schedules::one)))
            .gives::<ScheduleDetail>(200)
            .tells(200, "ETag"),
        defines(schedule(Route::new(
            "PATCH",
            "/v1/schedules/{name}",
            All(Admin),
            "Change a schedule; null takes a field out",
            patch(schedules::change),
        )))
        .hears(IF_MATCH)
        .takes::<SchedulePatch>()
        .gives::<ScheduleDetail>(200)
        .refuses(400, &["bad_if_match"])
        .refuses(409, &["schedule_changed"]),
        schedule(Route::new(
            "DELETE",
            "/v1/schedules/{name}",
            All(Admin),
            "Remove a schedule with its history",
            delete(schedules::remove),
        ))
        .gives::<ScheduleRemoved>(200)
        .refuses(409, &["schedule_built_in"]),
        schedule(act("/v1/schedules/{name}/run", All(Operate), "Run a schedule now", post(schedules::run)))
            .may_read::<RunScheduleRequest>()
            .gives::<ScheduleRan>(202)
            .refuses(409, &["schedule_busy"]),
        schedule(act(
            "/v1/schedules/{name}/pause",
            All(Operate),
            "Pause a schedule, for good or for a while",
            post(schedules::pause),
        ))
        .may_read::<PauseScheduleRequest>()
        .gives::<SchedulePauseView>(200),
        schedule(act(
            "/v1/schedules/{name}/resume",
            All(Operate),
            "Let a schedule run again",
            post(schedules::resume),
        ))
        .gives::<SchedulePauseView>(200),
        schedule(look(
            "/v1/schedules/{name}/history",
            All(Read),
            "What became of a schedule's moments, newest first",
            get(schedules::history),
        ))
        .query(SCHEDULE_HISTORY)
        .gives::<ScheduleHistory>(200),
        schedule(look(
            "/v1/schedules/{name}/next",
            All(Read),
            "When a schedule runs next",
            get(schedules::next),
        ))
        .query(&[LIMIT])
        .gives::<ScheduleNext>(200)
        .refuses(422, &["invalid_schedule", "bad_timezone"]),
    ]
}

fn of_alerts() -> Vec<Route> {
    vec![
        look("/v1/alerts", All(Read), "What fires or is about to, or what has ceased", get(alerts::list))
            .query(ALERTS)
            .gives::<AlertList>(200),
        look("/v1/alerts/rules", All(Read), "The rules and what they mean", get(alerts::rules))
            .gives::<RuleList>(200),
        look("/v1/alerts/silences", All(Read), "What is silenced now", get(alerts::silences))
            .gives::<SilenceList>(200),
        act("/v1/alerts/silences", All(Operate), "Tell nobody of a rule for a while", post(alerts::silence))
            .takes::<SilenceRequest>()
            .gives::<SilenceView>(201),
        Route::new(
            "DELETE",
            "/v1/alerts/silences/{id}",
            All(Operate),
            "End a silence",
            delete(alerts::unsilence),
        )
        .gives::<SilenceEnded>(200)
        .refuses(404, &["silence_not_found"]),
        act("/v1/alerts/test", All(Operate), "Send a message that tries a channel", post(alerts::test))
            .takes::<ChannelRequest>()
            .gives::<ChannelTried>(202),
    ]
}

fn of_admins() -> Vec<Route> {
    vec![
        look("/v1/settings", All(Read), "Settings with value, source and effect", get(settings::list))
            .gives::<SettingList>(200)
            .tells(200, "ETag"),
        changes_settings(Route::new(
            "PATCH",
            "/v1/settings",
            All(Admin),
            "Change stored settings, all or none; null takes one out",
            patch(settings::change),
        ))
        .hears(IF_MATCH)
        .takes::<SettingsPatch>()
        .refuses(400, &["bad_if_match"])
        .refuses(412, &["settings_changed"]),
        changes_settings(act(
            "/v1/settings/{key}/revert",
            All(Admin),
            "Undo the last change of a setting",
            post(settings::revert),
        ))
        .at(Kind::Words(super::settings_patch::keys()))
        .refuses(409, &["no_history"]),
        look("/v1/settings/history", All(Read), "Changes of settings, newest first", get(settings::history))
            .query(HISTORY)
            .gives::<SettingHistory>(200),
        look("/v1/flags", All(Read), "Flags and whether they are on", get(settings::flags))
            .gives::<FlagList>(200),
        changes_settings(Route::new(
            "PUT",
            "/v1/flags/{name}",
            All(Admin),
            "Switch a flag on or off, for a while or for good",
            put(settings::set_flag),
        ))
        .takes::<FlagRequest>()
        .refuses(404, &["flag_not_found"]),
        look("/v1/audit", Own(Read), "Who did what, newest first", get(admin::audit))
            .query(AUDIT)
            .gives::<AuditPage>(200),
        look("/v1/audit/verify", All(Read), "Whether the audit log is whole", get(admin::verify))
            .gives::<AuditVerdict>(200),
        look("/v1/tokens", All(Admin), "Tokens, without their secrets", get(admin::tokens))
            .gives::<TokenList>(200),
        act("/v1/tokens", All(Admin), "Make a token; its text is told once", post(admin::create_token))
            .takes::<TokenRequest>()
            .gives::<TokenView>(201),
        Route::new("DELETE", "/v1/tokens/{id}", All(Admin), "Take a token back", delete(admin::revoke_token))
            .at(Kind::Text)
            .gives_nothing()
            .refuses(404, &["token_not_found"]),
        look("/metrics", All(Read), "Numbers for Prometheus", get(metrics::scrape))
            .gives_text(&["text/plain", "application/openmetrics-text"]),
        look("/v1/openapi.json", Own(Read), "This description", get(super::description))
            .gives::<std::collections::BTreeMap<String, Value>>(200),
    ]
}

/// What is answered to everybody before anything else is asked.
pub(super) fn free() -> Vec<Route> {
    const TROUBLE: &[&str] = &[
        "database_slow",
        "database_unreachable",
        "database_refused",
        "schema_too_old",
        "schema_too_new",
        "schema_drift",
        "database_too_old",
        "database_in_use",
        "database_read_only",
        "storage_full",
        "database_corrupt",
        "database_interrupted",
        "database_failed",
    ];
    let text = |path, says, handler| look(path, Nobody, says, handler).gives_text(&["text/plain"]);
    vec![
        text("/", "What this is and what it answers, for people", get(front::page)),
        text("/livez", "Whether this process answers", get(health::live)),
        text("/readyz", "Whether the database answers and its schema fits", get(health::ready))
            .refuses(503, TROUBLE)
            .refuses(503, &["draining"]),
        text("/startupz", "Whether /readyz was fine once since the start", get(health::startup))
            .refuses(503, TROUBLE),
    ]
}
