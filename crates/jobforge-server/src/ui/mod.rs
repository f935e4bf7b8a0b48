//! The dashboard at `/ui`: pages made on the server, which work without scripts; a script only keeps them fresh.
//!
//! `session.rs` says who looks, `visit.rs` is one look, `page.rs` the frame of every page and the headers that keep it
//! closed, `act.rs` the table of everything that can be changed. Every page asks the same calls of the library that the
//! API asks.

mod act;
mod alerts;
mod assets;
mod audit;
mod bar;
mod bulk;
mod channels;
mod copies;
mod dead;
mod form;
mod job;
mod jobs;
mod markdown;
mod names;
mod operations;
mod overview;
mod pack;
mod page;
mod problem;
mod proxies;
mod pulse;
mod queues;
mod receipt;
mod runbook_steps;
mod runbooks;
mod schedules;
mod session;
mod settings;
mod tenants;
mod timeline;
mod timeline_progress;
mod visit;
mod watchdog;
mod what_if;
mod words;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use jobforge::core::settings::Settings;
use jobforge::core::token::Scope;

use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::gate::Gate;
use crate::routes::Need::{self, All, Own};
use crate::server::App;

pub(crate) use problem::pages;
pub(crate) use session::enter;

/// What the pages share.
#[derive(Debug)]
pub(crate) struct Ui {
    app: Arc<App>,
    gate: Arc<Gate>,
    pulse: pulse::Pulse,
    place: Place,
}

/// Which installation this is, for the strip on top of each page.
#[derive(Debug, Clone)]
struct Place {
    /// What people call it, else the machine of the server.
    name: String,
    /// The class of its colour.
    color: String,
    /// The machine of the server.
    machine: String,
}

impl Place {
    fn new(settings: &Settings) -> Self {
        let machine = jobforge::process::hostname();
        let name = Some(settings.text("fleet_name")).filter(|name| !name.is_empty());
        Self {
            name: name.unwrap_or(&machine).to_owned(),
            color: format!("place-{}", settings.text("fleet_color")),
            machine,
        }
    }
}

impl Ui {
    pub(crate) fn new(app: Arc<App>, gate: Arc<Gate>) -> Self {
        let place = Place::new(&app.live.now());
        Self { app, gate, pulse: pulse::Pulse::default(), place }
    }
}

type Handler = MethodRouter<Arc<App>>;

/// The pages that need somebody, each with what it needs.
pub(crate) fn pages_of_callers() -> Router<Arc<App>> {
    let looks: Vec<(&str, Need, Handler)> = vec![
        ("/ui", Own(Scope::Read), get(overview::page)),
        ("/ui/jobs", Own(Scope::Read), get(jobs::page)),
        ("/ui/jobs/{id}", Own(Scope::Read), get(job::page)),
        ("/ui/operations", Own(Scope::Read), get(operations::list)),
        ("/ui/operations/{id}", Own(Scope::Read), get(operations::one)),
        ("/ui/workers", All(Scope::Read), get(workers::list)),
        ("/ui/workers/{id}", All(Scope::Read), get(workers::one)),
        ("/ui/queues", All(Scope::Read), get(queues::page)),
        ("/ui/tenants", Own(Scope::Read), get(tenants::list)),
        ("/ui/tenants/{name}", Own(Scope::Read), get(tenants::one)),
        ("/ui/schedules", All(Scope::Read), get(schedules::list)),
        ("/ui/schedules/{name}", All(Scope::Read), get(schedules::one)),
        ("/ui/dead", Own(Scope::Read), get(dead::groups)),
        ("/ui/dead/{group}", Own(Scope::Read), get(dead::group)),
        ("/ui/watchdog", All(Scope::Read), get(watchdog::page)),
        ("/ui/alerts", All(Scope::Read), get(alerts::page)),
        ("/ui/runbooks", All(Scope::Read), get(runbooks::list)),
        ("/ui/runbooks/{name}", All(Scope::Read), get(runbooks::one)),
        ("/ui/audit", Own(Scope::Read), get(audit::page)),
        ("/ui/settings", All(Scope::Read), get(settings::page)),
        ("/ui/names", Own(Scope::Read), get(names::list)),
        ("/ui/events", Own(Scope::Read), get(visit::events)),
    ];
    let changes: Vec<(&str, Need, Handler)> = vec![
        // What each of these needs stands in the table of `act.rs`.
        ("/ui/act/{deed}/{target}", Own(Scope::Read), get(act::ask).post(act::perform)),
        ("/ui/jobs/selected", Own(Scope::Operate), post(bulk::selected)),
        ("/ui/jobs/all", Own(Scope::Operate), post(bulk::preview)),
        ("/ui/operations/{id}/begin", Own(Scope::Operate), post(bulk::begin)),
        ("/ui/theme", Own(Scope::Read), post(session::theme)),
    ];
    let all = looks.into_iter().chain(changes);
    all.fold(Router::new(), |router, (path, need, handler)| {
        let guarded = move |request: Request, next: Next| needs(need, request, next);
        router.route(path, handler.route_layer(from_fn(guarded)))
    })
    .route("/ui/{*rest}", axum::routing::any(nothing))
}

/// What nobody needs to be known for.
pub(crate) fn pages_of_anybody() -> Router<Arc<App>> {
    Router::new()
        .route("/ui/login", get(session::form).post(session::login))
        .route("/ui/", get(async || session::see_other("/ui")))
        .route("/ui/logout", post(session::logout))
        .route("/ui/assets/{file}", get(assets::serve))
}

async fn needs(need: Need, request: Request, next: Next) -> Result<Response, ApiError> {
    let unasked = || ApiError::internal("a page needs a scope and nobody was asked".to_owned());
    let caller = request.extensions().get::<Caller>().ok_or_else(unasked)?;
    allow(caller, need)?;
    Ok(next.run(request).await)
}

/// Refuses who may not.
fn allow(caller: &Caller, need: Need) -> Result<(), ApiError> {
    match need {
        Need::Nobody => Ok(()),
        Own(scope) => caller.require(scope),
        All(scope) => caller.require(scope).and_then(|()| caller.require_all_tenants()),
    }
}

async fn nothing() -> ApiError {
    let detail = "there is no such page; the menu names those that there are";
    ApiError::new(StatusCode::NOT_FOUND, "page_not_found", "there is no such page", detail)
}
