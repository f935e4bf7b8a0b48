//! `jobforge operation`: what is done to many jobs in the background.

use jiff::Timestamp;
use jobforge::core::operation::Operation;
use jobforge::core::time::{Now, since, words};
use jobforge::store::rows::MAX_PAGE;
use jobforge_api::OperationList;
use uuid::Uuid;

use super::Context;
use crate::cli::OperationCommand;
use crate::failure::{self, Failure};
use crate::output;

pub(crate) async fn run(context: Context, command: OperationCommand) -> Result<(), Failure> {
    match command {
        OperationCommand::List { limit } => list(&context, limit).await,
        OperationCommand::Show { id } => show(&context, id).await,
        OperationCommand::Cancel { id } => cancel(&context, id).await,
    }
}

async fn list(context: &Context, limit: usize) -> Result<(), Failure> {
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Failure::usage(format!("--limit is {limit}; allowed is 1 to {MAX_PAGE}")));
    }
    let client = context.visit().await?;
    let operations = client.store().operations(None, limit).await?;
    if context.json {
        return output::json(&OperationList { operations });
    }
    if operations.is_empty() {
        output::note("there is no operation; POST /v1/jobs/bulk and the dashboard begin them");
        return Ok(());
    }
    let now = client.store().now().await?;
    let header = ["operation", "what", "to", "state", "jobs", "passed over", "by", "begun"];
    output::table(&header, &[4, 5], operations.iter().map(|operation| row(operation, now)).collect());
    Ok(())
}

fn row(operation: &Operation, now: Timestamp) -> Vec<String> {
    vec![
        operation.id.to_string(),
        what(operation),
        output::printable(&to(operation)),
        operation.state.as_str().to_owned(),
        operation.done.to_string(),
        operation.passed_over.to_string(),
        output::printable(&operation.by.actor),
        format!("{} ago", words(since(now, operation.created_at))),
    ]
}

fn what(operation: &Operation) -> String {
    if operation.dry_run { format!("count for {}", operation.action) } else { operation.action.to_string() }
}

/// The jobs that it is about.
fn to(operation: &Operation) -> String {
    let filter = &operation.filter;
    let named = if filter.statuses.is_empty() { operation.action.usual() } else { &filter.statuses[..] };
    let statuses: Vec<&str> = named.iter().map(|status| status.as_str()).collect();
    let fields = [
        ("tenant", &filter.tenant_id),
        ("type", &filter.job_type),
        ("queue", &filter.queue),
        ("tag", &filter.tag),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    fields.chain([format!("status {}", statuses.join(" or "))]).collect::<Vec<_>>().join(", ")
}

async fn show(context: &Context, id: Uuid) -> Result<(), Failure> {
    let client = context.visit().await?;
    let operation = client.store().operation(id).await?.ok_or_else(|| missing(id))?;
    if context.json {
        return output::json(&operation);
    }
    let lines = [
        ("id", Some(operation.id.to_string())),
        ("what", Some(what(&operation))),
        ("to", Some(to(&operation))),
        ("state", Some(operation.state.as_str().to_owned())),
        ("jobs", Some(operation.done.to_string())),
        ("passed over", Some(operation.passed_over.to_string())),
        ("by", Some(operation.by.actor.clone())),
        ("why", operation.by.reason.clone()),
        ("begun", Some(format!("{:.0}", operation.created_at))),
        ("ended", operation.finished_at.map(|at| format!("{at:.0}"))),
        ("error", operation.error.clone()),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            output::say(&format!("{} {}", output::bold(&format!("{name:<11}")), output::printable(&value)));
        }
    }
    Ok(())
}

async fn cancel(context: &Context, id: Uuid) -> Result<(), Failure> {
    let client = context.visit().await?;
    client.store().operation(id).await?.ok_or_else(|| missing(id))?;
    if !client.store().cancel_operation(id, client.by(), Now::Database).await? {
        return Err(Failure::new(failure::CONFLICT, format!("operation {id} has ended already")));
    }
    if context.json {
        return output::json(&serde_json::json!({ "id": id, "canceled": true }));
    }
    output::note(&format!("operation {id} goes no further; what it did stays done"));
    Ok(())
}

fn missing(id: Uuid) -> Failure {
    Failure::new(failure::NOT_FOUND, format!("there is no operation {id}"))
        .hint("`jobforge operation list` lists them")
}
