//! The payload of a job that a worker runs, where that is not in the job's row.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jobforge::Error;

use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::routes::jobs::{Segment, job_id};
use crate::routes::payloads::whole;
use crate::workers::Workers;

/// `GET /v1/worker/payload/{id}`
pub(super) async fn payload(
    State(workers): State<Arc<Workers>>,
    caller: Caller,
    id: Segment,
) -> Result<Response, ApiError> {
    let id = job_id(id)?;
    let found = workers.client.job(id).await?;
    // What is not theirs does not exist for them.
    if !caller.has(&found.tenant_id, &found.queue) {
        return Err(Error::NotFound(id).into());
    }
    whole(&workers.client, &found).await
}
