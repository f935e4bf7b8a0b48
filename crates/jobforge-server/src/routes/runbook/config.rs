//! `/api/config` and `/api/admin/config`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jobforge::core::settings::{Kind, flag_name};
use jobforge_api::SettingsChanged;
use jobforge_api::runbook::{ConfigChanged, ConfigView};

use crate::api_error::ApiError;
use crate::body;
use crate::caller::{Anybody, Caller};
use crate::routes::json as answer;
use crate::routes::settings::{apply, changed, changes};
use crate::server::App;

/// `GET /api/config`: flags for everybody, the settings that are no secret for those who may read.
pub(super) async fn look(State(app): State<Arc<App>>, anybody: Anybody) -> Result<Response, ApiError> {
    let settings = app.live.now();
    let feature_flags = settings
        .iter()
        .filter(|resolved| resolved.setting.kind == Kind::Flag)
        .map(|resolved| (flag_name(resolved.setting.key), resolved.value == "true"))
        .collect();
    let all =
        || settings.iter().map(|resolved| (resolved.setting.key, resolved.shown().to_string())).collect();
    answer(StatusCode::OK, &ConfigView { feature_flags, settings: anybody.sees_all().then(all) })
}

/// `PATCH /api/admin/config`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let patch = body::object(&headers, body, &[]).await?;
    let report = apply(&app, &caller, &changes(patch)?, None).await?;
    let SettingsChanged { version, changes } = changed(report);
    answer(StatusCode::OK, &ConfigChanged { success: true, version, changes })
}
