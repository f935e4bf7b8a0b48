//! Who looks at the dashboard: logging in with a token, and the cookies of a session.
//!
//! The session's cookie holds the token itself and goes to `/ui` only; scripts cannot read it, and the API does not take
//! it. So a session works on every server of a fleet, is good for exactly what the token is good for, and ends within
//! seconds when the token is revoked. No cookie comes along with anything that another site sends; who follows a link from
//! elsewhere, such as one in a chat, is led on by a page of ours (`onward`). Forms have fences of their own (`form.rs`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use askama::Template;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jobforge::core::token::Scope;
use url::form_urlencoded;
use uuid::Uuid;

use super::form::{Form, proof};
use super::page::{html, local_path};
use super::{Place, Ui, assets, proxies};
use crate::api_error::ApiError;
use crate::caller::{Caller, LOCAL};
use crate::request_log::RequestId;

const SESSION: &str = "jobforge_session";
const GUARD: &str = "jobforge_form";
const THEME: &str = "jobforge_theme";
/// How long a browser keeps a session: a shift.
const SESSION_S: u64 = 12 * 3600;
const YEAR_S: u64 = 365 * 86_400;

/// The secret of a browser from which the proofs of its forms are made.
#[derive(Debug, Clone)]
pub(super) struct Guard(pub(super) String);

/// How somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// There is no token yet, and they sit at this machine.
    Local,
    /// A reverse proxy vouches for them.
    Proxy,
    /// They logged in, or their program sends a token.
    Token,
}

/// Light or dark; `auto` follows the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self::read(cookie(headers, THEME).unwrap_or_default())
    }

    fn read(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }

    /// What the switch leads to.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Auto => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::Auto,
        }
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value).filter(|value| !value.is_empty())
}

