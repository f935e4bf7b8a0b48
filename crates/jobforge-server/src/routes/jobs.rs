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
use jobforge::core::job::{Job, JobId, NewJob, QueuedBecause};
use jobforge::core::standing::Rules;
use jobforge::core::state::Status;
use jobforge::core::time::{LATEST, since, words};
use jobforge::store::rows::JobDetail;
use jobforge::{Error, Receipt};
use jobforge_api::requests::{MAX_FOR_MS, MAX_JOBS, RescheduleRequest};
use jobforge_api::{LogList, ReceiptList, ReceiptView, TimelineEvent, TimelineView};

use super::idempotency::Key;
use super::{idempotency, json, payloads};
use crate::api_error::ApiError;
use crate::body::Sent;
use crate::caller::Caller;
use crate::server::App;
use crate::{body, query, trace, view};

/// Entries of the audit log that a timeline shows.
const MOST_DEEDS: usize = 200;
/// The longest body of a reschedule.
const MAX_BODY: usize = 4096;

/// A piece of the path, or that it is not even text.
pub(super) type Segment = Result<Path<String>, PathRejection>;

/// The job, if the caller may know of it; to others there is none.
pub(crate) async fn visible(app: &App, caller: &Caller, id: JobId) -> Result<Job, ApiError> {
    let job = app.client.job(id).await?;
    if caller.sees(&job.tenant_id) { Ok(job) } else { Err(Error::NotFound(id).into()) }
}

/// `POST /v1/jobs/many`
pub(super) async fn enqueue_many(
    State(app): State<Arc<App>>,
    caller: Caller,
    Key(key): Key,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let requests = body::job_requests(&headers, body, MAX_JOBS, app.client.max_payload_bytes()).await?;
    let requests = idempotency::with_places(requests, key.as_deref());
    let client = app.acting(caller.by());
    let (mut jobs, mut refusals) = (Vec::with_capacity(requests.len()), Vec::new());
    for (index, request) in requests.into_iter().enumerate() {
        let tenant_id = caller.tenant(request.tenant_id.clone())?;
        let request = trace::carried(&headers, JobRequest { tenant_id, ..request });
        match client.enqueue_untyped(request).into_job() {
            Ok(job) => {
                caller.require_queues([&job.queue])?;
                jobs.push(job);
            }
            Err(fault) => refusals.push(ApiError::from(fault).under(&format!("/jobs/{index}"))),
        }
    }
    if let Some(refusal) = ApiError::first_with_all(refusals) {
        return Err(refusal);
    }
    idempotency::check_batch(&client, &jobs, key.as_deref()).await?;
    let jobs = client.spilled(&jobs).await?;
    let receipts = match client.enqueue_jobs(&jobs).await {
        Ok(receipts) => receipts,
        Err(error) => return Err(idempotency::explain(&client, &jobs, error).await),
    };
    let jobs = receipts.iter().map(receipt_view).collect();
    json(StatusCode::OK, &ReceiptList { jobs })
}

/// `POST /v1/jobs`
pub(super) async fn enqueue(
    State(app): State<Arc<App>>,
    caller: Caller,
    Key(key): Key,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    // Held until the job is stored: so many large payloads are in memory at once, and no more.
    let _seat = payloads::seat(&app, body::is_large(&headers)).await?;
    let request = body::job_request(&headers, body, app.client.max_payload_bytes()).await?;
    let request = idempotency::with_key(request, key.as_deref())?;
    let tenant_id = caller.tenant(request.tenant_id.clone())?;
    let client = app.acting(caller.by());
    let request = trace::carried(&headers, JobRequest { tenant_id, ..request });
    let job = [client.enqueue_untyped(request).into_job()?];
    caller.require_queues([&job[0].queue])?;
    let job = client.spilled(&job).await?;
    let receipt = match client.enqueue_jobs(&job).await {
        Ok(receipts) => receipts.into_iter().next().ok_or_else(|| no_receipt(&job[0]))?,
        Err(error) => return Err(idempotency::explain(&client, &job, error).await),
    };
    let status = if receipt.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = json(status, &receipt_view(&receipt))?;
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{}", receipt.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn receipt_view(receipt: &Receipt) -> ReceiptView {
    ReceiptView { id: receipt.id.to_string(), created: receipt.created }
}

