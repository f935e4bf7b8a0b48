//! Workers that die, freeze, fall silent or do not restart, and queues that nobody serves.

use std::time::Duration;

use super::apart::work_on;
use super::{enqueue, mend, says, until_healthy, until_only, until_only_says};
use crate::program::eventually;
use crate::site::{Site, send};

on_each_engine!(
    process_a_worker_that_was_killed_or_is_frozen_is_found_with_its_proof,
    process_a_queue_that_nobody_serves_or_that_is_paused_is_found,
    process_a_type_that_no_worker_runs_is_told_of_with_the_one_that_was_meant,
);

fn process_a_worker_that_was_killed_or_is_frozen_is_found_with_its_proof(site: &Site) {
    let _server = site.watchdog();
    let work = site.work(&[]);
    until_healthy(&site.home);
    send("-STOP", work.worker_pid());
    let frozen = until_only(&site.home, "workers.frozen");
    says(&frozen, "mend", &format!("kill -CONT {}", work.worker_pid()));
    send("-KILL", work.worker_pid());
    let died = until_only(&site.home, "workers.died");
    says(&died, "cause", "signal 9 (SIGKILL)");
    eventually("another has taken its place", || {
        let died = until_only(&site.home, "workers.died");
        died["evidence"][0].as_str().unwrap().contains("has taken its place")
    });
}

fn process_a_queue_that_nobody_serves_or_that_is_paused_is_found(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--queue", "mail"]);
    let unserved = until_only(&site.home, "queues.unserved");
    assert_eq!(unserved["mend"][0], "jobforge work --queues mail");
    site.home.ok(&["queue", "pause", "mail", "--reason", "INC-42"]);
    let paused = until_only(&site.home, "queues.paused");
    says(&paused, "evidence", "INC-42");
    assert_eq!(paused["fix"], serde_json::Value::Null, "who paused it may have had a reason");
    mend(&site.home, &paused, "jobforge queue resume");
    let unserved = until_only(&site.home, "queues.unserved");
    let words: Vec<&str> = unserved["mend"][0].as_str().unwrap().split(' ').skip(2).collect();
    let _mailer = site.work(&words);
    until_healthy(&site.home);
}

fn process_a_type_that_no_worker_runs_is_told_of_with_the_one_that_was_meant(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    site.home.ok(&["job", "enqueue", "exce", "{}"]);
    let unknown = until_only(&site.home, "queues.unknown_type");
    says(&unknown, "cause", "exec is known");
    mend(&site.home, &unknown, "jobforge job list");
    until_healthy(&site.home);
}

#[test]
fn process_a_host_that_went_down_with_its_worker_is_named_and_so_are_the_jobs_that_it_took_along() {
    let site = Site::on_postgres();
    let _server = site.watchdog();
    let _here = site.work(&[]);
    let there = work_on(&site, "web-2", &["--no-supervise", "--queues", "far"]);
    let id = enqueue(&site, "sleep 2", &["--queue", "far", "--max-attempts", "1"]);
    site.home.until(&id, "running");
    until_healthy(&site.home);
    there.kill();
    site.home.until(&id, "dead");
    let silent = until_only_says(&site.home, "workers.silent", "cause", "host web-2 is down");
    says(&silent, "because", "workers on other hosts are heard");
    says(&silent, "evidence", "1 job was lost with its worker: 1 dead");
    let _heir = site.work(&["--queues", "far"]);
    mend(&site.home, &silent, "jobforge dead retry");
    site.home.until(&id, "succeeded");
}

#[test]
fn process_a_worker_that_does_not_restart_and_a_queue_that_is_full_are_told_of_with_the_job_that_keeps_them()
{
    let site = Site::on_postgres();
    let _server = site.watchdog();
    let _work = site.work(&["--slots", "1"]);
    let id = enqueue(&site, "sleep 300", &[]);
    site.home.until(&id, "running");
    enqueue(&site, "true", &[]);
    until_healthy(&site.home);
    // Time that passes.
    let back = Duration::from_secs(900).as_secs();
    site.sql(&format!("UPDATE jobforge_ready SET run_at = run_at - interval '{back} seconds'"));
    site.sql(&format!(
        "UPDATE jobforge_jobs SET run_at = run_at - interval '{back} seconds' WHERE status = 'queued'"
    ));
    let full = until_only(&site.home, "queues.backlog");
    says(&full, "cause", "too few slots");
    site.home.ok(&["job", "cancel", &id, "--yes"]);
    until_healthy(&site.home);
    let id = enqueue(&site, "sleep 300", &[]);
    site.home.until(&id, "running");
    site.home.ok(&["worker", "restart", "--all"]);
    until_healthy(&site.home);
    site.sql(&format!("UPDATE jobforge_workers SET restart_at = restart_at - interval '{back} seconds'"));
    let waits = until_only(&site.home, "workers.not_restarting");
    says(&waits, "evidence", &id);
    mend(&site.home, &waits, "jobforge job retry");
    until_healthy(&site.home);
}
