//! `/api/qc/debug` and `/api/qc/reprocess`: what the engineer on call looks at and does.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use jobforge::clock;
use jobforge::core::counted::counted;
use jobforge::core::job::{Job, JobId};
use jobforge::core::redact::{REDACTED, Redactor};
use jobforge::core::state::Status;
use jobforge::core::time::{Now, since, sub, words};
use jobforge::core::watchdog::WatchdogRow;
use jobforge::overview::{Stuck, stuck};
use jobforge::store::rows::{JobFilter, Move, Moved};
use jobforge_api::FieldProblem;
use jobforge_api::requests::MAX_JOBS;
use jobforge_api::runbook::{
    DebugAction, DebugDone, DebugError, DebugJob, DebugJobs, DebugView, PlatformView, ReprocessRequest,
    WatchdogMetrics, WatchdogSign, WatchdogThresholds,
};
use serde_json::{Map, Value};

use super::restart;
use crate::api_error::ApiError;
use crate::body;
use crate::caller::Caller;
use crate::routes::jobs::visible;
use crate::routes::json as answer;
use crate::routes::queues::sweep;
use crate::server::App;
use jobforge::core::nearest::advice;

/// Fields of an action.
const FIELDS: &[&str] = &["action", "jobId", "jobIds", "workerId", "all", "reason"];
/// Fields of a reprocess.
const REPROCESS: &[&str] = &["jobId", "jobIds", "reason"];
/// What may be done.
const ACTIONS: [&str; 5] =
    ["trigger_watchdog", "retry_specific", "retry_stuck", "cancel_stuck", "trigger_worker"];
/// Jobs of each list that are shown.
const SHOWN: usize = 20;

