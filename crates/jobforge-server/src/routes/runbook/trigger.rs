//! `/admin/jobs/trigger`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::schedules::run_now;
use crate::api_error::ApiError;
use crate::body;
use crate::caller::Caller;
use crate::server::App;

/// `POST /admin/jobs/trigger`
pub(super) async fn trigger(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let fields = body::object(&headers, body, &["job_name"]).await?;
    let name = fields.get("job_name").and_then(|name| name.as_str()).unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::invalid_request("job_name is missing; name the scheduled job to run"));
    }
    run_now(&app, &caller, name, false).await
}
