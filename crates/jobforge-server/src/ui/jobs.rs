//! `/ui/jobs`: the list, with its filter in the address, so that it can be sent to somebody.
//!
//! The filter is the one of `GET /v1/jobs` and of `jobforge job list`. A search box writes the same as words:
//! `status:dead type:mail.send`; a bare word is a type or a job's id.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::job::{Job, JobId, WorkerId};
use jobforge::core::job_state::JobState;
use jobforge::core::payload_match::PayloadMatch;
use jobforge::core::search::{Asked, read, written};
use jobforge::core::state::Status;
use jobforge::core::time::since;
use jobforge::overview::Facts;
use jobforge::store::rows::JobFilter;
use url::form_urlencoded;

use super::copies::{Copies, condition, quoted, shell};
use super::page::{Shell, html};
use super::pulse;
use super::session::see_other;
use super::visit::Visit;
use super::words::{Badge, Share, When, at_least, badge, brief, cut, short};
use crate::api_error::ApiError;
use crate::query;

/// Jobs of a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    shell: Shell,
    states: Vec<StateLink>,
    search: String,
    /// What could not be read of the search.
    fault: String,
    /// Payloads are searched, and some may lie where none is.
    outside: bool,
    lines: Vec<Line>,
    older: Option<String>,
    newest: Option<String>,
    stopped_early: bool,
    bulk: Option<Bulk>,
}

/// A state in the rail.
struct StateLink {
    word: &'static str,
    count: String,
    path: String,
    here: bool,
    tone: &'static str,
}

/// What may be done to all that match.
struct Bulk {
    fields: Vec<(&'static str, String)>,
    everything: bool,
    /// Why it may not, if it may not.
    refused: &'static str,
}

/// One job.
pub(super) struct Line {
    pub(super) id: String,
    pub(super) short: String,
    pub(super) badge: Badge,
    pub(super) job_type: String,
    pub(super) tenant: String,
    pub(super) queue: String,
    pub(super) attempts: String,
    /// What it says, or why it failed, or why it is in trouble.
    pub(super) said: String,
    pub(super) progress: Option<Share>,
    /// How long it is silent, and what part of its limit that is.
    pub(super) silent: Option<(String, Share)>,
    pub(super) worker: String,
    pub(super) since: When,
}

impl Line {
    pub(super) fn of(job: &Job, now: Timestamp, trouble: Option<&str>) -> Self {
        let beat = job.heartbeat_at.or(job.started_at).filter(|_| job.status == Status::Running);
        let silent = beat.map(|at| {
            let silence = since(now, at);
            let limit = job.heartbeat_due_at.map_or(silence, |due| since(due, at));
            (brief(silence), Share::of(silence, limit))
        });
        let error = job.error.as_ref().map(|error| error.message.as_str());
        let said = trouble
            .or(job.progress.message.as_deref().filter(|_| job.status == Status::Running))
            .or(job.progress.phase.as_deref().filter(|_| job.status == Status::Running))
            .or(error)
            .unwrap_or_default();
        let moment = match job.status {
            Status::Queued => job.run_at,
            Status::Running => job.started_at.unwrap_or(job.updated_at),
            _ => job.finished_at.unwrap_or(job.updated_at),
        };
        Self {
            id: job.id.to_string(),
            short: short(&job.id.to_string()),
            badge: badge(job, now, trouble.is_some()),
            job_type: cut(&job.job_type, 80),
            tenant: cut(&job.tenant_id, 40),
            queue: cut(&job.queue, 40),
            attempts: format!("{}/{}", job.attempts, job.max_attempts),
            said: cut(said, 140),
            progress: job.progress.percent.filter(|_| job.status == Status::Running).map(Share),
            silent,
            worker: job.locked_by.as_ref().map(|worker| worker.0.clone()).unwrap_or_default(),
            since: When::of(moment, now),
        }
    }
}

/// `GET /ui/jobs`
pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    if let Some(search) = visit.param("q") {
        match read(&search) {
            Ok(Asked::Job(id)) => return Ok(see_other(&format!("/ui/jobs/{id}"))),
            Ok(Asked::List(pairs)) => return Ok(see_other(&address(&pairs))),
            Err(fault) => {
                return list(visit, JobFilter { limit: PAGE, ..JobFilter::default() }, search, fault).await;
            }
        }
    }
    let redactor = visit.app.redactor_for(&visit.caller);
    let mut filter = query::job_filter(&without_receipt(&visit)?, &visit.app.live.now(), redactor.as_ref())?;
    filter.limit = filter.limit.min(PAGE);
    let search = written(&pairs(&filter));
    list(visit, filter, search, String::new()).await
}

