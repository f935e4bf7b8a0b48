//! Schedules that fail, that hang, that nobody works for, and that nobody fires.

use super::{mend, says, script, until_healthy, until_only};
use crate::program::eventually;
use crate::site::Site;

on_each_engine!(
    process_a_schedule_that_fails_again_and_again_is_told_of_with_what_its_jobs_die_of,
    process_a_schedule_without_a_success_for_too_long_is_told_of_with_what_keeps_it,
);

fn every_second(site: &Site, name: &str, text: &str, more: &[&str]) {
    let payload = script(site, text).to_string();
    let add = ["schedule", "add", name, "exec", &payload, "--every", "1s"];
    site.home.ok(&[&add[..], more].concat());
}

fn process_a_schedule_that_fails_again_and_again_is_told_of_with_what_its_jobs_die_of(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let fails = "test -e mended || { echo 'no such table: orders' >&2; exit 1; }";
    every_second(site, "orders", fails, &["--max-attempts", "1", "--stale-after", "1h"]);
    eventually("it has failed three times", || {
        site.home.json(&["schedule", "show", "orders"])["consecutive_failures"].as_u64() >= Some(3)
    });
    let failing = until_only(&site.home, "jobs.failing");
    says(&failing, "evidence", "no such table: orders");
    says(&failing, "evidence", "schedule orders has failed");
    says(&failing, "mend", "jobforge schedule history orders");
    std::fs::write(site.home.path().join("mended"), "").unwrap();
    mend(&site.home, &failing, "jobforge dead retry");
    until_healthy(&site.home);
}

fn process_a_schedule_without_a_success_for_too_long_is_told_of_with_what_keeps_it(site: &Site) {
    let _server = site.watchdog();
    // Its job does not end, and nothing says how long it may take.
    let _work = site.work(&[]);
    every_second(site, "report", "test -e mended || sleep 300", &["--stale-after", "2s"]);
    let stale = until_only(&site.home, "schedules.stale");
    says(&stale, "what", "schedule report has not succeeded for longer than it may");
    says(&stale, "because", "none failed");
    std::fs::write(site.home.path().join("mended"), "").unwrap();
    let running = site.home.json(&["job", "list", "--status", "running"]);
    let id = running["jobs"][0]["id"].as_str().unwrap();
    site.home.ok(&["job", "retry", id, "--yes"]);
    until_healthy(&site.home);
    // Nobody takes its jobs.
    every_second(site, "mails", "true", &["--stale-after", "2s", "--queue", "mail"]);
    let unserved = until_only(&site.home, "queues.unserved");
    eventually("the schedule is stale, too", || {
        site.home.json(&["schedule", "show", "mails"])["state"] == "stale"
    });
    let unserved_still = until_only(&site.home, "queues.unserved");
    assert_eq!(unserved["mend"], unserved_still["mend"]);
    says(&unserved_still, "evidence", "schedule mails has had no success");
    let _mailer = site.work(&["--queues", "mail"]);
    until_healthy(&site.home);
}
