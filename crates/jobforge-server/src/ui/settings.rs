//! `/ui/settings`: flags with their consequences, and every setting with its value and where that comes from.

use askama::Template;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::settings::{Kind, flag_name};
use jobforge::core::time::Now;
use jobforge::core::token::TokenRow;

use super::copies::Copies;
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{Badge, When, cut};
use crate::api_error::ApiError;

/// Tokens that are listed.
const MOST_TOKENS: usize = 200;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    flags: Vec<Flag>,
    settings: Vec<Line>,
    tokens: Vec<Token>,
    is_admin: bool,
    set: usize,
}

struct Flag {
    name: String,
    on: bool,
    source: String,
    until: Option<When>,
    doc: &'static str,
    /// Whether it can be switched here: not where this process has a value of its own, which is stronger.
    local: bool,
}

struct Line {
    key: &'static str,
    value: String,
    default: &'static str,
    source: String,
    changed: bool,
    effect: &'static str,
    doc: &'static str,
    stored_by: String,
}

struct Token {
    name: String,
    prefix: String,
    scopes: String,
    bound: String,
    badge: Badge,
    used: Option<When>,
    expires: Option<When>,
}

/// `GET /ui/settings`
pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    let store = visit.app.client.store();
    let (stored, as_of) = tokio::try_join!(store.stored_settings(Now::Database), store.now())?;
    let tokens = if visit.is_admin() { store.tokens().await? } else { Vec::new() };
    let now = visit.app.live.now();
    let flags = now.iter().filter(|resolved| resolved.setting.kind == Kind::Flag).map(|resolved| Flag {
        name: flag_name(resolved.setting.key),
        on: resolved.value == "true",
        source: resolved.source.to_string(),
        until: stored.get(resolved.setting.key).and_then(|row| row.expires_at).map(|at| When::of(at, as_of)),
        doc: resolved.setting.doc,
        local: resolved.setting.effect.as_str() == "local",
    });
    let lines: Vec<Line> = now
        .iter()
        .filter(|resolved| resolved.setting.kind != Kind::Flag)
        .map(|resolved| Line {
            key: resolved.setting.key,
            value: cut(resolved.shown(), 200),
            default: resolved.setting.default,
            source: resolved.source.to_string(),
            changed: resolved.shown() != resolved.setting.default,
            effect: resolved.setting.effect.as_str(),
            doc: resolved.setting.doc,
            stored_by: stored
                .get(resolved.setting.key)
                .map(|row| cut(&row.updated_by, 60))
                .unwrap_or_default(),
        })
        .collect();
    let copies =
        Copies::of("jobforge config list", "/v1/settings", "SELECT * FROM jobforge_settings ORDER BY key;");
    html(&SettingsPage {
        shell: visit.shell("/ui/settings", "Settings", as_of, copies).await,
        flags: flags.collect(),
        set: lines.iter().filter(|line| line.changed).count(),
        settings: lines,
        tokens: tokens.iter().take(MOST_TOKENS).map(|token| told(token, as_of)).collect(),
        is_admin: visit.is_admin(),
    })
}

fn told(token: &TokenRow, now: Timestamp) -> Token {
    let standing = token.standing(now).as_str();
    let bound = [
        token.tenant_id.as_ref().map(|tenant| format!("tenant {tenant}")),
        token.queues.as_ref().map(|all| format!("queues {}", all.join(", "))),
    ];
    Token {
        name: token.name.clone(),
        prefix: format!("{}…", token.prefix()),
        scopes: token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", "),
        bound: bound.into_iter().flatten().collect::<Vec<_>>().join("; "),
        badge: Badge { word: standing, tone: if standing == "good" { "running" } else { "canceled" } },
        used: token.last_used_at.map(|at| When::of(at, now)),
        expires: token.expires_at.map(|at| When::of(at, now)),
    }
}
