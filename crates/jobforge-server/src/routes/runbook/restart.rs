//! `trigger_worker`: restarts the work that hangs, and the workers that it hangs on.

use axum::http::StatusCode;
use axum::response::Response;
use jobforge::core::counted::counted;
use jobforge::core::job::{JobId, WorkerId};
use jobforge::core::time::Now;
use jobforge::core::worker::WorkerRow;
use jobforge::overview::Stuck;
use jobforge::store::rows::Move;
use jobforge_api::runbook::DebugDone;
use jobforge_api::{FieldProblem, WorkerTold};
use serde_json::{Map, Value};

use super::debug::{move_all, own_stuck};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::routes::json as answer;
use crate::routes::restart::{Restart, tell, unknown};
use crate::server::App;

/// Which workers.
pub(super) enum Which {
    /// Those that hold stuck jobs.
    Hung,
    /// This one.
    One(WorkerId),
    /// Every active one.
    All,
}

impl Which {
    /// From the fields of the action.
    pub(super) fn read(fields: &Map<String, Value>) -> Result<Self, ApiError> {
        let all = match fields.get("all") {
            None => false,
            Some(all) => all.as_bool().ok_or_else(|| wrong("/all", "all must be true or false"))?,
        };
        match fields.get("workerId") {
            None if all => Ok(Self::All),
            None => Ok(Self::Hung),
            Some(_) if all => {
                Err(ApiError::invalid_request("name one worker with workerId, or all of them, not both"))
            }
            Some(Value::String(id)) => Ok(Self::One(WorkerId(id.clone()))),
            Some(_) => Err(wrong("/workerId", "workerId must be a text, such as worker-0a1b2c3d")),
        }
    }
}

fn wrong(pointer: &str, told: &str) -> ApiError {
    ApiError::invalid_request(told).errors(vec![FieldProblem::new(pointer, "wrong_type", told)])
}

/// Tells the workers first, so that none of them takes a job again that was taken from it, then takes the stuck jobs.
pub(super) async fn act(app: &App, caller: &Caller, which: Which) -> Result<Response, ApiError> {
    caller.require_all_tenants()?;
    let stuck = own_stuck(app, caller).await?;
    let rows = app.client.store().workers(Now::Database).await?;
    let told = tell(app, caller, &rows, orders(&which, &stuck, &rows)?).await?;
    let ids: Vec<JobId> = stuck.iter().map(|stuck| stuck.job.id).collect();
    let taken = move_all(app, caller, &ids, Move::RETRY).await?;
    let (told, not_told): (Vec<WorkerTold>, Vec<WorkerTold>) =
        told.into_iter().partition(WorkerTold::restarts);
    let message = match told.len() {
        0 if stuck.is_empty() => "no worker holds a stuck job, so none was restarted".to_owned(),
        restarted => format!(
            "{} told to restart; {} taken back to run again",
            counted(restarted, "worker"),
            counted(taken.len(), "stuck job")
        ),
    };
    let restarted = Some(told.len());
    let done = DebugDone {
        success: true,
        message,
        restarted,
        job_ids: Some(taken),
        told: Some(told),
        not_told: Some(not_told),
        ..DebugDone::default()
    };
    answer(StatusCode::OK, &done)
}

fn orders(which: &Which, stuck: &[Stuck], rows: &[WorkerRow]) -> Result<Vec<Restart>, ApiError> {
    let order = |worker: &WorkerId, otherwise: &str| {
        let on_it: Vec<&Stuck> = stuck.iter().filter(|stuck| stuck.worker.as_ref() == Some(worker)).collect();
        let reasons: Vec<String> =
            on_it.iter().map(|stuck| format!("job {}: {}", stuck.job.id, stuck.reason)).collect();
        let reason = if reasons.is_empty() { otherwise.to_owned() } else { reasons.join("; ") };
        Restart { worker: worker.clone(), jobs: on_it.iter().map(|stuck| stuck.job.id).collect(), reason }
    };
    let active = rows.iter().filter(|row| row.state.is_active()).map(|row| &row.id);
    Ok(match which {
        Which::Hung => {
            let mut holders: Vec<&WorkerId> =
                stuck.iter().filter_map(|stuck| stuck.worker.as_ref()).collect();
            holders.sort();
            holders.dedup();
            holders.into_iter().map(|worker| order(worker, "")).collect()
        }
        Which::One(worker) if rows.iter().all(|row| row.id != *worker) => return Err(unknown(worker)),
        Which::One(worker) => vec![order(worker, "it was asked for by its id")],
        Which::All => active.map(|worker| order(worker, "all workers were asked for")).collect(),
    })
}
