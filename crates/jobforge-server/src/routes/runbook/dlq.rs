//! `/api/admin/dlq`: the dead letters, as runbooks of before called them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use jobforge::core::counted::counted;
use jobforge::core::job::{Job, JobId};
use jobforge::core::redact::Redactor;
use jobforge::core::state::Status;
use jobforge::core::time::sub;
use jobforge::core::token::Scope;
use jobforge::store::rows::{DeadFilter, MAX_PAGE};
use jobforge::{Client, DeadStep};
use jobforge_api::runbook::{
    DlqAction, DlqDone, DlqEntry, DlqPage, DlqPagination, DlqStats, DlqStatsView, DlqView, MAX_DAYS,
};
use serde_json::{Map, Value};

use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::query::{DLQ, MAX_OFFSET};
use crate::routes::jobs::visible;
use crate::routes::json as answer;
use crate::server::App;
use crate::{body, query};
use jobforge::core::nearest::advice;

/// Fields of an action.
const FIELDS: &[&str] = &["action", "id", "notes", "dryRun", "olderThanDays"];
const ACTIONS: [&str; 3] = ["retry", "resolve", "purge"];
/// Pages of one purge; what is left is purged by the next.
const PURGE_PAGES: usize = 20;
const DAY: Duration = Duration::from_secs(86_400);

/// `GET /api/admin/dlq`
pub(super) async fn look(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, DLQ)?;
    let filter = |resolved| {
        Ok::<_, ApiError>(DeadFilter { tenant_id: caller.tenant(None)?, resolved, ..DeadFilter::default() })
    };
    if params.parse::<bool>("stats")?.unwrap_or(false) {
        return stats(&app, &filter(false)?, &filter(true)?).await;
    }
    let status = params.take("status");
    let resolved = match status.as_deref() {
        None | Some("pending") => false,
        Some("resolved") => true,
        Some(_) => return Err(ApiError::bad_request("bad_parameter", "status must be pending or resolved")),
    };
    let (limit, before) = (params.limit()?, params.parse::<JobId>("before")?);
    let offset = params.parse::<usize>("offset")?.unwrap_or(0);
    if offset > MAX_OFFSET {
        let told =
            format!("offset must be at most {MAX_OFFSET}; go on from there with before=ID of the last entry");
        return Err(ApiError::bad_request("bad_parameter", told));
    }
    let mut jobs = app.client.dead_jobs(&filter(resolved)?, before, offset + limit + 1).await?;
    if resolved {
        jobs.retain(|job| job.resolved.is_some());
    }
    let more = jobs.len() > offset + limit;
    // People look at this; whoever needs what is hidden asks /v1.
    let redactor = app.redactor();
    let entries = jobs.into_iter().skip(offset).take(limit).map(|job| entry(job, &redactor)).collect();
    let total = total(&app.client, &filter(false)?).await?;
    let pagination = DlqPagination { limit, offset, has_more: more };
    answer(StatusCode::OK, &DlqView::Page(DlqPage { success: true, entries, total, pagination }))
}

async fn total(client: &Client, filter: &DeadFilter) -> Result<u64, ApiError> {
    Ok(client.dead_groups(filter).await?.iter().map(|group| group.count).sum())
}

async fn stats(app: &App, pending: &DeadFilter, all: &DeadFilter) -> Result<Response, ApiError> {
    let groups = app.client.dead_groups(pending).await?;
    let mut by_failure_code: BTreeMap<String, u64> = BTreeMap::new();
    for group in &groups {
        *by_failure_code.entry(group.kind.clone()).or_default() += group.count;
    }
    let (open, total) = (groups.iter().map(|group| group.count).sum::<u64>(), total(&app.client, all).await?);
    let resolved = total.saturating_sub(open);
    let stats = DlqStats { total, pending: open, retrying: 0, resolved, abandoned: 0, by_failure_code };
    answer(StatusCode::OK, &DlqView::Stats(DlqStatsView { success: true, stats }))
}

