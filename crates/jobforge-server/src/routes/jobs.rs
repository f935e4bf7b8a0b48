//! Jobs: put in, looked at, moved.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jobforge::core::audit::AuditFilter;
use jobforge::core::enqueue::JobRequest;
use jobforge::core::job::{Job, JobId};
use jobforge::core::time::since;
use jobforge::{Client, Error};
use jobforge_api::{JobView, LogList, ReceiptView};
use serde::Deserialize;
use serde_json::Value;

use super::json;
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::server::App;
use crate::{body, query, view};

/// Fields of a job to be enqueued.
pub(super) const FIELDS: &[&str] = &[
    "type",
    "payload",
    "tenant_id",
    "queue",
    "priority",
    "run_at",
    "delay_ms",
    "max_attempts",
    "timeout_ms",
    "progress_timeout_ms",
    "idempotency_key",
    "tags",
    "traceparent",
    "retry",
];
/// Jobs that are enqueued at once.
const MOST: usize = 1000;
/// Entries of the audit log that a timeline shows.
const MOST_DEEDS: usize = 200;
/// How far ahead a job may be planned.
const MAX_DELAY: Duration = Duration::from_secs(10 * 366 * 86_400);
/// The longest body of a reschedule.
const MAX_BODY: usize = 4096;

/// A piece of the path, or that it is not even text.
type Segment = Result<Path<String>, PathRejection>;

/// The job, if the caller may know of it; to others there is none.
pub(super) async fn visible(app: &App, caller: &Caller, id: JobId) -> Result<Job, ApiError> {
    let job = app.client.job(id).await?;
    if caller.sees(&job.tenant_id) { Ok(job) } else { Err(Error::NotFound(id).into()) }
}

/// The client that acts for the caller.
fn acting(app: &App, caller: &Caller) -> Client {
    app.client.clone().acting(caller.by().clone())
}

/// `POST /v1/jobs/many`
pub(super) async fn enqueue_many(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let requests = body::job_requests(&headers, body, MOST).await?;
    let client = acting(&app, &caller);
    let mut jobs = Vec::with_capacity(requests.len());
    for (index, request) in requests.into_iter().enumerate() {
        let tenant_id = caller.tenant(request.tenant_id.clone())?;
        let job = client.enqueue_untyped(JobRequest { tenant_id, ..request }).into_job();
        jobs.push(job.map_err(|fault| ApiError::from(fault).under(&format!("/jobs/{index}")))?);
    }
    let receipts = client.enqueue_jobs(&jobs).await?;
    let receipts: Vec<ReceiptView> = receipts
        .iter()
        .map(|receipt| ReceiptView { id: receipt.id.to_string(), created: receipt.created })
        .collect();
    json(StatusCode::OK, &serde_json::json!({ "jobs": receipts }))
}

/// `POST /v1/jobs`
pub(super) async fn enqueue(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let request = body::job_request(&headers, body).await?;
    let tenant_id = caller.tenant(request.tenant_id.clone())?;
    let receipt = acting(&app, &caller).enqueue_untyped(JobRequest { tenant_id, ..request }).await?;
    let status = if receipt.created { StatusCode::CREATED } else { StatusCode::OK };
    let view = ReceiptView { id: receipt.id.to_string(), created: receipt.created };
    let mut response = json(status, &view)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{}", receipt.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `GET /v1/jobs`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut filter = query::job_filter(&uri)?;
    filter.tenant_id = caller.tenant(filter.tenant_id)?;
    let page = app.client.job_page(&filter).await?;
    json(StatusCode::OK, &view::job_list(page))
}

/// `GET /v1/jobs/{id}`
pub(super) async fn detail(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    id: Segment,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let detail = app.client.job_detail(visible(&app, &caller, job_id(id)?).await?.id).await?;
    json(StatusCode::OK, &view::job_detail(detail))
}

