//! `/api/qc/debug` and `/api/qc/reprocess`: what the engineer on call looks at and does.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use jiff::Timestamp;
use jobforge::clock;
use jobforge::core::job::{Job, JobId};
use jobforge::core::settings::Settings;
use jobforge::core::state::Status;
use jobforge::core::time::{Now, since, sub, words};
use jobforge::store::rows::{JobFilter, Move, Moved};
use jobforge_api::FieldProblem;
use serde_json::{Map, Value, json};

use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::health::{Stuck, stuck};
use crate::routes::jobs::visible;
use crate::routes::json as answer;
use crate::routes::queues::sweep;
use crate::server::App;
use crate::{body, query};
use jobforge::core::nearest::advice;

/// Fields of an action.
pub(super) const FIELDS: &[&str] = &["action", "jobId", "jobIds", "reason"];
/// Fields of a reprocess.
pub(super) const REPROCESS: &[&str] = &["jobId", "jobIds", "reason"];
/// What may be done.
const ACTIONS: [&str; 5] =
    ["trigger_watchdog", "retry_specific", "retry_stuck", "cancel_stuck", "trigger_worker"];
/// Jobs of each list that are shown.
const SHOWN: usize = 20;
/// Jobs that one action may name.
const MOST: usize = 1000;

/// `GET /api/qc/debug`
pub(super) async fn look(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let store = app.client.store();
    let tenant = caller.tenant(None)?;
    let as_of = store.now().await?;
    let stuck = own_stuck(&app, &caller).await?;
    let counts =
        store.status_counts(tenant.as_deref(), sub(as_of, std::time::Duration::from_secs(86_400))).await?;
    let list = async |statuses: &[Status]| {
        let filter = JobFilter {
            tenant_id: tenant.clone(),
            statuses: statuses.to_vec(),
            limit: SHOWN,
            ..JobFilter::default()
        };
        store.jobs(&filter).await
    };
    let active = list(&[Status::Running]).await?;
    let queued = list(&[Status::Queued]).await?;
    let ended = list(&[Status::Failed, Status::Dead]).await?;
    let stuck_jobs: Vec<Value> = stuck.iter().map(|stuck| stuck_view(stuck, as_of)).collect();
    let by_status: Map<String, Value> =
        counts.iter().map(|(status, count)| (status.as_str().to_owned(), (*count).into())).collect();
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let errors: Vec<Value> = ended.iter().map(error_view).collect();
    let metrics = if caller.is_bound() { Value::Null } else { watchdog_metrics(&app, as_of).await? };
    answer(
        StatusCode::OK,
        &json!({
            "success": true,
            "platform": { "name": "jobforge", "version": env!("CARGO_PKG_VERSION"), "engine": store.capabilities().engine },
            "jobs": { "total": total, "counts": by_status, "stuckCount": stuck_jobs.len(), "stuckJobs": stuck_jobs },
            "stuckJobs": stuck_jobs,
            "activeJobs": active.iter().map(|job| job_view(job, as_of)).collect::<Vec<_>>(),
            "recentActive": active.iter().take(5).map(|job| job_view(job, as_of)).collect::<Vec<_>>(),
            "recentQueued": queued.iter().map(|job| job_view(job, as_of)).collect::<Vec<_>>(),
            "recentErrors": errors,
            "watchdogMetrics": metrics,
            "timestamp": clock::wall().to_string(),
        }),
    )
}

