//! A fleet that has much to do and nothing wrong with it.

use std::time::Duration;

use jobforge::clock;

use super::{enqueue, examined, script, until_healthy};
use crate::program::eventually;
use crate::site::Site;

/// How long nothing may be found.
const WATCHED: Duration = Duration::from_secs(4);

on_each_engine!(process_a_busy_fleet_in_which_all_is_well_has_nothing);

fn process_a_busy_fleet_in_which_all_is_well_has_nothing(site: &Site) {
    let _server = site.watchdog();
    let _workers = [site.work(&[]), site.work(&["--slots", "8"])];
    let payload = script(site, "true").to_string();
    site.home.ok(&["schedule", "add", "tick", "exec", &payload, "--every", "1s"]);
    // Long ones that tell how far they are, under a bound that they keep.
    let goes_on = "for i in $(seq 1 99); do echo ::progress $i; sleep 0.3; done";
    for _ in 0..3 {
        enqueue(site, goes_on, &["--progress-timeout", "20s", "--timeout", "10m"]);
    }
    // One that says nothing and takes its time, one that was canceled, and some for later.
    let quiet = enqueue(site, "sleep 300", &[]);
    let canceled = enqueue(site, "sleep 300", &[]);
    enqueue(site, "true", &["--delay", "1h"]);
    site.home.until(&canceled, "running");
    site.home.ok(&["job", "cancel", &canceled, "--yes"]);
    site.home.ok(&["queue", "pause", "unused"]);
    // An attempt that fails is daily life, and so is one job that is refused for good.
    let retried = site.enqueue("exit 1", "sleep 300");
    eventually("it has failed once", || !site.home.json(&["job", "show", &retried])["error"].is_null());
    let fatal =
        site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["sh","-c","exit 2"],"retry_exit_codes":[75]}"#]);
    site.home.until(&fatal, "failed");
    site.home.until(&quiet, "running");
    until_healthy(&site.home);
    let deadline = clock::monotonic() + WATCHED;
    while clock::monotonic() < deadline {
        enqueue(site, "sleep 0.2", &[]);
        let (names, code, report) = examined(&site.home);
        assert_eq!((names.len(), code), (0, 0), "{report:#}");
    }
    let shown = site.home.ok(&["doctor"]);
    assert!(shown.contains("ok      servers") && shown.ends_with("Nothing is wrong."), "{shown}");
}