/// `GET /api/qc/debug`
pub(super) async fn look(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, ApiError> {
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
    let redactor = app.redactor();
    let stuck_jobs: Vec<DebugJob> = stuck.iter().map(|stuck| stuck_view(stuck, as_of, &redactor)).collect();
    let active_jobs: Vec<DebugJob> = active.iter().map(|job| job_view(job, as_of, &redactor)).collect();
    let metrics = if caller.is_bound() { None } else { Some(watchdog_metrics(&app, as_of).await?) };
    let (name, version) = ("jobforge", env!("CARGO_PKG_VERSION"));
    let view = DebugView {
        success: true,
        platform: PlatformView { name, version, engine: store.capabilities().engine.to_owned() },
        jobs: DebugJobs {
            total: counts.iter().map(|(_, count)| count).sum(),
            counts: counts.iter().map(|(status, count)| (status.as_str(), *count)).collect(),
            stuck_count: stuck_jobs.len(),
            stuck_jobs: stuck_jobs.clone(),
        },
        stuck_jobs,
        recent_active: active_jobs.iter().take(5).cloned().collect(),
        active_jobs,
        recent_queued: queued.iter().map(|job| job_view(job, as_of, &redactor)).collect(),
        recent_errors: ended.iter().map(|job| error_view(job, &redactor)).collect(),
        watchdog_metrics: metrics,
        timestamp: clock::wall(),
    };
    answer(StatusCode::OK, &view)
}

/// `POST /api/qc/debug`
pub(super) async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
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
    let named = ["workerId", "all"].into_iter().find(|field| fields.contains_key(*field));
    if let Some(field) = named.filter(|_| action != "trigger_worker") {
        let told = format!("{action} takes no {field}; leave it out, or use trigger_worker");
        return Err(ApiError::invalid_request(told));
    }
    if ACTIONS.contains(&action.as_str()) {
        body::fits::<DebugAction>(&fields)?;
    }
    match action.as_str() {
        "trigger_watchdog" => {
            caller.require_all_tenants()?;
            let run = sweep(&app, &caller).await?;
            let moved = run.requeued + run.ended;
            let message = format!("checked {}, moved {moved}", counted(run.suspects, "suspect job"));
            done(&DebugDone { report: Some(run), ..told(message) })
        }
        "retry_specific" => retry(&app, &caller, ids).await,
        "retry_stuck" => {
            let stuck = own_stuck(&app, &caller).await?;
            retry(&app, &caller, stuck.iter().map(|stuck| stuck.job.id).collect()).await
        }
        "cancel_stuck" => {
            let ids: Vec<JobId> = own_stuck(&app, &caller).await?.iter().map(|stuck| stuck.job.id).collect();
            let moved = move_all(&app, &caller, &ids, Move::Cancel).await?;
            let message = format!("canceled {}", counted(moved.len(), "stuck job"));
            done(&DebugDone { cancelled: Some(moved.len()), job_ids: Some(moved), ..told(message) })
        }
        "trigger_worker" => restart::act(&app, &caller, restart::Which::read(&fields)?).await,
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
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let fields = body::object(&headers, body, REPROCESS).await?;
    let ids = ids(&fields)?;
    body::fits::<ReprocessRequest>(&fields)?;
    retry(&app, &caller, ids).await
}

/// Runs each of the jobs again. All must be there, or none is touched.
async fn retry(app: &App, caller: &Caller, ids: Vec<JobId>) -> Result<Response, ApiError> {
    for id in &ids {
        visible(app, caller, *id).await?;
    }
    let moved = move_all(app, caller, &ids, Move::RETRY).await?;
    let message = format!("{} queued again with fresh attempts", counted(moved.len(), "job"));
    done(&DebugDone {
        retried: Some(moved.len()),
        requeued: Some(moved.len()),
        total_checked: Some(ids.len()),
        job_ids: Some(moved.clone()),
        requeued_job_ids: Some(moved),
        ..told(message)
    })
}

fn told(message: String) -> DebugDone {
    DebugDone { success: true, message, ..DebugDone::default() }
}

fn done(told: &DebugDone) -> Result<Response, ApiError> {
    answer(StatusCode::OK, told)
}

pub(super) async fn move_all(
    app: &App,
    caller: &Caller,
    ids: &[JobId],
    step: Move,
) -> Result<Vec<JobId>, ApiError> {
    let moved = app.client.store().move_jobs(ids, step, caller.by(), Now::Database).await?;
    let done = ids.iter().zip(moved).filter(|(_, moved)| matches!(moved, Moved::Done { .. }));
    Ok(done.map(|(id, _)| *id).collect())
}

/// The stuck jobs that the caller may see: what is listed is what is canceled.
pub(super) async fn own_stuck(app: &App, caller: &Caller) -> Result<Vec<Stuck>, ApiError> {
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
    let needs = matches!(fields.get("action").and_then(Value::as_str), None | Some("retry_specific"));
    if needs && (ids.is_empty() || ids.len() > MAX_JOBS) {
        return Err(ApiError::invalid_request(format!("name 1 to {MAX_JOBS} jobs with jobId or jobIds")));
    }
    Ok(ids)
}

async fn watchdog_metrics(app: &App, as_of: Timestamp) -> Result<WatchdogMetrics, ApiError> {
    let store = app.client.store();
    let watchdogs = store.watchdogs(Now::Database).await?;
    let runs = store.watchdog_runs(100).await?;
    let settings = app.live.now();
    let last = runs.first();
    let sign = |watchdog: &WatchdogRow| WatchdogSign {
        id: watchdog.id.clone(),
        last_sign_at: watchdog.last_sign_at,
        silent: watchdog.is_silent(as_of),
    };
    Ok(WatchdogMetrics {
        enabled: settings.flag("job_heartbeat"),
        watchdogs: watchdogs.iter().map(sign).collect(),
        last_run: last.map(|run| run.started_at),
        last_run_age_seconds: last.map(|run| since(as_of, run.started_at).as_secs_f64()),
        last_run_duration_ms: last.map(|run| run.duration_ms),
        last_error: runs.iter().find_map(|run| run.error.clone()),
        recent_runs: runs.len(),
        jobs_checked: runs.iter().map(|run| run.suspects).sum(),
        jobs_requeued: runs.iter().map(|run| run.requeued).sum(),
        jobs_moved_to_dlq: runs.iter().map(|run| run.ended).sum(),
        workers_lost: runs.iter().map(|run| run.workers_lost).sum(),
        thresholds: WatchdogThresholds {
            heartbeat_threshold_ms: settings.integer("heartbeat_threshold_ms"),
            heartbeat_max_misses: settings.integer("heartbeat_max_misses"),
            check_interval_ms: settings.integer("watchdog_check_interval_ms"),
        },
    })
}

fn stuck_view(stuck: &Stuck, as_of: Timestamp, redactor: &Redactor) -> DebugJob {
    DebugJob {
        worker: stuck.worker.clone(),
        reason: Some(stuck.reason.clone()),
        ..job_view(&stuck.job, as_of, redactor)
    }
}

fn job_view(job: &Job, as_of: Timestamp, redactor: &Redactor) -> DebugJob {
    let begun = job.started_at.unwrap_or(job.created_at);
    DebugJob {
        id: job.id,
        job_type: job.job_type.clone(),
        status: job.status.as_str(),
        file_name: file_name(job, redactor),
        progress: job.progress.percent,
        phase: job.progress.phase.clone(),
        worker: job.locked_by.clone(),
        age: words(since(as_of, begun)),
        age_seconds: since(as_of, begun).as_secs_f64(),
        started_at: job.started_at,
        created_at: job.created_at,
        last_heartbeat_at: job.heartbeat_at,
        error: job.error.as_ref().map(|error| error.message.clone()),
        reason: None,
    }
}

fn error_view(job: &Job, redactor: &Redactor) -> DebugError {
    DebugError {
        id: job.id,
        file_name: file_name(job, redactor),
        status: job.status.as_str(),
        error: job.error.as_ref().map(|error| error.message.clone()),
        at: job.finished_at,
    }
}

/// What the job is about, as its payload names it.
fn file_name(job: &Job, redactor: &Redactor) -> Option<String> {
    let payload: Value = job.payload.decode().ok()?;
    let mut keys = ["file_name", "fileName"].into_iter();
    let (key, name) = keys.find_map(|key| Some((key, payload.get(key)?.as_str()?)))?;
    let shown = if redactor.is_secret(key) { REDACTED } else { name };
    Some(shown.chars().take(255).collect())
}
