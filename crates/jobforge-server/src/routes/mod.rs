//! The routes: each translates one request into one call of [`jobforge::Client`] and its answer into a view.

mod admin;
mod alerts;
mod dead;
mod events;
mod front;
mod health;
mod idempotency;
mod jobs;
mod openapi;
mod operations;
mod payloads;
mod queues;
mod restart;
mod runbook;
mod schedule_patch;
mod schedules;
mod settings;
mod settings_patch;
mod table;
mod tenants;
mod v1;
mod worker;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use jobforge_api::requests::{MAX_FOR_MS, MIN_FOR_MS};
use serde::Serialize;

use crate::api_error::ApiError;
use crate::gate::{Gate, accept_token, require_local, require_token, trust_socket};
use crate::rate_limit::{RateLimit, limit};
use crate::request_log::log_request;
use crate::server::App;
use crate::ui::{self, Ui};
use crate::workers::Workers;
use table::{Route, answer};

// What the dashboard asks as the API does.
pub(crate) use events::stream as events;
pub(crate) use jobs::{events_of, visible};
pub(crate) use operations::{check as check_bulk, find_read as operation};
pub(crate) use queues::sweep;
pub(crate) use restart::{by_id as restart_worker, unknown as unknown_worker};
pub(crate) use settings::switch as switch_flag;
pub(crate) use table::Need;

/// All routes behind the gate, each request named and logged.
pub(crate) fn router(app: Arc<App>, gate: Arc<Gate>, workers: Arc<Workers>) -> Router {
    // The token is asked for whatever lies below these, so that a route cannot be forgotten.
    let rates = Arc::new(RateLimit::new(app.live.clone()));
    let limit = || from_fn_with_state(Arc::clone(&rates), limit);
    // Workers ask often, and are held back by what they may hold open.
    let guarded = guarded().layer(limit()).merge(worker::routes(workers));
    let guarded = guarded.layer(from_fn_with_state(gate.clone(), require_token));
    let free = answer(runbook::free()).layer(limit()).layer(from_fn_with_state(gate.clone(), accept_token));
    let shared = Arc::new(Ui::new(Arc::clone(&app), Arc::clone(&gate)));
    let enter = from_fn_with_state(Arc::clone(&shared), ui::enter);
    let dashboard = ui::pages_of_callers().merge(ui::pages_of_anybody()).layer(limit()).layer(enter);
    around(guarded.merge(free).merge(dashboard), app)
        .layer(from_fn_with_state(gate, require_local))
        .layer(from_fn_with_state(shared, ui::pages))
        .layer(from_fn(log_request))
}

/// The same for a socket that only the server's own user can reach.
pub(crate) fn socket_router(app: Arc<App>, workers: Arc<Workers>) -> Router {
    let guarded = guarded().merge(worker::routes(workers));
    around(guarded.merge(answer(runbook::free())).layer(from_fn(trust_socket)), app)
        .layer(from_fn(log_request))
}

/// What is answered only to those who say who they are.
fn guarded() -> Router<Arc<App>> {
    // What is below these prefixes and is no route says so only to those who may ask.
    let nothing = || axum::routing::any(not_found);
    answer(v1::routes())
        .merge(answer(runbook::guarded()))
        .route("/v1", nothing())
        .route("/v1/{*rest}", nothing())
        .route("/api/{*rest}", nothing())
        .route("/admin/{*rest}", nothing())
        .method_not_allowed_fallback(method_not_allowed)
}

/// The description of the whole API, as it is checked in.
pub fn openapi() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let guarded = v1::routes().into_iter().chain(runbook::guarded());
        let routes: Vec<Route> = guarded.chain(runbook::free()).chain(v1::free()).collect();
        let mut text = serde_json::to_string_pretty(&openapi::describe(&routes)).unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}

/// `GET /v1/openapi.json`
async fn description() -> Result<impl IntoResponse, ApiError> {
    Ok(([(CONTENT_TYPE, "application/json")], openapi()))
}

/// What is answered beside them.
fn around(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    answer(v1::free())
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

/// How long something shall last.
fn lasting(ms: u64) -> Result<Duration, ApiError> {
    if (MIN_FOR_MS..=MAX_FOR_MS).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(ApiError::invalid_request(format!("for_ms must be {MIN_FOR_MS} to {MAX_FOR_MS} (ten years)")))
}

/// Writes a view as JSON.
fn json<T: Serialize>(status: StatusCode, view: &T) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(view).map_err(|fault| {
        let (title, detail) = ("the server failed", "the answer cannot be written as JSON");
        ApiError::failed(StatusCode::INTERNAL_SERVER_ERROR, "internal", title, detail, fault.to_string())
    })?;
    Ok((status, [(CONTENT_TYPE, "application/json")], Body::from(body)).into_response())
}