/// `GET /v1/jobs/{id}/explain`
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    id: Segment,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let job = visible(&app, &caller, job_id(id)?).await?;
    let standing = app.client.explain(job.id, &app.live.now().rescue_policy()).await?;
    json(StatusCode::OK, &standing)
}

/// `GET /v1/jobs/{id}/logs`
pub(super) async fn logs(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    id: Segment,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let detail = app.client.job_detail(visible(&app, &caller, job_id(id)?).await?.id).await?;
    json(StatusCode::OK, &LogList { logs: view::logs(detail.logs) })
}

/// `POST /v1/jobs/{id}/cancel`
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    id: Segment,
    body: Body,
) -> Result<Response, ApiError> {
    let id = plain_call(&uri, &headers, id, body).await?;
    visible(&app, &caller, id).await?;
    acting(&app, &caller).cancel(id).await?;
    moved(&app, id).await
}

/// `POST /v1/jobs/{id}/retry`
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    id: Segment,
    body: Body,
) -> Result<Response, ApiError> {
    let id = plain_call(&uri, &headers, id, body).await?;
    visible(&app, &caller, id).await?;
    acting(&app, &caller).retry(id).await?;
    moved(&app, id).await
}

/// `DELETE /v1/jobs/{id}`
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    id: Segment,
    body: Body,
) -> Result<Response, ApiError> {
    let id = plain_call(&uri, &headers, id, body).await?;
    visible(&app, &caller, id).await?;
    acting(&app, &caller).delete(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reschedule {
    #[serde(default)]
    run_at: Option<Timestamp>,
    #[serde(default)]
    delay_ms: Option<u64>,
}

/// `POST /v1/jobs/{id}/reschedule`
pub(super) async fn reschedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    id: Segment,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let delay = match body::json(&headers, body, MAX_BODY).await? {
        Reschedule { run_at: Some(at), delay_ms: None } => since(at, app.client.store().now().await?),
        Reschedule { run_at: None, delay_ms: Some(ms) } => Duration::from_millis(ms),
        Reschedule { .. } => {
            return Err(ApiError::invalid_request("give run_at or delay_ms, one of the two"));
        }
    };
    if delay > MAX_DELAY {
        return Err(ApiError::invalid_request("the job would run in more than ten years"));
    }
    let id = visible(&app, &caller, job_id(id)?).await?.id;
    acting(&app, &caller).reschedule(id, delay).await?;
    moved(&app, id).await
}

/// `GET /v1/jobs/{id}/timeline`
pub(super) async fn timeline(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    id: Segment,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let id = visible(&app, &caller, job_id(id)?).await?.id;
    let detail = app.client.job_detail(id).await?;
    let about = AuditFilter { target: Some(id.to_string()), ..AuditFilter::default() };
    let deeds = app.client.store().audit(&about, MOST_DEEDS).await?;
    let mut events: Vec<(Timestamp, Value)> = vec![(
        detail.job.created_at,
        serde_json::json!({ "event": "enqueued", "by": detail.job.created_by, "queue": detail.job.queue }),
    )];
    for attempt in detail.attempts {
        let (number, lease, worker) =
            (attempt.attempt, attempt.lease.0, attempt.worker.map(|worker| worker.0));
        if let Some(at) = attempt.started_at {
            let event = serde_json::json!({ "event": "started", "attempt": number, "lease": lease, "worker": worker });
            events.push((at, event));
        }
        if let Some(at) = attempt.finished_at {
            let event = serde_json::json!({
                "event": attempt.outcome, "attempt": number, "lease": lease, "worker": worker, "error": attempt.error,
            });
            events.push((at, event));
        }
    }
    for deed in deeds {
        let event =
            serde_json::json!({ "event": deed.action, "by": deed.by.actor, "reason": deed.by.reason });
        events.push((deed.at, event));
    }
    events.sort_by_key(|(at, _)| *at);
    let told = events.into_iter().map(|(at, mut event)| {
        event["at"] = at.to_string().into();
        event
    });
    json(StatusCode::OK, &serde_json::json!({ "id": id, "events": told.collect::<Vec<_>>() }))
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
