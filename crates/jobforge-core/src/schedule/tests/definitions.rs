//! What may be written, and what is refused and how.

use serde_json::json;

use super::super::{Definition, Missed, Overlap, check, cleanup, interval_variables, overridden, patched};
use super::{checked, every, moment};

fn faults(definition: Definition) -> Vec<String> {
    match check(definition, moment("2026-03-01T12:00:00Z")) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.errors.iter().map(|e| format!("{} {}", e.field, e.code)).collect(),
    }
}

fn by_cron(pattern: &str) -> Definition {
    Definition { cron: Some(pattern.to_owned()), ..Definition::new("tick", "tick") }
}

#[test]
fn a_name_a_type_and_a_time_are_enough() {
    let read: Definition =
        serde_json::from_value(json!({ "name": "a", "type": "b", "every": "15m" })).expect("read");
    assert_eq!((read.overlap, read.missed, read.tenant()), (Overlap::Skip, Missed::Once, "default"));
    assert!(faults(read).is_empty());
    assert!(
        serde_json::from_value::<Definition>(json!({ "name": "a", "type": "b", "evry": "15m" })).is_err()
    );
}

#[test]
fn each_fault_is_named_with_its_field_and_word() {
    let cases: Vec<(Definition, Vec<&str>)> = vec![
        (Definition { every: None, ..every("1m") }, vec!["cron missing"]),
        (Definition { cron: Some("* * * * *".to_owned()), ..every("1m") }, vec!["cron conflict"]),
        (every("0s"), vec!["every out_of_range"]),
        (every("500ms"), vec!["every out_of_range"]),
        (every("sometimes"), vec!["every bad_interval"]),
        (Definition { time_zone: Some("UTC".to_owned()), ..every("1m") }, vec!["time_zone conflict"]),
        (Definition { anchor: Some("noon".to_owned()), ..every("1m") }, vec!["anchor bad_time"]),
        (by_cron("61 * * * *"), vec!["cron bad_cron"]),
        (by_cron("0 0 30 2 *"), vec!["cron cron_never_fires"]),
        (
            Definition { time_zone: Some("Mars/Base".to_owned()), ..by_cron("* * * * *") },
            vec!["time_zone bad_timezone"],
        ),
        (Definition { name: "a b".to_owned(), ..every("1m") }, vec!["name bad_name"]),
        (Definition { job_type: String::new(), ..every("1m") }, vec!["type bad_name"]),
        (Definition { jitter_ms: Some(60_000), ..every("1m") }, vec!["jitter_ms out_of_range"]),
        (Definition { jitter_ms: Some(-1), ..every("1m") }, vec!["jitter_ms out_of_range"]),
        (Definition { missed_limit: Some(0), ..every("1m") }, vec!["missed_limit out_of_range"]),
        (Definition { stale_after_ms: Some(1), ..every("1m") }, vec!["stale_after_ms out_of_range"]),
        (Definition { timeout_ms: Some(0), ..every("1m") }, vec!["timeout_ms out_of_range"]),
        (
            Definition { idempotency_key: Some("always".to_owned()), ..every("1m") },
            vec!["idempotency_key bad_idempotency_key"],
        ),
    ];
    for (definition, expected) in cases {
        assert_eq!(faults(definition.clone()), expected, "{definition:?}");
    }
    let both = Definition { name: String::new(), missed_limit: Some(0), ..by_cron("* * *") };
    assert_eq!(faults(both).len(), 3, "all faults are told at once");
}

#[test]
fn a_patch_changes_what_it_names_and_a_new_kind_of_time_takes_the_old_one_out() {
    let berlin = Definition { time_zone: Some("Europe/Berlin".to_owned()), ..by_cron("30 2 * * *") };
    let patch = |value: serde_json::Value| {
        patched(&berlin, value.as_object().cloned().unwrap_or_default()).map(|changed| changed.to_value())
    };
    let changed = patch(json!({ "every": "5m", "priority": 3 })).expect("changed");
    assert_eq!((changed.get("cron"), changed.get("time_zone")), (None, None));
    assert_eq!((&changed["every"], &changed["priority"]), (&json!("5m"), &json!(3)));
    let moved = patch(json!({ "time_zone": null })).expect("changed");
    assert_eq!((moved.get("time_zone"), &moved["cron"]), (None, &json!("30 2 * * *")));
    assert!(patch(json!({ "name": "other" })).expect_err("renamed").contains("cannot be renamed"));
    assert!(patch(json!({ "evry": "5m" })).expect_err("unknown").contains("evry"));
}

