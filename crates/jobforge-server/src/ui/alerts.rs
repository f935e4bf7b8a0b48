//! `/ui/alerts`: what fires, what is silenced, and where each rule is explained.

use askama::Template;
use axum::response::Response;
use jobforge::core::alert::kept::MOST_ALERTS;
use jobforge::core::time::{Now, since};
use jobforge_api::alerts::{AlertView, RuleView, alert_view, rule_views};

use super::channels;
use super::copies::Copies;
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{Badge, When, brief, cut};
use crate::api_error::ApiError;

/// Alerts that are listed of each kind.
const MOST: usize = 200;

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    shell: Shell,
    judged: String,
    holding: Vec<Line>,
    over: Vec<Line>,
    silences: Vec<SilenceLine>,
    rules: Vec<RuleLine>,
    channels: Vec<channels::Line>,
}

struct Line {
    rule: String,
    badge: Badge,
    severity: &'static str,
    summary: String,
    value: String,
    since: When,
    ended: Option<When>,
    labels: String,
    runbook: String,
    silenced: bool,
}

struct SilenceLine {
    id: String,
    rule: String,
    labels: String,
    until: When,
    by: String,
    reason: String,
}

struct RuleLine {
    view: RuleView,
    hold: String,
}

fn line(view: AlertView, now: jiff::Timestamp) -> Line {
    let labels: Vec<String> = view.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let tone = match (view.state, view.severity) {
        ("firing", "critical") => "dead",
        ("firing", _) | ("pending", _) => "recovering",
        ("silenced", _) => "scheduled",
        _ => "succeeded",
    };
    Line {
        badge: Badge { word: view.state, tone },
        severity: view.severity,
        summary: cut(&view.summary, 300),
        value: view
            .value
            .map(|value| format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned())
            .unwrap_or_default(),
        since: When::of(view.since, now),
        ended: view.resolved_at.map(|at| When::of(at, now)),
        labels: cut(&labels.join(", "), 200),
        runbook: format!("/ui/runbooks/{}", view.rule),
        silenced: view.state == "silenced",
        rule: view.rule,
    }
}

/// `GET /ui/alerts`
pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    let store = visit.app.client.store();
    let (holding, over, silences, bench, as_of) = tokio::try_join!(
        store.alerts(false, MOST_ALERTS),
        store.alerts(true, MOST),
        store.silences(Now::Database),
        store.alert_bench(),
        store.now(),
    )?;
    let judged = match (visit.app.live.now().flag("alerts"), bench.judged_at) {
        (false, _) => {
            "Alerts are not judged here (the setting alerts is off); Prometheus may do it.".to_owned()
        }
        (true, None) => "No server has judged alerts yet.".to_owned(),
        (true, Some(at)) => format!("Judged {} ago.", brief(since(as_of, at))),
    };
    let view = |row| line(alert_view(row, &silences, as_of), as_of);
    let sql = "SELECT rule, labels, severity, since, fired_at, resolved_at FROM jobforge_alerts;";
    let copies = Copies::of("jobforge alert list", "/v1/alerts", sql);
    html(&AlertsPage {
        shell: visit.shell("/ui/alerts", "Alerts", as_of, copies).await,
        judged,
        holding: holding.iter().take(MOST).map(view).collect(),
        over: over.iter().map(view).collect(),
        silences: silences
            .iter()
            .map(|row| SilenceLine {
                id: row.id.to_string(),
                rule: row.silence.rule.clone(),
                labels: row
                    .silence
                    .labels
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect::<Vec<_>>()
                    .join(", "),
                until: When::of(row.silence.until, as_of),
                by: row.created_by.clone(),
                reason: row.reason.clone().unwrap_or_default(),
            })
            .collect(),
        channels: channels::lines(&visit, as_of).await?,
        rules: rule_views()
            .into_iter()
            .map(|view| RuleLine { hold: brief(std::time::Duration::from_millis(view.for_ms)), view })
            .collect(),
    })
}
