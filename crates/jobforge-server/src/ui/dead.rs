//! `/ui/dead`: what jobs died of, by cause, not job by job.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::dead::{DeadGroup, pattern};
use jobforge::core::job::{ErrorInfo, Job, JobId};
use jobforge::store::rows::{COUNT_CAP, DeadFilter, Latest, MAX_PAGE};

use super::copies::{Copies, call, condition, quoted, shell};
use super::jobs::Line as JobLine;
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{When, capped, cut};
use crate::api_error::ApiError;

/// Jobs of a page.
const PAGE: usize = 50;
/// Causes that are listed: those that killed last.
const MOST: usize = 200;
/// Where the count of each stops in the list; the page of a cause counts further.
const COUNTED_TO: u64 = 500;

#[derive(Template)]
#[template(path = "dead.html")]
struct GroupsPage {
    shell: Shell,
    lines: Vec<Line>,
    /// What the list does not tell, if there may be more.
    bound: String,
    may_operate: bool,
}

#[derive(Template)]
#[template(path = "dead_group.html")]
struct GroupPage {
    shell: Shell,
    line: Option<Line>,
    group: String,
    jobs: Vec<JobLine>,
    older: Option<String>,
    may_operate: bool,
}

struct Line {
    group: String,
    pattern: String,
    kind: String,
    job_type: String,
    count: String,
    first: When,
    last: When,
    sample: String,
}

impl Line {
    fn of(group: DeadGroup, cap: u64, now: Timestamp) -> Self {
        let pattern = if group.pattern.is_empty() { &group.kind } else { &group.pattern };
        Self {
            pattern: cut(pattern, 300),
            kind: source(&group.kind),
            job_type: cut(&group.job_type, 80),
            count: capped(group.count, cap),
            first: When::of(group.first_at, now),
            last: When::of(group.last_at, now),
            sample: group.sample.to_string(),
            group: group.group,
        }
    }
}

/// Who says so, by the kind of the error.
fn source(kind: &str) -> String {
    match kind {
        "worker_lost" | "heartbeat_late" | "no_progress" => format!("{kind} · said by the watchdog"),
        "timeout" => "timeout · it took longer than it may".to_owned(),
        "poison" => "poison · it took its workers down".to_owned(),
        "restored" => "restored · lost with a copy of the database".to_owned(),
        other => format!("{} · said by its handler", cut(other, 60)),
    }
}

/// `GET /ui/dead`
pub(super) async fn groups(visit: Visit) -> Result<Response, ApiError> {
    let tenant_id = visit.caller.tenant(visit.param("tenant_id"))?;
    let filter = DeadFilter {
        tenant_id,
        job_type: visit.param("type"),
        queue: visit.param("queue"),
        ..DeadFilter::default()
    };
    let copies = copies(&filter);
    let (groups, cap, bound) = causes(&visit, filter).await?;
    let as_of = visit.app.client.store().now().await?;
    html(&GroupsPage {
        shell: visit.shell("/ui/dead", "Dead letters", as_of, copies).await,
        lines: groups.into_iter().map(|group| Line::of(group, cap, as_of)).collect(),
        bound,
        may_operate: visit.may_operate(),
    })
}

/// The same causes elsewhere.
fn copies(filter: &DeadFilter) -> Copies {
    let fields = [("tenant_id", &filter.tenant_id), ("type", &filter.job_type), ("queue", &filter.queue)];
    let given: Vec<(&str, String)> =
        fields.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let mut cli = "jobforge dead groups".to_owned();
    let mut conditions = vec!["status = 'dead'".to_owned(), "resolved_at IS NULL".to_owned()];
    for (name, value) in &given {
        let flag = if *name == "tenant_id" { "tenant" } else { name };
        cli.push_str(&format!(" --{flag} {}", shell(value)));
        conditions.push(format!("{name} = {}", quoted(value)));
    }
    let sql = format!(
        "SELECT dead_group, type, count(*), max(finished_at)\nFROM jobforge_jobs\n{}GROUP BY dead_group, type ORDER BY 3 DESC;",
        condition(&conditions)
    );
    Copies::of(cli, &call("/v1/dead/groups", &given), sql)
}

