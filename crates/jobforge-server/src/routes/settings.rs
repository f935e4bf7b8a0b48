//! Stored settings and flags.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use jobforge::core::audit::AuditFilter;
use jobforge::core::settings::{Change, Kind, SETTINGS, Stored, flag_key, flag_name};
use jobforge::core::time::{Now, add};
use jobforge::{ChangeError, ChangeReport, Changed, change_back, change_settings};
use jobforge_api::requests::FlagRequest;
use jobforge_api::{
    FieldProblem, FlagList, FlagView, SettingChanged, SettingHistory, SettingList, SettingView,
    SettingsChanged,
};
use serde_json::{Map, Number, Value};

use super::{json as answer, lasting};
use crate::api_error::ApiError;
use crate::body::Sent;
use crate::caller::Caller;
use crate::query;
use crate::server::App;

/// `GET /v1/settings`
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let stored = app.client.store().stored_settings(Now::Database).await?;
    let settings = app.live.now();
    let all: Vec<SettingView> = settings
        .iter()
        .map(|resolved| {
            let setting = resolved.setting;
            SettingView {
                key: setting.key,
                value: resolved.shown().to_string(),
                source: resolved.source.to_string(),
                default: setting.default,
                effect: setting.effect.as_str(),
                stored: stored.get(setting.key).cloned(),
                doc: setting.doc,
            }
        })
        .collect();
    tagged(stored.version, answer(StatusCode::OK, &SettingList { version: stored.version, settings: all })?)
}

/// `PATCH /v1/settings`: a merge patch, in which null takes a setting out.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Sent(patch): Sent<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let expected = expected(&headers)?;
    let report = apply(&app, &caller, &changes(patch)?, expected).await?;
    tagged(report.version, answer(StatusCode::OK, &changed(report))?)
}

/// `POST /v1/settings/{key}/revert`
pub(super) async fn revert(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(key) = key.map_err(|_| ApiError::bad_request("bad_name", "the key in the path is not text"))?;
    let back = match SETTINGS.iter().find(|setting| setting.key == key) {
        Some(_) => change_back(&**app.client.store(), &key).await.map_err(refuse)?,
        // Refused below, with what was meant.
        None => Change { key, value: None, until: None },
    };
    let report = apply(&app, &caller, &[back], None).await?;
    tagged(report.version, answer(StatusCode::OK, &changed(report))?)
}

/// `GET /v1/settings/history`
pub(super) async fn history(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let mut params = query::params(&uri, query::HISTORY)?;
    let filter = AuditFilter {
        action: Some("setting.set".to_owned()),
        target: params.take("key"),
        before: params.parse("before")?,
        ..AuditFilter::default()
    };
    let changes = app.client.store().audit(&filter, params.limit()?).await?;
    answer(StatusCode::OK, &SettingHistory { changes })
}

/// `GET /v1/flags`
pub(super) async fn flags(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let stored = app.client.store().stored_settings(Now::Database).await?;
    let settings = app.live.now();
    let flags: Vec<FlagView> = settings
        .iter()
        .filter(|resolved| resolved.setting.kind == Kind::Flag)
        .map(|resolved| FlagView {
            name: flag_name(resolved.setting.key),
            enabled: resolved.value == "true",
            source: resolved.source.to_string(),
            until: until(&stored, resolved.setting.key),
            doc: resolved.setting.doc,
        })
        .collect();
    answer(StatusCode::OK, &FlagList { flags })
}

fn until(stored: &Stored, key: &str) -> Option<jiff::Timestamp> {
    stored.get(key).and_then(|setting| setting.expires_at)
}

/// `PUT /v1/flags/{name}`
pub(super) async fn set_flag(
    State(app): State<Arc<App>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
    Sent(FlagRequest { enabled, for_ms }): Sent<FlagRequest>,
) -> Result<Response, ApiError> {
    let key = name.ok().and_then(|Path(name)| flag_key(&name)).ok_or_else(|| {
        let detail = "there is no such flag; GET /v1/flags lists them";
        ApiError::new(StatusCode::NOT_FOUND, "flag_not_found", "there is no such flag", detail)
    })?;
    let report = switch(&app, &caller, key, enabled, for_ms).await?;
    tagged(report.version, answer(StatusCode::OK, &changed(report))?)
}

