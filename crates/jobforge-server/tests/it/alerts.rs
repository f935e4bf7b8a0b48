//! Alerts over HTTP, and what health tells of them.

use anyhow::{Context, Result};
use jobforge::core::alert::rules::Severity;
use jobforge::core::alert::state::Active;
use jobforge::core::time::Now;
use serde_json::{Value, json};

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::{Answer, Site, site, until};

const JSON: (&str, &str) = ("Content-Type", "application/json");

on_both_engines!(what_fires_is_listed_and_told_in_health_until_it_is_silenced);

async fn send(site: &Site, path: &str, body: &Value) -> Result<Answer> {
    site.send("POST", path, &[JSON, ("X-Reason", "the import")], body.to_string().as_bytes()).await
}

/// Judges, as a server would, that an alert fires and that another is about to.
async fn judge(site: &Site) -> Result<()> {
    let store = site.client.store();
    let now = store.now().await?;
    let fires = Active {
        rule: "NoLiveWorkersForQueue".to_owned(),
        labels: [("queue".to_owned(), "mail".to_owned())].into(),
        since: now,
        fired_at: Some(now),
        value: 3.0,
        severity: Severity::Critical,
        summary: "3 jobs of queue mail are due and no worker serves it".to_owned(),
    };
    let waits = Active {
        rule: "QueueBacklog".to_owned(),
        labels: [].into(),
        fired_at: None,
        value: f64::INFINITY,
        severity: Severity::Warning,
        ..fires.clone()
    };
    let turn = std::time::Duration::from_secs(60);
    anyhow::ensure!(store.take_alert_turn("judge", turn, Now::Database).await?, "the turn is free");
    anyhow::ensure!(
        store.keep_alerts("judge", &[fires, waits], Now::Database).await?,
        "it is the judge's turn"
    );
    Ok(())
}

async fn health(site: &Site) -> Result<Value> {
    Ok(site.get("/api/health/full").await?.json())
}

async fn what_fires_is_listed_and_told_in_health_until_it_is_silenced(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    let nothing = site.get("/v1/alerts").await?.json();
    assert_eq!((&nothing["alerts"], &nothing["judged"]["at"]), (&json!([]), &Value::Null));
    assert_eq!(health(&site).await?["alerts"]["status"], "not_configured");
    judge(&site).await?;
    let listed = site.get("/v1/alerts").await?.json();
    let mut states: Vec<(&str, &str)> = Vec::new();
    for alert in listed["alerts"].as_array().context("alerts")? {
        states.push((alert["rule"].as_str().context("rule")?, alert["state"].as_str().context("state")?));
        assert_eq!(alert["value"].is_null(), alert["rule"] == "QueueBacklog", "{alert}");
    }
    states.sort_unstable();
    assert_eq!(states, [("NoLiveWorkersForQueue", "firing"), ("QueueBacklog", "pending")]);
    assert_eq!(listed["judged"]["by"], "judge");
    until("health tells of it", async || Ok(health(&site).await?["alerts"]["status"] == "error")).await?;
    let told = health(&site).await?;
    let alerts = &told["alerts"];
    assert_eq!((&told["status"], &alerts["details"]["critical"]), (&"degraded".into(), &1.into()), "{told}");
    assert_eq!(alerts["details"]["alerts"][0]["labels"]["queue"], "mail", "{alerts}");
    let token = site.token.take();
    let redacted = health(&site).await?;
    site.token = token;
    assert_eq!(redacted["alerts"]["status"], "error");
    assert!(!redacted["alerts"].to_string().contains("mail"), "{redacted}");

    let silence = json!({ "rule": "*", "labels": { "queue": "mail" }, "for_ms": 3_600_000.0 });
    let begun = send(&site, "/v1/alerts/silences", &silence).await?;
    assert_eq!((begun.status, &begun.json()["reason"]), (201, &"the import".into()), "{begun:?}");
    let states = site.get("/v1/alerts?resolved=false").await?.json();
    assert!(states["alerts"].to_string().contains("silenced"), "{states}");
    until("health is silent", async || Ok(health(&site).await?["alerts"]["status"] == "ok")).await?;
    assert_eq!(health(&site).await?["alerts"]["details"]["silenced"], 1);
    let id = begun.json()["id"].as_str().context("id")?.to_owned();
    let silences = site.get("/v1/alerts/silences").await?.json();
    assert_eq!(silences["silences"][0]["id"], id.as_str(), "{silences}");
    let path = format!("/v1/alerts/silences/{id}");
    assert_eq!(site.delete(&path).await?.json(), json!({ "id": id, "ended": true }));
    site.delete(&path).await?.refused(404, "silence_not_found");
    until("it fires again", async || Ok(health(&site).await?["alerts"]["status"] == "error")).await
}

