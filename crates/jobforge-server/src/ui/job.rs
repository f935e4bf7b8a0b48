//! `/ui/jobs/{id}`: what it is, why, and what happens next; then its life, its attempts, its data.

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::job::{Attempt, Job, JobId};
use jobforge::core::progress::ProgressPoint;
use jobforge::core::redact::{self, Redacted, Redactor};
use jobforge::core::standing::Rules;
use jobforge::core::standing::{Kind, Standing};
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};
use jobforge::store::rows::JobDetail;
use jobforge_api::TimelineEvent;
use serde_json::Value;

use super::copies::{Copies, quoted};
use super::page::{Shell, html};
use super::timeline;
use super::visit::Visit;
use super::words::{Badge, Share, When, badge, cut, short};
use crate::api_error::ApiError;
use crate::routes::{events_of, visible};

/// The longest text that is shown whole, in bytes.
const PREVIEW: usize = 64 * 1024;
/// Attempts that are listed, the newest.
const ATTEMPTS: usize = 50;
/// Events that are listed, the newest.
const EVENTS: usize = 200;

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    shell: Shell,
    id: String,
    short: String,
    job_type: String,
    badge: Badge,
    tone: &'static str,
    standing: Standing,
    next_at: Option<When>,
    evidence: Vec<(String, Option<When>)>,
    deeds: Vec<(&'static str, &'static str)>,
    progress: Option<Share>,
    phase: String,
    message: String,
    items: String,
    timeline: String,
    has_points: bool,
    has_plan: bool,
    events: Vec<EventLine>,
    more_events: usize,
    attempts: Vec<AttemptLine>,
    more_attempts: usize,
    texts: Vec<Text>,
    /// How many values of them are hidden.
    hidden: String,
    /// Whether nothing is hidden, as somebody asked for.
    is_whole: bool,
    is_admin: bool,
    facts: Vec<Fact>,
    may_operate: bool,
}

struct EventLine {
    at: When,
    what: String,
    who: String,
    said: String,
}

struct AttemptLine {
    number: String,
    outcome: String,
    tone: &'static str,
    worker: String,
    started: Option<When>,
    took: String,
    error: String,
    kind: String,
    details: String,
    note: String,
}

/// A long text behind a heading.
struct Text {
    name: String,
    open: bool,
    text: String,
    note: String,
    hidden: usize,
}

struct Fact {
    name: &'static str,
    value: String,
    link: String,
}

/// `GET /ui/jobs/{id}`
pub(super) async fn page(
    visit: Visit,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(text) =
        id.map_err(|_| ApiError::bad_request("bad_id", "the job's id in the address is not text"))?;
    let id = visible(&visit.app, &visit.caller, text.parse::<JobId>()?).await?.id;
    let redactor = visit.app.redactor();
    show(&visit, id, Some(&redactor)).await
}

/// The page of a job that the caller may know of; with its secrets where there is no redactor.
pub(super) async fn show(
    visit: &Visit,
    id: JobId,
    redactor: Option<&Redactor>,
) -> Result<Response, ApiError> {
    let rules = Rules::from_settings(&visit.app.live.now());
    let detail = visit.app.client.job_detail(id).await?;
    let standing = visit.app.client.explain(id, &rules).await?;
    let events = events_of(&visit.app, &detail).await?;
    let (job, now) = (&detail.job, standing.as_of);
    let in_trouble = job.status == Status::Running && matches!(standing.kind, Kind::Stuck | Kind::Recovering);
    let named = id.to_string();
    let copies = Copies::of(
        format!("jobforge job explain {named}"),
        &format!("/v1/jobs/{named}/explain"),
        format!("SELECT * FROM jobforge_jobs WHERE id = {};", quoted(&named)),
    );
    let texts = texts(&detail, redactor);
    let shown = detail.attempts.len().saturating_sub(ATTEMPTS);
    html(&JobPage {
        shell: visit
            .shell("/ui/jobs", format!("{} {}", cut(&job.job_type, 60), short(&named)), now, copies)
            .await,
        short: short(&named),
        job_type: cut(&job.job_type, 255),
        badge: badge(job, now, in_trouble),
        tone: tone(standing.kind),
        next_at: standing.next.at.map(|at| When::exactly(at, now)),
        evidence: standing
            .evidence
            .iter()
            .map(|seen| (seen.text.clone(), seen.at.map(|at| When::exactly(at, now))))
            .collect(),
        deeds: deeds(job.status),
        progress: job.progress.percent.map(Share),
        phase: cut(job.progress.phase.as_deref().unwrap_or_default(), 100),
        message: cut(job.progress.message.as_deref().unwrap_or_default(), 500),
        items: items(job),
        timeline: timeline::draw(job, &detail.attempts, &events, now),
        has_points: detail.attempts.iter().any(|attempt| !attempt.progress.is_empty()),
        has_plan: events.iter().any(|event| event.event == "planned"),
        events: events.iter().rev().take(EVENTS).map(|event| event_line(event, now)).collect(),
        more_events: events.len().saturating_sub(EVENTS),
        attempts: detail.attempts[shown..]
            .iter()
            .rev()
            .map(|attempt| attempt_line(attempt, redactor, now))
            .collect(),
        more_attempts: shown,
        hidden: redact::told(texts.iter().map(|text| text.hidden).sum()),
        is_whole: redactor.is_none(),
        is_admin: visit.is_admin(),
        texts,
        facts: facts(job, now),
        may_operate: visit.may_operate(),
        id: named,
        standing,
    })
}

