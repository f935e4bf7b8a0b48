//! Alerts: what fires, the rules, silences, and trying a channel.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use jobforge::AlertError;
use jobforge::core::alert::kept::MOST_ALERTS;
use jobforge::core::time::Now;
use jobforge_api::alerts::{
    AlertList, ChannelRequest, ChannelTried, RuleList, SilenceEnded, SilenceList, SilenceRequest, alert_view,
    bench_view, rule_views, silence_view,
};
use uuid::Uuid;

use super::json as answer;
use crate::api_error::ApiError;
use crate::body::Sent;
use crate::caller::Caller;
use crate::query;
use crate::server::App;

/// `GET /v1/alerts`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let resolved = query::params(&uri, query::ALERTS)?.parse::<bool>("resolved")?.unwrap_or(false);
    let store = app.client.store();
    let alerts = store.alerts(resolved, MOST_ALERTS).await?;
    let silences = store.silences(Now::Database).await?;
    let now = store.now().await?;
    let alerts = alerts.iter().map(|row| alert_view(row, &silences, now)).collect();
    let judged = bench_view(&store.alert_bench().await?);
    answer(StatusCode::OK, &AlertList { alerts, as_of: now, judged })
}

/// `GET /v1/alerts/rules`
pub(super) async fn rules() -> Result<Response, ApiError> {
    answer(StatusCode::OK, &RuleList { rules: rule_views() })
}

/// `GET /v1/alerts/silences`
pub(super) async fn silences(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let rows = app.client.store().silences(Now::Database).await?;
    answer(StatusCode::OK, &SilenceList { silences: rows.iter().map(silence_view).collect() })
}

/// `POST /v1/alerts/silences`
pub(super) async fn silence(
    State(app): State<Arc<App>>,
    caller: Caller,
    Sent(SilenceRequest { rule, labels, for_ms, reason }): Sent<SilenceRequest>,
) -> Result<Response, ApiError> {
    let by = caller.because(reason.as_deref());
    let client = app.acting(&by);
    let row = client.silence(&rule, &labels, Duration::from_millis(for_ms)).await?;
    answer(StatusCode::CREATED, &silence_view(&row))
}

/// `DELETE /v1/alerts/silences/{id}`
pub(super) async fn unsilence(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) =
        id.map_err(|_| ApiError::bad_request("bad_id", "the silence's id in the path is not a UUID"))?;
    app.acting(caller.by()).unsilence(id).await?;
    answer(StatusCode::OK, &SilenceEnded { id, ended: true })
}

/// `POST /v1/alerts/test`
pub(super) async fn test(
    State(app): State<Arc<App>>,
    caller: Caller,
    Sent(ChannelRequest { channel }): Sent<ChannelRequest>,
) -> Result<Response, ApiError> {
    let job_id = app.acting(caller.by()).test_channel(&channel).await?;
    answer(StatusCode::ACCEPTED, &ChannelTried { channel, job_id })
}

impl From<AlertError> for ApiError {
    fn from(error: AlertError) -> Self {
        match error {
            AlertError::Invalid(text) => Self::invalid_request(text),
            AlertError::NoSilence(_) => {
                let title = "there is no such silence";
                Self::new(StatusCode::NOT_FOUND, "silence_not_found", title, error.to_string())
            }
            AlertError::Store(error) => error.into(),
        }
    }
}
