//! Giving jobs to a worker, now or as soon as there are any.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jobforge::clock::monotonic;
use jobforge::core::claim::{ClaimAsk, Claimed, QueueAsk};
use jobforge::core::job::WorkerId;
use jobforge::core::metric::table;
use jobforge::core::state::Status;
use jobforge::core::time::{Now, since};
use jobforge::store::rows::{JobFilter, MAX_PAGE, WakeEvent};
use jobforge_api::worker::{ClaimAnswer, ClaimRequest, ClaimedJobView, HeldJob, NextClaim};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{LIMITS, check_names, check_worker, interval, read};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::metrics::Raised;
use crate::routes::json;
use crate::workers::{Peer, Turn, Workers};

/// The longest that a claim is held.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Between two looks of a held claim that hears nothing.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Added to the moment at which a waiting job becomes due, so that the claim does not come a hair too early.
const DUE_SLACK: Duration = Duration::from_millis(2);

/// `POST /v1/worker/claim`
pub(super) async fn claim(
    State(workers): State<Arc<Workers>>,
    peer: Peer,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: ClaimRequest = read(&headers, body).await?;
    let (worker_id, request) = request.parts();
    check_worker(&worker_id)?;
    let worker = workers.speaker(&caller, worker_id).await?;
    workers.presence.adopt(&worker, peer).await;
    let plan = Plan::of(&workers, &caller, worker, request)?;
    json(StatusCode::OK, &give(&workers, &caller, plan).await?)
}

/// A claim that makes sense.
pub(super) struct Plan {
    ask: ClaimAsk,
    wait: Duration,
    held: Option<Vec<HeldJob>>,
}

/// Gives jobs to a worker, now or as soon as there are any.
pub(super) async fn give(workers: &Workers, caller: &Caller, plan: Plan) -> Result<ClaimAnswer, ApiError> {
    let Plan { ask, wait, held } = plan;
    let Some(turn) = workers.turns.take(&ask.worker).await else { return Err(superseded()) };
    if let Some(held) = held {
        let again = unheard(workers, &ask.worker, &held).await?;
        if !again.is_empty() {
            let as_of = workers.store.now().await?;
            return Ok(ClaimAnswer { jobs: again, more: true, next_due_ms: None, alone_waits: false, as_of });
        }
    }
    let mut claimed = wait_for_work(workers, caller, ask, turn, wait).await?;
    if caller.is_narrow() {
        // It is of any job.
        claimed.next_due = None;
    }
    Ok(ClaimAnswer::from(claimed))
}

/// Claims until there is something, the time is over, or nobody waits for the answer any more.
async fn wait_for_work(
    workers: &Workers,
    caller: &Caller,
    ask: ClaimAsk,
    mut turn: Turn,
    wait: Duration,
) -> Result<Claimed, ApiError> {
    let _counted = Raised::by_one(&table::LONG_POLLS);
    let deadline = monotonic() + wait;
    let ask = Arc::new(ask);
    let mut events = workers.store.subscribe();
    let mut seat = None;
    loop {
        // What was announced so far is seen by the claim.
        events = events.resubscribe();
        let claimed;
        (claimed, turn) = claim_once(workers, &ask, turn).await?;
        let left = deadline.saturating_duration_since(monotonic());
        if !claimed.jobs.is_empty() || claimed.more || left.is_zero() {
            return Ok(claimed);
        }
        if seat.is_none() {
            seat = workers.seat(caller)?;
        }
        let due_in = claimed.next_due.map_or(LOOK_EVERY, |due| since(due, claimed.as_of) + DUE_SLACK);
        tokio::select! {
            () = tokio::time::sleep(left.min(due_in).min(LOOK_EVERY)) => {}
            () = work(&mut events, &ask) => {}
            () = turn.superseded() => return Err(superseded()),
            () = workers.closing.cancelled() => return Ok(claimed),
        }
    }
}

/// Claims in a task of its own: the turn must not end before the claim has, though the client may go away meanwhile.
async fn claim_once(workers: &Workers, ask: &Arc<ClaimAsk>, turn: Turn) -> Result<(Claimed, Turn), ApiError> {
    let (store, ask) = (Arc::clone(&workers.store), Arc::clone(ask));
    let claiming = tokio::spawn(async move { (store.claim(&ask, Now::Database).await, turn) });
    let (claimed, turn) = claiming.await.map_err(|fault| ApiError::internal(fault.to_string()))?;
    Ok((claimed?, turn))
}