fn tone(kind: Kind) -> &'static str {
    match kind {
        Kind::Running => "running",
        Kind::Waiting => "queued",
        Kind::Recovering => "recovering",
        Kind::Stuck | Kind::Dead => "dead",
        Kind::Finished => "succeeded",
        Kind::Canceled => "canceled",
    }
}

/// What a person may want to do, the likeliest first.
fn deeds(status: Status) -> Vec<(&'static str, &'static str)> {
    let (retry, cancel, delete) =
        (("job-retry", "Retry"), ("job-cancel", "Cancel"), ("job-delete", "Delete"));
    match status {
        Status::Queued => vec![("job-retry", "Run now"), cancel, delete],
        Status::Running => vec![cancel, ("job-retry", "Requeue")],
        Status::Failed | Status::Dead | Status::Canceled => vec![retry, delete],
        Status::Succeeded => vec![("job-retry", "Run again"), delete],
    }
}

fn items(job: &Job) -> String {
    let items = job.items;
    if items.processed + items.failed + items.skipped == 0 {
        return String::new();
    }
    format!("{} done, {} failed, {} skipped", items.processed, items.failed, items.skipped)
}

fn event_line(event: &TimelineEvent, now: Timestamp) -> EventLine {
    let attempt = event.attempt.map(|attempt| format!("attempt {attempt} ")).unwrap_or_default();
    let point = ProgressPoint {
        at: event.at,
        percent: event.percent,
        phase: event.phase.clone(),
        message: event.reason.clone(),
    };
    let said = match (&event.error, point.told()) {
        (Some(error), _) => error.message.clone(),
        (None, told) if !told.is_empty() => told,
        (None, _) => event.queue.as_ref().map(|queue| format!("into queue {queue}")).unwrap_or_default(),
    };
    EventLine {
        at: When::of(event.at, now),
        what: format!("{attempt}{}", event.event.replace('_', " ")),
        who: event.worker.clone().or_else(|| event.by.clone()).unwrap_or_default(),
        said: cut(&said, 300),
    }
}

fn attempt_line(attempt: &Attempt, redactor: Option<&Redactor>, now: Timestamp) -> AttemptLine {
    let ended = attempt.finished_at.unwrap_or(now);
    let error = attempt.error.as_ref();
    let mut notes = Vec::new();
    if let Some(at) = attempt.stop_ignored_at {
        notes.push(format!("its handler ignores the request to stop, since {}", words(since(now, at))));
    }
    if !attempt.heard.gaps.is_empty() {
        notes.extend(attempt.heard.told());
    }
    if attempt.refused > 0 {
        notes.push(format!("{} late reports were refused", attempt.refused));
    }
    AttemptLine {
        number: format!("{} (fence {})", attempt.attempt, attempt.lease),
        tone: match attempt.outcome.as_str() {
            "succeeded" => "succeeded",
            "running" => "running",
            "lost" => "recovering",
            "dead" => "dead",
            "failed" | "retry" => "failed",
            _ => "canceled",
        },
        outcome: attempt.outcome.clone(),
        worker: attempt.worker.as_ref().map(|worker| worker.0.clone()).unwrap_or_default(),
        started: attempt.started_at.map(|at| When::of(at, now)),
        took: attempt.started_at.map(|at| words(since(ended, at))).unwrap_or_default(),
        error: error.map(|error| cut(&error.message, 2000)).unwrap_or_default(),
        kind: error.map(|error| error.kind.clone()).unwrap_or_default(),
        details: error
            .and_then(|error| error.details.as_ref())
            .map(|details| redacted(&pretty(details), redactor).text)
            .unwrap_or_default(),
        note: notes.join("; "),
    }
}

