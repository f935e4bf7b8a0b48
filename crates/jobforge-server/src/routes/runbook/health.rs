//! `/api/health` and `/api/health/full`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jobforge::clock;
use jobforge_api::runbook::HealthShort;

use crate::api_error::ApiError;
use crate::caller::Anybody;
use crate::routes::json as answer;
use crate::server::App;

/// `GET /api/health`
pub(super) async fn short(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let policy = app.live.now().rescue_policy();
    let fine = app.health.facts(&**app.client.store(), &policy).await.is_ok();
    let (code, status, database) = match fine {
        true => (StatusCode::OK, "healthy", "connected"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy", "disconnected"),
    };
    let services = [("database", database)].into();
    answer(code, &HealthShort { status, timestamp: clock::wall(), services })
}

/// `GET /api/health/full`
pub(super) async fn full(State(app): State<Arc<App>>, anybody: Anybody) -> Result<Response, ApiError> {
    let policy = app.live.now().rescue_policy();
    let whole = app.health.full(&**app.client.store(), &policy, anybody.sees_all()).await;
    answer(StatusCode::OK, &whole)
}
