//! Jobs and workers as they change, as server-sent events.
//!
//! Each event carries the moment up to which it tells of jobs. Who comes back with `Last-Event-ID` is first told of every
//! job that has changed since, as far back as a page reaches, and otherwise to look at everything anew.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use jobforge::core::job::{Job, JobId};
use jobforge::core::metric::table;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::store::rows::{JobFilter, WakeEvent};
use jobforge::store::{Store, StoreError};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::metrics::Raised;
use crate::rate_limit::Seat;
use crate::server::App;

/// Between two looks when nothing is announced.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At least so long between two looks, however much is announced.
const PAUSE: Duration = Duration::from_millis(100);
/// Sent when there is nothing to tell, so that a broken connection is noticed.
const PING_AFTER: u32 = 10;
/// The newest jobs, and the running ones, that are looked at.
const WATCHED: usize = 200;

/// `GET /v1/events`
pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let seat = Arc::clone(&app.streams).seat(&caller.by().actor).ok_or_else(|| {
        let told = "too many streams of events are open; close one, or try again later";
        ApiError::too_many("too_many_streams", told, Duration::from_secs(5))
    })?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<i64>().ok());
    let start = Stream {
        store: Arc::clone(app.client.store()),
        events: app.client.store().subscribe(),
        tenant: caller.tenant(None)?,
        closing: app.closing.clone(),
        since: last.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        jobs: HashMap::new(),
        workers: HashMap::new(),
        begun: false,
        quiet: 0,
        _seat: seat,
        _counted: Raised::by_one(&table::SSE_CLIENTS),
    };
    let body = stream::unfold(start, |mut stream| async move {
        stream.next().await.map(|text| (Ok::<_, Infallible>(text), stream))
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response())
}

struct Stream {
    store: Arc<dyn Store>,
    events: broadcast::Receiver<WakeEvent>,
    tenant: Option<String>,
    closing: CancellationToken,
    /// Until when the listener knows everything.
    since: Option<Timestamp>,
    jobs: HashMap<JobId, Timestamp>,
    workers: HashMap<String, String>,
    begun: bool,
    quiet: u32,
    _seat: Seat,
    _counted: Raised,
}

impl Stream {
    /// The next piece of text; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.begun {
                tokio::select! {
                    () = self.closing.cancelled() => return None,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    // What is announced is looked for; that too much was, as well.
                    _ = self.events.recv() => {
                        tokio::time::sleep(PAUSE).await;
                        self.events = self.events.resubscribe();
                    }
                }
            }
            match self.look().await {
                Ok(text) if !text.is_empty() => {
                    self.quiet = 0;
                    return Some(text);
                }
                Ok(_) => self.quiet += 1,
                Err(error) => {
                    tracing::debug!(error = error.chain(), "could not look for events; trying again");
                    self.quiet += 1;
                }
            }
            if self.quiet >= PING_AFTER {
                self.quiet = 0;
                return Some(": nothing new\n\n".to_owned());
            }
        }
    }

    async fn look(&mut self) -> Result<String, StoreError> {
        let page = |statuses: Vec<Status>| JobFilter {
            tenant_id: self.tenant.clone(),
            statuses,
            limit: WATCHED,
            ..JobFilter::default()
        };
        let as_of = self.store.now().await?;
        let mut jobs = self.store.jobs(&page(Vec::new())).await?;
        // What is not among the newest any more and still runs, or was retried.
        jobs.extend(self.store.jobs(&page(vec![Status::Running])).await?);
        jobs.sort_by_key(|job| (job.updated_at, job.id));
        jobs.dedup_by_key(|job| job.id);
        let mut text = String::new();
        if !self.begun {
            text.push_str(&self.begin(&jobs, as_of));
        }
        let mut seen = HashMap::with_capacity(jobs.len());
        for job in &jobs {
            let known = self.jobs.get(&job.id).copied();
            let news = known.is_none_or(|known| known < job.updated_at);
            // A job that was only crowded out of the page and is back has not changed.
            let since = self.since.is_none_or(|since| job.updated_at >= since);
            if news && since && self.begun {
                text.push_str(&told("job", job.updated_at, &job_view(job)));
            }
            seen.insert(job.id, job.updated_at);
        }
        self.jobs = seen;
        if self.tenant.is_none() {
            text.push_str(&self.workers(as_of).await?);
        }
        self.begun = true;
        self.since = Some(self.since.map_or(as_of, |since| since.max(as_of - LOOK_BACK)));
        Ok(text)
    }

    /// The first piece: what was missed, or that everything is to be looked at anew.
    fn begin(&self, jobs: &[Job], as_of: Timestamp) -> String {
        let Some(since) = self.since else {
            return told("hello", as_of, &json!({ "as_of": as_of }));
        };
        let missed: Vec<&Job> = jobs.iter().filter(|job| job.updated_at >= since).collect();
        if missed.len() >= WATCHED {
            return told(
                "reset",
                as_of,
                &json!({ "as_of": as_of, "why": "more has changed than can be told" }),
            );
        }
        missed.iter().map(|job| told("job", job.updated_at, &job_view(job))).collect()
    }

    async fn workers(&mut self, as_of: Timestamp) -> Result<String, StoreError> {
        let mut text = String::new();
        for worker in self.store.workers(Now::Database).await? {
            let state = worker.state.as_str().to_owned();
            let old = self.workers.insert(worker.id.0.clone(), state.clone());
            if self.begun && old.as_ref() != Some(&state) {
                let view = json!({
                    "id": worker.id, "hostname": worker.hostname, "pid": worker.pid, "state": state,
                    "reason": worker.end_reason,
                });
                text.push_str(&told("worker", as_of, &view));
            }
        }
        Ok(text)
    }
}

/// What commits late may carry an earlier time than what was seen.
const LOOK_BACK: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

fn job_view(job: &Job) -> Value {
    json!({
        "id": job.id,
        "type": job.job_type,
        "tenant_id": job.tenant_id,
        "queue": job.queue,
        "status": job.status,
        "attempts": job.attempts,
        "worker": job.locked_by,
        "progress": job.progress.percent,
        "phase": job.progress.phase,
        "error": job.error.as_ref().map(|error| error.message.clone()),
        "updated_at": job.updated_at,
    })
}

/// One event. JSON holds no line end, so one line is the whole.
fn told(event: &str, at: Timestamp, data: &Value) -> String {
    format!("id: {}\nevent: {event}\ndata: {data}\n\n", at.as_microsecond())
}
