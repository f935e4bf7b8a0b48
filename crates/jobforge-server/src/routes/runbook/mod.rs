//! The paths that runbooks call, kept as they are written there. JSON is read whatever the content type says, for `curl -d`
//! says that it is a form; only bearer tokens open these routes, so no foreign page gains by it.

mod config;
mod debug;
mod dlq;
mod health;
mod restart;
mod trigger;

use axum::routing::{get, patch, post};
use jobforge::core::token::Scope;
use jobforge_api::ScheduleRan;
use jobforge_api::runbook::{
    ConfigChanged, ConfigView, DebugAction, DebugDone, DebugView, DlqAction, DlqDone, DlqView, HealthFull,
    HealthShort, ReprocessRequest, TriggerRequest,
};

use super::settings_patch::SettingsPatch;
use super::table::Need::{All, Nobody, Own};
use super::table::Route;
use crate::query::DLQ;

/// What is told to everybody, and more of it to those with a token.
pub(super) fn free() -> Vec<Route> {
    let look = |path, says, handler| Route::new("GET", path, Nobody, says, handler);
    vec![
        look("/api/health", "Whether the server and its database answer", get(health::short))
            .gives::<HealthShort>(200)
            .gives::<HealthShort>(503),
        look("/api/health/full", "How each part is; more of it with a token", get(health::full))
            .gives::<HealthFull>(200),
        look("/api/config", "Feature flags; more with a token", get(config::look)).gives::<ConfigView>(200),
    ]
}

/// What is answered only to those who say who they are. What needs more than the scope here says so by its action.
pub(super) fn guarded() -> Vec<Route> {
    use Scope::{Admin, Operate, Read};
    let look = |path, need, says, handler| Route::new("GET", path, need, says, handler);
    let act = |path, need, says, handler| Route::new("POST", path, need, says, handler);
    vec![
        look("/api/qc/debug", Own(Read), "Stuck jobs, jobs by status, the watchdog", get(debug::look))
            .gives::<DebugView>(200),
        act(
            "/api/qc/debug",
            Own(Operate),
            "trigger_watchdog, retry_specific, retry_stuck, cancel_stuck, trigger_worker",
            post(debug::act),
        )
        .reads::<DebugAction>()
        .gives::<DebugDone>(200)
        .refuses(403, &["tenant_bound"])
        .refuses(404, &["job_not_found", "worker_not_found"])
        .refuses(400, &["bad_id"])
        .refuses(422, &["unknown_action"]),
        act("/api/qc/reprocess", Own(Operate), "Run these jobs again", post(debug::reprocess))
            .reads::<ReprocessRequest>()
            .gives::<DebugDone>(200)
            .refuses(400, &["bad_id"])
            .refuses(404, &["job_not_found"]),
        Route::new("PATCH", "/api/admin/config", All(Admin), "Change stored settings", patch(config::change))
            .reads::<SettingsPatch>()
            .gives::<ConfigChanged>(200)
            .refuses(
                422,
                &["unknown_setting", "settings_disagree", "bad_setting", "local_setting", "no_setting"],
            ),
        look("/api/admin/dlq", Own(Read), "Dead letters, or their statistics", get(dlq::look))
            .query(DLQ)
            .gives::<DlqView>(200),
        act("/api/admin/dlq", Own(Operate), "retry, resolve or purge dead letters", post(dlq::act))
            .reads::<DlqAction>()
            .gives::<DlqDone>(200)
            .refuses(400, &["bad_id"])
            .refuses(404, &["job_not_found"])
            .refuses(409, &["invalid_transition"])
            .refuses(422, &["unknown_action"]),
        act("/admin/jobs/trigger", All(Admin), "Run a scheduled job now", post(trigger::trigger))
            .reads::<TriggerRequest>()
            .gives::<ScheduleRan>(202)
            .refuses(404, &["schedule_not_found"])
            .refuses(409, &["schedule_busy"]),
    ]
}
