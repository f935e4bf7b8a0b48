//! Queues and the workers that serve them.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use jobforge::core::audit::Deed;
use jobforge::core::enqueue::check_name;
use jobforge::core::time::Now;
use jobforge::core::watchdog::Run;
use jobforge::services::Watchdog;
use jobforge::what_if::{self, NoAnswer};
use jobforge_api::{QueueList, QueuePauseView, WatchdogList, WorkerList};

use super::json;
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::server::App;
use crate::{query, view};

/// `GET /v1/queues`
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let queues = app.client.store().queues(Now::Database).await?;
    json(StatusCode::OK, &QueueList { queues: queues.into_iter().map(view::queue).collect() })
}

/// `GET /v1/workers`
pub(super) async fn workers(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let workers = app.client.store().workers(Now::Database).await?;
    json(StatusCode::OK, &WorkerList { workers: workers.into_iter().map(view::worker).collect() })
}

/// `GET /v1/watchdog/runs`
pub(super) async fn watchdog_runs(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let limit = query::params(&uri, &[query::LIMIT])?.limit()?;
    let store = app.client.store();
    let (runs, watchdogs) = (store.watchdog_runs(limit).await?, store.watchdogs(Now::Database).await?);
    json(StatusCode::OK, &WatchdogList { watchdogs, runs })
}

/// `GET /v1/watchdog/what-if`
pub(super) async fn what_if(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, query::WHAT_IF)?;
    let (threshold, since) = (params.parse("heartbeat_threshold_ms")?, params.take("since"));
    let store = app.client.store().as_ref();
    let answer = what_if::ask(store, &app.live.now(), threshold, since.as_deref()).await?;
    json(StatusCode::OK, &answer)
}

impl From<NoAnswer> for ApiError {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Bad(_) | NoAnswer::Since(_) => Self::bad_request("bad_parameter", error.to_string()),
            NoAnswer::Store(error) => error.into(),
        }
    }
}

/// `POST /v1/watchdog/run`
pub(super) async fn watchdog_run(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
    json(StatusCode::OK, &sweep(&app, &caller).await?)
}

/// One sweep of the watchdog, now, told of in the audit log.
pub(crate) async fn sweep(app: &App, caller: &Caller) -> Result<Run, ApiError> {
    let settings = app.live.now();
    let interval = settings.millis("watchdog_check_interval_ms");
    let watchdog = Watchdog::new(Arc::clone(app.client.store()), settings.rescue_policy(), interval);
    let (run, _) = watchdog.run_recorded("operator").await?;
    let after = serde_json::json!({ "suspects": run.suspects, "requeued": run.requeued, "ended": run.ended });
    let deed = Deed::new("watchdog.run", run.watchdog.clone()).changing(&serde_json::Value::Null, &after);
    app.client.store().note(caller.by(), &[deed], Now::Database).await?;
    Ok(run)
}

/// `POST /v1/queues/{name}/pause`
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    set_paused(&app, &caller, queue_name(name)?, true).await
}

/// `POST /v1/queues/{name}/resume`
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    set_paused(&app, &caller, queue_name(name)?, false).await
}

async fn set_paused(app: &App, caller: &Caller, name: String, paused: bool) -> Result<Response, ApiError> {
    let changed = app.client.store().pause_queue(&name, paused, caller.by(), Now::Database).await?;
    json(StatusCode::OK, &QueuePauseView { name, paused, changed })
}

fn queue_name(segment: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(name) =
        segment.map_err(|_| ApiError::bad_request("bad_name", "the queue's name in the path is not text"))?;
    check_name(&name).map_err(|fault| ApiError::bad_request("bad_name", format!("queue: {fault}")))?;
    Ok(name)
}
