//! Hearing how attempts ended. What becomes of the job is decided here, by the same rules for every language.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jobforge::core::heartbeat::Report;
use jobforge::core::payload::Payload;
use jobforge::core::settle::{AttemptFacts, RetryPolicy, Settled, Settlement, decide, spread};
use jobforge::core::time::Now;
use jobforge_api::worker::{ClaimAnswer, JobOutcome, JobResult, ResultAnswer, ResultsAnswer, ResultsRequest};

use super::claim::{self, Plan};
use super::{LIMITS, check_count, check_worker, read};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::routes::json;
use crate::workers::Workers;

/// The longest wait that a result may ask for: ten years.
const MAX_WAIT_MS: u64 = 10 * 366 * 86_400_000;

/// `POST /v1/worker/results`
pub(super) async fn results(
    State(workers): State<Arc<Workers>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: ResultsRequest = read(&headers, body).await?;
    check_worker(&request.worker_id)?;
    check_count("results", request.results.len(), LIMITS.results)?;
    let worker = workers.speaker(&caller, request.worker_id).await?;
    let next = request.claim.map(|next| Plan::of(&workers, &caller, worker.clone(), next)).transpose()?;
    let mut plans = Vec::with_capacity(request.results.len());
    for (index, result) in request.results.into_iter().enumerate() {
        plans.push(settlement(&workers, index, result).await?);
    }
    let settled = workers.store.settle(&worker, &plans, Now::Database).await?;
    let mut results = Vec::with_capacity(plans.len());
    for (plan, settled) in plans.iter().zip(&settled) {
        // What is not the caller's is answered as what does not exist.
        let told = matches!(settled, Settled::Applied | Settled::Replayed)
            || workers.knows(&caller, plan.id).await?;
        results.push(ResultAnswer::of(plan.id, if told { settled } else { &Settled::Gone }));
    }
    let claim = match next {
        None => None,
        Some(next) => claimed(&workers, &caller, next).await,
    };
    json(StatusCode::OK, &ResultsAnswer { results, claim })
}

/// What the claim beside the results gives. They are stored, so they are answered whatever becomes of it.
async fn claimed(workers: &Workers, caller: &Caller, next: Plan) -> Option<ClaimAnswer> {
    match claim::give(workers, caller, next).await {
        Ok(answer) => Some(answer),
        Err(refusal) => {
            let code = refusal.code();
            tracing::info!(code, "a claim beside results was not answered: {code}");
            None
        }
    }
}

/// Decides what becomes of a job; whether the worker may say so is found out by the store, under the fence.
async fn settlement(workers: &Workers, index: usize, mut result: JobResult) -> Result<Settlement, ApiError> {
    let misfit = |fault: &str| ApiError::invalid_request(format!("results/{index}: {fault}"));
    if result.retry_in_ms.is_some_and(|ms| ms > MAX_WAIT_MS) {
        return Err(misfit("retry_in_ms is more than ten years"));
    }
    if let Some(payload) = result.result.take() {
        let checked = Payload::parse(payload.as_str());
        result.result = Some(checked.map_err(|fault| misfit(&format!("result: {fault}")))?);
    }
    let facts = facts(workers, &result).await?;
    let report = result.report.take().map(Report::from).unwrap_or_default();
    let outcome = result.ending().map_err(|fault| misfit(&fault))?;
    Ok(decide(&facts, outcome, report, &RetryPolicy::default(), spread(facts.id, facts.lease)))
}

/// What the decision needs to know. Only a retry depends on the job: whether this was its last attempt, and how long
/// it then waits. If the job is not there any more, or not under this fence, the store will refuse whatever comes out.
async fn facts(workers: &Workers, result: &JobResult) -> Result<AttemptFacts, ApiError> {
    let (id, lease) = (result.id, result.fence);
    let job = match result.outcome {
        JobOutcome::Retry => workers.store.job(id).await?,
        JobOutcome::Succeeded
        | JobOutcome::Failed
        | JobOutcome::Dead
        | JobOutcome::Snoozed
        | JobOutcome::Released => None,
    };
    Ok(job.map_or(AttemptFacts { id, lease, attempt: 1, max_attempts: 1, retry: None }, |job| AttemptFacts {
        id,
        lease,
        attempt: job.attempts,
        max_attempts: job.max_attempts,
        retry: job.retry,
    }))
}
