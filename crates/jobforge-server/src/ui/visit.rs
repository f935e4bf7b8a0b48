//! One look at a page: who looks, what they asked for, and the frame that they get.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::token::Scope;
use url::form_urlencoded;

use super::copies::Copies;
use super::form::proof;
use super::page::{Shell, nav};
use super::session::{Entry, Guard, Theme};
use super::{Ui, assets, bar, pulse, receipt};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::routes;
use crate::server::App;

/// One look.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) app: Arc<App>,
    pub(super) ui: Arc<Ui>,
    pub(super) caller: Caller,
    pub(super) uri: Uri,
    /// What the browser calls this server.
    pub(super) host: String,
    entry: Entry,
    guard: Guard,
    theme: Theme,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let known = &parts.extensions;
        let unknown =
            || ApiError::internal("a page was asked for and nobody was asked who it is for".to_owned());
        let ui = known.get::<Arc<Ui>>().cloned().ok_or_else(unknown)?;
        let caller = known.get::<Caller>().cloned().ok_or_else(unknown)?;
        let entry = known.get::<Entry>().copied().ok_or_else(unknown)?;
        let guard = known.get::<Guard>().cloned().ok_or_else(unknown)?;
        if !caller.is_bound() {
            // The bar is read last of all.
            pulse::warm(&ui);
        }
        let (theme, uri) = (Theme::of(&parts.headers), parts.uri.clone());
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:8080");
        Ok(Self { app: Arc::clone(app), ui, caller, uri, host: host.to_owned(), entry, guard, theme })
    }
}

impl Visit {
    /// Whether they may see what concerns all tenants.
    pub(super) fn sees_all(&self) -> bool {
        !self.caller.is_bound()
    }

    pub(super) fn may_operate(&self) -> bool {
        self.caller.may(Scope::Operate)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.caller.may(Scope::Admin)
    }

    /// A parameter of the address that is not blank.
    pub(super) fn param(&self, name: &str) -> Option<String> {
        let query = self.uri.query().unwrap_or_default();
        let found = form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The frame of a page below a place of the menu.
    pub(super) async fn shell(
        &self,
        here: &str,
        title: impl Into<String>,
        as_of: Timestamp,
        copies: Copies,
    ) -> Shell {
        let bar = if self.sees_all() { Some(bar::of(&self.ui).await) } else { None };
        let may = |scope| self.caller.may(scope);
        Shell {
            title: title.into(),
            nav: nav(here, self.sees_all()),
            bar,
            place: self.ui.place.clone(),
            engine: self.app.client.store().capabilities().engine,
            who: self.caller.by().actor.clone(),
            role: match () {
                () if may(Scope::Admin) => "admin",
                () if may(Scope::Operate) => "operator",
                () => "viewer",
            },
            may_operate: self.may_operate(),
            can_leave: self.entry == Entry::Token,
            theme: self.theme.word(),
            next_theme: self.theme.next().word(),
            proof: proof(&self.guard, Some(&self.caller)),
            back: self.here(),
            receipt: receipt::read(self),
            copies,
            as_of: format!("{as_of:.3}"),
            clock: as_of.strftime("%H:%M:%S").to_string(),
            told_below: here == "/ui",
            css: assets::css(),
            js: assets::js(),
            icon: assets::icon(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// This page's address without what was just done.
    fn here(&self) -> String {
        let query = self.uri.query().unwrap_or_default();
        let kept: Vec<&str> =
            query.split('&').filter(|pair| !receipt::is_one(pair) && !pair.is_empty()).collect();
        let mark = if kept.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.uri.path(), kept.join("&"))
    }
}

/// `GET /ui/events`: that of `/v1/events`, for the session of a browser.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    routes::events(State(app), caller, headers).await
}
