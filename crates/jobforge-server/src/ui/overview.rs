//! `/ui`: is anything broken, what is being done about it, what must I do.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::clock;
use jobforge::core::audit::AuditFilter;
use jobforge::core::overview::{COUNTED_TO, QueueLoad};
use jobforge::core::role::Role;
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};

use super::bar::{Bar, all};
use super::copies::Copies;
use super::page::{Shell, html};
use super::session::see_other;
use super::visit::Visit;
use super::words::{at_least, brief, capped, count as plain, cut};
use super::{audit, pulse};
use crate::api_error::ApiError;
use crate::request_log::Cause;
use jobforge::overview::Facts;
use jobforge::store::rows::QueueInfo;

/// Queues, causes and deeds that are shown.
const SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    shell: Shell,
    /// How long ago the database last said anything, if it does not answer now.
    gone: String,
    whole: Bar,
    tiles: Vec<Tile>,
    roles: Vec<RoleLine>,
    queues: Vec<QueueLine>,
    deeds: Vec<audit::Line>,
}

/// A number with its name.
struct Tile {
    name: &'static str,
    number: String,
    path: &'static str,
    tone: &'static str,
}

/// What a part of JobForge did last.
struct RoleLine {
    name: &'static str,
    fine: bool,
    said: String,
}

struct QueueLine {
    name: String,
    ready: String,
    running: String,
    waits: String,
    note: &'static str,
}

/// `GET /ui`
pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    if !visit.sees_all() {
        // What concerns all tenants is not theirs to see.
        return Ok(see_other("/ui/jobs"));
    }
    let newest = AuditFilter::default();
    let asked = match pulse::look(&visit.ui).await {
        Ok(whole) => match visit.app.client.store().audit(&newest, SHOWN).await {
            Ok(deeds) => Ok((whole, deeds)),
            Err(error) => Err(error.chain()),
        },
        Err(why) => Err(why),
    };
    let (whole, deeds, gone) = match asked {
        Ok((whole, deeds)) => (whole, deeds, None),
        Err(why) => {
            let (at, whole) = visit.ui.pulse.last().ok_or_else(|| unreachable(why.clone()))?;
            (whole, Vec::new(), Some((words(clock::monotonic().duration_since(at)), why)))
        }
    };
    let (facts, judges) = (&whole.facts, visit.app.live.now().flag("alerts"));
    let sql =
        "SELECT status, count(*) FROM jobforge_jobs\nWHERE status IN ('queued', 'running') GROUP BY status;";
    let copies = Copies::of("jobforge top --once", "/api/health/full", sql);
    let redactor = visit.app.redactor();
    let mut response = html(&Overview {
        shell: visit.shell("/ui", "Overview", facts.as_of, copies).await,
        gone: gone.as_ref().map(|(ago, _)| ago.clone()).unwrap_or_default(),
        whole: all(&whole.overview),
        tiles: tiles(facts),
        roles: roles(facts, judges, gone.is_none()),
        queues: queues(facts),
        deeds: deeds.iter().map(|entry| audit::Line::of(entry, &redactor, facts.as_of)).collect(),
    })?;
    if let Some((_, why)) = gone {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.extensions_mut().insert(Cause(why));
    }
    Ok(response)
}

fn unreachable(why: String) -> ApiError {
    let detail = "the database does not answer, so nothing current can be shown; jobs that run go on until their leases \
                  end, and nothing is lost";
    ApiError::unavailable("database_unreachable", detail, why)
}

fn tiles(facts: &Facts) -> Vec<Tile> {
    let count = |wanted: Status| {
        let (count, more) = facts.count(wanted);
        at_least(count, more)
    };
    let all = |number: fn(&QueueInfo) -> u64| facts.queues.iter().map(number);
    // What waits is counted queue by queue, what runs or has its time in one go.
    let ready =
        at_least(all(|queue| queue.ready).sum(), all(|queue| queue.ready).any(|ready| ready >= COUNTED_TO));
    let sum = |number: fn(&QueueInfo) -> u64| capped(all(number).sum(), COUNTED_TO);
    let live = facts.live_workers().count() as u64;
    let tile = |name, number, path, tone| Tile { name, number, path, tone };
    vec![
        tile("running", sum(|queue| queue.running), "/ui/jobs?status=running", "running"),
        tile("in trouble", plain(facts.stuck.len() as u64), "/ui/jobs?state=stuck", "recovering"),
        tile("ready", ready, "/ui/jobs?state=ready", "queued"),
        tile("scheduled", sum(|queue| queue.scheduled), "/ui/jobs?state=scheduled", "scheduled"),
        tile("succeeded, 24\u{a0}h", count(Status::Succeeded), "/ui/jobs?status=succeeded", "succeeded"),
        tile("failed, 24\u{a0}h", count(Status::Failed), "/ui/jobs?status=failed", "failed"),
        tile("dead, 24\u{a0}h", count(Status::Dead), "/ui/dead", "dead"),
        tile("live workers", plain(live), "/ui/workers", "plain"),
    ]
}

fn roles(facts: &Facts, judges_alerts: bool, answers: bool) -> Vec<RoleLine> {
    let missing = facts.missing_roles(judges_alerts);
    let ago =
        |age: Option<Duration>| age.map_or("never seen".to_owned(), |age| format!("{} ago", brief(age)));
    let line = |role: Role, name, age| {
        let fine = !missing.contains(&role);
        RoleLine { name, fine, said: if fine { ago(age) } else { format!("not running, {}", ago(age)) } }
    };
    let mut lines = vec![
        line(
            Role::Watchdog,
            "Watchdog",
            facts.watchdogs.first().map(|dog| since(facts.as_of, dog.last_sign_at)),
        ),
        line(Role::Scheduler, "Scheduler", facts.tick_age()),
        line(
            Role::Housekeeper,
            "Housekeeper",
            facts.housekeeper.as_ref().map(|sign| since(facts.as_of, sign.at)),
        ),
    ];
    if judges_alerts {
        lines.push(line(Role::Alerts, "Alerts", facts.bench.judged_at.map(|at| since(facts.as_of, at))));
    }
    let said = if answers { words(facts.took) } else { "does not answer".to_owned() };
    lines.push(RoleLine { name: "Database", fine: answers, said });
    lines
}

fn queues(facts: &Facts) -> Vec<QueueLine> {
    let running: HashMap<&str, u64> =
        facts.queues.iter().map(|queue| (queue.name.as_str(), queue.running)).collect();
    let mut all = facts.loads();
    all.sort_by_key(|load| (load.oldest_ready_at.unwrap_or(Timestamp::MAX), load.name.clone()));
    let line = |load: &QueueLoad| QueueLine {
        name: cut(&load.name, 60),
        ready: capped(load.ready, COUNTED_TO),
        running: plain(running.get(load.name.as_str()).copied().unwrap_or_default()),
        waits: load.oldest_ready_at.map(|at| brief(since(facts.as_of, at))).unwrap_or_default(),
        note: match () {
            () if load.paused_at.is_some() => "paused",
            () if load.is_unserved() => "no worker",
            () => "",
        },
    };
    all.iter().take(SHOWN).map(line).collect()
}
