//! Alerts: what fires, the rules, silences, and trying a channel.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
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
use crate::caller::Caller;
use crate::server::App;
use crate::{body, query};

/// The longest body of these calls.
const MAX_BODY: usize = 64 * 1024;

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
pub(super) async fn rules(uri: Uri) -> Result<Response, ApiError> {
    query::none(&uri)?;
    answer(StatusCode::OK, &RuleList { rules: rule_views() })
}

/// `GET /v1/alerts/silences`
pub(super) async fn silences(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let rows = app.client.store().silences(Now::Database).await?;
    answer(StatusCode::OK, &SilenceList { silences: rows.iter().map(silence_view).collect() })
}

/// `POST /v1/alerts/silences`
pub(super) async fn silence(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let SilenceRequest { rule, labels, for_ms, reason } = body::json(&headers, body, MAX_BODY).await?;
    let by = match &reason {
        Some(_) => caller.by().clone().because(reason.as_deref()),
        None => caller.by().clone(),
    };
    let client = app.client.clone().acting(by);
    let row = client.silence(&rule, &labels, Duration::from_millis(for_ms)).await?;
    answer(StatusCode::CREATED, &silence_view(&row))
}

/// `DELETE /v1/alerts/silences/{id}`
pub(super) async fn unsilence(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    id: Result<Path<Uuid>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    body::none(&headers, body).await?;
    let Path(id) =
        id.map_err(|_| ApiError::bad_request("bad_id", "the silence's id in the path is not a UUID"))?;
    app.client.clone().acting(caller.by().clone()).unsilence(id).await?;
    answer(StatusCode::OK, &SilenceEnded { id, ended: true })
}

/// `POST /v1/alerts/test`
pub(super) async fn test(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    query::none(&uri)?;
    let ChannelRequest { channel } = body::json(&headers, body, MAX_BODY).await?;
    let job_id = app.client.clone().acting(caller.by().clone()).test_channel(&channel).await?;
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