fn no_receipt(job: &NewJob) -> ApiError {
    ApiError::internal(format!("the store gave no receipt for job {}", job.id))
}

/// `GET /v1/jobs`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let redactor = app.redactor_for(&caller);
    let mut filter = query::job_filter(&uri, &app.live.now(), redactor.as_ref())?;
    filter.tenant_id = caller.tenant(filter.tenant_id)?;
    let page = app.client.job_page(&filter).await?;
    json(StatusCode::OK, &view::job_list(page, redactor.as_ref()))
}

/// `GET /v1/jobs/{id}`
pub(super) async fn detail(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let detail = app.client.job_detail(visible(&app, &caller, job_id(id)?).await?.id).await?;
    json(StatusCode::OK, &view::job_detail(detail, app.redactor_for(&caller).as_ref()))
}

/// `GET /v1/jobs/{id}/explain`
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let job = visible(&app, &caller, job_id(id)?).await?;
    let rules = Rules::from_settings(&app.live.now());
    let standing = app.client.explain(job.id, &rules).await?;
    json(StatusCode::OK, &standing)
}

/// `GET /v1/jobs/{id}/logs`
pub(super) async fn logs(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let detail = app.client.job_detail(visible(&app, &caller, job_id(id)?).await?.id).await?;
    json(StatusCode::OK, &LogList { logs: view::logs(detail.logs) })
}

/// `POST /v1/jobs/{id}/cancel`
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let id = job_id(id)?;
    visible(&app, &caller, id).await?;
    app.acting(caller.by()).cancel(id).await?;
    moved(&app, &caller, id).await
}

/// `POST /v1/jobs/{id}/retry`
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let id = job_id(id)?;
    visible(&app, &caller, id).await?;
    app.acting(caller.by()).retry(id).await?;
    moved(&app, &caller, id).await
}

