//! Schedules that fail, that hang, that nobody works for, and that nobody fires.

use super::set_clock::SetClock;
use super::{configure, end_the_oldest, left_open, mend, says, script, until_healthy, until_only};
use crate::program::{Running, eventually};
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

#[test]
fn process_a_schedule_that_a_session_holds_is_late_and_its_alert_tells_what_it_missed() {
    let clock = SetClock::at("-10m");
    let site = clock.site();
    configure(&site, "alert_interval_ms = 1000");
    let payload = script(&site, "true").to_string();
    let server = site.serve();
    site.home.ok(&["schedule", "add", "orders", "exec", &payload, "--every", "1m"]);
    let judges = |server: &Running| {
        let told = format!("SELECT count(*) FROM jobforge_samples WHERE process LIKE '%:{}:%'", server.pid());
        eventually("alerts are looked at", || site.sql(&told) != "0");
    };
    judges(&server);
    let _held = left_open(&site, "BEGIN; SELECT FROM jobforge_schedules WHERE name = 'orders' FOR UPDATE");
    // Some minutes pass, in which nobody else is there.
    assert_eq!(server.terminate(), 0);
    clock.set("+0");
    let server = site.serve();
    let _work = site.work(&[]);
    let late = until_only(&site.home, "schedules.late");
    says(&late, "evidence", "orders has been due for");
    says(&late, "cause", "a session");
    // What grew before it was first looked at is not known to have grown.
    judges(&server);
    end_the_oldest(&site, &late);
    let fires = until_only(&site.home, "alerts.firing");
    says(&fires, "what", "JobForgeScheduleMissed");
    says(&fires, "what", "orders missed");
    site.home.ok(&["alert", "silence", "JobForgeScheduleMissed", "--for", "2h", "--reason", "known"]);
    until_healthy(&site.home);
}