/// `POST /api/qc/debug`
pub(super) async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let fields = body::object(&headers, body, FIELDS).await?;
    let action = match fields.get("action") {
        None => String::new(),
        Some(Value::String(action)) => action.clone(),
        Some(_) => {
            let told = format!("action is not a text; allowed are {}", ACTIONS.join(", "));
            let fault = FieldProblem::new("/action", "wrong_type", told.clone());
            return Err(ApiError::invalid_request(told).errors(vec![fault]));
        }
    };
    if !ACTIONS.contains(&action.as_str()) {
        return Err(no_such_action(&action));
    }
    let ids = ids(&fields)?;
    if !ids.is_empty() && action != "retry_specific" {
        let told = format!("{action} takes no job; leave jobId and jobIds out, or use retry_specific");
        return Err(ApiError::invalid_request(told));
    }
    match action.as_str() {
        "trigger_watchdog" => {
            caller.require_all_tenants()?;
            let run = sweep(&app, &caller).await?;
            let moved = run.requeued + run.ended;
            let message = format!("checked {} suspect job(s), moved {moved}", run.suspects);
            answer(StatusCode::OK, &json!({ "success": true, "message": message, "report": run }))
        }
        "retry_specific" => retry(&app, &caller, ids).await,
        "retry_stuck" => {
            let stuck = own_stuck(&app, &caller).await?;
            retry(&app, &caller, stuck.iter().map(|stuck| stuck.job.id).collect()).await
        }
        "cancel_stuck" => {
            let ids: Vec<JobId> = own_stuck(&app, &caller).await?.iter().map(|stuck| stuck.job.id).collect();
            let done = move_all(&app, &caller, &ids, Move::Cancel).await?;
            let message = format!("canceled {} stuck job(s)", done.len());
            let told =
                json!({ "success": true, "message": message, "cancelled": done.len(), "jobIds": done });
            answer(StatusCode::OK, &told)
        }
        "trigger_worker" => restart(&app, &caller).await,
        other => Err(no_such_action(other)),
    }
}

fn no_such_action(action: &str) -> ApiError {
    let shown: String = action.chars().take(60).collect();
    let told = if action.is_empty() {
        format!("action is missing; allowed are {}", ACTIONS.join(", "))
    } else {
        format!("{shown:?} is not an action; {}", advice(action, &ACTIONS))
    };
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_action", "there is no such action", told)
}

/// `POST /api/qc/reprocess`: these jobs and no others.
pub(super) async fn reprocess(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let fields = body::object(&headers, body, REPROCESS).await?;
    let ids = ids(&fields)?;
    retry(&app, &caller, ids).await
}

/// Runs each of the jobs again. All must be there, or none is touched.
async fn retry(app: &App, caller: &Caller, ids: Vec<JobId>) -> Result<Response, ApiError> {
    for id in &ids {
        visible(app, caller, *id).await?;
    }
    let done = move_all(app, caller, &ids, Move::RETRY).await?;
    let message = format!("{} job(s) queued again with fresh attempts", done.len());
    let told = json!({
        "success": true, "message": message, "retried": done.len(), "requeued": done.len(),
        "totalChecked": ids.len(), "jobIds": done, "requeuedJobIds": done,
    });
    answer(StatusCode::OK, &told)
}

/// Restarts the work that hangs: the workers that hold stuck jobs are told to stop these, which run again elsewhere.
async fn restart(app: &App, caller: &Caller) -> Result<Response, ApiError> {
    let stuck = own_stuck(app, caller).await?;
    let ids: Vec<JobId> = stuck.iter().map(|stuck| stuck.job.id).collect();
    let done = move_all(app, caller, &ids, Move::RETRY).await?;
    let mut told: Vec<Value> = Vec::new();
    for stuck in stuck.iter().filter(|stuck| done.contains(&stuck.job.id)) {
        told.push(json!({ "worker": stuck.worker, "jobId": stuck.job.id, "reason": stuck.reason }));
    }
    let message = match told.len() {
        0 => "no worker holds a stuck job, so none was restarted".to_owned(),
        count => {
            format!("{count} stuck job(s) were taken from their workers, which stop them, and run again")
        }
    };
    answer(
        StatusCode::OK,
        &json!({ "success": true, "message": message, "told": told, "restarted": done.len() }),
    )
}

async fn move_all(app: &App, caller: &Caller, ids: &[JobId], step: Move) -> Result<Vec<JobId>, ApiError> {
    let moved = app.client.store().move_jobs(ids, step, caller.by(), Now::Database).await?;
    let done = ids.iter().zip(moved).filter(|(_, moved)| matches!(moved, Moved::Done { .. }));
    Ok(done.map(|(id, _)| *id).collect())
}

/// The stuck jobs that the caller may see: what is listed is what is canceled.
async fn own_stuck(app: &App, caller: &Caller) -> Result<Vec<Stuck>, ApiError> {
    let policy = app.live.now().rescue_policy();
    let mut stuck = stuck(&**app.client.store(), &policy).await?;
    stuck.retain(|stuck| caller.sees(&stuck.job.tenant_id));
    Ok(stuck)
}