fn set_cookie(headers: &HeaderMap, name: &str, value: &str, lasts_s: u64) -> Option<HeaderValue> {
    // Whether a proxy in front speaks TLS: a claim that can only make the cookie safer.
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if secure { "; Secure" } else { "" };
    // Strict: nothing that a page elsewhere sends is answered as whoever looks at it, not even a link that it opens by itself,
    // of which Lax would tell it how long the answer takes. That costs a link in a chat one short page (`onward`).
    let text = format!("{name}={value}; Path=/ui; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).ok()
}

/// Says who asks for a page. Who must log in is sent there, and comes back.
pub(crate) async fn enter(State(ui): State<Arc<Ui>>, mut request: Request, next: Next) -> Response {
    if leads_on(&request) {
        return onward(&ui, request.uri()).into_response();
    }
    let known = cookie(request.headers(), GUARD).filter(|guard| guard.len() == 64).map(str::to_owned);
    let fresh = known.is_none();
    let guard = known.unwrap_or_else(|| format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
    request.extensions_mut().insert(Guard(guard.clone()));
    request.extensions_mut().insert(Arc::clone(&ui));
    let set = if fresh { set_cookie(request.headers(), GUARD, &guard, YEAR_S) } else { None };
    let path = request.uri().path();
    let free = ["/ui/", "/ui/login", "/ui/logout"].contains(&path) || path.starts_with("/ui/assets/");
    let mut response = if free {
        // Who leaves is known as well, since their form is theirs; and who is led to log in may be known already.
        let is_told_why = request.uri().query().is_some_and(|query| query.contains("why="));
        if (path == "/ui/logout" || (path == "/ui/login" && request.method() == Method::GET && !is_told_why))
            && let Ok(Some((caller, entry))) = identify(&ui, &Asking::of(&request)).await
        {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(entry);
        }
        next.run(request).await
    } else {
        guarded(&ui, request, next).await
    };
    if let Some(set) = set {
        response.headers_mut().append(SET_COOKIE, set);
    }
    response
}

/// Whether somebody follows a link of another site and the browser keeps to itself who they are.
fn leads_on(request: &Request) -> bool {
    let says = |name: &str, word: &str| request.headers().get(name).is_some_and(|value| value == word);
    request.method() == Method::GET
        && says("sec-fetch-site", "cross-site")
        && says("sec-fetch-mode", "navigate")
        && cookie(request.headers(), GUARD).is_none()
}

#[derive(Template)]
#[template(path = "onward.html")]
struct OnwardPage {
    css: String,
    icon: String,
    place: Place,
    to: String,
}

/// Sends whoever follows a link of another site to the same place once more, from a page of ours: a redirect would still
/// count as the other site's. It sets no cookie, for the browser may have them all.
fn onward(ui: &Ui, to: &Uri) -> Result<Response, ApiError> {
    let to = login_path(to, "");
    html(&OnwardPage { css: assets::css(), icon: assets::icon(), place: ui.place.clone(), to })
}

async fn guarded(ui: &Ui, mut request: Request, next: Next) -> Response {
    match identify(ui, &Asking::of(&request)).await {
        Ok(Some((caller, entry))) => {
            request.extensions_mut().insert(caller.clone());
            request.extensions_mut().insert(entry);
            let mut response = next.run(request).await;
            // A page that tells of a failure shows the last known state only to who may see it.
            response.extensions_mut().insert(caller);
            response
        }
        Ok(None) if request.method() == Method::GET => to_login(request.uri(), ""),
        Ok(None) => {
            let told = "your session has ended and nothing was changed; log in and try again";
            ApiError::unauthorized("token_missing", told).into_response()
        }
        Err(refusal) if refusal.is_unauthorized() && request.method() == Method::GET => {
            to_login(request.uri(), refusal.code())
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// What is known of a request before its body is read.
struct Asking {
    headers: HeaderMap,
    address: Option<IpAddr>,
    id: Option<String>,
}

impl Asking {
    fn of(request: &Request) -> Self {
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
        Self {
            headers: request.headers().clone(),
            address: address.map(|info| info.0.ip().to_canonical()),
            id: request.extensions().get::<RequestId>().map(|id| id.0.to_string()),
        }
    }
}

async fn identify(ui: &Ui, request: &Asking) -> Result<Option<(Caller, Entry)>, ApiError> {
    let Asking { headers, address, id } = request;
    let address = *address;
    let asking =
        |caller: Caller| caller.asking(headers, id.clone(), address.map(|address| address.to_string()));
    if let Some(caller) = proxies::vouched(&ui.app.live.now(), headers, address)? {
        return Ok(Some((asking(caller), Entry::Proxy)));
    }
    if ui.gate.is_open() {
        let local = address.is_some_and(|address| address.is_loopback());
        return Ok(local.then(|| (asking(Caller::new(LOCAL, Scope::Admin)), Entry::Local)));
    }
    if headers.contains_key(AUTHORIZATION) {
        return Ok(Some((ui.gate.caller(headers, address, id.as_deref()).await?, Entry::Token)));
    }
    let Some(token) = cookie(headers, SESSION) else { return Ok(None) };
    Ok(Some((ui.gate.holder(token, headers, address, id.as_deref()).await?, Entry::Token)))
}

fn to_login(uri: &Uri, why: &str) -> Response {
    see_other(&login_path(uri, why))
}

/// Where one logs in, and goes on from if one is known already.
fn login_path(back: &Uri, why: &str) -> String {
    let back = back.path_and_query().map_or("/ui", |path| path.as_str());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("back", back);
    if !why.is_empty() {
        query.append_pair("why", why);
    }
    format!("/ui/login?{}", query.finish())
}

/// Sends the browser to another page, which it gets.
pub(super) fn see_other(to: &str) -> Response {
    let place = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/ui"));
    (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    css: String,
    icon: String,
    theme: &'static str,
    place: Place,
    proof: String,
    back: String,
    why: &'static str,
}

/// `GET /ui/login`
pub(super) async fn form(
    Extension(ui): Extension<Arc<Ui>>,
    Extension(guard): Extension<Guard>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let get = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let back = local_path(get("back")).to_owned();
    if ui.gate.is_open() || caller.is_some_and(|Extension(caller)| caller.may(Scope::Read)) {
        return Ok(see_other(&back));
    }
    let why = match get("why").unwrap_or_default() {
        "token_expired" => "The token's time is over. Ask for a new one.",
        "token_revoked" => "The token was taken back. Ask for a new one.",
        "token_unknown" => "The token is not one of this server's. Check it for slips.",
        "left" => "You are logged out.",
        _ => "",
    };
    login_page(&ui, &guard, &headers, back, why)
}

fn login_page(
    ui: &Ui,
    guard: &Guard,
    headers: &HeaderMap,
    back: String,
    why: &'static str,
) -> Result<Response, ApiError> {
    html(&LoginPage {
        css: assets::css(),
        icon: assets::icon(),
        theme: Theme::of(headers).word(),
        place: ui.place.clone(),
        proof: proof(guard, None),
        back,
        why,
    })
}

/// `POST /ui/login`
pub(super) async fn login(
    Extension(ui): Extension<Arc<Ui>>,
    Extension(guard): Extension<Guard>,
    headers: HeaderMap,
    connection: Option<Extension<ConnectInfo<SocketAddr>>>,
    Extension(id): Extension<RequestId>,
    form: Form,
) -> Result<Response, ApiError> {
    let back = local_path(form.get("back")).to_owned();
    let address = connection.map(|Extension(info)| info.0.ip().to_canonical());
    let token = form.get("token").unwrap_or_default().to_owned();
    let refused = async |why| {
        let mut response = login_page(&ui, &guard, &headers, back.clone(), why)?;
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        Ok(response)
    };
    if !token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b',') || token.is_empty()
    {
        return refused("That is no token. Paste it whole, without spaces.").await;
    }
    match ui.gate.holder(&token, &headers, address, Some(&id.0.to_string())).await {
        Ok(caller) if caller.may(Scope::Read) => {
            let mut response = see_other(&back);
            if let Some(set) = set_cookie(&headers, SESSION, &token, SESSION_S) {
                response.headers_mut().append(SET_COOKIE, set);
            }
            Ok(response)
        }
        Ok(_) => refused("The token may not look; it needs the scope read, operate or admin.").await,
        Err(refusal) if refusal.is_unauthorized() => {
            refused(match refusal.code() {
                "token_expired" => "The token's time is over. Ask for a new one.",
                "token_revoked" => "The token was taken back. Ask for a new one.",
                _ => "The token is not one of this server's. Check it for slips.",
            })
            .await
        }
        Err(refusal) => Err(refusal),
    }
}

/// `POST /ui/logout`
pub(super) async fn logout(headers: HeaderMap, _: Form) -> Response {
    let mut response = see_other("/ui/login?why=left");
    if let Some(set) = set_cookie(&headers, SESSION, "", 0) {
        response.headers_mut().append(SET_COOKIE, set);
    }
    response
}

/// `POST /ui/theme`
pub(super) async fn theme(headers: HeaderMap, form: Form) -> Response {
    let mut response = see_other(local_path(form.get("back")));
    let theme = Theme::read(form.get("theme").unwrap_or_default());
    if let Some(set) = set_cookie(&headers, THEME, theme.word(), YEAR_S) {
        response.headers_mut().append(SET_COOKIE, set);
    }
    response
}
