//! `/ui/operations`: what is done to many jobs in the background.

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::operation::{BulkFilter, Operation, OperationState};
use uuid::Uuid;

use super::bulk;
use super::copies::{Copies, quoted};
use super::jobs::{address, pairs};
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{When, count, cut, plural};
use crate::api_error::ApiError;
use crate::routes;
use jobforge::store::rows::JobFilter;

/// Operations of a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "operations.html")]
struct ListPage {
    shell: Shell,
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "operation.html")]
struct OnePage {
    shell: Shell,
    line: Line,
    headline: String,
    effect: &'static str,
    button: String,
    runs: bool,
    can_begin: bool,
    may_operate: bool,
}

struct Line {
    id: String,
    title: String,
    what: String,
    jobs: String,
    state: &'static str,
    tone: &'static str,
    counts: bool,
    done: String,
    passed_over: String,
    by: String,
    reason: String,
    error: String,
    begun: When,
    ended: Option<When>,
}

impl Line {
    fn of(operation: &Operation, now: Timestamp) -> Self {
        let verb = bulk::verb(operation.action);
        let filter = &operation.filter;
        let list = JobFilter::from(filter.clone());
        let words: Vec<String> =
            pairs(&list).into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        let usual: Vec<&str> = operation.action.usual().iter().map(|status| status.as_str()).collect();
        let mut what = words.join(", ");
        if filter.statuses.is_empty() {
            let statuses = format!("status {}", usual.join(" or "));
            what = if what.is_empty() { statuses } else { format!("{what}, {statuses}") };
        }
        Self {
            id: operation.id.to_string(),
            title: if operation.dry_run {
                format!("Count for: {}", verb.to_lowercase())
            } else {
                verb.to_owned()
            },
            what: cut(&what, 200),
            jobs: address(&pairs(&list)),
            state: operation.state.as_str(),
            tone: match operation.state {
                OperationState::Running => "running",
                OperationState::Done => "succeeded",
                OperationState::Canceled => "canceled",
                OperationState::Failed => "failed",
            },
            counts: operation.dry_run,
            done: count(operation.done),
            passed_over: count(operation.passed_over),
            by: operation.by.actor.clone(),
            reason: operation.by.reason.clone().unwrap_or_default(),
            error: operation.error.clone().unwrap_or_default(),
            begun: When::of(operation.created_at, now),
            ended: operation.finished_at.map(|at| When::of(at, now)),
        }
    }
}

/// `GET /ui/operations`
pub(super) async fn list(visit: Visit) -> Result<Response, ApiError> {
    let store = visit.app.client.store();
    let tenant = visit.caller.tenant(None)?;
    let (found, as_of) = tokio::try_join!(store.operations(tenant.as_deref(), PAGE), store.now())?;
    let sql = "SELECT * FROM jobforge_operations ORDER BY created_at DESC LIMIT 50;";
    let copies = Copies::of("jobforge operation list", "/v1/operations", sql);
    html(&ListPage {
        shell: visit.shell("/ui/jobs", "Operations", as_of, copies).await,
        lines: found.iter().map(|operation| Line::of(operation, as_of)).collect(),
    })
}

/// `GET /ui/operations/{id}`
pub(super) async fn one(visit: Visit, id: Result<Path<Uuid>, PathRejection>) -> Result<Response, ApiError> {
    let operation = find(&visit, id).await?;
    let as_of = visit.app.client.store().now().await?;
    let (verb, id) = (bulk::verb(operation.action), operation.id.to_string());
    let number = plural(operation.done, "job", "jobs");
    let headline = match (operation.dry_run, operation.state) {
        (true, OperationState::Running) => format!("Counting what would be done … {number} so far"),
        (true, OperationState::Done) => format!("{verb} {number}?"),
        (false, OperationState::Running) => format!("{verb}: {number} so far"),
        (false, OperationState::Done) => format!("{verb}: {number}, done"),
        (_, OperationState::Canceled) => format!("{verb}: ended by somebody after {number}"),
        (_, OperationState::Failed) => format!("{verb}: could not go on after {number}"),
    };
    let copies = Copies::of(
        format!("jobforge operation show {id}"),
        &format!("/v1/operations/{id}"),
        format!("SELECT * FROM jobforge_operations WHERE id = {};", quoted(&id)),
    );
    let runs = operation.state == OperationState::Running;
    html(&OnePage {
        shell: visit.shell("/ui/jobs", "Operation", as_of, copies).await,
        button: format!("{verb} {number}"),
        effect: bulk::effect(operation.action),
        can_begin: operation.dry_run && operation.state == OperationState::Done && operation.done > 0,
        may_operate: visit.may_operate(),
        line: Line::of(&operation, as_of),
        headline,
        runs,
    })
}

/// The operation, if they may know of it.
pub(super) async fn find(
    visit: &Visit,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Operation, ApiError> {
    routes::operation(&visit.app, &visit.caller, id).await
}

/// Refuses what no job could have.
pub(super) fn check(filter: &BulkFilter) -> Result<(), ApiError> {
    routes::check_bulk(filter)
}
