//! The beginning and the end of a worker, and the clean-up on behalf of one.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jobforge::JobType;
use jobforge::builtin::cleanup::CleanupPayload;
use jobforge::clock;
use jobforge::core::death::Place;
use jobforge::core::job::WorkerId;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::core::worker::{LeaseWish, NewWorker, RENEWALS_PER_LEASE};
use jobforge::store::rows::JobFilter;
use jobforge_api::millis;
use jobforge_api::worker::{
    HeartbeatRhythm, LeaveRequest, PollRhythm, PurgeAnswer, PurgeRequest, RegisterAnswer, RegisterRequest,
};

use super::{LIMITS, check_names, check_text, check_worker, read};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::routes::json;
use crate::workers::{Peer, Seen, WorkerTerms, Workers};

/// Leases that a worker may wish for.
const LEASE_MS: RangeInclusive<u64> = 1000..=86_400_000;
/// Slots that a worker may have.
const SLOTS: RangeInclusive<u32> = 1..=1_000_000;
/// How long a claim is best held.
const WAIT: Duration = Duration::from_secs(20);

/// `POST /v1/worker/register`
pub(super) async fn register(
    State(workers): State<Arc<Workers>>,
    peer: Peer,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: RegisterRequest = read(&headers, body).await?;
    check(&request)?;
    caller.require_queues(&request.queues)?;
    let LeaseWish { lease, scales } = workers.terms().lease(request.lease_ms);
    let seen = peer.see();
    let worker = NewWorker {
        id: request.worker_id.unwrap_or_else(WorkerId::random),
        name: request.name,
        hostname: request.host,
        pid: peer.pid.unwrap_or(request.pid),
        queues: request.queues,
        types: request.types,
        slots: request.slots,
        lease,
        lease_scales: scales,
        place: seen.as_ref().map(place),
        registered_by: caller.registrar().map(str::to_owned),
    };
    workers.store.register(&worker, Now::Database).await?;
    // An identity that was there already has not been given to who asks.
    if workers.speaker(&caller, worker.id.clone()).await? != worker.id {
        return Err(taken());
    }
    if caller.is_of_socket() {
        workers.presence.watch(&worker.id, seen, request.supervised);
    }
    let (id, sdk) = (&worker.id, request.sdk.unwrap_or_else(|| "an unnamed SDK".to_owned()));
    tracing::info!(worker.id = %id, pid = worker.pid, sdk, "worker {id} of process {} registered, by {sdk}", worker.pid);
    json(StatusCode::OK, &terms(&workers.terms(), worker.id, lease))
}

fn taken() -> ApiError {
    let detail = "another worker has this worker_id; choose another one, or leave it out";
    ApiError::conflict("worker_id_taken", "the identity is taken", detail)
}

/// `POST /v1/worker/leave`
pub(super) async fn leave(
    State(workers): State<Arc<Workers>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: LeaveRequest = read(&headers, body).await?;
    check_worker(&request.worker_id)?;
    check_text("reason", request.reason.as_ref())?;
    let reason = request.reason.unwrap_or_else(|| "it left".to_owned());
    let worker = workers.speaker(&caller, request.worker_id).await?;
    workers.store.leave(&worker, &reason, Now::Database).await?;
    workers.presence.forget(&worker);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/worker/purge`
pub(super) async fn purge(
    State(workers): State<Arc<Workers>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: PurgeRequest = read(&headers, body).await?;
    check_worker(&request.worker_id)?;
    request.keep.validate().map_err(|fault| ApiError::invalid_request(format!("keep: {fault}")))?;
    // A worker deletes only because it was given a job that says so.
    let its_job = JobFilter {
        worker: Some(request.worker_id),
        job_type: Some(CleanupPayload::TYPE.to_owned()),
        statuses: vec![Status::Running],
        limit: 1,
        ..JobFilter::default()
    };
    if workers.store.jobs(&its_job).await?.is_empty() {
        let title = "the worker runs no clean-up job";
        let detail = format!("only a worker that runs a job of type {} may purge", CleanupPayload::TYPE);
        return Err(ApiError::conflict("no_cleanup_job", title, detail));
    }
    let deleted = if request.dry_run {
        workers.store.purgeable(&request.keep, Now::Database).await?
    } else {
        workers.store.purge(&request.keep, Now::Database).await?
    };
    json(StatusCode::OK, &PurgeAnswer { deleted })
}

/// Where the worker runs, by the kernel's word.
fn place(seen: &Seen) -> Place {
    Place { process: seen.process.clone(), up_for: clock::boot(), slot: None }
}

fn check(request: &RegisterRequest) -> Result<(), ApiError> {
    request.worker_id.as_ref().map_or(Ok(()), check_worker)?;
    check_names("queues", request.queues.iter())?;
    check_names("types", request.types.as_deref().unwrap_or_default().iter())?;
    check_text("name", request.name.as_ref())?;
    check_text("host", Some(&request.host))?;
    check_text("sdk", request.sdk.as_ref())?;
    if request.queues.is_empty() {
        return Err(ApiError::invalid_request("queues is empty; name at least one"));
    }
    if !SLOTS.contains(&request.slots) {
        return Err(ApiError::invalid_request(format!(
            "slots is {}; allowed is {} to {}",
            request.slots,
            SLOTS.start(),
            SLOTS.end()
        )));
    }
    check_lease(request.lease_ms)
}

/// A lease that a worker wishes must be one that can be kept.
pub(super) fn check_lease(lease_ms: Option<u64>) -> Result<(), ApiError> {
    match lease_ms {
        Some(ms) if !LEASE_MS.contains(&ms) => Err(ApiError::invalid_request(format!(
            "lease_ms is {ms}; allowed is {} to {}",
            LEASE_MS.start(),
            LEASE_MS.end()
        ))),
        Some(_) | None => Ok(()),
    }
}

fn terms(terms: &WorkerTerms, worker_id: WorkerId, lease: Duration) -> RegisterAnswer {
    let (beat, poll) = (&terms.beat, &terms.poll);
    RegisterAnswer {
        worker_id,
        lease_ms: millis(lease),
        renew_ms: millis(lease / RENEWALS_PER_LEASE),
        heartbeat: HeartbeatRhythm {
            enabled: beat.enabled,
            interval_ms: millis(beat.interval),
            max_interval_ms: millis(beat.max_interval),
            multiplier: beat.multiplier,
            stale_after_ms: millis(beat.threshold),
        },
        poll: PollRhythm {
            wait_ms: millis(WAIT),
            interval_ms: millis(poll.interval),
            max_interval_ms: millis(poll.max_interval),
            multiplier: poll.multiplier,
        },
        limits: LIMITS,
    }
}
