//! Servers that are not there, or do not do what they should.

use testkit::postgres::ClusterOptions;

use super::{configure, examined, finding, mend, says, until_healthy, until_only};
use crate::site::Site;

on_each_engine!(process_heartbeats_that_were_switched_off_are_told_of_until_they_are_on_again);

fn process_heartbeats_that_were_switched_off_are_told_of_until_they_are_on_again(site: &Site) {
    let _server = site.watchdog();
    until_healthy(&site.home);
    site.home.ok(&["flag", "set", "JOB_HEARTBEAT", "off"]);
    let off = until_only(&site.home, "servers.heartbeats_off");
    mend(&site.home, &off, "jobforge flag set");
    until_healthy(&site.home);
}

#[test]
fn process_a_fleet_without_a_server_or_without_one_role_says_what_is_missing() {
    let site = Site::on_postgres();
    let none = until_only(&site.home, "servers.none");
    assert_eq!(none["evidence"][0], "no server has ever been here");
    for (roles, name) in [
        ("api,scheduler,housekeeper,alerts", "servers.no_watchdog"),
        ("api,watchdog,housekeeper,alerts", "servers.no_scheduler"),
        ("api,watchdog,scheduler,alerts", "servers.no_housekeeper"),
        ("api,watchdog,scheduler,housekeeper", "servers.no_alerts"),
    ] {
        // What was done before is remembered for a while.
        let site = Site::on_postgres();
        let payload = r#"{"argv":["true"]}"#;
        site.home.ok(&["schedule", "add", "nightly", "exec", payload, "--every", "1d"]);
        let partly = ["serve", "--roles", roles, "--listen", "127.0.0.1:0"];
        let _partly = site.home.start(&partly, "stop with Ctrl-C");
        let missing = until_only(&site.home, name);
        let mend = missing["mend"][0].as_str().unwrap();
        let words: Vec<&str> = mend.split(' ').skip(1).collect();
        let _rest = site.home.start(&[&words[..], &["--listen", "127.0.0.1:0"]].concat(), "\"INFO\"");
        until_healthy(&site.home);
    }
}

#[test]
fn process_the_socket_of_a_killed_server_is_removed_by_fix_and_the_audit_log_tells_it() {
    let mut site = Site::on_sqlite();
    until_healthy(&site.home);
    let socket = site.home.data_dir().join("jobforge.sock");
    site.kill_server();
    until_only(&site.home, "servers.none");
    let asked = site.home.run(&["doctor", "--fix"]);
    assert_eq!(asked.code, 2, "{}", asked.err);
    assert!(asked.err.contains("on which nobody listens"), "{}", asked.err);
    site.home.run(&["doctor", "--fix", "--dry-run"]);
    assert!(socket.exists());
    let mended = site.home.run(&["doctor", "--fix", "--yes", "--reason", "INC-7"]);
    assert!(mended.err.contains("is removed"), "{}", mended.err);
    assert!(!socket.exists());
    let audit = site.home.json(&["audit", "list", "--action", "doctor.remove_socket"]);
    assert_eq!(audit[0]["reason"], "INC-7", "{audit:#}");
}

#[test]
fn process_jobs_that_no_worker_can_see_are_offered_again_by_fix() {
    let site = Site::on_postgres();
    let id = site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#]);
    site.sql("DELETE FROM jobforge_ready");
    let (names, _, report) = examined(&site.home);
    // No server runs that would mend it.
    assert_eq!(names, ["database.unoffered", "servers.none"], "{report:#}");
    assert_eq!(finding(&report, "database.unoffered")["evidence"][0], *id);
    let mended = site.home.run(&["doctor", "--fix", "--yes"]);
    assert!(mended.err.contains("1 row put right"), "{}", mended.err);
    assert_eq!(site.sql("SELECT count(*) FROM jobforge_ready"), "1");
    assert!(!examined(&site.home).0.contains(&"database.unoffered".to_owned()));
}

#[test]
fn process_workers_that_all_fall_silent_at_once_are_held_and_that_is_what_is_told() {
    let site = Site::on_postgres();
    let _server = site.watchdog();
    let workers: Vec<_> = (0..5).map(|_| site.work(&["--no-supervise"])).collect();
    until_healthy(&site.home);
    // A network that is cut, as far as the database can tell.
    for worker in workers {
        worker.kill();
    }
    let held = until_only(&site.home, "servers.held");
    says(&held, "evidence", "a large part of the fleet fell silent at once");
    says(&held, "because", "mass_loss");
}

#[test]
fn process_a_standby_that_takes_over_is_told_of_while_verdicts_are_held_back() {
    // For a lease they are held back.
    let site = Site::on_own_postgres(&ClusterOptions::default()).with_a_lease(12);
    let _server = site.watchdog();
    let _work = site.work(&[]);
    until_healthy(&site.home);
    site.cluster.as_ref().unwrap().fail_over().unwrap();
    let held = until_only(&site.home, "servers.held");
    says(&held, "cause", "a standby has taken over");
    says(&held, "because", "failover");
    until_healthy(&site.home);
}

#[test]
fn process_a_watchdog_whose_runs_break_off_is_told_of_with_what_the_database_says() {
    let site = Site::on_postgres();
    configure(&site, "watchdog_check_interval_ms = 500");
    let _server = site.watchdog();
    let _work = site.work(&[]);
    until_healthy(&site.home);
    // As somebody does who wants to see who ends workers.
    site.sql(
        "CREATE FUNCTION note_ends() RETURNS trigger LANGUAGE plpgsql AS \
           $$BEGIN INSERT INTO ends_of_workers DEFAULT VALUES; RETURN NULL; END$$; \
         CREATE TRIGGER note_ends AFTER UPDATE OF end_reason ON jobforge_workers EXECUTE FUNCTION note_ends()",
    );
    let fails = until_only(&site.home, "servers.watchdog_fails");
    says(&fails, "evidence", "ends_of_workers");
    site.sql("DROP TRIGGER note_ends ON jobforge_workers");
    mend(&site.home, &fails, "jobforge watchdog run");
    until_healthy(&site.home);
}
