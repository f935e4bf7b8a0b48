//! Stored settings, flags, operations and events.

use anyhow::{Context, Result};
use jobforge::core::settings::Settings;
use jobforge::live::{Follower, OwnSettings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::harness::{Answer, PATIENCE, Site, database, options, serve, site, until};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A server that follows the stored settings.
async fn following() -> Result<(Site, tempfile::TempDir, tokio_util::sync::DropGuard)> {
    let (client, dir) = database().await?;
    let store = Arc::clone(client.store()) as Arc<dyn jobforge::store::WorkerStore>;
    let (follower, live) = Follower::begin(store, OwnSettings::none(), Settings::defaults()).await;
    let stop = CancellationToken::new();
    tokio::spawn(follower.run(stop.clone()));
    Ok((serve(client, options("127.0.0.1:0"), live).await?, dir, stop.drop_guard()))
}

async fn patch(site: &Site, body: &Value, more: &[(&str, &str)]) -> Result<Answer> {
    let headers: Vec<(&str, &str)> = std::iter::once(JSON).chain(more.iter().copied()).collect();
    site.send("PATCH", "/v1/settings", &headers, body.to_string().as_bytes()).await
}

fn value(settings: &Value, key: &str) -> Value {
    let all = settings["settings"].as_array().expect("settings");
    all.iter().find(|setting| setting["key"] == key).expect("the setting")["value"].clone()
}

#[tokio::test]
async fn a_change_is_live_within_seconds_and_can_be_undone() -> Result<()> {
    let (site, _dir, _stop) = following().await?;
    let changed = patch(&site, &json!({ "heartbeat_threshold_ms": 300_000, "slots": 4 }), &[]).await?;
    assert_eq!((changed.status, changed.header("etag")), (200, "\"v1\""), "{changed:?}");
    let told = changed.json();
    assert_eq!(
        told["changes"][0],
        json!({
            "key": "heartbeat_threshold_ms", "old": "120000", "new": "300000", "effect": "live", "overridden_by": null,
        })
    );
    assert_eq!(told["changes"][1]["effect"], "restart");
    let shown = async || anyhow::Ok(value(&site.get("/v1/settings").await?.json(), "heartbeat_threshold_ms"));
    until("the server goes by it", async || Ok(shown().await? == "300000")).await?;
    assert_eq!(site.post("/v1/settings/heartbeat_threshold_ms/revert").await?.status, 200);
    until("the server goes by the old one", async || Ok(shown().await? == "120000")).await?;
    let history = site.get("/v1/settings/history?key=heartbeat_threshold_ms").await?.json();
    assert_eq!(history["changes"].as_array().context("changes")?.len(), 2, "{history}");
    site.post("/v1/settings/worker_lease_ms/revert").await?.refused(409, "no_history");
    site.post("/v1/settings/worker_laese_ms/revert").await?.refused(422, "unknown_setting");
    Ok(())
}

#[tokio::test]
async fn a_change_that_may_not_be_made_changes_nothing() -> Result<()> {
    let (site, _dir, _stop) = following().await?;
    for (body, code) in [
        (json!({ "heartbeat_treshold_ms": 1 }), "unknown_setting"),
        (json!({ "slots": 4, "heartbeat_threshold_ms": 5 }), "bad_setting"),
        (json!({ "slots": 4, "exec_allow": "*" }), "local_setting"),
        (json!({ "slots": 4, "heartbeat_interval_ms": 90_000 }), "settings_disagree"),
        (json!({}), "no_setting"),
    ] {
        patch(&site, &body, &[]).await?.refused(422, code);
    }
    let settings = site.get("/v1/settings").await?;
    assert_eq!(settings.header("etag"), "\"v0\"");
    assert_eq!(value(&settings.json(), "slots"), "10");
    Ok(())
}

#[tokio::test]
async fn who_saw_older_settings_is_told_so() -> Result<()> {
    let (site, _dir, _stop) = following().await?;
    let old = [("If-Match", "\"v0\"")];
    assert_eq!(patch(&site, &json!({ "slots": 4 }), &old).await?.status, 200);
    patch(&site, &json!({ "slots": 5 }), &old).await?.refused(412, "settings_changed");
    assert_eq!(patch(&site, &json!({ "slots": 5 }), &[("If-Match", "\"v1\"")]).await?.status, 200);
    patch(&site, &json!({ "slots": 6 }), &[("If-Match", "seven")]).await?.refused(400, "bad_if_match");
    Ok(())
}

#[tokio::test]
async fn a_flag_is_off_for_a_while_and_then_on_again() -> Result<()> {
    let (site, _dir, _stop) = following().await?;
    let off =
        site.send("PUT", "/v1/flags/JOB_HEARTBEAT", &[JSON], br#"{"enabled":false,"for_ms":4000}"#).await?;
    assert_eq!(off.status, 200, "{off:?}");
    let flag =
        async || anyhow::Ok(site.get("/api/config").await?.json()["featureFlags"]["JOB_HEARTBEAT"].clone());
    until("it is off", async || Ok(flag().await? == false)).await?;
    until("it is on again", async || Ok(flag().await? == true)).await?;
    site.send("PUT", "/v1/flags/NONE", &[JSON], br#"{"enabled":false}"#)
        .await?
        .refused(404, "flag_not_found");
    Ok(())
}

#[tokio::test]
async fn many_jobs_are_moved_in_the_background_and_only_counted_in_a_dry_run() -> Result<()> {
    let site = site().await?;
    let many = json!({ "jobs": [{ "type": "greet" }, { "type": "greet" }, { "type": "hold" }] });
    let made = site.send("POST", "/v1/jobs/many", &[JSON], many.to_string().as_bytes()).await?;
    assert_eq!((made.status, made.json()["jobs"].as_array().map(Vec::len)), (200, Some(3)), "{made:?}");
    let bad = json!({ "jobs": [{ "type": "greet" }, { "typ": "greet" }] });
    let bad = site.send("POST", "/v1/jobs/many", &[JSON], bad.to_string().as_bytes()).await?;
    assert_eq!(bad.faults(), ["/jobs/1/typ unknown_field", "/jobs/1/type required"]);
    let begin =
        async |body: Value| site.send("POST", "/v1/jobs/bulk", &[JSON], body.to_string().as_bytes()).await;
    begin(json!({ "action": "cancel", "filter": {} })).await?.refused(422, "invalid_request");
    let ended = async |answer: Answer| {
        assert_eq!(answer.status, 202, "{answer:?}");
        let place = answer.header("location").to_owned();
        let mut last = Value::Null;
        until("it has ended", async || {
            last = site.get(&place).await?.json();
            Ok(last["state"] != "running")
        })
        .await?;
        anyhow::Ok(last)
    };
    let filter = json!({ "type": "greet" });
    let counted =
        ended(begin(json!({ "action": "cancel", "filter": filter, "dry_run": true })).await?).await?;
    assert_eq!((&counted["state"], &counted["done"]), (&"done".into(), &2.into()), "{counted}");
    assert_eq!(site.get("/v1/jobs?status=queued").await?.json()["jobs"].as_array().map(Vec::len), Some(3));
    let done = ended(begin(json!({ "action": "cancel", "filter": filter, "reason": "spam" })).await?).await?;
    assert_eq!((&done["state"], &done["done"]), (&"done".into(), &2.into()), "{done}");
    assert_eq!(site.get("/v1/jobs?status=canceled").await?.json()["jobs"].as_array().map(Vec::len), Some(2));
    let audit = site.get("/v1/audit?action=job.cancel").await?.json();
    let why: Vec<&Value> =
        audit["entries"].as_array().context("entries")?.iter().map(|e| &e["reason"]).collect();
    assert_eq!(why, ["spam", "spam"]);
    Ok(())
}

#[tokio::test]
async fn a_job_that_is_rescheduled_waits_for_its_time() -> Result<()> {
    let site = site().await?;
    let id = site.job(r#"{"type":"greet"}"#).await?;
    let path = format!("/v1/jobs/{id}/reschedule");
    let moved = site.send("POST", &path, &[JSON], br#"{"delay_ms":3600000}"#).await?;
    assert_eq!(moved.status, 200, "{moved:?}");
    assert_eq!(site.get(&format!("/v1/jobs/{id}/explain")).await?.json()["kind"], "waiting");
    site.send("POST", &path, &[JSON], b"{}").await?.refused(422, "invalid_request");
    Ok(())
}

/// Reads a stream until it holds the text, and returns all of it.
async fn listen(
    site: &Site,
    last: Option<&str>,
    needle: &str,
    after: impl AsyncFnOnce() -> Result<()>,
) -> Result<String> {
    let mut stream = TcpStream::connect(site.address).await?;
    let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
    let head = format!("GET /v1/events HTTP/1.1\r\nHost: {}\r\n{last}\r\n", site.address);
    stream.write_all(head.as_bytes()).await?;
    let mut text = String::new();
    let mut begun = Some(after);
    let read = async {
        loop {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await?;
            anyhow::ensure!(count > 0, "the stream ended: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            let heard = text.contains("event: hello") || !last.is_empty();
            if let Some(after) = begun.take_if(|_| heard) {
                after().await?;
            }
            if text.contains(needle) {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.context("nothing came")??;
    Ok(text)
}

#[tokio::test]
async fn a_listener_hears_of_changes_and_after_a_break_of_what_it_missed() -> Result<()> {
    let site = site().await?;
    let mut first = String::new();
    let text = listen(&site, None, "event: job", async || {
        first = site.job(r#"{"type":"greet"}"#).await?;
        Ok(())
    })
    .await?;
    assert!(text.contains(&first), "{text}");
    let last =
        text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().context("an id")?.to_owned();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let missed = site.job(r#"{"type":"hold"}"#).await?;
    let text = listen(&site, Some(&last), &missed, async || Ok(())).await?;
    assert!(text.contains("event: job") && !text.contains("event: hello"), "{text}");
    Ok(())
}