#[test]
fn the_environment_may_say_another_interval() {
    let definition = Definition { name: "hot_score_refresh".to_owned(), ..every("5m") };
    let with = |name: &'static str, value: &'static str| {
        let variable = move |asked: &str| (asked == name).then(|| value.to_owned());
        overridden(definition.clone(), &variable).map(|(changed, by)| (changed.every.unwrap_or_default(), by))
    };
    let by = |name: &str| Some(name.to_owned());
    assert_eq!(
        with("HOT_SCORE_REFRESH_INTERVAL", "90s"),
        Ok(("90s".to_owned(), by("HOT_SCORE_REFRESH_INTERVAL")))
    );
    assert_eq!(with("HOT_SCORE_REFRESH_INTERVAL_MINUTES", "7").map(|found| found.0), Ok("7m".to_owned()));
    assert_eq!(with("HOT_SCORE_REFRESH_INTERVAL_SECONDS", "45").map(|found| found.0), Ok("45s".to_owned()));
    assert_eq!(with("HOT_SCORE_REFRESH_INTERVAL_MS", "2000").map(|found| found.0), Ok("2000ms".to_owned()));
    assert_eq!(with("OTHER_INTERVAL", "90s"), Ok(("5m".to_owned(), None)));
    assert!(with("HOT_SCORE_REFRESH_INTERVAL", "5").expect_err("no unit").contains("write the unit"));
    assert!(with("HOT_SCORE_REFRESH_INTERVAL", "soon").is_err());
    let by_pattern = overridden(by_cron("* * * * *"), &|_| Some("5m".to_owned()));
    assert!(by_pattern.expect_err("a pattern has no interval").contains("cron pattern"));
    assert_eq!(interval_variables("clip-sync.v2")[0].0, "CLIP_SYNC_V2_INTERVAL");
}

#[test]
fn the_clean_up_comes_with_the_key_of_the_day() {
    let cleanup = checked(cleanup());
    assert_eq!(cleanup.clock.words(), "at 03:15 every day, UTC");
    let job = cleanup.job(moment("2026-11-26T03:15:00Z"), false);
    assert_eq!(job.idempotency_key.as_deref(), Some("cleanup-2026-11-26"));
    assert_eq!((job.tenant_id.as_str(), job.payload.as_str()), ("system", "{}"));
}

#[test]
fn a_schedule_is_stale_after_twice_its_longest_gap_unless_it_says_otherwise() {
    let now = moment("2026-03-01T12:00:00Z");
    let stale = |definition: Definition| checked(definition).rhythm(now).stale_after;
    let hours = |definition: Definition| stale(definition).map(|stale| stale.as_secs() / 3600);
    assert_eq!(hours(every("6h")), Some(12));
    assert_eq!(hours(by_cron("0 2 * * 1-5")), Some(144), "over a weekend");
    let seconds = |interval| stale(every(interval)).map(|stale| stale.as_secs());
    assert_eq!((seconds("1s"), seconds("5m")), (Some(61), Some(600)), "a second is no time for a job");
    assert_eq!(hours(Definition { stale_after_ms: Some(3_600_000), ..every("6h") }), Some(1));
}

#[test]
fn nights_and_weekends_count_whatever_the_hour_is_at_which_a_schedule_is_made() {
    let longest =
        |pattern, now| checked(by_cron(pattern)).rhythm(moment(now)).longest.map(|gap| gap.as_secs() / 60);
    // Saturday noon, Monday morning, Friday when it has just ended.
    for now in ["2026-03-07T12:00:00Z", "2026-03-09T09:10:00Z", "2026-03-13T17:46:00Z"] {
        assert_eq!(longest("*/15 9-17 * * 1-5", now), Some(63 * 60 + 15), "{now}");
        assert_eq!(longest("* * * * *", now), Some(1), "{now}");
        assert_eq!(longest("0 2 * * 0", now), Some(7 * 24 * 60), "{now}");
    }
}
