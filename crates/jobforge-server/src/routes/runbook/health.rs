//! `/api/health` and `/api/health/full`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jobforge::clock;
use jobforge_api::runbook::HealthShort;

use crate::api_error::ApiError;
use crate::caller::Anybody;
use crate::health::scheduler;
use crate::routes::json as answer;
use crate::server::App;

/// `GET /api/health`
pub(super) async fn short(State(app): State<Arc<App>>, anybody: Anybody) -> Result<Response, ApiError> {
    let policy = app.live.now().rescue_policy();
    let timestamp = clock::wall();
    let Ok(facts) = app.health.facts(&**app.client.store(), &policy).await else {
        let services = [("database", "disconnected")].into();
        let told = HealthShort { status: "unhealthy", timestamp, services, message: None };
        return answer(StatusCode::SERVICE_UNAVAILABLE, &told);
    };
    // Another server would not help, so load balancers are told that this one is fine.
    let schedules = scheduler(&facts, anybody.sees_all());
    let degraded = matches!(schedules.status, "error" | "warning");
    let (status, message) = if degraded { ("degraded", schedules.message) } else { ("healthy", None) };
    let services = [("database", "connected"), ("scheduler", schedules.status)].into();
    answer(StatusCode::OK, &HealthShort { status, timestamp, services, message })
}

/// `GET /api/health/full`
pub(super) async fn full(State(app): State<Arc<App>>, anybody: Anybody) -> Result<Response, ApiError> {
    let settings = app.live.now();
    let (policy, judges_alerts) = (settings.rescue_policy(), settings.flag("alerts"));
    let whole = app.health.full(&**app.client.store(), &policy, judges_alerts, anybody.sees_all()).await;
    answer(StatusCode::OK, &whole)
}