/// The causes that killed last, where their counts stop, and what that leaves out. However many jobs are dead, few are looked
/// at: of everybody's the latest of each cause; of some only, of which no cause has an index, the latest of these.
async fn causes(visit: &Visit, filter: DeadFilter) -> Result<(Vec<DeadGroup>, u64, String), ApiError> {
    let client = &visit.app.client;
    if filter == DeadFilter::default() {
        let latest = Some(Latest { causes: MOST, cap: COUNTED_TO, since: None });
        let groups = client.dead_groups(&DeadFilter { latest, ..filter }).await?;
        let full = groups.len() == MOST;
        let bound =
            if full { format!("Only the {MOST} causes that killed last are listed.") } else { String::new() };
        return Ok((groups, COUNTED_TO, bound));
    }
    // Names those that have no name yet.
    client.store().name_causes().await?;
    let jobs = client.dead_jobs(&filter, None, MAX_PAGE).await?;
    let full = jobs.len() == MAX_PAGE;
    let bound = if full { format!("Only the {MAX_PAGE} that died last are counted.") } else { String::new() };
    Ok((by_cause(&jobs), if full { 1 } else { u64::MAX }, bound))
}

/// The causes of these jobs, the most frequent first.
fn by_cause(jobs: &[Job]) -> Vec<DeadGroup> {
    let mut groups: HashMap<&str, DeadGroup> = HashMap::new();
    for job in jobs {
        let (Some(name), Some(at)) = (job.dead_group.as_deref(), job.finished_at) else { continue };
        let none = ErrorInfo::none();
        let error = job.error.as_ref().unwrap_or(&none);
        let group = groups.entry(name).or_insert_with(|| DeadGroup {
            group: name.to_owned(),
            job_type: job.job_type.clone(),
            kind: error.kind.clone(),
            pattern: pattern(&error.message),
            count: 0,
            first_at: at,
            last_at: at,
            sample: job.id,
        });
        group.count += 1;
        group.first_at = group.first_at.min(at);
        if at > group.last_at {
            (group.last_at, group.sample) = (at, job.id);
        }
    }
    let mut groups: Vec<DeadGroup> = groups.into_values().collect();
    groups.sort_by(|a, b| (b.count, b.last_at, &a.group).cmp(&(a.count, a.last_at, &b.group)));
    groups
}

/// `GET /ui/dead/{group}`
pub(super) async fn group(
    visit: Visit,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(name) =
        name.map_err(|_| ApiError::bad_request("bad_name", "the cause in the address is not text"))?;
    let tenant_id = visit.caller.tenant(None)?;
    let filter = DeadFilter { group: Some(name.clone()), tenant_id, ..DeadFilter::default() };
    let before = match visit.param("before") {
        Some(text) => Some(text.parse::<JobId>()?),
        None => None,
    };
    let mut jobs = visit.app.client.dead_jobs(&filter, before, PAGE + 1).await?;
    let groups = visit.app.client.dead_groups(&filter).await?;
    let as_of = visit.app.client.store().now().await?;
    let more = jobs.len() > PAGE;
    jobs.truncate(PAGE);
    let older = jobs.last().filter(|_| more).map(|job| format!("{}?before={}", visit.uri.path(), job.id));
    let copies = copies_of_jobs(&name, filter.tenant_id.as_deref(), before);
    html(&GroupPage {
        shell: visit.shell("/ui/dead", "Cause of death", as_of, copies).await,
        line: groups.into_iter().next().map(|group| Line::of(group, COUNT_CAP, as_of)),
        group: name,
        jobs: jobs.iter().map(|job| JobLine::of(job, as_of, None)).collect(),
        older,
        may_operate: visit.may_operate(),
    })
}

/// The dead jobs of a cause elsewhere, page by page.
fn copies_of_jobs(group: &str, tenant: Option<&str>, before: Option<JobId>) -> Copies {
    let mut cli = format!("jobforge dead list --group {}", shell(group));
    let mut given = vec![("group", group.to_owned())];
    let mut conditions = vec![
        "status = 'dead'".to_owned(),
        "resolved_at IS NULL".to_owned(),
        format!("dead_group = {}", quoted(group)),
    ];
    if let Some(tenant) = tenant {
        cli.push_str(&format!(" --tenant {}", shell(tenant)));
        given.push(("tenant_id", tenant.to_owned()));
        conditions.push(format!("tenant_id = {}", quoted(tenant)));
    }
    if let Some(before) = before {
        cli.push_str(&format!(" --before {before}"));
        given.push(("before", before.to_string()));
        conditions.push(format!("id < '{before}'"));
    }
    let sql =
        format!("SELECT * FROM jobforge_jobs\n{}ORDER BY id DESC LIMIT {PAGE};", condition(&conditions));
    Copies::of(cli, &call("/v1/dead/jobs", &given), sql)
}