/// Resolves when one of the queues may have work.
async fn work(events: &mut Receiver<WakeEvent>, ask: &ClaimAsk) {
    loop {
        match events.recv().await {
            Ok(WakeEvent::Work { queue }) if ask.queues.iter().all(|asked| asked.queue != queue) => {}
            Ok(WakeEvent::Work { .. } | WakeEvent::Everything) | Err(RecvError::Lagged(_)) => return,
            Ok(WakeEvent::Moved { .. } | WakeEvent::Renew { .. }) => {}
            // The store is gone; only time is left to wait for.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// What the worker was given and does not know of, because the answer did not arrive.
async fn unheard(
    workers: &Workers,
    worker: &WorkerId,
    held: &[HeldJob],
) -> Result<Vec<ClaimedJobView>, ApiError> {
    let known: HashSet<&HeldJob> = held.iter().collect();
    let its_own = JobFilter {
        worker: Some(worker.clone()),
        statuses: vec![Status::Running],
        limit: MAX_PAGE,
        ..JobFilter::default()
    };
    let running = workers.store.jobs(&its_own).await?;
    let mut again: Vec<_> = running
        .into_iter()
        .filter(|job| !known.contains(&HeldJob { id: job.id, fence: job.lease }))
        .map(ClaimedJobView::running)
        .collect();
    again.truncate(LIMITS.claim);
    Ok(again)
}

impl Plan {
    /// Checks what a worker asks for.
    pub(super) fn of(
        workers: &Workers,
        caller: &Caller,
        worker: WorkerId,
        request: NextClaim,
    ) -> Result<Self, ApiError> {
        let names: Vec<String> = request.queues.iter().map(|queue| queue.name.clone()).collect();
        check_names("queues", names.iter())?;
        check_names("types", request.types.as_deref().unwrap_or_default().iter())?;
        caller.require_queues(&names)?;
        let mut left = LIMITS.claim;
        let mut queues = Vec::with_capacity(names.len());
        for queue in request.queues {
            let limit = queue.max.min(left);
            left -= limit;
            if limit > 0 {
                queues.push(QueueAsk { queue: queue.name, limit });
            }
        }
        if queues.is_empty() {
            let fault = "queues asks for no job; name a queue with max 1 or more";
            return Err(ApiError::invalid_request(fault));
        }
        let beat = workers.terms().beat;
        let due = request.heartbeat_due_ms.map(Duration::from_millis);
        let rhythm = (due.is_none() && beat.enabled).then_some(beat.interval);
        let ask = ClaimAsk {
            worker,
            queues,
            types: request.types,
            tenant: caller.tenant(None)?,
            beat_due_in: due.unwrap_or_else(|| beat.due_in(beat.interval)),
            beat_interval: request.heartbeat_interval_ms.map(interval).or(rhythm),
            alone: request.alone,
            bounds: request.bounds,
        };
        Ok(Self { ask, wait: Duration::from_millis(request.wait_ms).min(MAX_WAIT), held: request.held })
    }
}

fn superseded() -> ApiError {
    let title = "the claim was given up";
    let detail = "this worker has sent a newer claim, which ended this one; nothing was claimed by it";
    ApiError::conflict("claim_superseded", title, detail)
}

#[cfg(test)]
mod tests {
    use jobforge::Client;
    use jobforge::core::settings::Settings;
    use jobforge::core::token::Scope;
    use jobforge::core::worker::NewWorker;
    use jobforge::live::Live;
    use jobforge_api::worker::QueueRoomView;
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::rate_limit::Seats;

    #[tokio::test]
    async fn when_too_many_wait_a_claim_is_given_what_is_there_and_never_held() {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", dir.path().join("jobs.db").display());
        let client = Client::open(&url).await.expect("a database");
        let live = Live::fixed(Settings::defaults());
        let seats = Seats::new(1, 1);
        let workers = Workers::seated(client.clone(), live, CancellationToken::new(), seats);
        let caller = Caller::new("token:test", Scope::Worker);
        let _taken = workers.seat(&caller).expect("there is one seat");
        let worker = NewWorker {
            id: WorkerId::random(),
            name: None,
            hostname: "host-a".to_owned(),
            pid: 1,
            queues: vec!["default".to_owned()],
            types: None,
            slots: 1,
            lease: Duration::from_secs(60),
            lease_scales: false,
            place: None,
            registered_by: None,
        };
        workers.store.register(&worker, Now::Database).await.expect("registered");
        let claim = async |wait_ms| {
            let room = QueueRoomView { name: "default".to_owned(), max: 1 };
            let request: NextClaim =
                serde_json::from_value(json!({ "queues": [room], "wait_ms": wait_ms })).expect("a claim");
            let plan = Plan::of(&workers, &caller, worker.id.clone(), request).expect("it makes sense");
            give(&workers, &caller, plan).await
        };
        let refused = claim(30_000).await.expect_err("nothing to give, and no seat");
        assert_eq!(refused.code(), "too_many_waiting");
        assert!(claim(0).await.expect("it does not wait").jobs.is_empty());
        client
            .enqueue_untyped(jobforge::core::enqueue::JobRequest {
                job_type: "t".to_owned(),
                ..Default::default()
            })
            .await
            .expect("enqueued");
        assert_eq!(claim(30_000).await.expect("there is work").jobs.len(), 1);
    }
}
