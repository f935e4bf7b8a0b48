//! What the runbook greps.

use std::process::Command;

use background_jobs::outside::Manners;

use crate::process::ok;
use crate::site::{SCHEDULES, Site};

const MANNERS: Manners = Manners { requests_per_second: 1000, retry_after_s: 1, fail_first: 0 };

/// Runs `cat LOG | FILTER` as the runbook pipes a log.
fn grep(log: &str, filter: &str) -> String {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("log");
    std::fs::write(&file, log).unwrap();
    ok(Command::new("sh").args(["-c", &format!("cat {} | {filter} || true", file.display())]))
}

#[test]
fn process_the_shipped_file_has_the_intervals_of_the_runbook_and_the_environment_changes_them() {
    // An empty variable says nothing, so that these are those of the file.
    let empty: Vec<(String, &str)> =
        SCHEDULES.iter().map(|name| (format!("{}_INTERVAL", name.to_uppercase()), "")).collect();
    let mut intervals: Vec<(&str, &str)> =
        empty.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    intervals.push(("EMBEDDING_GENERATION_INTERVAL_MINUTES", "45"));
    let site = Site::with(include_str!("../../jobforge.toml"), &intervals, MANNERS);
    let starts = grep(&site.server_log(), "grep \"Starting.*scheduler\"");
    for (name, every) in
        SCHEDULES.iter().zip(["5 minutes", "hour", "15 minutes", "6 hours", "minute", "45 minutes"])
    {
        let line = format!("Starting {name} scheduler (every {every})");
        assert!(starts.contains(&line), "{line}: {starts}");
    }
}

#[test]
fn process_the_runbooks_greps_find_each_job_how_long_it_took_and_nothing_wrong_where_all_is_well() {
    let site = Site::new();
    let worker = site.work();
    site.outside.publish_samples(50);
    // Sync first, so that the others find something to do.
    for name in [
        "clip_sync",
        "hot_score_refresh",
        "trending_score_refresh",
        "reputation_tasks",
        "webhook_retry",
        "embedding_generation",
    ] {
        assert_eq!(site.run(name).status, "succeeded", "{name}");
        let log = worker.said();
        let lines = grep(&log, &format!("grep \"{name}\""));
        assert!(lines.contains(&format!("{name} begins")), "{name}: {lines}");
        let took = grep(&lines, "grep -i \"slow query\\|took.*ms\"");
        assert!(took.contains("processed"), "{name}: {took}");
    }
    let log = worker.said();
    assert!(grep(&log, "grep \"job_name\"").lines().count() >= 12, "{log}");
    assert_eq!(grep(&log, "grep -i \"error\\|failed\""), "");
    assert_eq!(grep(&log, "grep -E \"panic|fatal|critical\""), "");
}
