//! Operations on many jobs, in the background.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use jobforge::core::enqueue::{check_name, check_tag};
use jobforge::core::operation::{BulkFilter, NewOperation, Operation};
use jobforge::core::time::Now;
use jobforge_api::requests::BulkRequest;
use jobforge_api::{FieldProblem, OperationList};
use uuid::Uuid;

use super::idempotency::Key;
use super::{idempotency, json as answer};
use crate::api_error::ApiError;
use crate::body::Sent;
use crate::caller::Caller;
use crate::query::{self, MAX_VALUE_CHARS};
use crate::server::App;

/// `POST /v1/jobs/bulk`
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
    Key(key): Key,
    Sent(BulkRequest { action, filter, dry_run, reason, all }): Sent<BulkRequest>,
) -> Result<Response, ApiError> {
    if filter.is_everything() && !all {
        let told = "the filter names nothing, which would be every job there is; narrow it down, or add \"all\": true";
        return Err(ApiError::invalid_request(told));
    }
    check(&filter)?;
    let id = match &key {
        Some(key) => idempotency::operation_id(caller.tenant(None)?.as_deref(), key),
        None => Uuid::now_v7(),
    };
    let tenant_id = caller.tenant(filter.tenant_id.clone())?;
    let new = NewOperation { id, action, filter: BulkFilter { tenant_id, ..filter }, dry_run };
    if key.is_some()
        && let Some(found) = app.client.store().operation(id).await?
    {
        return begun_before(&new, &found);
    }
    let by = caller.because(reason.as_deref());
    if let Err(error) = app.client.store().put_operation(&new, &by, Now::Database).await {
        // Another call with the key may have been faster.
        return match app.client.store().operation(id).await? {
            Some(found) if key.is_some() => begun_before(&new, &found),
            Some(_) | None => Err(error.into()),
        };
    }
    app.bulk.nudge();
    placed(StatusCode::ACCEPTED, &find(&app, &caller, new.id).await?)
}

/// The operation that came with the same key before.
fn begun_before(asked: &NewOperation, found: &Operation) -> Result<Response, ApiError> {
    idempotency::check_operation(asked, found)?;
    placed(StatusCode::OK, found)
}

fn placed(status: StatusCode, operation: &Operation) -> Result<Response, ApiError> {
    let mut response = answer(status, operation)?;
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/operations/{}", operation.id)) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// What no job could have is a slip, and not every database could look for it.
pub(crate) fn check(filter: &BulkFilter) -> Result<(), ApiError> {
    let names = [("tenant_id", &filter.tenant_id), ("type", &filter.job_type), ("queue", &filter.queue)];
    let mut errors = Vec::new();
    for (field, name) in names {
        if let Some(Err(fault)) = name.as_deref().map(check_name) {
            errors.push(FieldProblem::new(format!("/filter/{field}"), "bad_name", fault));
        }
    }
    if let Some(Err(fault)) = filter.tag.as_deref().map(check_tag) {
        errors.push(FieldProblem::new("/filter/tag", "bad_tag", fault));
    }
    let plain = |text: &str| {
        (1..=MAX_VALUE_CHARS).contains(&text.chars().count()) && !text.contains(char::is_control)
    };
    if filter.error.as_deref().is_some_and(|text| !plain(text)) {
        let told = format!("use 1 to {MAX_VALUE_CHARS} characters of the error, without control characters");
        errors.push(FieldProblem::new("/filter/error", "out_of_range", told));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let said: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect();
    Err(ApiError::invalid_request(said.join("; ")).errors(errors))
}

/// `GET /v1/operations`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let limit = query::params(&uri, &[query::LIMIT])?.limit()?;
    let tenant = caller.tenant(None)?;
    let operations = app.client.store().operations(tenant.as_deref(), limit).await?;
    answer(StatusCode::OK, &OperationList { operations })
}

/// `GET /v1/operations/{id}`
pub(super) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, ApiError> {
    answer(StatusCode::OK, &find(&app, &caller, read(id)?).await?)
}

/// `POST /v1/operations/{id}/cancel`
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = read(id)?;
    find(&app, &caller, id).await?;
    if !app.client.store().cancel_operation(id, caller.by(), Now::Database).await? {
        return Err(ApiError::conflict("operation_ended", "the operation has ended", "it has ended already"));
    }
    answer(StatusCode::OK, &find(&app, &caller, id).await?)
}

/// The operation, if the caller may know of it.
pub(crate) async fn find_read(
    app: &App,
    caller: &Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Operation, ApiError> {
    find(app, caller, read(id)?).await
}

async fn find(app: &App, caller: &Caller, id: Uuid) -> Result<Operation, ApiError> {
    let found = app.client.store().operation(id).await?;
    let own = |operation: &Operation| match (&operation.filter.tenant_id, caller.is_bound()) {
        (_, false) => true,
        (Some(tenant), true) => caller.sees(tenant),
        (None, true) => false,
    };
    found.filter(own).ok_or_else(|| {
        let detail = "there is no such operation; GET /v1/operations lists them";
        ApiError::new(StatusCode::NOT_FOUND, "operation_not_found", "there is no such operation", detail)
    })
}

fn read(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, ApiError> {
    let bad = |_| ApiError::bad_request("bad_id", "the operation's id in the path is not a UUID");
    id.map(|Path(id)| id).map_err(bad)
}
