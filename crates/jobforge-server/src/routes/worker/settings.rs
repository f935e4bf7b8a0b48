//! What every process goes by, for workers that have no database of their own.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jobforge::core::time::Now;

use super::check_version;
use crate::api_error::ApiError;
use crate::body;
use crate::routes::json;
use crate::workers::Workers;

/// `POST /v1/worker/settings`
pub(super) async fn settings(
    State(workers): State<Arc<Workers>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    check_version(&headers)?;
    body::none(&headers, body).await?;
    json(StatusCode::OK, &workers.store.stored_settings(Now::Database).await?)
}
