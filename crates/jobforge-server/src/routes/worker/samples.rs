//! What processes of workers counted, for whoever judges the alerts.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jobforge::core::alert::kept::SAMPLE_BYTES;
use jobforge::core::time::Now;
use jobforge_api::worker::SampleRequest;

use super::{check_text, read};
use crate::api_error::ApiError;
use crate::workers::Workers;

/// `POST /v1/worker/samples`
pub(super) async fn samples(
    State(workers): State<Arc<Workers>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: SampleRequest = read(&headers, body).await?;
    check_text("process", Some(&request.process))?;
    if request.process.is_empty() {
        return Err(ApiError::invalid_request("process must not be empty"));
    }
    if request.series.len() > SAMPLE_BYTES || request.series.contains('\0') {
        let fault = format!("series must be text of at most {SAMPLE_BYTES} bytes");
        return Err(ApiError::invalid_request(fault));
    }
    workers.store.put_sample(&request.process, &request.series, Now::Database).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
