//! Hot and trending scores.

use crate::process::eventually;
use crate::site::{Ended, Site, succeeded};

const CLIPS: &str = "
INSERT INTO app.users (name) VALUES ('ada');
INSERT INTO app.clips (source_id, title, creator_id, views, votes, created_at, hot_score)
VALUES ('new', 'new', 1, 1000, 10, now() - interval '1 hour', 0),
       ('day', 'day', 1, 1000, 10, now() - interval '1 day', 0),
       ('old', 'old', 1, 1000, 10, now() - interval '8 days', 3),
       ('gone', 'gone', 1, 1000, 10, now() - interval '9 days', 0),
       ('ignored', 'ignored', 1, 0, 0, now() - interval '1 hour', 0)";

#[test]
fn process_hot_scores_sink_with_age_and_end_after_a_week() {
    let site = Site::new();
    let _worker = site.work();
    site.sql(CLIPS);
    // The one that nobody has seen has no score to change; the one that has none any more is not even looked at.
    assert_eq!(site.run("hot_score_refresh"), succeeded(3, 0, 1));
    let score =
        |clip: &str| site.number(&format!("SELECT hot_score FROM app.clips WHERE source_id = '{clip}'"));
    // Twenty points at an age of an hour: 20 / 3^1.8.
    assert!((score("new") - 2.768).abs() < 0.01, "{}", score("new"));
    assert!(score("day") > 0.0 && score("day") < score("new") / 10.0, "{}", score("day"));
    assert_eq!((score("old"), score("ignored")), (0.0, 0.0));
}

#[test]
fn process_trending_scores_count_the_views_of_six_hours_ago_half() {
    let site = Site::new();
    let _worker = site.work();
    site.sql(CLIPS);
    site.sql(
        "INSERT INTO app.clip_views (clip_id, hour, views)
         SELECT id, now() - CASE source_id WHEN 'new' THEN interval '0' WHEN 'day' THEN interval '6 hours' ELSE interval '3 days' END, 100
         FROM app.clips WHERE source_id IN ('new', 'day', 'old')",
    );
    site.sql("UPDATE app.clips SET trending_score = 7 WHERE source_id = 'gone'");
    assert_eq!(site.run("trending_score_refresh"), succeeded(3, 0, 0));
    let score =
        |clip: &str| site.number(&format!("SELECT trending_score FROM app.clips WHERE source_id = '{clip}'"));
    assert!((score("new") - 100.0).abs() < 1.0 && (score("day") - 50.0).abs() < 1.0, "{}", score("day"));
    assert_eq!((score("old"), score("gone")), (0.0, 0.0));
}

#[test]
fn process_a_run_goes_through_more_clips_than_fit_a_batch() {
    let site = Site::new();
    let worker = site.work();
    site.sql(
        "INSERT INTO app.users (name) VALUES ('ada');
         INSERT INTO app.clips (source_id, title, creator_id, votes, created_at)
         SELECT 'c' || n, 'c', 1, 1, now() FROM generate_series(1, 2345) AS n",
    );
    assert_eq!(site.run("hot_score_refresh"), succeeded(2345, 0, 0));
    worker.until_it_says("hot_score_refresh: 2345 processed, took ");
}

#[test]
fn process_a_run_whose_worker_was_killed_goes_on_behind_the_last_batch() {
    let site = Site::new();
    let worker = site.work();
    site.sql(
        "INSERT INTO app.users (name) VALUES ('ada');
         INSERT INTO app.clips (source_id, title, creator_id, votes, created_at)
         SELECT 'c' || n, 'c', 1, 1, now() FROM generate_series(1, 2000) AS n",
    );
    // The third batch of 500 waits for a clip that somebody holds.
    let held = site.hold("SELECT FROM app.clips WHERE id = 1200 FOR UPDATE");
    let job = site.trigger("hot_score_refresh");
    eventually("its way is kept", || site.job(&job, "checkpoint ->> 'behind'") == "1000");
    worker.kill();
    drop(held);
    let next = site.work();
    assert_eq!(site.ended(&job), succeeded(1000, 0, 0), "what the second attempt did");
    next.until_it_says("hot_score_refresh: going on behind id 1000");
    assert_eq!(site.sql("SELECT count(*) FROM app.clips WHERE hot_score > 0"), "2000");
    assert_eq!(site.sql("SELECT count(DISTINCT hot_score) FROM app.clips"), "1", "as of one moment");
}

#[test]
fn process_a_database_that_was_not_set_up_is_said_so_and_not_tried_again() {
    let site = Site::new();
    let worker = site.work();
    site.sql("DROP SCHEMA app CASCADE");
    let job = site.trigger("hot_score_refresh");
    assert_eq!(site.ended(&job), Ended { status: "failed".to_owned(), processed: 0, failed: 0, skipped: 0 });
    let error = site.job(&job, "error ->> 'message'");
    assert!(error.contains("app.clips") && error.contains("run `background-jobs setup` first"), "{error}");
    worker.until_it_says("hot_score_refresh failed: failed to find the last clip");
}
