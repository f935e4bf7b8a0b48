//! Payloads as they were enqueued, wherever they are kept, and what may be enqueued.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jobforge::core::job::Job;
use jobforge::core::payload::LARGE_PAYLOAD_BYTES;
use jobforge::core::redact::Redactor;
use jobforge::core::stored_payload::StoredPayload;
use jobforge::{Client, Payloads};
use jobforge_api::PayloadLimits;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::jobs::{Segment, job_id, visible};
use super::json;
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::server::App;

/// Large payloads that a server has in memory at once; more wait their turn.
const AT_ONCE: usize = 4;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where large payloads take their turns.
static SEATS: Semaphore = Semaphore::const_new(AT_ONCE);

/// `GET /v1/limits`
pub(super) async fn limits(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let store = app.client.payload_store();
    let limits = PayloadLimits {
        payload_bytes: app.client.max_payload_bytes(),
        payload_inline_bytes: store.map_or(LARGE_PAYLOAD_BYTES, Payloads::inline_max_bytes),
        payload_store: store.is_some(),
    };
    json(StatusCode::OK, &limits)
}

/// `GET /v1/jobs/{id}/payload`
pub(super) async fn payload(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let job = visible(&app, &caller, job_id(id)?).await?;
    tell(&app.client, &job, app.redactor_for(&caller)).await
}

/// The payload of a job that the caller may know of, with all that is in it.
pub(super) async fn whole(client: &Client, job: &Job) -> Result<Response, ApiError> {
    tell(client, job, None).await
}

async fn tell(client: &Client, job: &Job, redactor: Option<Redactor>) -> Result<Response, ApiError> {
    let _seat = if StoredPayload::of(&job.payload).is_some() { Some(take_seat().await?) } else { None };
    let mut payload = client.payload_of(job).await?;
    if let Some(redactor) = redactor {
        redactor.payload(&mut payload);
    }
    Ok(([(CONTENT_TYPE, "application/json")], Body::from(payload.as_str().to_owned())).into_response())
}

/// A turn for a large body, where bodies may be large at all.
pub(super) async fn seat(app: &App, large: bool) -> Result<Option<SemaphorePermit<'static>>, ApiError> {
    if large && app.client.payload_store().is_some() { take_seat().await.map(Some) } else { Ok(None) }
}

async fn take_seat() -> Result<SemaphorePermit<'static>, ApiError> {
    match tokio::time::timeout(PATIENCE, SEATS.acquire()).await {
        Ok(Ok(seat)) => Ok(seat),
        Ok(Err(_)) | Err(_) => {
            let detail =
                "too many large payloads are under way on this server; nothing was changed, so try again";
            Err(ApiError::no_payloads("too_many_payloads", detail, "no turn within 20 s".to_owned()))
        }
    }
}
