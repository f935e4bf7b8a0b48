//! `jobforge audit`: who did what.

use jobforge::core::audit::{AuditFilter, Entry, parse_since};
use jobforge::core::time::{since, words};
use jobforge::store::rows::MAX_PAGE;
use jobforge::{AuditError, Client};

use super::Context;
use crate::cli::{AuditArgs, AuditCommand};
use crate::failure::{self, Failure};
use crate::output;

/// Entries that are listed unless somebody asks for more.
const LISTED: usize = 50;

pub(crate) async fn run(context: Context, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List(args) => list(&context, args).await,
        AuditCommand::Export(args) => export(&context, args).await,
        AuditCommand::Verify { head } => verify(&context, head).await,
    }
}

async fn filter(client: &Client, args: &AuditArgs) -> Result<AuditFilter, Failure> {
    let since = match &args.since {
        None => None,
        Some(text) => Some(
            parse_since(text, client.store().now().await?)
                .map_err(|fault| Failure::usage(format!("--since: {fault}")))?,
        ),
    };
    let AuditArgs { actor, action, target, tenant, .. } = args;
    Ok(AuditFilter {
        actor: actor.clone(),
        action: action.clone(),
        target: target.clone(),
        tenant_id: tenant.clone(),
        since,
        before: args.before,
        down_to: None,
    })
}

async fn list(context: &Context, args: AuditArgs) -> Result<(), Failure> {
    let limit = args.limit.unwrap_or(LISTED);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Failure::usage(format!("--limit is {limit}; allowed is 1 to {MAX_PAGE}")));
    }
    let client = context.visit().await?;
    let mut entries = client.store().audit(&filter(&client, &args).await?, limit).await?;
    let redactor = context.redactor(&client).await?;
    entries.iter_mut().for_each(|entry| redactor.entry(entry));
    if context.json {
        return output::json(&entries);
    }
    if entries.is_empty() {
        output::note("nobody has done anything that matches");
        return Ok(());
    }
    let now = client.store().now().await?;
    let row = |entry: &Entry| {
        vec![
            format!("{} ago", words(since(now, entry.at))),
            entry.by.actor.clone(),
            entry.action.clone(),
            entry.target.clone().unwrap_or_default(),
            change(entry),
            entry.by.reason.clone().unwrap_or_default(),
        ]
    };
    let rows = entries.iter().map(row).collect();
    output::table(&["when", "who", "what", "to what", "change", "why"], &[], rows);
    Ok(())
}

fn change(entry: &Entry) -> String {
    match (&entry.before, &entry.after) {
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (Some(before), None) => format!("{before} →"),
        (None, Some(after)) => after.clone(),
        (None, None) => String::new(),
    }
}

/// Oldest first, as a log reads; read newest first, for that is how pages come. Nothing is hidden: a hash is over all of its
/// entry.
async fn export(context: &Context, args: AuditArgs) -> Result<(), Failure> {
    let client = context.visit().await?;
    let mut filter = filter(&client, &args).await?;
    let wanted = args.limit.unwrap_or(usize::MAX);
    while client.store().seal_audit().await? > 0 {}
    let mut entries: Vec<Entry> = Vec::new();
    while entries.len() < wanted {
        let page = client.store().audit(&filter, MAX_PAGE.min(wanted - entries.len())).await?;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id);
        entries.extend(page);
    }
    entries.iter().rev().try_for_each(output::json_line)
}

async fn verify(context: &Context, expected: Option<String>) -> Result<(), Failure> {
    let client = context.visit().await?;
    let head = client.verify_audit().await.map_err(|error| match error {
        AuditError::Broken(broken) => {
            Failure::new(failure::FAILED, format!("the audit log is not whole: {broken}"))
        }
        AuditError::Store(error) => context.explain_open(&error),
    })?;
    if let Some(expected) = expected
        && !holds(&client, &expected).await?
    {
        let told = format!(
            "the audit log is not whole: no entry has the hash {expected} any more; its end was cut off"
        );
        return Err(Failure::new(failure::FAILED, told));
    }
    if context.json {
        return output::json(&head);
    }
    output::say(&format!("the audit log is whole: {} entries, head {}", head.entries, head.hash));
    output::note(
        "keep the head elsewhere, and give it with --head next time: it shows whether the end was cut off",
    );
    Ok(())
}

async fn holds(client: &Client, hash: &str) -> Result<bool, Failure> {
    let mut behind = 0;
    loop {
        let page = client.store().audit_chain(behind, MAX_PAGE).await?;
        if page.iter().any(|entry| entry.hash.as_deref() == Some(hash)) {
            return Ok(true);
        }
        match page.last().and_then(|entry| entry.place) {
            Some(place) => behind = place,
            None => return Ok(false),
        }
    }
}
