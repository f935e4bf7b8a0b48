//! `/api/config` and `/api/admin/config`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use jobforge::core::settings::{Kind, flag_name};
use serde_json::{Map, Value, json};

use crate::api_error::ApiError;
use crate::caller::{Anybody, Caller};
use crate::routes::json as answer;
use crate::routes::settings::{apply, changes};
use crate::server::App;
use crate::{body, query};

/// `GET /api/config`: flags for everybody, the settings that are no secret for those who may read.
pub(super) async fn look(State(app): State<Arc<App>>, anybody: Anybody) -> Result<Response, ApiError> {
    let settings = app.live.now();
    let flags: Map<String, Value> = settings
        .iter()
        .filter(|resolved| resolved.setting.kind == Kind::Flag)
        .map(|resolved| (flag_name(resolved.setting.key), Value::Bool(resolved.value == "true")))
        .collect();
    let mut config = json!({ "featureFlags": flags });
    if anybody.sees_all() {
        let all = settings.iter().map(|resolved| (resolved.setting.key.to_owned(), resolved.shown().into()));
        config["settings"] = Value::Object(all.collect());
    }
    answer(StatusCode::OK, &config)
}

/// `PATCH /api/admin/config`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let patch = body::object(&headers, body, &[]).await?;
    let report = apply(&app, &caller, &changes(patch)?, None).await?;
    let mut told = serde_json::to_value(&report).unwrap_or_default();
    told["success"] = true.into();
    answer(StatusCode::OK, &told)
}