fn texts(detail: &JobDetail, redactor: Option<&Redactor>) -> Vec<Text> {
    let job = &detail.job;
    // As it is stored: another spelling of a number would be another number.
    let mut texts = vec![json("Payload", job.payload.as_str(), redactor)];
    texts.extend(detail.result.as_ref().map(|result| json("Result", result.as_str(), redactor)));
    texts.extend(job.checkpoint.as_ref().map(|saved| json("Checkpoint", &pretty(saved), redactor)));
    for log in detail.logs.iter().rev() {
        let (text, note) = beginning(&log.text);
        texts.push(Text {
            name: format!("Log of attempt {}", log.attempt),
            open: true,
            text,
            note,
            hidden: 0,
        });
    }
    texts
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// JSON as it may be seen.
fn redacted(text: &str, redactor: Option<&Redactor>) -> Redacted {
    match redactor {
        Some(redactor) => redactor.json(text),
        None => Redacted { text: text.to_owned(), hidden: 0 },
    }
}

fn json(name: &str, whole: &str, redactor: Option<&Redactor>) -> Text {
    let Redacted { text, hidden } = redacted(whole, redactor);
    let (text, size) = beginning(&text);
    let note = if hidden > 0 { format!("{size}; {}", redact::told(hidden)) } else { size };
    Text { name: name.to_owned(), open: redactor.is_none(), text, note, hidden }
}

/// As much of a text as is shown, and how much that is.
fn beginning(whole: &str) -> (String, String) {
    // A character is at most four bytes long, so one of the last places is between two.
    let end = (0..=PREVIEW.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or_default();
    let note = if end < whole.len() {
        format!("the first {} KiB of {} KiB; the API gives the whole", PREVIEW / 1024, whole.len() / 1024)
    } else {
        format!("{} bytes", whole.len())
    };
    (whole[..end].to_owned(), note)
}

fn facts(job: &Job, now: Timestamp) -> Vec<Fact> {
    let fact = |name, value: String| Fact { name, value, link: String::new() };
    let by_list = |name, parameter: &'static str, value: &str| Fact {
        name,
        value: value.to_owned(),
        link: super::jobs::address(&[(parameter, value.to_owned())]),
    };
    let mut facts = vec![
        by_list("type", "type", &job.job_type),
        by_list("tenant", "tenant_id", &job.tenant_id),
        by_list("queue", "queue", &job.queue),
        fact("priority", job.priority.to_string()),
        fact("attempts", format!("{} of {}", job.attempts, job.max_attempts)),
        fact("fence", job.lease.to_string()),
        fact("enqueued", format!("{:.3} ({} ago)", job.created_at, words(since(now, job.created_at)))),
        fact("may run from", format!("{:.3}", job.run_at)),
    ];
    if let Some(worker) = &job.locked_by {
        facts.push(Fact {
            name: "worker",
            value: worker.0.clone(),
            link: format!("/ui/workers/{}", worker.0),
        });
    }
    let mut also = |name, value: Option<String>| facts.extend(value.map(|value| fact(name, value)));
    also("deadline", job.deadline_at.map(|at| format!("{at:.3}")));
    also("heard of the last attempt", job.heard.told());
    also("time-out", job.timeout.map(words));
    also("progress time-out", job.progress_timeout.map(words));
    also("lost leases", (job.misses > 0).then(|| job.misses.to_string()));
    also("workers it took down", (!job.crashes.is_empty()).then(|| job.crashes.len().to_string()));
    also("idempotency key", job.idempotency_key.clone());
    also("created by", job.created_by.clone());
    also("trace", job.traceparent.clone());
    also(
        "stays dead",
        job.resolved.as_ref().map(|resolved| format!("{} said: {}", resolved.by, resolved.note)),
    );
    if let Some(group) = &job.dead_group {
        facts.push(Fact { name: "died of", value: group.clone(), link: format!("/ui/dead/{group}") });
    }
    for tag in &job.tags {
        facts.push(by_list("tag", "tag", tag));
    }
    facts
}