/// `POST /api/admin/dlq`
pub(super) async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let fields = body::object(&headers, body, FIELDS).await?;
    let client = app.acting(caller.by());
    let action = fields.get("action").and_then(Value::as_str).unwrap_or_default();
    if ACTIONS.contains(&action) {
        body::fits::<DlqAction>(&fields)?;
    }
    match action {
        "retry" => {
            let job = dead(&app, &caller, &fields).await?;
            let dry_run = flag(&fields, "dryRun")?;
            if !dry_run {
                client.move_dead(&[job.id], &DeadStep::Retry).await?;
            }
            let message = if dry_run {
                "would run again; nothing was changed"
            } else {
                "queued again with fresh attempts"
            };
            done(&DlqDone { new_job_id: Some(job.id), dry_run: Some(dry_run), ..told(message) })
        }
        "resolve" => {
            let note = match fields.get("notes") {
                None => "resolved".to_owned(),
                Some(Value::String(note)) => note.clone(),
                Some(_) => return Err(ApiError::invalid_request("notes is not a text")),
            };
            let job = dead(&app, &caller, &fields).await?;
            client.move_dead(&[job.id], &DeadStep::Discard { note }).await?;
            done(&told("settled that the job stays dead"))
        }
        "purge" => {
            // What is gone is gone, so not everybody who may retry may do this.
            caller.require(Scope::Admin)?;
            purge(&app, &caller, &client, &fields).await
        }
        other => {
            let shown: String = other.chars().take(60).collect();
            let told = format!("{shown:?} is not an action; {}", advice(other, &ACTIONS));
            Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_action",
                "there is no such action",
                told,
            ))
        }
    }
}

/// Deletes dead jobs of which somebody said that they stay dead, and that died long enough ago.
async fn purge(
    app: &App,
    caller: &Caller,
    client: &Client,
    fields: &Map<String, Value>,
) -> Result<Response, ApiError> {
    let days = match fields.get("olderThanDays") {
        None => 30,
        Some(days) => {
            days.as_f64().map(|days| days as u64).filter(|days| (1..=MAX_DAYS).contains(days)).ok_or_else(
                || {
                    ApiError::invalid_request(format!(
                        "olderThanDays must be a whole number of days from 1 to {MAX_DAYS}"
                    ))
                },
            )?
        }
    };
    let horizon = sub(app.client.store().now().await?, DAY * u32::try_from(days).unwrap_or(u32::MAX));
    let filter = DeadFilter { tenant_id: caller.tenant(None)?, resolved: true, ..DeadFilter::default() };
    let (mut purged, mut before) = (0, None);
    for _ in 0..PURGE_PAGES {
        let page = client.dead_jobs(&filter, before, MAX_PAGE).await?;
        let old = |job: &&Job| job.resolved.is_some() && job.finished_at.is_some_and(|at| at < horizon);
        let ids: Vec<JobId> = page.iter().filter(old).map(|job| job.id).collect();
        purged += client.move_dead(&ids, &DeadStep::Purge).await?.done;
        before = page.last().map(|job| job.id);
        if page.len() < MAX_PAGE {
            break;
        }
    }
    let message = format!(
        "purged {} that died more than {} ago",
        counted(purged, "resolved dead job"),
        counted(days, "day")
    );
    done(&DlqDone { purged: Some(purged), ..told(message) })
}

fn told(message: impl Into<String>) -> DlqDone {
    DlqDone { success: true, message: message.into(), ..DlqDone::default() }
}

fn done(told: &DlqDone) -> Result<Response, ApiError> {
    answer(StatusCode::OK, told)
}

async fn dead(app: &App, caller: &Caller, fields: &Map<String, Value>) -> Result<Job, ApiError> {
    let id = fields.get("id").and_then(Value::as_str);
    let id: JobId =
        id.ok_or_else(|| ApiError::invalid_request("id is missing; name the dead job"))?.parse()?;
    let job = visible(app, caller, id).await?;
    if job.status == Status::Dead {
        return Ok(job);
    }
    let told = format!("job {id} is {}, not dead; nothing was changed", job.status);
    Err(ApiError::conflict("invalid_transition", "the job is not dead", told))
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<bool, ApiError> {
    match fields.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(ApiError::invalid_request(format!("{name} must be true or false"))),
    }
}

fn entry(mut job: Job, redactor: &Redactor) -> DlqEntry {
    redactor.job(&mut job);
    let error = job.error.as_ref();
    DlqEntry {
        id: job.id,
        job_id: job.id,
        failure_reason: error.map(|error| error.message.clone()),
        failure_code: error.map(|error| error.kind.clone()),
        attempt_count: job.attempts,
        max_retries: job.max_attempts,
        status: if job.resolved.is_some() { "resolved" } else { "pending" },
        created_at: job.created_at,
        died_at: job.finished_at,
        resolution: job.resolved,
        payload: job.payload,
        job_type: job.job_type,
    }
}
