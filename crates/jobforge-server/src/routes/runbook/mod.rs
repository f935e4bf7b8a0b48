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

use super::table::Need::{All, Nobody, Own};
use super::table::Route;

/// What is told to everybody, and more of it to those with a token.
pub(super) fn free() -> Vec<Route> {
    vec![
        Route::new(
            "GET",
            "/api/health",
            Nobody,
            "Whether the server and its database answer",
            get(health::short),
        ),
        Route::new(
            "GET",
            "/api/health/full",
            Nobody,
            "How each part is; more of it with a token",
            get(health::full),
        ),
        Route::new("GET", "/api/config", Nobody, "Feature flags; more with a token", get(config::look)),
    ]
}

/// What is answered only to those who say who they are. What needs more than the scope here says so by its action.
pub(super) fn guarded() -> Vec<Route> {
    use Scope::{Admin, Operate, Read};
    vec![
        Route::new(
            "GET",
            "/api/qc/debug",
            Own(Read),
            "Stuck jobs, jobs by status, the watchdog",
            get(debug::look),
        ),
        Route::new(
            "POST",
            "/api/qc/debug",
            Own(Operate),
            "trigger_watchdog, retry_specific, retry_stuck, cancel_stuck, trigger_worker",
            post(debug::act),
        )
        .body(debug::FIELDS),
        Route::new("POST", "/api/qc/reprocess", Own(Operate), "Run these jobs again", post(debug::reprocess))
            .body(debug::REPROCESS),
        Route::new("PATCH", "/api/admin/config", All(Admin), "Change stored settings", patch(config::change)),
        Route::new("GET", "/api/admin/dlq", Own(Read), "Dead letters, or their statistics", get(dlq::look))
            .query(dlq::PARAMETERS),
        Route::new(
            "POST",
            "/api/admin/dlq",
            Own(Operate),
            "retry, resolve or purge dead letters",
            post(dlq::act),
        )
        .body(dlq::FIELDS),
        Route::new(
            "POST",
            "/admin/jobs/trigger",
            All(Admin),
            "Run a scheduled job now",
            post(trigger::trigger),
        )
        .body(&["job_name"]),
    ]
}
