//! The life of a job over HTTP and as a picture: what it reported, when it may run again, who stopped it and who did not obey.

use std::time::Duration;

use anyhow::{Context, Result};
use jobforge::core::heartbeat::{BeatReply, Report};
use jobforge::core::job::{ClaimedJob, JobId};
use jobforge::core::time::{Now, sub};
use serde_json::Value;
use testkit::fixtures::{beat_with, failure, heartbeat_one, job, running, settle_one};

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::Site;
use crate::ui::Browser;

on_both_engines!(
    what_an_attempt_reported_is_told_and_drawn,
    a_long_story_is_told_by_its_newest_events_and_drawn_once,
    a_cancel_and_a_handler_that_ignores_it_are_on_the_timeline,
);

async fn ago(site: &Site, seconds: u64) -> Result<Now> {
    Ok(Now::Fixed(sub(site.client.store().now().await?, Duration::from_secs(seconds))))
}

fn says(percent: u8, phase: &str, message: &str) -> Report {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Report { progress: Some(percent), phase: text(phase), message: text(message), ..Report::default() }
}

/// A job whose only attempt so far fetched, encoded and failed, and that waits for the next one.
async fn waits(site: &Site) -> Result<JobId> {
    let store = site.client.store();
    let (worker, held) =
        running(store, "worker-00000001", job("video.encode"), ago(site, 600).await?).await?;
    for (before, report) in [
        (590, says(0, "fetch", "<script>alert(1)</script>")),
        (500, says(10, "", "")),
        (400, says(20, "encode <b>", "frame 12")),
        (300, says(64, "", "frame 40")),
    ] {
        let answer =
            heartbeat_one(store, &worker, beat_with(&held, report), ago(site, before).await?).await?;
        anyhow::ensure!(answer == BeatReply::Kept, "{answer:?}");
    }
    settle_one(store, &worker, &held, failure("boom"), site_now(site).await?).await?;
    Ok(held.id)
}

async fn site_now(site: &Site) -> Result<Now> {
    ago(site, 0).await
}

fn events(life: &Value) -> Vec<&str> {
    let all = life["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|event| event["event"].as_str()).collect()
}

async fn what_an_attempt_reported_is_told_and_drawn(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let id = waits(&site).await?;
    site.token = Some("operator-key".to_owned());
    let shown = site.get(&format!("/v1/jobs/{id}")).await?.json();
    let points = &shown["attempts_made"][0]["progress"];
    assert_eq!(points.as_array().map(Vec::len), Some(4), "{shown}");
    assert_eq!(
        (&points[3]["percent"], &points[3]["phase"], &points[3]["message"]),
        (&64.into(), &"encode <b>".into(), &"frame 40".into()),
        "{points}"
    );
    let life = site.get(&format!("/v1/jobs/{id}/timeline")).await?.json();
    // Each report came after a silence of its own.
    let told: Vec<_> = events(&life).into_iter().filter(|event| *event != "heard_again").collect();
    assert_eq!(
        told,
        ["enqueued", "started", "phase", "progress", "phase", "progress", "retry", "planned"],
        "{life}"
    );
    let all = life["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let turn = all.iter().rfind(|event| event["event"] == "phase").context("a phase")?;
    let plan = all.last();
    assert_eq!((&turn["percent"], &turn["phase"]), (&20.into(), &"encode <b>".into()), "{life}");
    let reason = plan.and_then(|plan| plan["reason"].as_str());
    assert_eq!(reason, Some("attempt 2 of 5 may begin, because the one before failed"), "{life}");

    site.token = None;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let page = browser.get(&format!("/ui/jobs/{id}")).await?.body;
    for part in [
        "<title>attempt 1 came to 64 %, through fetch, encode &lt;b&gt;</title>",
        "attempt 1 came to 64 %, through fetch, encode &lt;b&gt;; the table below tells the same.</desc>",
        ">fetch</text>",
        "<path class=\"done\" d=\"M",
        "<g class=\"mark plan\"><title>attempt 2 of 5 may begin, because the one before failed</title>",
        "Below it stand the phases",
        "◇ is when it may next be claimed",
        "encode &#60;b&#62; 64 %: frame 40",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("<script>alert") && !page.contains("encode <b>"), "{page}");
    assert!(!page.contains(" style=\"") && !page.contains(" onload"), "{page}");
    Ok(())
}

async fn a_long_story_is_told_by_its_newest_events_and_drawn_once(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let store = site.client.store();
    let (worker, held) =
        running(store, "worker-00000001", job("video.encode"), ago(&site, 5000).await?).await?;
    let mut held: ClaimedJob = held;
    for attempt in 0..4_u64 {
        let began = 4900 - attempt * 1000;
        for step in 0..80_u8 {
            let report = says(step, "encode", &format!("frame {step} {}", "x".repeat(300)));
            let at = ago(&site, began - u64::from(step)).await?;
            heartbeat_one(store, &worker, beat_with(&held, report), at).await?;
        }
        settle_one(store, &worker, &held, failure("boom"), ago(&site, began - 90).await?).await?;
        let again = ago(&site, began - 500).await?;
        held = testkit::fixtures::claim_one(store, &worker, again).await?;
    }
    let id = held.id;
    site.token = Some("operator-key".to_owned());
    let life = site.get(&format!("/v1/jobs/{id}/timeline")).await?.json();
    let all = events(&life);
    assert_eq!(all.iter().filter(|event| matches!(**event, "phase" | "progress")).count(), 4 * 64);
    site.token = None;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let page = browser.get(&format!("/ui/jobs/{id}")).await?.body;
    let older = format!("{} older ones are in <code>GET /v1/jobs/{id}/timeline</code>", all.len() - 200);
    assert!(page.contains(&older), "{older} is not in {page}");
    assert_eq!((page.matches("class=\"course\"").count(), page.matches("<circle").count()), (4, 64));
    assert!(page.len() < 160_000, "a long story does not make a heavy page: {}", page.len());
    Ok(())
}

async fn a_cancel_and_a_handler_that_ignores_it_are_on_the_timeline(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let store = site.client.store();
    let (worker, held) =
        running(store, "worker-00000001", job("video.encode"), ago(&site, 60).await?).await?;
    site.token = Some("operator-key".to_owned());
    let answer = site.send("POST", &format!("/v1/jobs/{}/cancel", held.id), &[], b"").await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let deaf = Report { ignores_stop: true, ..Report::default() };
    let store = site.client.store();
    let answer = heartbeat_one(store, &worker, beat_with(&held, deaf), Now::Database).await?;
    assert_eq!(answer, BeatReply::Canceled);
    let life = site.get(&format!("/v1/jobs/{}/timeline", held.id)).await?.json();
    let mut all = events(&life);
    all.sort_unstable();
    assert_eq!(all, ["canceled", "enqueued", "ignores_stop", "job.cancel", "started"], "{life}");
    site.token = None;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let page = browser.get(&format!("/ui/jobs/{}", held.id)).await?.body;
    let alarm =
        "<g class=\"mark alarm\"><title>attempt 1: its handler goes on although it was asked to stop</title>";
    assert!(page.contains(alarm) && page.contains("<title>job.cancel by "), "{page}");
    assert!(page.contains("attempt 1 ignores stop"), "the table tells the same: {page}");
    assert!(!page.contains("class=\"course\"") && !page.contains("Below it stand the phases"), "{page}");
    Ok(())
}
