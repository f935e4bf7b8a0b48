//! Dead letters by cause.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use jobforge::DeadStep;
use jobforge::core::job::JobId;
use jobforge::store::rows::DeadFilter;
use jobforge_api::requests::{MAX_JOBS, ResolveRequest};
use jobforge_api::{DeadGroupList, JobList, ResolvedView};

use super::jobs::visible;
use super::json as answer;
use crate::api_error::ApiError;
use crate::body::Sent;
use crate::caller::Caller;
use crate::query::{DEAD_FILTER, DEAD_PAGE, Params};
use crate::server::App;
use crate::{query, view};

/// The longest body of these calls.
const MAX_BODY: usize = 128 * 1024;

/// `GET /v1/dead/groups`
pub(super) async fn groups(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let filter = filter(&mut query::params(&uri, DEAD_FILTER)?, &caller)?;
    answer(StatusCode::OK, &DeadGroupList { groups: app.client.dead_groups(&filter).await? })
}

/// `GET /v1/dead/jobs`
pub(super) async fn jobs(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, DEAD_PAGE)?;
    let filter = filter(&mut params, &caller)?;
    let (before, limit) = (params.parse::<JobId>("before")?, params.limit()?);
    let mut jobs = app.client.dead_jobs(&filter, before, limit + 1).await?;
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    let next = jobs.last().filter(|_| more).map(|job| job.id.to_string());
    let redactor = app.redactor_for(&caller);
    let jobs = jobs.into_iter().map(|job| view::job(job, redactor.as_ref())).collect();
    answer(StatusCode::OK, &JobList { jobs, next, stopped_early: false })
}

/// `POST /v1/dead/resolve`
pub(super) async fn resolve(
    State(app): State<Arc<App>>,
    caller: Caller,
    Sent(ResolveRequest { ids, note }): Sent<ResolveRequest, MAX_BODY>,
) -> Result<Response, ApiError> {
    if ids.is_empty() || ids.len() > MAX_JOBS || note.trim().is_empty() {
        return Err(ApiError::invalid_request(format!("give 1 to {MAX_JOBS} ids, and a note that says why")));
    }
    let mut known = Vec::with_capacity(ids.len());
    for id in ids {
        let id = JobId(id);
        visible(&app, &caller, id).await?;
        known.push(id);
    }
    let client = app.acting(caller.by());
    let tally = client.move_dead(&known, &DeadStep::Discard { note }).await?;
    answer(StatusCode::OK, &ResolvedView { resolved: tally.done, passed_over: tally.passed_over })
}

fn filter(params: &mut Params, caller: &Caller) -> Result<DeadFilter, ApiError> {
    Ok(DeadFilter {
        group: params.take("group"),
        tenant_id: caller.tenant(params.take("tenant_id"))?,
        job_type: params.take("type"),
        queue: params.take("queue"),
        resolved: params.parse("resolved")?.unwrap_or(false),
        latest: None,
    })
}
