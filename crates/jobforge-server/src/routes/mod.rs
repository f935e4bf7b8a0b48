//! The routes: each translates one request into one call of [`jobforge::Client`] and its answer into a view.

mod admin;
mod alerts;
mod dead;
mod events;
mod front;
mod health;
mod jobs;
mod openapi;
mod operations;
mod queues;
mod runbook;
mod settings;
mod table;
mod worker;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use jobforge::core::token::Scope;
use serde::Serialize;

use crate::api_error::ApiError;
use crate::gate::{Gate, accept_token, require_local, require_token, trust_socket};
use crate::metrics;
use crate::request_log::log_request;
use crate::server::App;
use crate::workers::Workers;
use table::Need::{All, Own};
use table::{Route, answer};

/// All routes behind the gate, each request named and logged.
pub(crate) fn router(app: Arc<App>, gate: Arc<Gate>) -> Router {
    // The token is asked for whatever lies below these, so that a route cannot be forgotten.
    let guarded = guarded().layer(from_fn_with_state(gate.clone(), require_token));
    let free = answer(runbook::free()).layer(from_fn_with_state(gate.clone(), accept_token));
    around(guarded.merge(free), app)
        .layer(from_fn_with_state(gate, require_local))
        .layer(from_fn(log_request))
}

/// All routes and those of workers, for a socket that only the server's own user can reach.
pub(crate) fn socket_router(app: Arc<App>, workers: Arc<Workers>) -> Router {
    let guarded = guarded().nest_service("/v1/worker", worker::router(workers));
    around(guarded.merge(answer(runbook::free())).layer(from_fn(trust_socket)), app)
        .layer(from_fn(log_request))
}

/// What is answered only to those who say who they are.
fn guarded() -> Router<Arc<App>> {
    // What is below these prefixes and is no route says so only to those who may ask.
    let nothing = || axum::routing::any(not_found);
    answer(v1())
        .merge(answer(runbook::guarded()))
        .route("/v1", nothing())
        .route("/v1/{*rest}", nothing())
        .route("/api/{*rest}", nothing())
        .route("/admin/{*rest}", nothing())
        .method_not_allowed_fallback(method_not_allowed)
}

