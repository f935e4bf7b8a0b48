//! PagerDuty's Events API, version 2: an event for each alert, the same `dedup_key` from its beginning to its end.
//!
//! <https://developer.pagerduty.com/docs/send-alert-event>

use serde_json::{Value, json};

use super::super::render::runbook_url;
use super::{Named, Notice, Place, Says, clip, description, fingerprint, series};

/// The longest summary.
const SUMMARY_CHARS: usize = 1024;
/// The longest key.
const DEDUP_CHARS: usize = 255;

/// The events to post, in order, without the routing key, which only the sender knows.
///
/// A test opens an incident of severity `info` and closes it again.
pub fn events(notice: &Notice, place: &Place) -> Vec<Value> {
    let mut events = Vec::new();
    for alert in &notice.alerts {
        match notice.says {
            Says::Firing => events.push(trigger(notice, alert, place)),
            Says::Resolved => events.push(resolve(notice, alert)),
            Says::Test => events.extend([trigger(notice, alert, place), resolve(notice, alert)]),
        }
    }
    events
}

fn dedup_key(notice: &Notice, alert: &Named) -> String {
    let key =
        format!("jobforge/{}/{}/{}", notice.fleet, notice.rule, fingerprint(&notice.rule, &alert.labels));
    clip(&key, DEDUP_CHARS)
}

fn trigger(notice: &Notice, alert: &Named, place: &Place) -> Value {
    let what = if alert.summary.is_empty() { series(&alert.labels) } else { alert.summary.clone() };
    let mut links = Vec::new();
    if !description(&notice.rule).is_empty() {
        links.push(json!({ "href": runbook_url(&notice.rule), "text": "Runbook" }));
    }
    if !place.url.is_empty() {
        links.push(json!({ "href": place.url, "text": "JobForge" }));
    }
    let mut event = json!({
        "event_action": "trigger",
        "dedup_key": dedup_key(notice, alert),
        "payload": {
            "summary": clip(&format!("{}: {what}", notice.rule), SUMMARY_CHARS),
            "source": clip(&format!("{} ({})", place.name(), notice.fleet), SUMMARY_CHARS),
            "severity": alert.severity.word(),
            "timestamp": alert.fired_at.to_string(),
            "component": "queue",
            "class": notice.rule,
            "custom_details": {
                "value": alert.value,
                "labels": alert.labels,
                "since": alert.fired_at.to_string(),
                "meaning": description(&notice.rule),
            },
        },
        "links": links,
        "client": "JobForge",
    });
    if let Some(tenant) = alert.labels.get("tenant") {
        event["payload"]["group"] = json!(tenant);
    }
    if !place.url.is_empty() {
        event["client_url"] = json!(place.url);
    }
    if let Some(detour) = notice.detour() {
        event["payload"]["custom_details"]["detour"] = json!(detour);
    }
    event
}

fn resolve(notice: &Notice, alert: &Named) -> Value {
    json!({ "event_action": "resolve", "dedup_key": dedup_key(notice, alert) })
}
