//! The stream that tells a worker where to look.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jobforge::core::job::WorkerId;
use jobforge::store::rows::WakeEvent;
use jobforge_api::worker::Signal;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{check_version, check_worker};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::query;
use crate::rate_limit::Seat;
use crate::workers::{Peer, Workers};

/// Sent when there is nothing to tell, so that a broken connection is noticed.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Signals that are gathered into one write; more of the same are told once.
const GATHERED: usize = 256;

struct Stream {
    workers: Arc<Workers>,
    caller: Caller,
    worker: WorkerId,
    /// The queues of whose work a worker is told that is not to know of all.
    queues: Option<Vec<String>>,
    events: Receiver<WakeEvent>,
    begun: bool,
    _seat: Option<Seat>,
}

/// `GET /v1/worker/signals?worker_id=…`
pub(super) async fn signals(
    State(workers): State<Arc<Workers>>,
    peer: Peer,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    check_version(&headers)?;
    let worker = WorkerId(query::only(&uri, "worker_id")?);
    check_worker(&worker)?;
    let worker = workers.speaker(&caller, worker).await?;
    workers.presence.adopt(&worker, peer).await;
    let queues = match caller.is_narrow() {
        true => Some(workers.store.worker(&worker).await?.map_or_else(Vec::new, |row| row.queues)),
        false => None,
    };
    let (seat, events) = (workers.seat(&caller)?, workers.store.subscribe());
    let start = Stream { workers, caller, worker, queues, events, begun: false, _seat: seat };
    let body = stream::unfold(start, |mut stream| async move {
        stream.next().await.map(|text| (Ok::<_, Infallible>(text), stream))
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response())
}

impl Stream {
    /// The next piece of text; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            return Some(told(&[Signal::Look]));
        }
        let mut gathered = loop {
            let first = tokio::select! {
                event = tokio::time::timeout(PING_EVERY, self.events.recv()) => event,
                () = self.workers.closing.cancelled() => return None,
            };
            match first {
                Err(_) => return Some(": nothing new\n\n".to_owned()),
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(_))) => break vec![Signal::Look],
                Ok(Ok(event)) => {
                    if let Some(signal) = self.signal(event).await {
                        break vec![signal];
                    }
                }
            }
        };
        while gathered.len() < GATHERED {
            let more = match self.events.try_recv() {
                Ok(event) => self.signal(event).await,
                Err(TryRecvError::Lagged(_)) => Some(Signal::Look),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
            gathered.extend(more.filter(|more| !gathered.contains(more)));
        }
        Some(told(&gathered))
    }

    /// What an event is to this worker.
    async fn signal(&self, event: WakeEvent) -> Option<Signal> {
        match event {
            WakeEvent::Work { queue } => {
                let told = self.queues.as_ref().is_none_or(|own| own.contains(&queue));
                told.then_some(Signal::Work { queue })
            }
            WakeEvent::Moved { id } => {
                // Of a job that cannot be looked at now, its next heartbeat tells.
                let told = self.workers.knows(&self.caller, id).await.unwrap_or(false);
                told.then_some(Signal::Moved { id })
            }
            WakeEvent::Renew { worker } => (worker == self.worker).then_some(Signal::Renew),
            WakeEvent::Everything => Some(Signal::Look),
        }
    }
}

fn told(signals: &[Signal]) -> String {
    signals
        .iter()
        .filter_map(|signal| serde_json::to_string(signal).ok())
        .map(|json| format!("data: {json}\n\n"))
        .collect()
}
