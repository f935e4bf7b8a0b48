//! Sync from a source of pages that limits how often it is asked.

use background_jobs::outside::Manners;
use serde_json::json;

use crate::process::{Running, eventually};
use crate::site::{Site, succeeded};

const QUICK: Manners = Manners { requests_per_second: 1000, retry_after_s: 1, fail_first: 0 };
/// Ten pages a second, so that a sync takes seconds.
const SLOW: Manners = Manners { requests_per_second: 10, ..QUICK };

/// Clips of the source, and how many of them are told a second time because they were seen again.
const CLIPS: usize = 400;
const SEEN_AGAIN: usize = 100;

fn clip(id: &str, views: i64) -> serde_json::Value {
    json!({
        "id": id, "title": format!("Clip {id}"), "creator": "ada", "views": views, "votes": 1,
        "created_at": "2026-01-01T00:00:00Z"
    })
}

fn publish(site: &Site) {
    (0..CLIPS).for_each(|number| site.outside.publish(clip(&format!("c{number}"), 10)));
    (0..SEEN_AGAIN).for_each(|number| site.outside.publish(clip(&format!("c{number}"), 13)));
}

/// Every clip is there once, and every view was added once.
#[track_caller]
fn nothing_is_lost_or_doubled(site: &Site) {
    let views = CLIPS * 10 + SEEN_AGAIN * 3;
    assert_eq!(site.sql("SELECT count(*), sum(views) FROM app.clips"), format!("{CLIPS}|{views}"));
    assert_eq!(site.sql("SELECT sum(views) FROM app.clip_views"), views.to_string());
    assert_eq!(site.sql("SELECT position FROM app.sync_cursors"), (CLIPS + SEEN_AGAIN).to_string());
}

/// Waits until some pages more are stored; the job must still run then.
#[track_caller]
fn some_way_further(site: &Site, job: &str) {
    let position =
        || site.sql("SELECT coalesce(max(position), '') FROM app.sync_cursors").parse().unwrap_or(0);
    let before: usize = position();
    eventually("pages are stored", || position() >= before + 50);
    assert_eq!(site.job(job, "status"), "running");
}

#[test]
fn process_a_sync_keeps_to_the_rate_of_its_source_and_later_asks_for_changes_only() {
    let site = Site::with_small_pages(SLOW);
    let worker = site.work();
    publish(&site);
    assert_eq!(site.run("clip_sync"), succeeded(500, 0, 0));
    nothing_is_lost_or_doubled(&site);
    assert!(site.outside.refused() > 0, "the source has asked to wait");
    assert_eq!(site.run("clip_sync"), succeeded(0, 0, 0), "nothing has changed");
    site.outside.publish(clip("c0", 20));
    site.outside.publish(clip("c1", 13));
    assert_eq!(site.run("clip_sync"), succeeded(1, 0, 1), "one has changed and one is as it was");
    worker.until_it_says("clip_sync: 1 processed, 1 skipped, took ");
}

#[test]
fn process_clips_that_cannot_be_stored_count_as_failed_and_hold_no_other_back() {
    let site = Site::new();
    let worker = site.work();
    (0..30).for_each(|number| site.outside.publish(clip(&format!("c{number}"), 10)));
    site.outside.publish(clip("below-zero", -1));
    site.outside.publish(json!({ "id": "no-title" }));
    assert_eq!(site.run("clip_sync"), succeeded(30, 2, 0));
    let rejects = site
        .sql("SELECT string_agg(source_id || ': ' || why, ' | ' ORDER BY source_id) FROM app.sync_rejects");
    assert_eq!(
        rejects,
        "below-zero: its views are -1, which no count can be | no-title: it does not read as a clip: missing field `title`"
    );
    worker.until_it_says("clip_sync: clip no-title failed: it does not read as a clip");
}

#[test]
fn process_a_worker_killed_in_the_midst_of_a_sync_loses_nothing_and_doubles_nothing() {
    let site = Site::with_small_pages(SLOW);
    publish(&site);
    let worker = site.work();
    let job = site.trigger("clip_sync");
    some_way_further(&site, &job);
    worker.kill();
    let _next = site.work();
    assert_eq!(site.ended(&job).status, "succeeded");
    assert_eq!(site.job(&job, "attempts"), "2");
    nothing_is_lost_or_doubled(&site);
}

/// JobForge gives a job up that was lost twice. The next run goes on all the same.
#[test]
fn process_what_a_job_that_was_given_up_has_stored_is_where_the_next_goes_on() {
    let site = Site::with_small_pages(SLOW);
    publish(&site);
    let job = site.trigger("clip_sync");
    for attempt in ["1", "2"] {
        let worker = site.work();
        eventually("it runs", || site.job(&job, "status || attempts") == format!("running{attempt}"));
        some_way_further(&site, &job);
        worker.kill();
    }
    assert_eq!(site.ended(&job).status, "dead");
    let _worker = site.work();
    let next = site.run("clip_sync");
    assert!(next.status == "succeeded" && next.processed < 410, "{next:?}");
    nothing_is_lost_or_doubled(&site);
}

#[test]
fn process_a_frozen_worker_that_wakes_beside_the_next_attempt_stores_nothing_twice() {
    let site = Site::with_small_pages(SLOW);
    publish(&site);
    let frozen: Running = site.work();
    let job = site.trigger("clip_sync");
    some_way_further(&site, &job);
    frozen.signal("STOP");
    let _other = site.work();
    eventually("another attempt runs", || site.job(&job, "attempts || status") == "2running");
    frozen.signal("CONT");
    assert_eq!(site.ended(&job).status, "succeeded");
    // It hears that its lease is lost, or finds that another has moved on, whichever comes first.
    eventually("the frozen attempt ends", || {
        let said = frozen.said();
        said.contains("clip_sync: ") || said.contains("clip_sync failed: ")
    });
    nothing_is_lost_or_doubled(&site);
}

#[test]
fn process_a_long_pause_gives_the_slot_back_and_uses_no_attempt() {
    let site = Site::with_small_pages(Manners { requests_per_second: 0, retry_after_s: 600, ..QUICK });
    let worker = site.work();
    publish(&site);
    let job = site.trigger("clip_sync");
    worker.until_it_says("clip_sync: 127.0.0.1 asks to wait, at position \\\"\\\"; it goes on in 600 s");
    eventually("it waits", || site.job(&job, "status") == "queued");
    assert_eq!(site.job(&job, "attempts"), "0");
    let waits = site.job(&job, "extract(epoch FROM run_at - now()) BETWEEN 500 AND 600");
    assert_eq!(waits, "t");
}

#[test]
fn process_a_sync_that_waits_for_its_source_stops_when_it_is_canceled() {
    let site = Site::with_small_pages(Manners { requests_per_second: 0, retry_after_s: 8, ..QUICK });
    let worker = site.work();
    let job = site.trigger("clip_sync");
    eventually("the source has asked to wait", || site.outside.refused() > 0);
    site.jobforge(&["job", "cancel", &job]);
    worker.until_it_says("clip_sync: stopped, as it was asked to");
    assert_eq!(site.ended(&job).status, "canceled");
}
