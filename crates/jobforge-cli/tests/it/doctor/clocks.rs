//! Clocks that are wrong, and clocks that are set.

use super::set_clock::SetClock;
use super::{DOCTOR, by_way_of, enqueue, says, script, until_healthy, until_healthy_by, until_only_by};
use crate::program::{Home, done, eventually};
use crate::site::Site;

#[test]
fn process_a_clock_that_differs_from_the_databases_is_found_in_either_direction() {
    let site = Site::on_postgres();
    let _server = site.watchdog();
    let _work = site.work(&[]);
    until_healthy(&site.home);
    for (offset, word) in [("+90s", "ahead of"), ("-90s", "behind")] {
        let doctor = || done(by_way_of(&site.home, &["faketime", "-f", offset], &DOCTOR).output().unwrap());
        let clock = until_only_by(&site.home, &doctor, "host.clock");
        says(&clock, "what", &format!("{word} the database's"));
        assert_eq!(clock["severity"], "warning");
    }
    until_healthy(&site.home);
}

#[test]
fn process_a_postgresql_whose_clock_is_set_in_either_direction_is_told_of_while_verdicts_are_held_back() {
    let clock = SetClock::at("+0");
    let site = clock.site().with_a_lease(20);
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let payload = script(&site, "true").to_string();
    site.home.ok(&["schedule", "add", "nightly", "exec", &payload, "--every", "1d"]);
    let id = enqueue(&site, "sleep 300", &["--timeout", "10m"]);
    site.home.until(&id, "running");
    until_healthy(&site.home);
    // The doctor looks from the database's host, so that its own clock is the one that was set.
    let from_there = |offset| {
        move |home: &Home| done(by_way_of(home, &["faketime", "-f", offset], &DOCTOR).output().unwrap())
    };
    let step = |offset| {
        // A renewal between the step and the watchdog's next look would be refused, as that of a worker that was frozen is.
        let renewed = || site.sql("SELECT max(last_heartbeat_at) FROM jobforge_workers");
        let before = renewed();
        eventually("a lease was renewed just now", || renewed() != before);
        clock.set(offset);
        let held = until_only_by(&site.home, &|| from_there(offset)(&site.home), "servers.held");
        says(&held, "because", "clock_step");
        says(&held, "mend", "it goes on by itself");
    };
    step("+1h");
    until_healthy_by(&|| from_there("+1h")(&site.home));
    step("+0");
    let job = site.home.json(&["job", "show", &id]);
    assert_eq!((&job["status"], &job["attempts"]), (&"running".into(), &1.into()), "{job:#}");
}
