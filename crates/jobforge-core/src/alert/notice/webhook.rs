//! The webhook of Prometheus' Alertmanager, version 4, so that whatever takes its alerts takes ours.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::history::Labels;
use super::super::render::runbook_url;
use super::{Named, Notice, Place, Says, description, fingerprint};

/// What the Alertmanager writes for an end that has not come.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The body to post.
pub fn body(notice: &Notice, place: &Place) -> Value {
    let alerts: Vec<Value> = notice.alerts.iter().map(|alert| one(notice, alert, place)).collect();
    let labels: Vec<Labels> = notice.alerts.iter().map(|alert| labels(notice, alert)).collect();
    let annotations: Vec<Labels> = notice.alerts.iter().map(|alert| annotations(notice, alert)).collect();
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{alertname=\"{}\"}}", notice.rule),
        "truncatedAlerts": notice.more,
        "status": status(notice),
        "receiver": notice.channel,
        "groupLabels": { "alertname": notice.rule },
        "commonLabels": common(&labels),
        "commonAnnotations": common(&annotations),
        "externalURL": place.url,
        "alerts": alerts,
    })
}

/// A test fires, as receivers know two words only; its name and its label tell.
fn status(notice: &Notice) -> &'static str {
    match notice.says {
        Says::Firing | Says::Test => "firing",
        Says::Resolved => "resolved",
    }
}

fn one(notice: &Notice, alert: &Named, place: &Place) -> Value {
    let ends_at = match (notice.says, alert.resolved_at) {
        (Says::Resolved, at) => at.unwrap_or(notice.at).to_string(),
        (Says::Firing | Says::Test, _) => NEVER.to_owned(),
    };
    json!({
        "status": status(notice),
        "labels": labels(notice, alert),
        "annotations": annotations(notice, alert),
        "startsAt": alert.fired_at.to_string(),
        "endsAt": ends_at,
        "generatorURL": place.url,
        "fingerprint": fingerprint(&notice.rule, &alert.labels),
    })
}

fn labels(notice: &Notice, alert: &Named) -> Labels {
    let mut labels = alert.labels.clone();
    labels.insert("alertname".to_owned(), notice.rule.clone());
    labels.insert("severity".to_owned(), alert.severity.word().to_owned());
    labels.insert("fleet".to_owned(), notice.fleet.clone());
    labels
}

fn annotations(notice: &Notice, alert: &Named) -> Labels {
    let mut annotations = BTreeMap::from([("summary".to_owned(), alert.summary.clone())]);
    let meaning = description(&notice.rule);
    if !meaning.is_empty() {
        annotations.insert("description".to_owned(), meaning.to_owned());
        annotations.insert("runbook_url".to_owned(), runbook_url(&notice.rule));
    }
    annotations
}

/// What all of them have.
fn common(all: &[Labels]) -> Labels {
    let Some((first, rest)) = all.split_first() else { return Labels::new() };
    let is_common =
        |(name, value): &(&String, &String)| rest.iter().all(|other| other.get(*name) == Some(value));
    first.iter().filter(is_common).map(|(name, value)| (name.clone(), value.clone())).collect()
}