/// Switches a flag, for a while or for good.
pub(crate) async fn switch(
    app: &App,
    caller: &Caller,
    key: &'static str,
    enabled: bool,
    for_ms: Option<u64>,
) -> Result<ChangeReport, ApiError> {
    let until = match for_ms {
        Some(ms) => Some(add(app.client.store().now().await?, lasting(ms)?)),
        None => None,
    };
    let change = Change { key: key.to_owned(), value: Some(enabled.to_string()), until };
    apply(app, caller, &[change], None).await
}

/// A change as the wire types say it.
pub(super) fn changed(report: ChangeReport) -> SettingsChanged {
    let told = |Changed { key, old, new, effect, overridden_by }| SettingChanged {
        key,
        old,
        new,
        effect,
        overridden_by,
    };
    SettingsChanged { version: report.version, changes: report.changes.into_iter().map(told).collect() }
}

/// Makes the changes, or says all that is wrong with them.
pub(super) async fn apply(
    app: &App,
    caller: &Caller,
    changes: &[Change],
    expected: Option<u64>,
) -> Result<ChangeReport, ApiError> {
    let store = &**app.client.store();
    change_settings(store, app.live.own(), changes, expected, caller.by()).await.map_err(refuse)
}

/// Reads a merge patch: numbers, flags and lists may be written as such.
pub(super) fn changes(patch: Map<String, Value>) -> Result<Vec<Change>, ApiError> {
    let read = |(key, value): (String, Value)| {
        let kind = SETTINGS.iter().find(|setting| setting.key == key).map(|setting| setting.kind);
        if kind.is_some_and(|kind| !may_be(kind, &value)) {
            return Err(misfit(&key, "is of another type; write it as text if in doubt"));
        }
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(number) => Some(whole(&number)),
            Value::Array(items) => {
                let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                Some(words.ok_or_else(|| misfit(&key, "must be a list of texts"))?.join(","))
            }
            Value::Object(_) => return Err(misfit(&key, "must be a single value, not an object")),
        };
        Ok(Change { key, value, until: None })
    };
    patch.into_iter().map(read).collect()
}

/// Whether a setting of this kind may be written so. Text may stand for any.
fn may_be(kind: Kind, value: &Value) -> bool {
    match value {
        Value::Null | Value::String(_) => true,
        Value::Bool(_) => kind == Kind::Flag,
        Value::Number(_) => {
            matches!(kind, Kind::Millis { .. } | Kind::Integer { .. } | Kind::Decimal { .. })
        }
        Value::Array(items) => kind == Kind::List && items.iter().all(Value::is_string),
        Value::Object(_) => false,
    }
}

/// A number as settings are written: `20.0` is 20.
fn whole(number: &Number) -> String {
    let given = number.as_f64().filter(|given| given.fract() == 0.0 && given.abs() < 1e15);
    given.map_or_else(|| number.to_string(), |given| (given as i64).to_string())
}

fn misfit(key: &str, why: &str) -> ApiError {
    let told = format!("{key} {why}");
    let fault = FieldProblem::new(format!("/{key}"), "wrong_type", told.clone());
    ApiError::invalid_request(told).errors(vec![fault])
}

fn refuse(error: ChangeError) -> ApiError {
    let told = error.to_string();
    match error {
        ChangeError::Refused(faults) => {
            let code = faults.first().map_or("bad_setting", |fault| fault.code());
            let errors =
                faults.iter().map(|fault| FieldProblem::new("", fault.code(), fault.to_string())).collect();
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, "nothing was changed", told).errors(errors)
        }
        ChangeError::Outdated { .. } => {
            ApiError::new(StatusCode::PRECONDITION_FAILED, "settings_changed", "somebody was faster", told)
        }
        ChangeError::NoHistory(_) => ApiError::conflict("no_history", "there is nothing to go back to", told),
        ChangeError::Store(error) => error.into(),
    }
}

pub(super) fn expected(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(given) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = given.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.trim_matches('"').strip_prefix('v').and_then(|version| version.parse().ok());
    version.map(Some).ok_or_else(|| {
        ApiError::bad_request(
            "bad_if_match",
            "If-Match must be an ETag that was answered before, such as \"v7\"",
        )
    })
}

pub(super) fn tagged(version: u64, mut response: Response) -> Result<Response, ApiError> {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"v{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}
