//! The audit log and tokens.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jobforge::core::audit::{AuditFilter, parse_since};
use jobforge::core::time::{Now, add};
use jobforge::core::token::{NewToken, TokenRow};
use jobforge::{AuditError, TokenError};
use jobforge_api::requests::TokenRequest;
use jobforge_api::{AuditPage, AuditVerdict, TokenList, TokenView};

use super::{json as answer, lasting};
use crate::api_error::ApiError;
use crate::body::Sent;
use crate::caller::Caller;
use crate::query;
use crate::server::App;

/// `GET /v1/audit`
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, query::AUDIT)?;
    let store = app.client.store();
    let since = match params.take("since") {
        None => None,
        Some(text) => {
            let since = parse_since(&text, store.now().await?);
            Some(since.map_err(|fault| ApiError::bad_request("bad_parameter", format!("since: {fault}")))?)
        }
    };
    let filter = AuditFilter {
        actor: params.take("actor"),
        action: params.take("action"),
        target: params.take("target"),
        tenant_id: caller.tenant(params.take("tenant_id"))?,
        since,
        before: params.parse("before")?,
        down_to: None,
    };
    let limit = params.limit()?;
    let mut entries = store.audit(&filter, limit + 1).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    if let Some(redactor) = app.redactor_for(&caller) {
        entries.iter_mut().for_each(|entry| redactor.entry(entry));
    }
    answer(StatusCode::OK, &AuditPage { entries, next })
}

/// `GET /v1/audit/verify`
pub(super) async fn verify(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let verdict = match app.client.verify_audit().await {
        Ok(head) => {
            AuditVerdict { whole: true, entries: Some(head.entries), head: Some(head.hash), broken: None }
        }
        Err(AuditError::Broken(broken)) => {
            AuditVerdict { whole: false, entries: None, head: None, broken: Some(broken.to_string()) }
        }
        Err(AuditError::Store(error)) => return Err(error.into()),
    };
    answer(StatusCode::OK, &verdict)
}

/// `GET /v1/tokens`
pub(super) async fn tokens(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let now = app.client.store().now().await?;
    let tokens = app.client.store().tokens().await?;
    answer(StatusCode::OK, &TokenList { tokens: tokens.into_iter().map(|token| view(token, now)).collect() })
}

/// `POST /v1/tokens`
pub(super) async fn create_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    Sent(request): Sent<TokenRequest>,
) -> Result<Response, ApiError> {
    let now = app.client.store().now().await?;
    let expires_at = match (request.expires_at, request.for_ms) {
        (Some(_), Some(_)) => return Err(ApiError::invalid_request("give expires_at or for_ms, not both")),
        (at, None) => at,
        (None, Some(ms)) => Some(add(now, lasting(ms)?)),
    };
    let TokenRequest { name, scopes, tenant_id, queues, .. } = request;
    let new = NewToken { name, scopes, tenant_id, queues, expires_at };
    let made = app.acting(caller.by()).create_token(new).await;
    let (text, row) = made.map_err(|fault| match fault {
        TokenError::Bad(fault) => ApiError::invalid_request(fault.to_string()),
        TokenError::Store(error) => error.into(),
    })?;
    let token = TokenView { token: Some(text.secret().to_owned()), ..view(row, now) };
    answer(StatusCode::CREATED, &token)
}

/// `DELETE /v1/tokens/{id}`
pub(super) async fn revoke_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) =
        id.map_err(|_| ApiError::bad_request("bad_id", "the token's id in the path is not text"))?;
    if id.chars().any(char::is_control)
        || !app.client.store().revoke_token(&id, caller.by(), Now::Database).await?
    {
        let detail = "there is no such token, or it was taken back already; GET /v1/tokens lists them";
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "token_not_found",
            "there is no such token",
            detail,
        ));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn view(row: TokenRow, now: Timestamp) -> TokenView {
    let (prefix, standing) = (row.prefix(), row.standing(now).as_str().to_owned());
    TokenView { row, prefix, standing, token: None }
}