/// `DELETE /v1/jobs/{id}`
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let id = job_id(id)?;
    visible(&app, &caller, id).await?;
    app.acting(caller.by()).delete(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/jobs/{id}/reschedule`
pub(super) async fn reschedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
    Sent(asked): Sent<RescheduleRequest, MAX_BODY>,
) -> Result<Response, ApiError> {
    let delay = match asked {
        RescheduleRequest { run_at: Some(at), delay_ms: None } if at.as_second() < LATEST => {
            since(at, app.client.store().now().await?)
        }
        RescheduleRequest { run_at: Some(_), delay_ms: None } => {
            return Err(ApiError::invalid_request("run_at is too far ahead; the year 9998 is the last"));
        }
        RescheduleRequest { run_at: None, delay_ms: Some(ms) } if ms > MAX_FOR_MS => {
            return Err(ApiError::invalid_request("delay_ms would be more than ten years"));
        }
        RescheduleRequest { run_at: None, delay_ms: Some(ms) } => Duration::from_millis(ms),
        RescheduleRequest { .. } => {
            return Err(ApiError::invalid_request("give run_at or delay_ms, one of the two"));
        }
    };
    let id = visible(&app, &caller, job_id(id)?).await?.id;
    app.acting(caller.by()).reschedule(id, delay).await?;
    moved(&app, &caller, id).await
}

/// `GET /v1/jobs/{id}/timeline`
pub(super) async fn timeline(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let id = visible(&app, &caller, job_id(id)?).await?.id;
    let mut detail = app.client.job_detail(id).await?;
    if let Some(redactor) = app.redactor_for(&caller) {
        view::redact(&mut detail, &redactor);
    }
    let events = events_of(&app, &detail).await?;
    json(StatusCode::OK, &TimelineView { id, events })
}

/// What happened to a job, in order.
pub(crate) async fn events_of(app: &App, detail: &JobDetail) -> Result<Vec<TimelineEvent>, ApiError> {
    let about = AuditFilter { target: Some(detail.job.id.to_string()), ..AuditFilter::default() };
    let deeds = app.client.store().audit(&about, MOST_DEEDS).await?;
    let bare = |at: Timestamp, event: &str| TimelineEvent {
        at,
        event: event.to_owned(),
        by: None,
        reason: None,
        queue: None,
        attempt: None,
        lease: None,
        worker: None,
        percent: None,
        phase: None,
        error: None,
    };
    let job = &detail.job;
    let mut events = vec![TimelineEvent {
        by: job.created_by.clone(),
        queue: Some(job.queue.clone()),
        ..bare(job.created_at, "enqueued")
    }];
    for attempt in &detail.attempts {
        let of_attempt = |at: Timestamp, event: &str| TimelineEvent {
            attempt: Some(attempt.attempt),
            lease: Some(attempt.lease.0),
            worker: attempt.worker.as_ref().map(|worker| worker.0.clone()),
            ..bare(at, event)
        };
        events.extend(attempt.started_at.map(|at| of_attempt(at, "started")));
        let mut phase = None;
        for point in &attempt.progress {
            let named = point.phase.as_ref().filter(|named| phase != Some(*named));
            phase = point.phase.as_ref();
            events.push(TimelineEvent {
                percent: point.percent,
                phase: point.phase.clone(),
                reason: point.message.clone().filter(|text| !text.is_empty()),
                ..of_attempt(point.at, if named.is_some() { "phase" } else { "progress" })
            });
        }
        events.extend(attempt.stop_ignored_at.map(|at| TimelineEvent {
            reason: Some("its handler goes on although it was asked to stop".to_owned()),
            ..of_attempt(at, "ignores_stop")
        }));
        events.extend(attempt.heard.gaps.iter().map(|gap| TimelineEvent {
            reason: Some(format!("nothing was heard for {}", words(gap.lasted()))),
            ..of_attempt(gap.ended_at, "heard_again")
        }));
        let ended = |at| TimelineEvent { error: attempt.error.clone(), ..of_attempt(at, &attempt.outcome) };
        events.extend(attempt.finished_at.map(ended));
    }
    if job.status == Status::Queued && job.run_at > job.created_at {
        events.push(TimelineEvent { reason: Some(planned(job)), ..bare(job.run_at, "planned") });
    }
    for deed in deeds {
        let told = bare(deed.at, &deed.action);
        events.push(TimelineEvent { by: Some(deed.by.actor), reason: deed.by.reason, ..told });
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

/// What a waiting job waits to do, and since what.
fn planned(job: &Job) -> String {
    let after = match job.queued_because {
        QueuedBecause::Enqueued => "as it was enqueued for",
        QueuedBecause::Retry => "because the one before failed",
        QueuedBecause::Snooze => "because the handler asked for it",
        QueuedBecause::Release => "because its worker stopped and gave it back",
        QueuedBecause::Rescue => "because its worker was lost",
        QueuedBecause::Operator => "because a person wants it to run again",
    };
    format!("attempt {} of {} may begin, {after}", job.attempts + 1, job.max_attempts)
}

async fn moved(app: &App, caller: &Caller, id: JobId) -> Result<Response, ApiError> {
    json(StatusCode::OK, &view::job(app.client.job(id).await?, app.redactor_for(caller).as_ref()))
}

pub(super) fn job_id(segment: Segment) -> Result<JobId, ApiError> {
    let Path(text) =
        segment.map_err(|_| ApiError::bad_request("bad_id", "the job id in the path is not text"))?;
    Ok(text.parse::<JobId>()?)
}
