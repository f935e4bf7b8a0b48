//! Telling workers to restart: which, and what is said of each.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jobforge::core::job::{JobId, WorkerId};
use jobforge::core::time::Now;
use jobforge::core::worker::WorkerRow;
use jobforge::process;
use jobforge::store::rows::RestartTold;
use jobforge_api::{RestartAnswer, WorkerPlace, WorkerTold};

use super::json;
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::server::App;

/// A worker that shall restart, and why.
pub(super) struct Restart {
    pub(super) worker: WorkerId,
    /// Jobs that are stuck on it.
    pub(super) jobs: Vec<JobId>,
    pub(super) reason: String,
}

/// Tells each of the workers to restart, and says of each what became of it. `rows` are all that are known.
pub(super) async fn tell(
    app: &App,
    caller: &Caller,
    rows: &[WorkerRow],
    orders: Vec<Restart>,
) -> Result<Vec<WorkerTold>, ApiError> {
    let ids: Vec<WorkerId> = orders.iter().map(|order| order.worker.clone()).collect();
    let answers = app.client.store().restart_workers(&ids, caller.by(), Now::Database).await?;
    let told = orders.into_iter().zip(answers).map(|(Restart { worker, jobs, reason }, answer)| {
        let row = rows.iter().find(|row| row.id == worker);
        WorkerTold {
            name: row.and_then(|row| row.name.clone()),
            hostname: row.map(|row| row.hostname.clone()),
            pid: row.map(|row| row.pid).filter(|pid| *pid != 0),
            place: row.map(|row| if is_local(row) { WorkerPlace::Local } else { WorkerPlace::Remote }),
            answer: match answer {
                RestartTold::Told => RestartAnswer::Told,
                RestartTold::ToldBefore => RestartAnswer::ToldBefore,
                RestartTold::NoProcess => RestartAnswer::NoProcess,
                RestartTold::Gone => RestartAnswer::Gone,
            },
            worker,
            jobs,
            reason,
        }
    });
    Ok(told.collect())
}

/// Whether a worker runs on this server's machine: by the machine's identity, else by its name.
fn is_local(row: &WorkerRow) -> bool {
    match (&row.process, process::own()) {
        (Some(process), Some(own)) => process.machine_id == own.machine_id,
        _ => row.hostname == process::hostname(),
    }
}

/// `POST /v1/workers/{id}/restart`
pub(super) async fn restart(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) =
        id.map_err(|_| ApiError::bad_request("bad_id", "the worker's id in the path is not text"))?;
    json(StatusCode::ACCEPTED, &by_id(&app, &caller, id).await?)
}

/// Tells one worker to restart, or says why it cannot be told.
pub(crate) async fn by_id(app: &App, caller: &Caller, id: String) -> Result<WorkerTold, ApiError> {
    let rows = app.client.store().workers(Now::Database).await?;
    let worker = WorkerId(id);
    if !rows.iter().any(|row| row.id == worker) {
        return Err(unknown(&worker));
    }
    let reason = caller.by().reason.clone().unwrap_or_else(|| "it was asked for by its id".to_owned());
    let told = tell(app, caller, &rows, vec![Restart { worker, jobs: Vec::new(), reason }]).await?;
    match told.into_iter().next() {
        Some(told) if told.restarts() => Ok(told),
        Some(told) if told.answer == RestartAnswer::NoProcess => {
            let detail = format!("worker {} speaks SQL; it has no process that could be told", told.worker);
            Err(ApiError::conflict("no_process", "the worker cannot be told to restart", detail))
        }
        Some(told) => {
            let detail = format!("worker {} has ended; GET /v1/workers lists those that live", told.worker);
            Err(ApiError::conflict("worker_ended", "the worker has ended", detail))
        }
        None => Err(ApiError::internal("a restart was answered with nothing".to_owned())),
    }
}

/// There is no such worker.
pub(crate) fn unknown(worker: &WorkerId) -> ApiError {
    let shown: String = worker.as_str().chars().take(60).collect();
    let detail =
        format!("no worker {shown:?} is active or ended within the last day; GET /v1/workers lists them");
    ApiError::new(StatusCode::NOT_FOUND, "worker_not_found", "there is no such worker", detail)
}
