//! Schedules: jobs that are made by themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::enqueue::check_name;
use jobforge::core::schedule::{Definition, Source};
use jobforge::core::time::add;
use jobforge::store::rows::ScheduleFilter;
use jobforge::{Client, ScheduleView};
use serde_json::{Map, Value, json};

use super::json as answer;
use super::settings::{expected, tagged};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::server::App;
use crate::{body, query};

/// Parameters of the list.
pub(super) const FILTER: &[&str] = &["tenant_id", "after", "limit"];
/// Fields of a definition.
pub(super) const FIELDS: &[&str] = &[
    "name",
    "type",
    "payload",
    "tenant_id",
    "queue",
    "priority",
    "max_attempts",
    "timeout_ms",
    "progress_timeout_ms",
    "tags",
    "retry",
    "cron",
    "time_zone",
    "every",
    "anchor",
    "overlap",
    "missed",
    "missed_limit",
    "catch_up_ms",
    "jitter_ms",
    "stale_after_ms",
    "idempotency_key",
    "description",
    "paused",
];
/// The longest body: a payload of the largest size and room for the rest.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// The next moments that a new schedule is answered with, for its author to see whether they are meant.
const SHOWN_NEXT: usize = 5;

fn acting(app: &App, caller: &Caller) -> Client {
    app.client.clone().acting(caller.by().clone())
}

/// `GET /v1/schedules`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, FILTER)?;
    let limit = params.limit()?;
    let filter = ScheduleFilter { tenant_id: params.take("tenant_id"), after: params.take("after"), limit };
    let schedules = app.client.schedules(&filter).await?;
    let next = (schedules.len() == limit).then(|| schedules.last().map(|last| last.name.clone())).flatten();
    answer(StatusCode::OK, &json!({ "schedules": schedules, "next_after": next }))
}

/// `POST /v1/schedules`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let definition: Definition = body::json(&headers, body, MAX_BODY).await?;
    let made = acting(&app, &caller).add_schedule(definition, Source::Api).await?;
    tell(&app, StatusCode::CREATED, &made).await
}

/// `GET /v1/schedules/{name}`
pub(super) async fn one(
    State(app): State<Arc<App>>,
    uri: Uri,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let view = app.client.find_schedule(&read(name)?).await?;
    tell(&app, StatusCode::OK, &view).await
}

/// `PATCH /v1/schedules/{name}`: a merge patch, in which null takes a field out.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let expected = expected(&headers)?;
    let patch: Map<String, Value> = body::json(&headers, body, MAX_BODY).await?;
    if patch.contains_key("paused") {
        let told = "paused is not changed here; POST to /pause or /resume of the schedule";
        return Err(ApiError::invalid_request(told));
    }
    let changed = acting(&app, &caller).patch_schedule(&read(name)?, patch, expected).await?;
    tell(&app, StatusCode::OK, &changed).await
}

/// `DELETE /v1/schedules/{name}`
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    body::none(&headers, body).await?;
    let name = read(name)?;
    acting(&app, &caller).remove_schedule(&name).await?;
    answer(StatusCode::OK, &json!({ "name": name, "removed": true }))
}

/// `POST /v1/schedules/{name}/run`
pub(super) async fn run(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let fields = body::maybe_object(&headers, body, &["force"]).await?;
    let force = match fields.get("force") {
        None => false,
        Some(Value::Bool(force)) => *force,
        Some(_) => return Err(ApiError::invalid_request("force must be true or false")),
    };
    run_now(&app, &caller, &read(name)?, force).await
}

/// Runs a schedule now.
pub(in crate::routes) async fn run_now(
    app: &App,
    caller: &Caller,
    name: &str,
    force: bool,
) -> Result<Response, ApiError> {
    let job = acting(app, caller).run_schedule(name, force).await?;
    answer(StatusCode::ACCEPTED, &json!({ "triggered": true, "job_name": name, "job_id": job }))
}

/// `POST /v1/schedules/{name}/pause`
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let fields = body::maybe_object(&headers, body, &["until", "for_ms"]).await?;
    let until = match (fields.get("until"), fields.get("for_ms")) {
        (None | Some(Value::Null), None | Some(Value::Null)) => None,
        (Some(until), None) => {
            let moment = until.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            let bad = "until must be RFC 3339 with an offset, such as 2027-01-31T08:00:00Z";
            Some(moment.ok_or_else(|| ApiError::invalid_request(bad))?)
        }
        (None, Some(for_ms)) => {
            let ms = for_ms.as_u64().filter(|ms| *ms > 0);
            let ms = ms.ok_or_else(|| ApiError::invalid_request("for_ms must be a number above 0"))?;
            Some(add(app.client.store().now().await?, Duration::from_millis(ms)))
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_request("give either until or for_ms, not both"));
        }
    };
    let (name, client) = (read(name)?, acting(&app, &caller));
    let changed = client.pause_schedule(&name, until).await?;
    answer(StatusCode::OK, &json!({ "name": name, "paused": true, "until": until, "changed": changed }))
}

/// `POST /v1/schedules/{name}/resume`
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    body::none(&headers, body).await?;
    let name = read(name)?;
    let changed = acting(&app, &caller).resume_schedule(&name).await?;
    answer(StatusCode::OK, &json!({ "name": name, "paused": false, "changed": changed }))
}

/// `GET /v1/schedules/{name}/history`
pub(super) async fn history(
    State(app): State<Arc<App>>,
    uri: Uri,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, &["before", "limit"])?;
    let (before, limit) = (params.parse("before")?, params.limit()?);
    let name = read(name)?;
    app.client.find_schedule(&name).await?;
    let runs = app.client.store().schedule_runs(&name, before, limit).await?;
    answer(StatusCode::OK, &json!({ "name": name, "runs": runs }))
}

/// `GET /v1/schedules/{name}/next`
pub(super) async fn next(
    State(app): State<Arc<App>>,
    uri: Uri,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let limit = query::params(&uri, &["limit"])?.limit()?;
    let name = read(name)?;
    let next = app.client.next_runs(&name, limit).await?;
    answer(StatusCode::OK, &json!({ "name": name, "next": next }))
}

/// One schedule with its next moments.
async fn tell(app: &App, status: StatusCode, view: &ScheduleView) -> Result<Response, ApiError> {
    // A stored definition that no longer holds has none.
    let next = app.client.next_runs(&view.name, SHOWN_NEXT).await.unwrap_or_default();
    let mut body = serde_json::to_value(view).unwrap_or_default();
    body["next"] = json!(next);
    tagged(view.schedule.version, answer(status, &body)?)
}

fn read(name: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(name) =
        name.map_err(|_| ApiError::bad_request("bad_name", "the schedule's name in the path is not text"))?;
    check_name(&name).map_err(|fault| ApiError::bad_request("bad_name", format!("schedule: {fault}")))?;
    Ok(name)
}