#[tokio::test]
async fn the_rules_are_listed_with_what_they_mean() -> Result<()> {
    let site = site().await?;
    let rules = site.get("/v1/alerts/rules").await?.json();
    let rules = rules["rules"].as_array().context("rules")?;
    let slow = rules.iter().find(|rule| rule["rule"] == "SlowJobs").context("SlowJobs")?;
    assert!(slow["condition"].as_str().is_some_and(|text| text.contains("3600")), "{slow}");
    assert_eq!((&slow["severity"], &slow["for_ms"]), (&"warning".into(), &0.into()), "{slow}");
    Ok(())
}

#[tokio::test]
async fn a_silence_that_makes_no_sense_is_refused() -> Result<()> {
    let site = site().await?;
    let hour = 3_600_000_u64;
    for (body, says) in [
        (json!({ "rule": "Nothing", "for_ms": hour }), "is no rule"),
        (json!({ "rule": "SlowJobs" }), "for_ms"),
        (json!({ "rule": "SlowJobs", "for_ms": 59_999 }), "between"),
        (json!({ "rule": "SlowJobs", "for_ms": 31 * 24 * hour }), "between"),
        (json!({ "rule": "SlowJobs", "for_ms": -1 }), "for_ms"),
        (json!({ "rule": "*", "for_ms": 25 * hour }), "at most 1d"),
        (json!({ "rule": "*", "labels": { "": "x" }, "for_ms": hour }), "cannot be one"),
        (json!({ "rule": "*", "labels": { "queue": "a\nb" }, "for_ms": hour }), "cannot be one"),
        (json!({ "rule": "*", "labels": { "queue": 7 }, "for_ms": hour }), "labels"),
        (json!({ "rule": "*", "label": {}, "for_ms": hour }), "label"),
    ] {
        let detail = send(&site, "/v1/alerts/silences", &body).await?;
        assert_eq!(detail.status, 422, "{body}: {detail:?}");
        assert!(detail.body.contains(says), "{body}: {detail:?}");
    }
    assert_eq!(site.get("/v1/alerts/silences").await?.json(), json!({ "silences": [] }));
    site.delete("/v1/alerts/silences/x").await?.refused(400, "bad_id");
    site.get("/v1/alerts?resolved=maybe").await?.refused(400, "bad_parameter");
    Ok(())
}

#[tokio::test]
async fn a_channel_is_tried_by_a_job_that_says_whether_it_was_told() -> Result<()> {
    let site = site().await?;
    let tried = send(&site, "/v1/alerts/test", &json!({ "channel": "oncall" })).await?;
    assert_eq!((tried.status, &tried.json()["channel"]), (202, &"oncall".into()), "{tried:?}");
    let job = tried.json()["job_id"].as_str().context("a job")?.to_owned();
    let job = site.get(&format!("/v1/jobs/{job}")).await?.json();
    assert_eq!((&job["type"], &job["tenant_id"]), (&"system.notify".into(), &"system".into()), "{job}");
    send(&site, "/v1/alerts/test", &json!({ "channel": "on call" })).await?.refused(422, "invalid_request");
    send(&site, "/v1/alerts/test", &json!({})).await?.refused(422, "invalid_request");
    Ok(())
}

#[tokio::test]
async fn metrics_are_text_in_the_format_that_is_asked_for() -> Result<()> {
    let site = site().await?;
    let plain = site.get("/metrics").await?;
    assert!(plain.header("content-type").starts_with("text/plain; version=0.0.4"), "{plain:?}");
    assert!(plain.body.contains("\njobforge_build_info{"), "{}", plain.body);
    let open = [("Accept", "application/openmetrics-text")];
    let open = site.send("GET", "/metrics", &open, b"").await?;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"), "{open:?}");
    assert!(open.body.ends_with("# EOF\n"));
    Ok(())
}
