//! Operations on many jobs, in the background.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use jobforge::core::operation::{BulkAction, BulkFilter, NewOperation, Operation};
use jobforge::core::time::Now;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::json as answer;
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::server::App;
use crate::{body, query};

/// The longest body of these calls.
const MAX_BODY: usize = 64 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    action: BulkAction,
    filter: BulkFilter,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    reason: Option<String>,
    /// Says that an empty filter is meant.
    #[serde(default)]
    all: bool,
}

/// `POST /v1/jobs/bulk`
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let Begin { action, filter, dry_run, reason, all } = body::json(&headers, body, MAX_BODY).await?;
    if filter.is_everything() && !all {
        let told = "the filter names nothing, which would be every job there is; narrow it down, or add \"all\": true";
        return Err(ApiError::invalid_request(told));
    }
    let tenant_id = caller.tenant(filter.tenant_id.clone())?;
    let new =
        NewOperation { id: Uuid::now_v7(), action, filter: BulkFilter { tenant_id, ..filter }, dry_run };
    let by = match &reason {
        Some(_) => caller.by().clone().because(reason.as_deref()),
        None => caller.by().clone(),
    };
    app.client.store().put_operation(&new, &by, Now::Database).await?;
    app.bulk.nudge();
    let mut response = answer(StatusCode::ACCEPTED, &find(&app, &caller, new.id).await?)?;
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/operations/{}", new.id)) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// `GET /v1/operations`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let limit = query::params(&uri, &["limit"])?.limit()?;
    let tenant = caller.tenant(None)?;
    let operations = app.client.store().operations(tenant.as_deref(), limit).await?;
    answer(StatusCode::OK, &json!({ "operations": operations }))
}

/// `GET /v1/operations/{id}`
pub(super) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    answer(StatusCode::OK, &find(&app, &caller, read(id)?).await?)
}

/// `POST /v1/operations/{id}/cancel`
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    id: Result<Path<Uuid>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    body::none(&headers, body).await?;
    let id = read(id)?;
    find(&app, &caller, id).await?;
    if !app.client.store().cancel_operation(id, caller.by(), Now::Database).await? {
        return Err(ApiError::conflict("operation_ended", "the operation has ended", "it has ended already"));
    }
    answer(StatusCode::OK, &find(&app, &caller, id).await?)
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
