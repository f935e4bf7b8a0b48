//! The worker protocol, `/v1/worker/*`. What each call promises is in `docs/worker-protocol.md`.

mod claim;
mod deaths;
mod heartbeat;
mod payload;
mod register;
mod results;
mod samples;
mod settings;
mod signals;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use jobforge::core::enqueue::check_name;
use jobforge::core::job::WorkerId;
use jobforge::core::token::Scope;
use jobforge_api::worker::{Limits, PROTOCOL, PROTOCOL_HEADER};
use serde::de::DeserializeOwned;

use crate::api_error::ApiError;
use crate::body;
use crate::caller::Caller;
use crate::workers::Workers;

/// What one request may hold.
const LIMITS: Limits = Limits { claim: 500, heartbeat: 1000, results: 1000, body_bytes: 8 * 1024 * 1024 };
/// The most queues or types that a request may name.
const MAX_NAMES: usize = 1000;
/// The longest interval that a worker can mean: a day.
const MAX_INTERVAL_MS: u64 = 86_400_000;
/// The longest free text that names something, in bytes.
const MAX_TEXT: usize = 255;

/// The calls of workers, the same over TCP and over the socket, for those who have been asked who they are.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(workers: Arc<Workers>) -> Router<S> {
    let of_socket = Router::new()
        .route("/deaths", post(deaths::deaths))
        .route("/purge", post(register::purge))
        .route("/samples", post(samples::samples))
        .route("/settings", post(settings::settings))
        .route_layer(from_fn(require_socket));
    let calls = Router::new()
        .route("/register", post(register::register))
        .route("/claim", post(claim::claim))
        .route("/heartbeat", post(heartbeat::heartbeat))
        .route("/results", post(results::results))
        .route("/leave", post(register::leave))
        .route("/signals", get(signals::signals))
        .route("/payload/{id}", get(payload::payload))
        .merge(of_socket)
        .fallback(super::not_found)
        .method_not_allowed_fallback(super::method_not_allowed)
        .layer(from_fn(require_worker))
        .with_state(workers);
    Router::new().nest_service("/v1/worker", calls)
}

async fn require_worker(caller: Caller, request: Request, next: Next) -> Result<Response, ApiError> {
    caller.require(Scope::Worker)?;
    Ok(next.run(request).await)
}

/// Processes of this machine, purging, alerts and settings are the business of the server's own user.
async fn require_socket(caller: Caller, request: Request, next: Next) -> Result<Response, ApiError> {
    if caller.is_of_socket() {
        return Ok(next.run(request).await);
    }
    let title = "this call is not for the network";
    let detail = "only the server's Unix socket answers this call, to worker processes of its own machine";
    Err(ApiError::new(StatusCode::FORBIDDEN, "socket_only", title, detail))
}

/// Reads a request of the protocol.
async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    check_version(headers)?;
    body::report(headers, body, LIMITS.body_bytes).await
}

/// A request without a version is of the first; another version than ours cannot be understood.
fn check_version(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(PROTOCOL_HEADER) {
        Some(version) if version.as_bytes() != PROTOCOL.as_bytes() => Err(ApiError::bad_request(
            "protocol_version",
            format!("this server speaks version {PROTOCOL} of the worker protocol; use an SDK that does"),
        )),
        Some(_) | None => Ok(()),
    }
}

/// How long a worker means to wait for a heartbeat, as it says.
fn interval(ms: u64) -> Duration {
    Duration::from_millis(ms.min(MAX_INTERVAL_MS))
}

/// A worker's identity is `worker-` and eight hex digits, so that a mistake is not taken for one.
fn check_worker(worker: &WorkerId) -> Result<(), ApiError> {
    let digits = worker.as_str().strip_prefix("worker-").unwrap_or_default();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() == 8 && digits.bytes().all(is_hex) {
        return Ok(());
    }
    Err(ApiError::invalid_request("worker_id must be worker- and eight hex digits, as register answered it"))
}

fn check_names<'a>(field: &str, names: impl ExactSizeIterator<Item = &'a String>) -> Result<(), ApiError> {
    check_count(field, names.len(), MAX_NAMES)?;
    for name in names {
        check_name(name).map_err(|fault| ApiError::invalid_request(format!("{field}: {fault}")))?;
    }
    Ok(())
}

fn check_count(field: &str, count: usize, most: usize) -> Result<(), ApiError> {
    if count <= most {
        return Ok(());
    }
    Err(ApiError::invalid_request(format!("{field} has {count} entries; at most {most} are taken at once")))
}

/// Text for people: not too long, and nothing that a database cannot keep.
fn check_text(field: &str, text: Option<&String>) -> Result<(), ApiError> {
    match text {
        Some(text) if text.len() > MAX_TEXT || text.chars().any(char::is_control) => {
            let fault =
                format!("{field} must be text of at most {MAX_TEXT} bytes without control characters");
            Err(ApiError::invalid_request(fault))
        }
        Some(_) | None => Ok(()),
    }
}
