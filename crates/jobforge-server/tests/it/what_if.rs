//! What another heartbeat threshold would have done, over HTTP and on the dashboard, and the silent gaps of one job.

use std::time::Duration;

use anyhow::Result;
use jobforge::core::heartbeat::Beat;
use jobforge::core::job::{ClaimedJob, JobId};
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::time::{Now, sub};
use testkit::fixtures::{beat, heartbeat_one, job, running, settle_one, success, sweep};

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::Site;
use crate::ui::Browser;

on_both_engines!(
    a_threshold_is_replayed_over_what_is_recorded,
    the_dashboard_replays_a_threshold_and_draws_silent_gaps,
);

/// A moment so many seconds ago.
async fn ago(site: &Site, seconds: u64) -> Result<Now> {
    Ok(Now::Fixed(sub(site.client.store().now().await?, Duration::from_secs(seconds))))
}

/// A job that was silent for 95 seconds and then succeeded, and one that was taken for hung after 150 seconds.
async fn record(site: &Site) -> Result<(JobId, JobId)> {
    let store = site.client.store();
    let due = |held: &ClaimedJob| Beat { due_in: Duration::from_secs(120), ..beat(held) };
    let (worker, slow) =
        running(store, "worker-00000001", job("report.build"), ago(site, 600).await?).await?;
    heartbeat_one(store, &worker, due(&slow), ago(site, 570).await?).await?;
    heartbeat_one(store, &worker, due(&slow), ago(site, 475).await?).await?;
    settle_one(store, &worker, &slow, success(), ago(site, 470).await?).await?;
    let (worker, hung) = running(store, "worker-00000002", job("mail.send"), ago(site, 400).await?).await?;
    heartbeat_one(store, &worker, due(&hung), ago(site, 380).await?).await?;
    let found = sweep(store, &RescuePolicy::default(), ago(site, 230).await?).await?;
    anyhow::ensure!(found.moved == [hung.id], "{found:?}");
    Ok((slow.id, hung.id))
}

async fn a_threshold_is_replayed_over_what_is_recorded(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let (slow, hung) = record(&site).await?;
    site.token = Some("operator-key".to_owned());
    let answer = site.get("/v1/watchdog/what-if?heartbeat_threshold_ms=80000").await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let (hit, caught) = (&told["hit"][0], &told["caught"][0]);
    assert_eq!((&hit["job"], &hit["type"]), (&slow.to_string().into(), &"report.build".into()), "{told}");
    let near = |value: &serde_json::Value, ms: u64| value.as_u64().is_some_and(|it| it.abs_diff(ms) < 5000);
    assert!(near(&hit["silence_ms"], 95_000) && hit["allowed_ms"] == 80_000, "{told}");
    assert_eq!(caught["job"], hung.to_string(), "{told}");
    assert!(near(&caught["was_ms"], 150_000) && near(&caught["would_be_ms"], 90_000), "{told}");
    assert!(told["conclusion"].as_str().is_some_and(|text| text.contains("One healthy job")), "{told}");
    let least = &told["recommended"];
    assert!(near(&least["heartbeat_threshold_ms"], 95_000), "{told}");
    let wide = site.get("/v1/watchdog/what-if?heartbeat_threshold_ms=110000&since=1d").await?.json();
    assert_eq!(wide["hit"].as_array().map(Vec::len), Some(0), "{wide}");
    let short = site.get("/v1/watchdog/what-if?since=2m").await?.json();
    assert_eq!(
        (&short["hit"], &short["caught"]),
        (&serde_json::json!([]), &serde_json::json!([])),
        "{short}"
    );
    assert_eq!(short["heartbeat_threshold_ms"], short["present_threshold_ms"]);
    for (bad, says) in [
        ("heartbeat_threshold_ms=many", "from 1000 to 86400000"),
        ("heartbeat_threshold_ms=999", "from 1000 to 86400000"),
        ("since=yesterday", "neither a moment"),
    ] {
        let refused = site.get(&format!("/v1/watchdog/what-if?{bad}")).await?.refused(400, "bad_parameter");
        assert!(refused.contains(says), "{bad}: {refused}");
    }
    let shown = site.get(&format!("/v1/jobs/{slow}")).await?.json();
    assert_eq!(
        (&shown["heartbeats"], &shown["heartbeat_interval_ms"]),
        (&2.into(), &30_000.into()),
        "{shown}"
    );
    assert!(near(&shown["silent_gaps"][0]["ms"], 95_000), "{shown}");
    assert_eq!(shown["attempts_made"][0]["silent_gaps"], shown["silent_gaps"]);
    let life = site.get(&format!("/v1/jobs/{slow}/timeline")).await?.json();
    let words: Vec<&str> =
        life["events"].as_array().expect("events").iter().filter_map(|e| e["event"].as_str()).collect();
    assert_eq!(words, ["enqueued", "started", "heard_again", "succeeded"], "{life}");
    Ok(())
}

async fn the_dashboard_replays_a_threshold_and_draws_silent_gaps(engine: Engine) -> Result<()> {
    let (site, _kept) = guarded_on(engine).await?;
    let (slow, hung) = record(&site).await?;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let form = browser.get("/ui/watchdog").await?.body;
    assert!(form.contains("name=\"heartbeat_threshold_ms\" value=\"120000\""), "{form}");
    let page = browser.get("/ui/watchdog?heartbeat_threshold_ms=80000&since=1d").await?.body;
    for part in [
        "One healthy job would have been hit in 24 h",
        &format!("href=\"/ui/jobs/{slow}\""),
        &format!("href=\"/ui/jobs/{hung}\""),
        "jobforge config set heartbeat_threshold_ms=",
        "jobforge watchdog what-if --heartbeat-threshold-ms 80000 --since 1d",
        "/v1/watchdog/what-if?heartbeat_threshold_ms=80000&#38;since=1d",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    for (bad, says) in [
        ("heartbeat_threshold_ms=45s", "45s is no number of milliseconds"),
        ("heartbeat_threshold_ms=5", "must be from 1000 to 86400000"),
        ("since=%3Cb%3E", "neither a moment"),
    ] {
        let page = browser.get(&format!("/ui/watchdog?{bad}")).await?;
        assert!(page.status == 200 && page.body.contains("role=\"alert\""), "{}", page.body);
        assert!(page.body.contains(says) && !page.body.contains("<b>"), "{bad}: {}", page.body);
    }
    let page = browser.get(&format!("/ui/jobs/{slow}")).await?.body;
    assert!(page.contains("2 heartbeats, silent for 95 s and heard again"), "{page}");
    assert!(page.contains("<g class=\"gap\"><title>silent for 95 s, then heard again</title>"), "{page}");
    assert!(page.contains("nothing was heard for 95 s"), "the table tells the same: {page}");
    Ok(())
}
