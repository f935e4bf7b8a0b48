//! `/ui/tenants`: who has how much waiting and running, and whose jobs fall.

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::core::tenant::{Load, MOST_FALLEN, Order, Stopped, Tenant};
use jobforge::core::time::since;
use jobforge::tenants::{self, Ask};
use url::form_urlencoded;

use super::copies::{Copies, call, condition, quoted, shell};
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{Share, brief, count, cut};
use crate::api_error::ApiError;

/// Tenants of the page.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "tenants.html")]
struct TenantsPage {
    shell: Shell,
    prefix: String,
    orders: Vec<(&'static str, &'static str, bool)>,
    lines: Vec<Line>,
    more: u64,
    stopped: bool,
}

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantPage {
    shell: Shell,
    line: Line,
    kinds: Vec<Kind>,
    stopped: bool,
}

struct Line {
    name: String,
    shown: String,
    ready: String,
    waits: String,
    running: String,
    scheduled: String,
    retrying: String,
    failed: String,
    died: String,
    dead: String,
    beats: String,
    budget: String,
    share: Share,
    over: bool,
}

impl Line {
    fn of(tenant: Tenant, stopped: Stopped, now: Timestamp) -> Self {
        let fell = |number: u64| least(number, number >= MOST_FALLEN);
        let (beats, budget) = (tenant.heartbeats_expected_per_minute, tenant.heartbeat_budget_per_minute);
        let share = budget.map_or(0.0, |budget| beats / budget as f64 * 100.0);
        Self {
            shown: cut(&tenant.name, 80),
            ready: least(tenant.ready, stopped.ready),
            waits: tenant.oldest_ready_at.map(|at| brief(since(now, at))).unwrap_or_default(),
            running: least(tenant.running, stopped.running),
            scheduled: least(tenant.scheduled, stopped.scheduled),
            retrying: least(tenant.retrying, stopped.scheduled),
            failed: fell(tenant.failed_last_hour),
            died: fell(tenant.dead_last_hour),
            dead: fell(tenant.dead),
            beats: count(beats.round() as u64),
            budget: budget.map(count).unwrap_or_default(),
            share: Share(share.clamp(0.0, 100.0) as u8),
            over: tenant.is_over_budget(),
            name: tenant.name,
        }
    }
}

struct Kind {
    job_type: String,
    queue: String,
    ready: String,
    waits: String,
    running: String,
    scheduled: String,
}

impl Kind {
    fn of(load: Load, stopped: Stopped, now: Timestamp) -> Self {
        Self {
            ready: least(load.ready, stopped.ready),
            waits: load.oldest_ready_at.map(|at| brief(since(now, at))).unwrap_or_default(),
            running: least(load.running, stopped.running),
            scheduled: least(load.scheduled, stopped.scheduled),
            job_type: load.job_type,
            queue: load.queue,
        }
    }
}

/// A number that may be the least that there is.
fn least(number: u64, stopped: bool) -> String {
    format!("{}{}", count(number), if stopped { "+" } else { "" })
}

fn is_any(stopped: Stopped) -> bool {
    stopped.ready || stopped.running || stopped.scheduled
}

/// `GET /ui/tenants`
pub(super) async fn list(visit: Visit) -> Result<Response, ApiError> {
    let prefix = visit.param("prefix").unwrap_or_default();
    let sort = visit.param("sort").unwrap_or_default();
    let order = Order::named(&sort).unwrap_or_default();
    let ask = Ask { only: visit.caller.tenant(None)?, prefix: prefix.clone(), order, limit: SHOWN };
    let app = &visit.app;
    // PostgreSQL takes no text with such a character, and no name has one.
    if prefix.contains(char::is_control) {
        let detail = "prefix has a control character; no name has one";
        return Err(ApiError::bad_request("bad_parameter", detail));
    }
    let list = tenants::list(&**app.client.store(), &app.live.now(), &ask).await?;
    let (stopped, as_of) = (list.stopped, list.as_of);
    let lines = list.tenants.into_iter().map(|tenant| Line::of(tenant, stopped, as_of)).collect();
    let said = ["longest wait", "most ready", "most running", "name"];
    let words = Order::WORDS.iter().zip(said);
    let copies = copies(&prefix, order);
    html(&TenantsPage {
        shell: visit.shell("/ui/tenants", "Tenants", as_of, copies).await,
        orders: words.map(|((word, known), said)| (*word, said, *known == order)).collect(),
        prefix,
        lines,
        more: list.more,
        stopped: is_any(stopped),
    })
}

/// The same tenants elsewhere, in the same order.
fn copies(prefix: &str, order: Order) -> Copies {
    let mut given = Vec::new();
    let mut conditions = vec!["status IN ('queued', 'running')".to_owned()];
    if !prefix.is_empty() {
        given.push(("prefix", prefix.to_owned()));
        conditions.push(format!("substr(tenant_id, 1, {}) = {}", prefix.chars().count(), quoted(prefix)));
    }
    if order != Order::default() {
        let word = Order::WORDS.iter().find(|(_, known)| *known == order).map(|(word, _)| *word);
        given.extend(word.map(|word| ("sort", word.to_owned())));
    }
    let options = given.iter().map(|(name, value)| format!(" --{name} {}", shell(value)));
    let cli = format!("jobforge tenant list{}", options.collect::<String>());
    let first = match order {
        Order::Waits => "4 NULLS LAST, 1",
        Order::Ready => "2 DESC, 1",
        Order::Running => "3 DESC, 1",
        Order::Name => "1",
    };
    let sql = format!(
        "SELECT tenant_id, count(CASE WHEN status = 'queued' THEN 1 END) AS queued,\n  \
         count(CASE WHEN status = 'running' THEN 1 END) AS running, min(CASE WHEN status = 'queued' THEN run_at END) AS first_due\n\
         FROM jobforge_jobs\n{}GROUP BY 1 ORDER BY {first} LIMIT {SHOWN};",
        condition(&conditions)
    );
    Copies::of(cli, &call("/v1/tenants", &given), sql)
}

/// `GET /ui/tenants/{name}`
pub(super) async fn one(
    visit: Visit,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let missing = || {
        let detail =
            "no tenant of yours is called so and has or had a job; the list shows those that there are";
        ApiError::new(StatusCode::NOT_FOUND, "page_not_found", "there is no such tenant", detail)
    };
    let Path(name) = name.map_err(|_| missing())?;
    // Whatever SQL may have named it; PostgreSQL takes no text with such a character.
    if name.contains(char::is_control) || !visit.caller.sees(&name) {
        return Err(missing());
    }
    let app = &visit.app;
    let (tenant, kinds, loads) = tenants::one(&**app.client.store(), &app.live.now(), &name).await?;
    if kinds.is_empty() {
        return Err(missing());
    }
    let (stopped, as_of) = (loads.stopped, loads.as_of);
    let copies = Copies::of(
        format!("jobforge job list --tenant {}", shell(&name)),
        &format!(
            "/v1/jobs?tenant_id={}",
            form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>()
        ),
        format!(
            "SELECT type, queue, status, count(*) FROM jobforge_jobs\nWHERE tenant_id = {} GROUP BY 1, 2, 3;",
            quoted(&name)
        ),
    );
    html(&TenantPage {
        shell: visit.shell("/ui/tenants", cut(&name, 80), as_of, copies).await,
        line: Line::of(tenant, stopped, as_of),
        kinds: kinds.into_iter().map(|load| Kind::of(load, stopped, as_of)).collect(),
        stopped: is_any(stopped),
    })
}
