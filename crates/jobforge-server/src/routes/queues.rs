//! Queues and the workers that serve them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use jobforge::core::enqueue::check_name;
use jobforge::core::time::Now;
use jobforge_api::{QueueList, QueuePauseView, WorkerList};

use super::json;
use crate::api_error::ApiError;
use crate::server::App;
use crate::{body, query, view};

/// `GET /v1/queues`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let queues = app.client.store().queues(Now::Database).await?;
    json(StatusCode::OK, &QueueList { queues: queues.into_iter().map(view::queue).collect() })
}

/// `GET /v1/workers`
pub(super) async fn workers(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let workers = app.client.store().workers(Now::Database).await?;
    json(StatusCode::OK, &WorkerList { workers: workers.into_iter().map(view::worker).collect() })
}

/// `POST /v1/queues/{name}/pause`
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    body::none(&headers, body).await?;
    set_paused(&app, queue_name(name)?, true).await
}

/// `POST /v1/queues/{name}/resume`
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    body::none(&headers, body).await?;
    set_paused(&app, queue_name(name)?, false).await
}

async fn set_paused(app: &App, name: String, paused: bool) -> Result<Response, ApiError> {
    let changed = app.client.store().pause_queue(&name, paused, Now::Database).await?;
    json(StatusCode::OK, &QueuePauseView { name, paused, changed })
}

fn queue_name(segment: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(name) =
        segment.map_err(|_| ApiError::bad_request("bad_name", "the queue's name in the path is not text"))?;
    check_name(&name).map_err(|fault| ApiError::bad_request("bad_name", format!("queue: {fault}")))?;
    Ok(name)
}
