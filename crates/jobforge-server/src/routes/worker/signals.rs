//! The stream that tells a worker where to look.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jobforge::core::job::WorkerId;
use jobforge::store::rows::WakeEvent;
use jobforge_api::worker::Signal;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use super::{check_version, check_worker};
use crate::api_error::ApiError;
use crate::query;
use crate::workers::{Peer, Workers};

/// Sent when there is nothing to tell, so that a broken connection is noticed.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Signals that are gathered into one write; more of the same are told once.
const GATHERED: usize = 256;

struct Stream {
    events: Receiver<WakeEvent>,
    closing: CancellationToken,
    begun: bool,
}

/// `GET /v1/worker/signals?worker_id=…`
pub(super) async fn signals(
    State(workers): State<Arc<Workers>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    check_version(&headers)?;
    let worker = WorkerId(query::only(&uri, "worker_id")?);
    check_worker(&worker)?;
    workers.presence.adopt(&worker, peer).await;
    let start = Stream { events: workers.store.subscribe(), closing: workers.closing.clone(), begun: false };
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
        let first = tokio::select! {
            event = tokio::time::timeout(PING_EVERY, self.events.recv()) => event,
            () = self.closing.cancelled() => return None,
        };
        let mut gathered = match first {
            Err(_) => return Some(": nothing new\n\n".to_owned()),
            Ok(Err(RecvError::Closed)) => return None,
            Ok(Err(RecvError::Lagged(_))) => vec![Signal::Look],
            Ok(Ok(event)) => vec![signal(event)],
        };
        while gathered.len() < GATHERED {
            let more = match self.events.try_recv() {
                Ok(event) => signal(event),
                Err(TryRecvError::Lagged(_)) => Signal::Look,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
            if !gathered.contains(&more) {
                gathered.push(more);
            }
        }
        Some(told(&gathered))
    }
}

fn signal(event: WakeEvent) -> Signal {
    match event {
        WakeEvent::Work { queue } => Signal::Work { queue },
        WakeEvent::Moved { id } => Signal::Moved { id },
        WakeEvent::Everything => Signal::Look,
    }
}

fn told(signals: &[Signal]) -> String {
    signals
        .iter()
        .filter_map(|signal| serde_json::to_string(signal).ok())
        .map(|json| format!("data: {json}\n\n"))
        .collect()
}