/// The address without what only the page itself reads.
fn without_receipt(visit: &Visit) -> Result<axum::http::Uri, ApiError> {
    let query = visit.uri.query().unwrap_or_default();
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !super::receipt::is_one(pair) && *pair != "q=" && !pair.is_empty())
        .collect();
    let text = format!("{}?{}", visit.uri.path(), kept.join("&"));
    text.parse().map_err(|_| ApiError::bad_request("bad_query", "the address cannot be read"))
}

async fn list(visit: Visit, filter: JobFilter, search: String, fault: String) -> Result<Response, ApiError> {
    let filter = JobFilter { tenant_id: visit.caller.tenant(filter.tenant_id.clone())?, ..filter };
    let page = visit.app.client.job_page(&filter).await?;
    let as_of = visit.app.client.store().now().await?;
    let whole = if visit.sees_all() { pulse::look(&visit.ui).await.ok() } else { None };
    let trouble: HashMap<JobId, &str> = whole
        .iter()
        .flat_map(|whole| whole.facts.stuck.iter().map(|stuck| (stuck.job.id, stuck.reason.as_str())))
        .collect();
    let lines = page.jobs.iter().map(|job| Line::of(job, as_of, trouble.get(&job.id).copied())).collect();
    let states = states(&filter, whole.as_ref().map(|whole| &whole.facts));
    let pairs = pairs(&filter);
    let older = page.next.map(|id| {
        let mut pairs = pairs.clone();
        pairs.push(("before", id.to_string()));
        address(&pairs)
    });
    html(&JobsPage {
        outside: filter.payload.is_some() && visit.app.client.payload_store().is_some(),
        bulk: visit.may_operate().then(|| bulk(&filter)),
        newest: filter.before.map(|_| address(&pairs)),
        shell: visit.shell("/ui/jobs", "Jobs", as_of, copies(&filter)).await,
        states,
        search,
        fault,
        lines,
        older,
        stopped_early: page.stopped_early,
    })
}

fn states(filter: &JobFilter, facts: Option<&Facts>) -> Vec<StateLink> {
    let link = |status: Option<Status>| {
        let statuses = status.into_iter().collect();
        let path = address(&pairs(&JobFilter { statuses, state: None, before: None, ..filter.clone() }));
        let count = status.zip(facts).map(|(status, facts)| facts.count(status));
        let count =
            count.filter(|(count, _)| *count > 0 || status.is_some_and(|status| !status.is_terminal()));
        StateLink {
            word: status.map_or("all", Status::as_str),
            count: count.map(|(count, more)| at_least(count, more)).unwrap_or_default(),
            path,
            here: filter.state.is_none()
                && status.map_or(filter.statuses.is_empty(), |status| filter.statuses == [status]),
            tone: status.map_or("plain", Status::as_str),
        }
    };
    std::iter::once(None).chain(Status::ALL.into_iter().map(Some)).map(link).collect()
}

