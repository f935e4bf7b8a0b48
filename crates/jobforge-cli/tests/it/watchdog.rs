//! The watchdog as an operator meets it: alone, by hand, and afterwards.

use std::time::Duration;

use jobforge::clock;

use crate::program::Home;

#[test]
fn a_cleanup_daemon_is_seen_watching_and_its_runs_are_recorded() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let nobody = home.run(&["watchdog", "status"]);
    assert!(nobody.out.contains("No watchdog is running"), "{}", nobody.out);
    assert!(nobody.err.contains("jobforge cleanup-daemon"), "{}", nobody.err);
    assert!(home.run(&["watchdog", "history"]).err.contains("no watchdog has run yet"));

    let daemon = home.start(&["cleanup-daemon"], "Cleanup daemon started");
    let deadline = clock::monotonic() + Duration::from_secs(20);
    while home.json(&["watchdog", "status"])["watching"] != true {
        assert!(clock::monotonic() < deadline, "the daemon gives no sign of life");
    }
    let pid = daemon.pid().to_string();
    let status = home.json(&["watchdog", "status"]);
    assert!(status["watchdogs"][0]["id"].as_str().unwrap().ends_with(&pid), "{status}");
    while home.json(&["watchdog", "history"]).as_array().unwrap().is_empty() {
        assert!(clock::monotonic() < deadline, "the first run is not recorded");
    }
    let runs = home.json(&["watchdog", "history"]);
    assert_eq!(runs[0]["trigger"], "interval");
    assert_eq!(runs[0]["guard"], "gap", "nobody watched before");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_sweep_by_hand_is_recorded_as_the_operators_and_a_preview_is_not() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    assert!(home.run(&["watchdog", "run", "--dry-run"]).err.contains("would change nothing"));
    assert_eq!(home.json(&["watchdog", "history"]).as_array().unwrap().len(), 0);
    assert!(home.ok(&["watchdog", "run"]).contains("0 jobs requeued"));
    let runs = home.json(&["watchdog", "history"]);
    assert_eq!((runs.as_array().unwrap().len(), runs[0]["trigger"].as_str()), (1, Some("operator")));
    let refused = home.run(&["watchdog", "history", "--limit", "0"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("from 1 to"), "{}", refused.err);
}
