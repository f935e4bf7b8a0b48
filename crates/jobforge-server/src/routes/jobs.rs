//! Jobs: put in, looked at, moved.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jobforge::core::job::JobId;
use jobforge::store::rows::JobFilter;
use jobforge_api::{JobList, JobView, LogList, ReceiptView};

use super::json;
use crate::api_error::ApiError;
use crate::server::App;
use crate::{body, query, view};

/// A piece of the path, or that it is not even text.
type Segment = Result<Path<String>, PathRejection>;

/// `POST /v1/jobs`
pub(super) async fn enqueue(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let request = body::job_request(&headers, body).await?;
    let receipt = app.client.enqueue_untyped(request).await?;
    let status = if receipt.created { StatusCode::CREATED } else { StatusCode::OK };
    let view = ReceiptView { id: receipt.id.to_string(), created: receipt.created };
    let mut response = json(status, &view)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{}", receipt.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `GET /v1/jobs`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let filter = query::job_filter(&uri)?;
    // One more than asked for tells whether there is a next page.
    let mut jobs = app.client.jobs(&JobFilter { limit: filter.limit + 1, ..filter.clone() }).await?;
    let more = jobs.len() > filter.limit;
    jobs.truncate(filter.limit);
    let next = jobs.last().filter(|_| more).map(|job| job.id.to_string());
    json(StatusCode::OK, &JobList { jobs: jobs.into_iter().map(JobView::from).collect(), next })
}

/// `GET /v1/jobs/{id}`
pub(super) async fn detail(State(app): State<Arc<App>>, uri: Uri, id: Segment) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let detail = app.client.job_detail(job_id(id)?).await?;
    json(StatusCode::OK, &view::job_detail(detail))
}

/// `GET /v1/jobs/{id}/explain`
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    uri: Uri,
    id: Segment,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let standing = app.client.explain(job_id(id)?, &app.policy).await?;
    json(StatusCode::OK, &standing)
}

/// `GET /v1/jobs/{id}/logs`
pub(super) async fn logs(State(app): State<Arc<App>>, uri: Uri, id: Segment) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let detail = app.client.job_detail(job_id(id)?).await?;
    json(StatusCode::OK, &LogList { logs: view::logs(detail.logs) })
}

/// `POST /v1/jobs/{id}/cancel`
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    id: Segment,
    body: Body,
) -> Result<Response, ApiError> {
    let id = plain_call(&uri, &headers, id, body).await?;
    app.client.cancel(id).await?;
    moved(&app, id).await
}

/// `POST /v1/jobs/{id}/retry`
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    id: Segment,
    body: Body,
) -> Result<Response, ApiError> {
    let id = plain_call(&uri, &headers, id, body).await?;
    app.client.retry(id).await?;
    moved(&app, id).await
}

/// `DELETE /v1/jobs/{id}`
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    id: Segment,
    body: Body,
) -> Result<Response, ApiError> {
    let id = plain_call(&uri, &headers, id, body).await?;
    app.client.delete(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Reads a call that has nothing but the id of its job.
async fn plain_call(uri: &Uri, headers: &HeaderMap, id: Segment, body: Body) -> Result<JobId, ApiError> {
    query::none(uri)?;
    body::none(headers, body).await?;
    job_id(id)
}

async fn moved(app: &App, id: JobId) -> Result<Response, ApiError> {
    json(StatusCode::OK, &JobView::from(app.client.job(id).await?))
}

fn job_id(segment: Segment) -> Result<JobId, ApiError> {
    let Path(text) =
        segment.map_err(|_| ApiError::bad_request("bad_id", "the job id in the path is not text"))?;
    Ok(text.parse::<JobId>()?)
}
