//! `/ui/schedules`: when each last succeeded against its own limit, and what became of its moments.

use std::fmt::Write as _;
use std::time::Duration;

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::ScheduleView;
use jobforge::core::redact;
use jobforge::core::schedule::{RunLine, RunOutcome, ScheduleState};
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};
use jobforge::store::rows::ScheduleFilter;

use super::copies::{Copies, call, condition, quoted, segment, shell};
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{Badge, Share, When, brief, cut};
use crate::api_error::ApiError;

/// Schedules of a page.
const PAGE: usize = 100;
/// Moments that are listed, and those that are drawn.
const RUNS: usize = 50;
/// Next moments that are told.
const NEXT: usize = 5;

#[derive(Template)]
#[template(path = "schedules.html")]
struct ListPage {
    shell: Shell,
    lines: Vec<Line>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "schedule.html")]
struct OnePage {
    shell: Shell,
    line: Line,
    bars: String,
    runs: Vec<Run>,
    next: Vec<When>,
    definition: String,
    /// How many values of it are hidden.
    hidden: String,
    facts: Vec<(&'static str, String)>,
}

struct Line {
    name: String,
    badge: Badge,
    when: String,
    what: String,
    next: Option<When>,
    /// Time since the last success, the limit, and what part of it is used.
    fresh: String,
    limit: String,
    share: Share,
    over: bool,
    last: String,
    last_tone: &'static str,
    missed: u64,
    paused: String,
}

struct Run {
    planned: When,
    outcome: String,
    tone: &'static str,
    took: String,
    job: String,
    why: String,
}

impl Line {
    fn of(view: &ScheduleView, now: Timestamp) -> Self {
        let schedule = &view.schedule;
        let limit = schedule.stale_after_ms.map(Duration::from_millis);
        let fresh = since(now, schedule.fresh_since(now));
        let paused = schedule.paused.as_ref().filter(|pause| pause.holds(now)).map(|pause| {
            let until =
                pause.until.map(|at| format!(", for another {}", brief(since(at, now)))).unwrap_or_default();
            let why = pause.reason.as_ref().map(|why| format!(": {}", cut(why, 100))).unwrap_or_default();
            format!("by {} {} ago{until}{why}", cut(&pause.by, 60), brief(since(now, pause.at)))
        });
        let last = schedule.last_end.as_ref();
        Self {
            name: view.name.clone(),
            badge: badge(view.state),
            when: cut(&view.when, 120),
            what: cut(&schedule.definition.job_type, 80),
            next: schedule.next_at.filter(|_| paused.is_none()).map(|at| When::of(at, now)),
            fresh: match schedule.last_success_at {
                Some(at) => format!("{} ago", brief(since(now, at))),
                None => "never".to_owned(),
            },
            limit: limit.map(brief).unwrap_or_default(),
            share: limit.map_or(Share(0), |limit| Share::of(fresh, limit)),
            over: view.state == ScheduleState::Stale,
            last: last
                .map(|end| {
                    let took = end.duration_ms.map(|ms| words(Duration::from_millis(ms.unsigned_abs())));
                    let status = end.status.map_or("deleted", Status::as_str);
                    took.map_or_else(|| status.to_owned(), |took| format!("{status} in {took}"))
                })
                .unwrap_or_default(),
            last_tone: last.and_then(|end| end.status).map_or("canceled", Status::as_str),
            missed: schedule.missed_runs,
            paused: paused.unwrap_or_default(),
        }
    }
}

fn badge(state: ScheduleState) -> Badge {
    let tone = match state {
        ScheduleState::Ok => "running",
        ScheduleState::New => "queued",
        ScheduleState::Paused => "scheduled",
        ScheduleState::Failing => "failed",
        ScheduleState::Stale => "dead",
        ScheduleState::Late => "recovering",
        ScheduleState::Over => "canceled",
    };
    let word = match state {
        ScheduleState::Ok => "ok",
        ScheduleState::New => "never ran",
        ScheduleState::Paused => "paused",
        ScheduleState::Failing => "failing",
        ScheduleState::Stale => "overdue",
        ScheduleState::Late => "late",
        ScheduleState::Over => "over",
    };
    Badge { word, tone }
}

fn run(line: &RunLine, now: Timestamp) -> Run {
    let why = line.why.clone().or_else(|| line.triggered_by.as_ref().map(|by| format!("run by {by}")));
    let many = if line.ticks > 1 { format!(" × {}", line.ticks) } else { String::new() };
    let (outcome, tone) = fate(line);
    Run {
        planned: When::of(line.planned_for, now),
        outcome: format!("{outcome}{many}"),
        tone,
        took: line.duration_ms.map(|ms| words(Duration::from_millis(ms.unsigned_abs()))).unwrap_or_default(),
        job: line.job_id.map(|id| id.to_string()).unwrap_or_default(),
        why: cut(&why.unwrap_or_default(), 200),
    }
}

/// What became of a moment.
fn fate(line: &RunLine) -> (&'static str, &'static str) {
    match (line.outcome, line.status) {
        (RunOutcome::Missed, _) => ("missed", "dead"),
        (RunOutcome::Skipped, _) => ("skipped", "canceled"),
        (RunOutcome::Ran | RunOutcome::Late, Some(status)) => (status.as_str(), status.as_str()),
        (RunOutcome::Ran, None) => ("under way", "running"),
        (RunOutcome::Late, None) => ("late, under way", "recovering"),
    }
}

/// The last runs as bars: how long each took, and how it ended.
fn bars(runs: &[RunLine]) -> String {
    const HEIGHT: f64 = 48.0;
    const STEP: usize = 16;
    let longest = runs.iter().filter_map(|run| run.duration_ms).max().unwrap_or(1).max(1) as f64;
    let mut svg = format!(
        "<svg class=\"runs\" viewBox=\"0 0 {} {HEIGHT}\" role=\"img\" aria-label=\"The last {} runs; the table below tells the same\">",
        STEP * runs.len().max(1),
        runs.len()
    );
    for (place, line) in runs.iter().rev().enumerate() {
        let (word, tone) = fate(line);
        let share = line.duration_ms.map_or(0.08, |ms| (ms as f64 / longest).clamp(0.08, 1.0));
        let height = share * HEIGHT;
        let _ = write!(
            svg,
            "<g class=\"run {tone}\"><title>{word} at {:.0}</title><rect x=\"{}\" y=\"{:.1}\" width=\"12\" height=\"{height:.1}\" rx=\"2\"/></g>",
            line.planned_for,
            place * STEP + 2,
            HEIGHT - height
        );
    }
    svg.push_str("</svg>");
    svg
}

/// `GET /ui/schedules`
pub(super) async fn list(visit: Visit) -> Result<Response, ApiError> {
    let filter = ScheduleFilter { tenant_id: None, after: visit.param("after"), limit: PAGE };
    let found = visit.app.client.schedules(&filter).await?;
    let as_of = visit.app.client.store().now().await?;
    let next =
        (found.len() == PAGE).then(|| found.last().map(|last| format!("/ui/schedules?after={}", last.name)));
    let mut given = vec![("limit", PAGE.to_string())];
    given.extend(filter.after.clone().map(|name| ("after", name)));
    let behind = filter.after.iter().map(|name| format!("name > {}", quoted(name))).collect::<Vec<_>>();
    let sql = format!(
        "SELECT name, next_at, last_success_at, consecutive_failures\nFROM jobforge_schedules\n{}ORDER BY name LIMIT {PAGE};",
        condition(&behind)
    );
    let copies = Copies::of("jobforge schedule list", &call("/v1/schedules", &given), sql);
    html(&ListPage {
        shell: visit.shell("/ui/schedules", "Schedules", as_of, copies).await,
        lines: found.iter().map(|view| Line::of(view, as_of)).collect(),
        next: next.flatten(),
    })
}

/// `GET /ui/schedules/{name}`
pub(super) async fn one(
    visit: Visit,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(name) =
        name.map_err(|_| ApiError::bad_request("bad_name", "the schedule's name is not text"))?;
    let mut view = visit.app.client.find_schedule(&name).await?;
    let hidden = visit.app.redactor().definition(&mut view.schedule.definition);
    let store = visit.app.client.store();
    let (runs, as_of) = tokio::try_join!(store.schedule_runs(&view.name, None, RUNS), store.now())?;
    // A definition that no longer holds has none.
    let next = visit.app.client.next_runs(&view.name, NEXT).await.unwrap_or_default();
    let schedule = &view.schedule;
    let mut facts = vec![
        ("source", schedule.source.to_string()),
        ("made by", schedule.created_by.clone()),
        ("changed by", format!("{} at {:.0}", schedule.updated_by, schedule.updated_at)),
        ("version", schedule.version.to_string()),
        ("failed in a row", schedule.consecutive_failures.to_string()),
        ("missed, ever", schedule.missed_runs.to_string()),
    ];
    facts.extend(schedule.last_success_at.map(|at| ("last success", format!("{at:.0}"))));
    facts.extend(view.stale_at.map(|at| ("overdue from", format!("{at:.0}"))));
    let copies = Copies::of(
        format!("jobforge schedule history {} --limit {RUNS}", shell(&view.name)),
        &format!("/v1/schedules/{}/history", segment(&view.name)),
        format!(
            "SELECT * FROM jobforge_schedule_runs\nWHERE schedule = {} ORDER BY planned_for DESC LIMIT 50;",
            quoted(&view.name)
        ),
    );
    html(&OnePage {
        shell: visit.shell("/ui/schedules", view.name.clone(), as_of, copies).await,
        line: Line::of(&view, as_of),
        bars: bars(&runs),
        runs: runs.iter().map(|line| run(line, as_of)).collect(),
        next: next.iter().map(|at| When::of(*at, as_of)).collect(),
        definition: serde_json::to_string_pretty(&schedule.definition).unwrap_or_default(),
        hidden: redact::told(hidden),
        facts,
    })
}
