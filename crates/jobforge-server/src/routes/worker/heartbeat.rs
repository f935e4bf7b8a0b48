//! Renewing a worker's lease and hearing of its jobs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jobforge::core::heartbeat::{Beat, BeatPolicy, BeatReply, Report};
use jobforge::core::time::Now;
use jobforge_api::millis;
use jobforge_api::worker::{BeatAnswer, HeartbeatAnswer, HeartbeatRequest, JobBeat, LeaseState, WorkerMode};

use super::register::check_lease;
use super::{LIMITS, check_count, check_worker, interval, read};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::routes::json;
use crate::workers::{Peer, Workers};

/// `POST /v1/worker/heartbeat`
pub(super) async fn heartbeat(
    State(workers): State<Arc<Workers>>,
    peer: Peer,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: HeartbeatRequest = read(&headers, body).await?;
    check_worker(&request.worker_id)?;
    check_count("jobs", request.jobs.len(), LIMITS.heartbeat)?;
    check_lease(request.lease_ms)?;
    let worker = &workers.speaker(&caller, request.worker_id).await?;
    workers.presence.adopt(worker, peer).await;
    let store = &workers.store;
    let (state, renewal) = match request.state {
        None => (None, None),
        Some(mode) => {
            let wish = workers.terms().lease(request.lease_ms);
            let renewal =
                store.renew(worker, mode == WorkerMode::Draining, Some(wish), Now::Database).await?;
            (Some(if renewal.is_some() { LeaseState::Live } else { LeaseState::Lost }), renewal)
        }
    };
    let rhythm = workers.terms().beat;
    let beats: Vec<Beat> = request.jobs.into_iter().map(|job| beat(&rhythm, job)).collect();
    let replies = store.heartbeat(worker, &beats, Now::Database).await?;
    let mut jobs = Vec::with_capacity(beats.len());
    for (beat, reply) in beats.iter().zip(replies) {
        // What is not the caller's is answered as what does not exist.
        let told = reply == BeatReply::Kept || workers.knows(&caller, beat.id).await?;
        jobs.push(BeatAnswer::of(beat.id, if told { reply } else { BeatReply::Gone }));
    }
    let answer = HeartbeatAnswer {
        worker: state,
        lease_ms: renewal.map(|renewal| millis(renewal.lease)),
        epoch: renewal.map(|renewal| renewal.epoch),
        restart: renewal.is_some_and(|renewal| renewal.restart),
        jobs,
    };
    json(StatusCode::OK, &answer)
}

fn beat(policy: &BeatPolicy, job: JobBeat) -> Beat {
    let due_in = job.due_in_ms.map(Duration::from_millis);
    // Without a time of its own a worker is measured by the longest interval of the rhythm.
    let rhythm = (due_in.is_none() && policy.enabled).then_some(policy.max_interval);
    Beat {
        id: job.id,
        lease: job.fence,
        due_in: due_in.unwrap_or_else(|| policy.due_in(policy.max_interval)),
        interval: job.interval_ms.map(interval).or(rhythm),
        report: job.report.map(Report::from).unwrap_or_default(),
    }
}