/// `jobId` or `jobIds`; nothing stands for every job.
fn ids(fields: &Map<String, Value>) -> Result<Vec<JobId>, ApiError> {
    let text = |value: &Value| {
        let text = value.as_str().ok_or_else(|| ApiError::invalid_request("a job id is a text"))?;
        Ok::<JobId, ApiError>(text.parse::<JobId>()?)
    };
    let mut ids: Vec<JobId> = fields.get("jobId").map(text).transpose()?.into_iter().collect();
    match fields.get("jobIds") {
        None => {}
        Some(Value::Array(more)) => {
            for id in more {
                ids.push(text(id)?);
            }
        }
        Some(_) => return Err(ApiError::invalid_request("jobIds is not a list; for one job use jobId")),
    }
    let named = fields.contains_key("jobId") || fields.contains_key("jobIds");
    let needs = matches!(fields.get("action").and_then(Value::as_str), None | Some("retry_specific"));
    if needs && (!named || ids.is_empty() || ids.len() > MOST) {
        return Err(ApiError::invalid_request(format!("name 1 to {MOST} jobs with jobId or jobIds")));
    }
    Ok(ids)
}

async fn watchdog_metrics(app: &App, as_of: Timestamp) -> Result<Value, ApiError> {
    let store = app.client.store();
    let watchdogs = store.watchdogs(Now::Database).await?;
    let runs = store.watchdog_runs(100).await?;
    let settings = app.live.now();
    let last = runs.first();
    Ok(json!({
        "enabled": settings.flag("job_heartbeat"),
        "watchdogs": watchdogs.iter().map(|watchdog| json!({
            "id": watchdog.id,
            "lastSignAt": watchdog.last_sign_at,
            "silent": watchdog.is_silent(as_of),
        })).collect::<Vec<_>>(),
        "lastRun": last.map(|run| run.started_at),
        "lastRunAgeSeconds": last.map(|run| since(as_of, run.started_at).as_secs_f64()),
        "lastRunDurationMs": last.map(|run| run.duration_ms),
        "lastError": runs.iter().find_map(|run| run.error.clone()),
        "recentRuns": runs.len(),
        "jobsChecked": runs.iter().map(|run| run.suspects).sum::<u64>(),
        "jobsRequeued": runs.iter().map(|run| run.requeued).sum::<u64>(),
        "jobsMovedToDlq": runs.iter().map(|run| run.ended).sum::<u64>(),
        "workersLost": runs.iter().map(|run| run.workers_lost).sum::<u64>(),
        "thresholds": thresholds(&settings),
    }))
}

fn thresholds(settings: &Settings) -> Value {
    json!({
        "heartbeatThresholdMs": settings.integer("heartbeat_threshold_ms"),
        "heartbeatMaxMisses": settings.integer("heartbeat_max_misses"),
        "checkIntervalMs": settings.integer("watchdog_check_interval_ms"),
    })
}

fn stuck_view(stuck: &Stuck, as_of: Timestamp) -> Value {
    let mut view = job_view(&stuck.job, as_of);
    view["worker"] = json!(stuck.worker);
    view["reason"] = stuck.reason.clone().into();
    view
}

fn job_view(job: &Job, as_of: Timestamp) -> Value {
    let begun = job.started_at.unwrap_or(job.created_at);
    json!({
        "id": job.id,
        "type": job.job_type,
        "status": job.status,
        "fileName": file_name(job),
        "progress": job.progress.percent,
        "phase": job.progress.phase,
        "worker": job.locked_by,
        "age": words(since(as_of, begun)),
        "ageSeconds": since(as_of, begun).as_secs_f64(),
        "startedAt": job.started_at,
        "createdAt": job.created_at,
        "lastHeartbeatAt": job.heartbeat_at,
        "error": job.error.as_ref().map(|error| error.message.clone()),
    })
}

fn error_view(job: &Job) -> Value {
    json!({
        "id": job.id,
        "fileName": file_name(job),
        "status": job.status,
        "error": job.error.as_ref().map(|error| error.message.clone()),
        "at": job.finished_at,
    })
}

/// What the job is about, as its payload names it.
fn file_name(job: &Job) -> Option<String> {
    let payload: Value = serde_json::from_str(job.payload.as_str()).ok()?;
    let name = ["file_name", "fileName"].iter().find_map(|key| payload.get(key)?.as_str().map(str::to_owned));
    name.map(|name| name.chars().take(255).collect())
}
