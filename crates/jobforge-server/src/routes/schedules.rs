//! Schedules: jobs that are made by themselves.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use jobforge::ScheduleView;
use jobforge::core::enqueue::check_name;
use jobforge::core::schedule::{Definition, Source};
use jobforge::core::time::add;
use jobforge::store::rows::ScheduleFilter;
use jobforge_api::{
    PauseScheduleRequest, RunScheduleRequest, ScheduleDetail, ScheduleHistory, ScheduleList, ScheduleNext,
    SchedulePauseView, ScheduleRan, ScheduleRemoved,
};
use serde_json::{Map, Value};

use super::settings::{expected, tagged};
use super::{json as answer, lasting};
use crate::api_error::ApiError;
use crate::body::Sent;
use crate::caller::Caller;
use crate::server::App;
use crate::{body, query};

/// The longest body: a payload of the largest size and room for the rest.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// The next moments that a new schedule is answered with, for its author to see whether they are meant.
const SHOWN_NEXT: usize = 5;

/// `GET /v1/schedules`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, query::SCHEDULES)?;
    let limit = params.limit()?;
    let filter = ScheduleFilter { tenant_id: params.take("tenant_id"), after: params.take("after"), limit };
    let mut schedules = app.client.schedules(&filter).await?;
    if let Some(redactor) = app.redactor_for(&caller) {
        schedules.iter_mut().for_each(|view| {
            redactor.definition(&mut view.schedule.definition);
        });
    }
    let next = (schedules.len() == limit).then(|| schedules.last().map(|last| last.name.clone())).flatten();
    answer(StatusCode::OK, &ScheduleList { schedules, next_after: next })
}

/// `POST /v1/schedules`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Sent(definition): Sent<Definition, MAX_BODY>,
) -> Result<Response, ApiError> {
    let made = app.acting(caller.by()).add_schedule(definition, Source::Api).await?;
    tell(&app, &caller, StatusCode::CREATED, made).await
}

/// `GET /v1/schedules/{name}`
pub(super) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let view = app.client.find_schedule(&read(name)?).await?;
    tell(&app, &caller, StatusCode::OK, view).await
}

/// `PATCH /v1/schedules/{name}`: a merge patch, in which null takes a field out.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    Sent(patch): Sent<Map<String, Value>, MAX_BODY>,
) -> Result<Response, ApiError> {
    let expected = expected(&headers)?;
    if patch.contains_key("paused") {
        let told = "paused is not changed here; POST to /pause or /resume of the schedule";
        return Err(ApiError::invalid_request(told));
    }
    let changed = app.acting(caller.by()).patch_schedule(&read(name)?, patch, expected).await?;
    tell(&app, &caller, StatusCode::OK, changed).await
}

/// `DELETE /v1/schedules/{name}`
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let name = read(name)?;
    app.acting(caller.by()).remove_schedule(&name).await?;
    answer(StatusCode::OK, &ScheduleRemoved { name, removed: true })
}

/// `POST /v1/schedules/{name}/run`
pub(super) async fn run(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let fields = body::maybe_object(&headers, body, &["force"]).await?;
    let RunScheduleRequest { force } = body::fits(&fields)?;
    run_now(&app, &caller, &read(name)?, force).await
}

/// Runs a schedule now.
pub(in crate::routes) async fn run_now(
    app: &App,
    caller: &Caller,
    name: &str,
    force: bool,
) -> Result<Response, ApiError> {
    let job_id = app.acting(caller.by()).run_schedule(name, force).await?;
    answer(StatusCode::ACCEPTED, &ScheduleRan { triggered: true, job_name: name.to_owned(), job_id })
}

/// `POST /v1/schedules/{name}/pause`
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let fields = body::maybe_object(&headers, body, &["until", "for_ms"]).await?;
    let until = match body::fits(&fields)? {
        PauseScheduleRequest { until: Some(until), for_ms: None } => Some(until),
        PauseScheduleRequest { until: None, for_ms: Some(ms) } => {
            Some(add(app.client.store().now().await?, lasting(ms)?))
        }
        PauseScheduleRequest { until: None, for_ms: None } => None,
        PauseScheduleRequest { .. } => {
            return Err(ApiError::invalid_request("give either until or for_ms, not both"));
        }
    };
    let (name, client) = (read(name)?, app.acting(caller.by()));
    let changed = client.pause_schedule(&name, until).await?;
    answer(StatusCode::OK, &SchedulePauseView { name, paused: true, until, changed })
}

/// `POST /v1/schedules/{name}/resume`
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let name = read(name)?;
    let changed = app.acting(caller.by()).resume_schedule(&name).await?;
    answer(StatusCode::OK, &SchedulePauseView { name, paused: false, until: None, changed })
}

/// `GET /v1/schedules/{name}/history`
pub(super) async fn history(
    State(app): State<Arc<App>>,
    uri: Uri,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, query::SCHEDULE_HISTORY)?;
    let (before, limit) = (params.parse("before")?, params.limit()?);
    let name = read(name)?;
    app.client.find_schedule(&name).await?;
    let runs = app.client.store().schedule_runs(&name, before, limit).await?;
    answer(StatusCode::OK, &ScheduleHistory { name, runs })
}

/// `GET /v1/schedules/{name}/next`
pub(super) async fn next(
    State(app): State<Arc<App>>,
    uri: Uri,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let limit = query::params(&uri, &[query::LIMIT])?.limit()?;
    let name = read(name)?;
    let next = app.client.next_runs(&name, limit).await?;
    answer(StatusCode::OK, &ScheduleNext { name, next })
}

/// One schedule with its next moments.
async fn tell(
    app: &App,
    caller: &Caller,
    status: StatusCode,
    mut view: ScheduleView,
) -> Result<Response, ApiError> {
    if let Some(redactor) = app.redactor_for(caller) {
        redactor.definition(&mut view.schedule.definition);
    }
    // A stored definition that no longer holds has none.
    let next = app.client.next_runs(&view.name, SHOWN_NEXT).await.unwrap_or_default();
    let version = view.schedule.version;
    tagged(version, answer(status, &ScheduleDetail { view, next })?)
}

fn read(name: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(name) =
        name.map_err(|_| ApiError::bad_request("bad_name", "the schedule's name in the path is not text"))?;
    check_name(&name).map_err(|fault| ApiError::bad_request("bad_name", format!("schedule: {fault}")))?;
    Ok(name)
}
