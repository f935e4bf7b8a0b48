//! `/ui/workers`: who is really there. A state is reckoned from the row and the clock, never printed as it was stored.

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::job::WorkerId;
use jobforge::core::time::{Now, since, words};
use jobforge::core::worker::{WorkerRow, WorkerState};

use super::copies::Copies;
use super::jobs::{self, Line as JobLine};
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{Badge, Share, When, brief, cut};
use crate::api_error::ApiError;
use crate::routes;

/// Workers that are listed, those that live first.
const MOST: usize = 200;

#[derive(Template)]
#[template(path = "workers.html")]
struct ListPage {
    shell: Shell,
    lines: Vec<Line>,
    more: usize,
}

#[derive(Template)]
#[template(path = "worker.html")]
struct OnePage {
    shell: Shell,
    line: Line,
    facts: Vec<(&'static str, String)>,
    jobs: Vec<JobLine>,
}

struct Line {
    id: String,
    name: String,
    badge: Badge,
    /// One sentence of evidence, and what happens next.
    why: String,
    host: String,
    queues: String,
    slots: u32,
    heard: String,
    share: Share,
    lease: String,
    started: When,
    active: bool,
    via: &'static str,
}

impl Line {
    fn of(row: &WorkerRow, now: Timestamp) -> Self {
        let silence = since(now, row.last_heartbeat_at);
        let lease = since(row.lease_expires_at, row.last_heartbeat_at);
        let (badge, why) = state(row, now);
        Self {
            id: row.id.0.clone(),
            name: cut(row.name.as_deref().unwrap_or_default(), 60),
            badge,
            why,
            host: if row.pid == 0 {
                cut(&row.hostname, 60)
            } else {
                format!("{} · {}", cut(&row.hostname, 60), row.pid)
            },
            queues: cut(&row.queues.join(", "), 120),
            slots: row.slots,
            heard: brief(silence),
            share: Share::of(silence, lease),
            lease: brief(lease),
            started: When::of(row.started_at, now),
            active: row.state.is_active(),
            via: if row.registered_by.is_some() { "HTTP" } else { "" },
        }
    }
}

/// What a worker is now, and why we say so.
fn state(row: &WorkerRow, now: Timestamp) -> (Badge, String) {
    let of = |word, tone| Badge { word, tone };
    let heard = words(since(now, row.last_heartbeat_at));
    let lease = since(row.lease_expires_at, row.last_heartbeat_at);
    match row.state {
        WorkerState::Live | WorkerState::Draining if row.lease_expires_at <= now => {
            let over = words(since(now, row.lease_expires_at));
            (
                of("stale", "dead"),
                format!("silent for {heard}, its lease ended {over} ago; the watchdog takes its jobs back"),
            )
        }
        WorkerState::Live | WorkerState::Draining if row.stopped_at.is_some() => (
            of("frozen", "recovering"),
            "its process is stopped; its jobs are taken when its lease ends".to_owned(),
        ),
        WorkerState::Live | WorkerState::Draining if row.suspect_at.is_some() => (
            of("suspect", "recovering"),
            format!("its connection is lost; silent for {heard}, its lease still holds"),
        ),
        WorkerState::Live | WorkerState::Draining if row.restart_at.is_some() => {
            (of("restarting", "scheduled"), "it was told to restart, and takes no more jobs".to_owned())
        }
        WorkerState::Draining => {
            (of("draining", "scheduled"), "it finishes what it has and takes no more jobs".to_owned())
        }
        // Renewals come every third of a lease.
        WorkerState::Live if since(now, row.last_heartbeat_at) > lease / 2 => {
            let left = words(since(row.lease_expires_at, now));
            (of("quiet", "recovering"), format!("silent for {heard}; its lease ends in {left}"))
        }
        WorkerState::Live => (of("live", "running"), format!("heard {heard} ago")),
        WorkerState::Gone | WorkerState::Lost | WorkerState::Dead => {
            let (word, tone) = match row.state {
                WorkerState::Gone => ("gone", "canceled"),
                WorkerState::Lost => ("lost", "dead"),
                _ => ("dead", "dead"),
            };
            let when = row.ended_at.map(|at| format!("{} ago: ", brief(since(now, at)))).unwrap_or_default();
            let reason = row.end_reason.as_deref().unwrap_or("no reason was stored");
            (of(word, tone), format!("{when}{}", cut(reason, 300)))
        }
    }
}

/// `GET /ui/workers`
pub(super) async fn list(visit: Visit) -> Result<Response, ApiError> {
    let store = visit.app.client.store();
    let (mut rows, as_of) = tokio::try_join!(store.workers(Now::Database), store.now())?;
    rows.sort_by_key(|row| {
        (!row.state.is_active(), row.lease_expires_at > as_of, row.queues.join(","), row.id.clone())
    });
    let copies = Copies::of(
        "jobforge worker list",
        "/v1/workers",
        "SELECT id, hostname, pid, state, last_heartbeat_at, lease_expires_at\nFROM jobforge_workers ORDER BY last_heartbeat_at DESC;",
    );
    html(&ListPage {
        shell: visit.shell("/ui/workers", "Workers", as_of, copies).await,
        more: rows.len().saturating_sub(MOST),
        lines: rows.iter().take(MOST).map(|row| Line::of(row, as_of)).collect(),
    })
}

/// `GET /ui/workers/{id}`
pub(super) async fn one(visit: Visit, id: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let Path(id) =
        id.map_err(|_| ApiError::bad_request("bad_id", "the worker's id in the address is not text"))?;
    let store = visit.app.client.store();
    let id = WorkerId(id);
    let row = store.worker(&id).await?.ok_or_else(|| routes::unknown_worker(&id))?;
    let held = jobs::of_worker(&row.id.0);
    let (page, as_of) = tokio::try_join!(store.job_page(&held), store.now())?;
    let mut facts = vec![
        ("host", row.hostname.clone()),
        ("process", row.pid.to_string()),
        ("queues", row.queues.join(", ")),
        ("types", row.types.as_ref().map_or_else(|| "every type".to_owned(), |types| types.join(", "))),
        ("slots", row.slots.to_string()),
        ("registered", format!("{:.3}", row.started_at)),
        ("last heard", format!("{:.3}", row.last_heartbeat_at)),
        ("lease ends", format!("{:.3}", row.lease_expires_at)),
    ];
    facts.extend(row.registered_by.clone().map(|by| ("registered by", by)));
    facts.extend(row.ended_at.map(|at| ("ended", format!("{at:.3}"))));
    facts.extend(row.end_reason.clone().map(|why| ("why", why)));
    facts.extend(row.died_with.map(|jobs| ("jobs it held then", jobs.to_string())));
    html(&OnePage {
        shell: visit.shell("/ui/workers", row.id.0.clone(), as_of, jobs::copies(&held)).await,
        line: Line::of(&row, as_of),
        facts,
        jobs: page.jobs.iter().map(|job| JobLine::of(job, as_of, None)).collect(),
    })
}
