//! `/ui/audit`: who did what, when and why.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::audit::{AuditFilter, Entry, parse_since};
use jobforge::core::redact::Redactor;
use jobforge::store::Store;

use super::copies::{Copies, call, condition, quoted, shell};
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{When, cut};
use crate::api_error::ApiError;

/// Entries of a page.
const PAGE: usize = 100;
/// Entries that a search looks at for one page; few of what people ask for has an index.
const LOOKED_AT: i64 = 20_000;
/// What narrows the list down.
const FIELDS: [&str; 5] = ["actor", "action", "target", "tenant_id", "since"];

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    shell: Shell,
    fields: Vec<Field>,
    lines: Vec<Line>,
    older: Option<String>,
    /// Whether the search stopped before it had a whole page.
    stopped_early: bool,
}

struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
}

/// One entry.
pub(super) struct Line {
    pub(super) at: When,
    pub(super) who: String,
    pub(super) action: String,
    pub(super) target: String,
    /// Where the target has a page.
    pub(super) link: String,
    pub(super) reason: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) from: String,
    pub(super) sealed: bool,
}

impl Line {
    pub(super) fn of(entry: &Entry, redactor: &Redactor, now: Timestamp) -> Self {
        let change =
            |text: &Option<String>| cut(&redactor.json(text.as_deref().unwrap_or_default()).text, 400);
        let target = entry.target.clone().unwrap_or_default();
        let link = match entry.action.split('.').next().unwrap_or_default() {
            "job" => format!("/ui/jobs/{target}"),
            "worker" => format!("/ui/workers/{target}"),
            "schedule" => format!("/ui/schedules/{target}"),
            "operation" => format!("/ui/operations/{target}"),
            _ => String::new(),
        };
        // Only what is a name may be part of an address.
        let is_name =
            target.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !target.is_empty();
        let request = entry.by.request_id.as_ref().map(|id| format!("request {id}"));
        let from: Vec<String> = [entry.by.address.clone(), request].into_iter().flatten().collect();
        Self {
            at: When::of(entry.at, now),
            who: cut(&entry.by.actor, 100),
            action: entry.action.clone(),
            target: cut(&target, 100),
            link: if is_name { link } else { String::new() },
            reason: entry.by.reason.clone().unwrap_or_default(),
            before: change(&entry.before),
            after: change(&entry.after),
            from: from.join(", "),
            sealed: entry.place.is_some(),
        }
    }
}

/// `GET /ui/audit`
pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    let store = visit.app.client.store();
    let as_of = store.now().await?;
    let since = match visit.param("since") {
        None => None,
        Some(text) => {
            let since = parse_since(&text, as_of);
            Some(since.map_err(|fault| ApiError::bad_request("bad_parameter", format!("since: {fault}")))?)
        }
    };
    let before = match visit.param("before") {
        None => None,
        Some(text) => {
            let number =
                text.parse().map_err(|_| ApiError::bad_request("bad_parameter", "before is not a number"))?;
            Some(number)
        }
    };
    let filter = AuditFilter {
        actor: visit.param("actor"),
        action: visit.param("action"),
        target: visit.param("target"),
        tenant_id: visit.caller.tenant(visit.param("tenant_id"))?,
        since,
        before,
        down_to: None,
    };
    let is_search = filter != AuditFilter { before, ..AuditFilter::default() };
    let filter = AuditFilter { down_to: if is_search { end(store, before).await? } else { None }, ..filter };
    let mut entries = store.audit(&filter, PAGE + 1).await?;
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let given: Vec<(&'static str, String)> =
        FIELDS.into_iter().filter_map(|name| Some((name, visit.param(name)?))).collect();
    let page_before = |before: i64| {
        let mut all = given.clone();
        all.push(("before", before.to_string()));
        call("/ui/audit", &all)
    };
    let stopped_at = filter.down_to.filter(|_| !more);
    let next = if more { entries.last().map(|entry| entry.id) } else { stopped_at };
    let older = next.map(page_before);
    let copies = copies(&filter, &given, store.capabilities().engine == "postgres");
    let value = |name| {
        given.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let label = |name| match name {
        "actor" => "Who",
        "action" => "Action",
        "target" => "Target",
        "tenant_id" => "Tenant",
        _ => "Since (2h, or a moment)",
    };
    let redactor = visit.app.redactor();
    html(&AuditPage {
        shell: visit.shell("/ui/audit", "Audit", as_of, copies).await,
        fields: FIELDS
            .into_iter()
            .map(|name| Field { name, label: label(name), value: value(name) })
            .collect(),
        lines: entries.iter().map(|entry| Line::of(entry, &redactor, as_of)).collect(),
        older,
        stopped_early: stopped_at.is_some(),
    })
}

/// Where a search for one page ends, unless it comes to the first entry before.
async fn end(store: &Arc<dyn Store>, before: Option<i64>) -> Result<Option<i64>, ApiError> {
    let from = match before {
        Some(before) => before,
        None => store.audit(&AuditFilter::default(), 1).await?.first().map_or(0, |newest| newest.id + 1),
    };
    Ok(Some(from - LOOKED_AT).filter(|end| *end > 1))
}

/// The same entries elsewhere, page by page.
fn copies(filter: &AuditFilter, given: &[(&'static str, String)], is_postgres: bool) -> Copies {
    let mut cli = "jobforge audit list".to_owned();
    let mut conditions = Vec::new();
    let mut all = given.to_vec();
    all.extend(filter.before.map(|before| ("before", before.to_string())));
    for (name, value) in &all {
        let flag = if *name == "tenant_id" { "tenant" } else { name };
        cli.push_str(&format!(" --{flag} {}", shell(value)));
        conditions.push(match *name {
            // All of a kind; what LIKE takes for a pattern is nothing but text here.
            "action" if value.ends_with('.') => {
                format!("substr(action, 1, {}) = {}", value.chars().count(), quoted(value))
            }
            "since" => match filter.since {
                Some(since) if is_postgres => format!("at >= '{since}'"),
                Some(since) => format!("at >= {}", since.as_microsecond()),
                None => continue,
            },
            "before" => format!("id < {value}"),
            name => format!("{name} = {}", quoted(value)),
        });
    }
    all.push(("limit", PAGE.to_string()));
    let sql =
        format!("SELECT * FROM jobforge_audit\n{}ORDER BY id DESC LIMIT {PAGE};", condition(&conditions));
    Copies::of(format!("{cli} --limit {PAGE}"), &call("/v1/audit", &all), sql)
}