fn bulk(filter: &JobFilter) -> Bulk {
    let fields: Vec<(&'static str, String)> =
        pairs(filter).into_iter().filter(|(name, _)| *name != "before").collect();
    let refused = match () {
        () if filter.idempotency_key.is_some() => "a key names one job at most; open it",
        () if filter.worker.is_some() => "select jobs of a worker one by one",
        () if filter.state.is_some() => "what is so now may not be so in a moment; select them one by one",
        () => "",
    };
    Bulk { everything: fields.is_empty(), fields, refused }
}

/// The parameters of a filter, as the API takes them.
pub(super) fn pairs(filter: &JobFilter) -> Vec<(&'static str, String)> {
    let statuses: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let all = [
        ("status", Some(statuses.join(",")).filter(|text| !text.is_empty())),
        ("state", filter.state.map(|state| state.to_string())),
        ("type", filter.job_type.clone()),
        ("tenant_id", filter.tenant_id.clone()),
        ("queue", filter.queue.clone()),
        ("tag", filter.tag.clone()),
        ("idempotency_key", filter.idempotency_key.clone()),
        ("worker", filter.worker.as_ref().map(|worker| worker.0.clone())),
        ("payload", filter.payload.as_ref().map(PayloadMatch::to_string)),
        ("error", filter.error.clone()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The address of a list.
pub(super) fn address(pairs: &[(&'static str, String)]) -> String {
    if pairs.is_empty() {
        return "/ui/jobs".to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("/ui/jobs?{}", query.finish())
}

/// The same list elsewhere, page by page.
pub(super) fn copies(filter: &JobFilter) -> Copies {
    let (mut cli, mut conditions) = ("jobforge job list".to_owned(), Vec::new());
    let mut all = pairs(filter);
    all.extend(filter.before.map(|id| ("before", id.to_string())));
    for (name, value) in &all {
        let flag = match *name {
            "tenant_id" => "tenant",
            "idempotency_key" => "key",
            // The others are called the same.
            name => name,
        };
        cli.push_str(&format!(" --{flag} {}", shell(value)));
        conditions.push(match *name {
            "status" => {
                let words: Vec<String> = value.split(',').map(quoted).collect();
                format!("status IN ({})", words.join(", "))
            }
            "state" => state_in_sql(filter.state),
            "worker" => format!("locked_by = {}", quoted(value)),
            "payload" => filter.payload.as_ref().map(payload_in_sql).unwrap_or_default(),
            "error" => error_in_sql(value),
            "tag" => format!("id IN (SELECT id FROM jobforge_tagged WHERE tag = {})", quoted(value)),
            "before" => format!("id < {}", quoted(value)),
            name => format!("{name} = {}", quoted(value)),
        });
    }
    let query = address(&all);
    let path = format!("/v1/jobs{}", query.strip_prefix("/ui/jobs").unwrap_or_default());
    let sql = format!(
        "SELECT id, type, status, tenant_id, queue, attempts, run_at, updated_at\nFROM jobforge_jobs\n{}ORDER BY id DESC LIMIT {PAGE};",
        condition(&conditions)
    );
    Copies::of(format!("{cli} --limit {PAGE}"), &path, sql)
}

/// What a state means in SQL, on PostgreSQL; what is stuck is told by `jobforge watchdog status` and `explain` alone, so of
/// that what may be.
fn state_in_sql(state: Option<JobState>) -> String {
    let text = match state {
        None => "true",
        Some(JobState::Ready) => "status = 'queued' AND run_at <= now()",
        Some(JobState::Scheduled) => "status = 'queued' AND run_at > now()",
        Some(JobState::Retrying) => {
            "status = 'queued' AND run_at > now() AND queued_because IN ('retry', 'rescue')"
        }
        Some(JobState::Quiet) => "status = 'running' AND heartbeat_due_at < now()",
        Some(JobState::Stuck) => {
            "status = 'running' AND (heartbeat_due_at < now() OR deadline_at < now() OR locked_by NOT IN (\n    \
             SELECT id FROM jobforge_workers WHERE state IN ('live', 'draining') AND lease_expires_at > now()))"
        }
    };
    text.to_owned()
}

/// A value in the payload in SQL, on PostgreSQL.
fn payload_in_sql(asked: &PayloadMatch) -> String {
    let path: Vec<String> = asked.path().iter().map(|step| quoted(step)).collect();
    let values: Vec<String> = asked.values().iter().map(|value| quoted(value.as_str())).collect();
    format!("payload #> ARRAY[{}] IN ({})", path.join(", "), values.join(", "))
}

/// What an error has in it in SQL, on PostgreSQL.
fn error_in_sql(text: &str) -> String {
    let has = |part: &str| {
        format!("strpos(lower(({part}) COLLATE \"C\"), lower({} COLLATE \"C\")) > 0", quoted(text))
    };
    let message = has("coalesce(error ->> 'message', error::text)");
    format!("status <> 'succeeded'\n  AND ({message}\n    OR {})", has("error ->> 'kind'"))
}

/// The jobs that a worker holds.
pub(super) fn of_worker(worker: &str) -> JobFilter {
    JobFilter { worker: Some(WorkerId(worker.to_owned())), limit: PAGE, ..JobFilter::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_asks_for_the_same() {
        let mut filter = JobFilter {
            statuses: vec![Status::Dead, Status::Failed],
            job_type: Some("it's".to_owned()),
            ..JobFilter::default()
        };
        let copies = super::copies(&filter);
        assert_eq!(copies.cli, r"jobforge job list --status dead,failed --type 'it'\''s' --limit 50");
        assert!(
            copies.curl.ends_with("\"$JOBFORGE_URL/v1/jobs?status=dead%2Cfailed&type=it%27s\""),
            "{}",
            copies.curl
        );
        assert!(copies.sql.contains("status IN ('dead', 'failed')\n  AND type = 'it''s'"), "{}", copies.sql);
        filter.payload = "to.0:o'neill".parse().ok();
        filter.error = Some("50%".to_owned());
        let copies = super::copies(&filter);
        assert!(
            copies.cli.ends_with(r"--payload 'to.0:o'\''neill' --error 50% --limit 50"),
            "{}",
            copies.cli
        );
        let sql = "payload #> ARRAY['to', '0'] IN ('\"o''neill\"')";
        assert!(copies.sql.contains(sql), "{}", copies.sql);
    }
}