/// The API.
fn v1() -> Vec<Route> {
    use Scope::{Admin, Enqueue, Operate, Read};
    const JOB_FILTER: &[&str] =
        &["tenant_id", "status", "type", "queue", "tag", "idempotency_key", "worker", "before", "limit"];
    let look = |path, need, says, handler| Route::new("GET", path, need, says, handler);
    let act = |path, need, says, handler| Route::new("POST", path, need, says, handler);
    vec![
        look("/v1/jobs", Own(Read), "List jobs, newest first", get(jobs::list)).query(JOB_FILTER),
        act("/v1/jobs", Own(Enqueue), "Enqueue a job", post(jobs::enqueue)).body(jobs::FIELDS),
        act("/v1/jobs/many", Own(Enqueue), "Enqueue many jobs, all or none", post(jobs::enqueue_many))
            .body(&["jobs"]),
        act(
            "/v1/jobs/bulk",
            Own(Operate),
            "Cancel, retry or delete many jobs in the background",
            post(operations::begin),
        )
        .body(&["action", "filter", "dry_run", "reason"]),
        look("/v1/jobs/{id}", Own(Read), "One job with its attempts and result", get(jobs::detail)),
        Route::new(
            "DELETE",
            "/v1/jobs/{id}",
            Own(Operate),
            "Remove a job that is not running",
            delete(jobs::delete),
        ),
        look(
            "/v1/jobs/{id}/explain",
            Own(Read),
            "What a job is now, why, and what happens next",
            get(jobs::explain),
        ),
        look("/v1/jobs/{id}/timeline", Own(Read), "What happened to a job, in order", get(jobs::timeline)),
        look("/v1/jobs/{id}/logs", Own(Read), "What a job's handler printed", get(jobs::logs)),
        act("/v1/jobs/{id}/cancel", Own(Operate), "End a queued or running job", post(jobs::cancel)),
        act("/v1/jobs/{id}/retry", Own(Operate), "Run a job again with fresh attempts", post(jobs::retry)),
        act(
            "/v1/jobs/{id}/reschedule",
            Own(Operate),
            "Run a job again later, with fresh attempts",
            post(jobs::reschedule),
        )
        .body(&["run_at", "delay_ms"]),
        look("/v1/queues", All(Read), "Queues and what is in them", get(queues::list)),
        act(
            "/v1/queues/{name}/pause",
            All(Operate),
            "Let nothing more of a queue start",
            post(queues::pause),
        ),
        act("/v1/queues/{name}/resume", All(Operate), "Let a queue run again", post(queues::resume)),
        look("/v1/workers", All(Read), "Workers and their leases", get(queues::workers)),
        look("/v1/watchdog/runs", All(Read), "What watchdogs did, newest first", get(queues::watchdog_runs))
            .query(&["limit"]),
        act("/v1/watchdog/run", All(Operate), "Sweep once, now", post(queues::watchdog_run)),
        look("/v1/dead/groups", Own(Read), "What jobs died of, the most frequent first", get(dead::groups))
            .query(dead::FILTER),
        look("/v1/dead/jobs", Own(Read), "Dead jobs, newest first", get(dead::jobs)).query(dead::PAGE),
        act("/v1/dead/resolve", Own(Operate), "Settle that dead jobs stay dead", post(dead::resolve))
            .body(&["ids", "note"]),
        look("/v1/alerts", All(Read), "What fires, or with resolved=true what has ceased", get(alerts::list))
            .query(&["resolved"]),
        look("/v1/alerts/rules", All(Read), "The rules and what they mean", get(alerts::rules)),
        look("/v1/alerts/silences", All(Read), "What is silenced now", get(alerts::silences)),
        act("/v1/alerts/silences", All(Operate), "Tell nobody of a rule for a while", post(alerts::silence))
            .body(&["rule", "labels", "for_ms", "reason"]),
        Route::new(
            "DELETE",
            "/v1/alerts/silences/{id}",
            All(Operate),
            "End a silence",
            delete(alerts::unsilence),
        ),
        act("/v1/alerts/test", All(Operate), "Send a message that tries a channel", post(alerts::test))
            .body(&["channel"]),
        look("/v1/settings", All(Read), "Settings with value, source and effect", get(settings::list)),
        Route::new(
            "PATCH",
            "/v1/settings",
            All(Admin),
            "Change stored settings, all or none; null takes one out",
            patch(settings::change),
        ),
        act(
            "/v1/settings/{key}/revert",
            All(Admin),
            "Undo the last change of a setting",
            post(settings::revert),
        ),
        look("/v1/settings/history", All(Read), "Changes of settings, newest first", get(settings::history))
            .query(&["key", "before", "limit"]),
        look("/v1/flags", All(Read), "Flags and whether they are on", get(settings::flags)),
        Route::new(
            "PUT",
            "/v1/flags/{name}",
            All(Admin),
            "Switch a flag on or off, for a while or for good",
            put(settings::set_flag),
        )
        .body(&["enabled", "for_ms"]),
        look("/v1/audit", Own(Read), "Who did what, newest first", get(admin::audit)).query(admin::AUDIT),
        look("/v1/audit/verify", All(Read), "Whether the audit log is whole", get(admin::verify)),
        look("/v1/tokens", All(Admin), "Tokens, without their secrets", get(admin::tokens)),
        act("/v1/tokens", All(Admin), "Make a token; its text is told once", post(admin::create_token))
            .body(&["name", "scopes", "tenant_id", "expires_at", "for_ms"]),
        Route::new("DELETE", "/v1/tokens/{id}", All(Admin), "Take a token back", delete(admin::revoke_token)),
        look("/v1/operations", Own(Read), "Operations on many jobs, newest first", get(operations::list))
            .query(&["limit"]),
        look("/v1/operations/{id}", Own(Read), "An operation and how far it is", get(operations::one)),
        act(
            "/v1/operations/{id}/cancel",
            Own(Operate),
            "End an operation; what it did stays done",
            post(operations::cancel),
        ),
        look(
            "/v1/events",
            Own(Read),
            "Jobs and workers as they change (server-sent events)",
            get(events::stream),
        ),
        look("/metrics", All(Read), "Numbers for Prometheus", get(metrics::scrape)),
        look("/v1/openapi.json", Own(Read), "This description", get(description)),
    ]
}

/// The description of the whole API, as it is checked in.
pub fn openapi() -> String {
    let routes: Vec<Route> = v1().into_iter().chain(runbook::guarded()).chain(runbook::free()).collect();
    let mut text = serde_json::to_string_pretty(&openapi::describe(&routes)).unwrap_or_default();
    text.push('\n');
    text
}

/// `GET /v1/openapi.json`
async fn description() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], openapi())
}

/// What is answered beside them.
fn around(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(front::page))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/startupz", get(health::startup))
        .merge(routes)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

async fn not_found() -> ApiError {
    let detail = "there is nothing at this path; GET / lists the routes";
    ApiError::new(StatusCode::NOT_FOUND, "route_not_found", "there is no such route", detail)
}

async fn method_not_allowed(method: Method, _: Uri) -> ApiError {
    let method: String = method.as_str().chars().take(20).collect();
    let detail = format!(
        "{method} is not answered at this path; the header Allow says what is, GET / lists the routes"
    );
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the method is not allowed here",
        detail,
    )
}

/// Writes a view as JSON.
fn json<T: Serialize>(status: StatusCode, view: &T) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(view).map_err(|fault| {
        let (title, detail) = ("the server failed", "the answer cannot be written as JSON");
        ApiError::failed(StatusCode::INTERNAL_SERVER_ERROR, "internal", title, detail, fault.to_string())
    })?;
    Ok((status, [(CONTENT_TYPE, "application/json")], Body::from(body)).into_response())
}
