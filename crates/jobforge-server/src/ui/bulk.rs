//! Many jobs at once: those that were ticked, after a question; or all that match, as an operation in the background that
//! is first counted.

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use jobforge::core::job::JobId;
use jobforge::core::operation::{BulkAction, BulkFilter, NewOperation, OperationState};
use jobforge::core::payload_match::PayloadMatch;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::store::rows::{Move, Moved};
use uuid::Uuid;

use super::copies::Copies;
use super::form::Form;
use super::jobs::Line;
use super::page::{Shell, html, local_path};
use super::session::see_other;
use super::visit::Visit;
use super::words::plural;
use super::{operations, receipt};
use crate::api_error::ApiError;
use crate::routes::visible;

/// Jobs that may be ticked at once: a page has fewer.
const MOST: usize = 200;

#[derive(Template)]
#[template(path = "selected.html")]
struct SelectedPage {
    shell: Shell,
    action: BulkAction,
    question: String,
    button: String,
    effect: &'static str,
    lines: Vec<Line>,
    back: String,
    cli: String,
}

fn action(form: &Form) -> Result<BulkAction, ApiError> {
    let word = form.get("action").unwrap_or_default();
    word.parse()
        .map_err(|fault: jobforge::core::operation::BadAction| ApiError::invalid_request(fault.to_string()))
}

/// What an action does to jobs, for people.
pub(super) fn effect(action: BulkAction) -> &'static str {
    match action {
        BulkAction::Retry => {
            "They run again from the beginning, with fresh attempts. One that runs now is taken from its worker first."
        }
        BulkAction::Cancel => {
            "They end as canceled. The handler of one that runs is told to stop; what it reports later is refused."
        }
        BulkAction::Delete => {
            "They are removed with their results, attempts and logs, for good. Running ones are passed over."
        }
    }
}

/// `POST /ui/jobs/selected`
pub(super) async fn selected(visit: Visit, form: Form) -> Result<Response, ApiError> {
    let action = action(&form)?;
    let back = local_path(form.get("back")).to_owned();
    let mut ids = Vec::new();
    for text in form.all("job").take(MOST) {
        ids.push(text.parse::<JobId>()?);
    }
    if ids.is_empty() {
        return Err(ApiError::invalid_request("no job is selected; tick the jobs that are meant"));
    }
    let mut jobs = Vec::with_capacity(ids.len());
    for id in &ids {
        jobs.push(visible(&visit.app, &visit.caller, *id).await?);
    }
    if form.get("sure").is_none() {
        let as_of = visit.app.client.store().now().await?;
        let named: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let button = format!("{} {}", verb(action), plural(ids.len() as u64, "job", "jobs"));
        let cli = format!("jobforge job {action} {}", named.join(" "));
        return html(&SelectedPage {
            question: format!("{button}?"),
            button,
            shell: visit.shell("/ui/jobs", "Selected jobs", as_of, Copies::default()).await,
            action,
            effect: effect(action),
            lines: jobs.iter().map(|job| Line::of(job, as_of, None)).collect(),
            back,
            cli,
        });
    }
    let step = match action {
        BulkAction::Retry => Move::RETRY,
        BulkAction::Cancel => Move::Cancel,
        BulkAction::Delete => Move::Delete,
    };
    let by = visit.caller.because(form.get("reason"));
    let moved = visit.app.client.store().move_jobs(&ids, step, &by, Now::Database).await?;
    let done = moved.iter().filter(|moved| matches!(moved, Moved::Done { .. })).count() as u64;
    Ok(see_other(&receipt::with(&back, action.as_str(), "", Some(done))))
}

/// The word on a button.
pub(super) fn verb(action: BulkAction) -> &'static str {
    match action {
        BulkAction::Retry => "Retry",
        BulkAction::Cancel => "Cancel",
        BulkAction::Delete => "Delete",
    }
}

/// `POST /ui/jobs/all`: counts what matches, in the background; nothing is moved.
pub(super) async fn preview(visit: Visit, form: Form) -> Result<Response, ApiError> {
    if let Some(name) =
        ["state", "worker", "idempotency_key"].into_iter().find(|name| form.get(name).is_some())
    {
        let told = format!("an operation cannot be narrowed down by {name}; tick the jobs that are meant");
        return Err(ApiError::invalid_request(told));
    }
    let text = |name: &str| form.get(name).map(str::to_owned);
    // These may begin or end with a space, which is a part of what is searched for.
    let exact = |name: &str| form.all(name).next().map(str::to_owned);
    let payload = exact("payload").map(|text| text.parse::<PayloadMatch>()).transpose();
    let mut statuses = Vec::new();
    for word in form.get("status").into_iter().flat_map(|words| words.split(',')) {
        let status = word.parse::<Status>();
        statuses.push(status.map_err(|fault| ApiError::invalid_request(fault.to_string()))?);
    }
    let filter = BulkFilter {
        tenant_id: visit.caller.tenant(text("tenant_id"))?,
        statuses,
        job_type: text("type"),
        queue: text("queue"),
        tag: text("tag"),
        payload: payload.map_err(|fault| ApiError::invalid_request(format!("payload {fault}")))?,
        error: exact("error"),
    };
    operations::check(&filter)?;
    start(&visit, NewOperation { id: Uuid::now_v7(), action: action(&form)?, filter, dry_run: true }, None)
        .await
}

/// `POST /ui/operations/{id}/begin`: does what was counted.
pub(super) async fn begin(
    visit: Visit,
    id: Result<Path<Uuid>, PathRejection>,
    form: Form,
) -> Result<Response, ApiError> {
    let counted = operations::find(&visit, id).await?;
    if !counted.dry_run || counted.state != OperationState::Done {
        let told = "only what has been counted to the end can be begun";
        return Err(ApiError::conflict("operation_not_counted", "the operation cannot begin", told));
    }
    let new =
        NewOperation { id: Uuid::now_v7(), action: counted.action, filter: counted.filter, dry_run: false };
    start(&visit, new, form.get("reason")).await
}

async fn start(visit: &Visit, new: NewOperation, reason: Option<&str>) -> Result<Response, ApiError> {
    let by = visit.caller.because(reason);
    visit.app.client.store().put_operation(&new, &by, Now::Database).await?;
    visit.app.bulk.nudge();
    Ok(see_other(&format!("/ui/operations/{}", new.id)))
}
