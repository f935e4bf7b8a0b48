//! The routes: each translates one request into one call of [`jobforge::Client`] and its answer into a view.

mod front;
mod health;
mod jobs;
mod queues;
mod worker;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

use crate::api_error::ApiError;
use crate::gate::{Gate, require_local, require_token};
use crate::request_log::log_request;
use crate::server::App;
use crate::workers::Workers;

/// All routes behind the gate, each request named and logged.
pub(crate) fn router(app: Arc<App>, gate: Arc<Gate>) -> Router {
    // The token is asked for whatever lies below /v1, so that a route cannot be forgotten.
    let v1 = v1().layer(from_fn_with_state(gate.clone(), require_token));
    around(v1, app).layer(from_fn_with_state(gate, require_local)).layer(from_fn(log_request))
}

/// All routes and those of workers, for a socket that only the server's own user can reach.
pub(crate) fn socket_router(app: Arc<App>, workers: Arc<Workers>) -> Router {
    let v1 = v1().nest_service("/worker", worker::router(workers));
    around(v1, app).layer(from_fn(log_request))
}

/// What people and programs may ask.
fn v1() -> Router<Arc<App>> {
    Router::new()
        .route("/jobs", get(jobs::list).post(jobs::enqueue))
        .route("/jobs/{id}", get(jobs::detail).delete(jobs::delete))
        .route("/jobs/{id}/explain", get(jobs::explain))
        .route("/jobs/{id}/logs", get(jobs::logs))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/jobs/{id}/retry", post(jobs::retry))
        .route("/queues", get(queues::list))
        .route("/queues/{name}/pause", post(queues::pause))
        .route("/queues/{name}/resume", post(queues::resume))
        .route("/workers", get(queues::workers))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

/// What is answered beside `/v1`.
fn around(v1: Router<Arc<App>>, app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(front::page))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/startupz", get(health::startup))
        .nest("/v1", v1)
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
