//! `/admin/jobs/trigger`.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

use crate::api_error::ApiError;
use crate::{body, query};

/// `POST /admin/jobs/trigger`
pub(super) async fn trigger(uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let fields = body::object(&headers, body, &["job_name"]).await?;
    let name = fields.get("job_name").and_then(|name| name.as_str()).unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::invalid_request("job_name is missing; name the scheduled job to run"));
    }
    let shown: String = name.chars().take(60).collect();
    Err(ApiError::new(
        StatusCode::NOT_FOUND,
        "schedule_not_found",
        "there is no such scheduled job",
        format!("{shown:?} is not a scheduled job; known are: none, for no schedule is defined"),
    ))
}
