//! What is stored for the whole fleet counts for whoever takes a job back: supervisors, and people at the command line.

use crate::program::eventually;
use crate::site::{Site, pid_in, send};

on_each_engine!(process_a_stored_policy_counts_when_a_supervisor_saw_its_worker_die);

fn process_a_stored_policy_counts_when_a_supervisor_saw_its_worker_die(site: &Site) {
    let _watchdog = site.watchdog();
    let work = site.work(&[]);
    site.home.ok(&["config", "set", "on_lost=fail"]);
    let id = site.enqueue("sleep 300", "true");
    site.home.until(&id, "running");
    send("-KILL", work.worker_pid());
    let ended = site.home.until(&id, "failed");
    assert_eq!(ended["error"]["message"], "Worker died unexpectedly");
}

#[test]
fn process_a_stored_policy_counts_for_a_sweep_and_an_explanation_by_hand() {
    let site = Site::on_postgres();
    let work = site.work(&["--no-supervise"]);
    site.home.ok(&["config", "set", "on_lost=dead_letter"]);
    let pid = site.home.path().join("pid");
    let id = site.enqueue(&format!("echo $$ > {}; exec sleep 300", pid.display()), "true");
    site.home.until(&id, "running");
    let orphan = pid_in(&pid);
    work.kill();
    eventually("a sweep would make the job dead", || {
        site.home.run(&["watchdog", "run", "--dry-run"]).out.contains("dead")
    });
    let explained = site.home.ok(&["job", "explain", &id]);
    send("-KILL", orphan);
    assert!(explained.contains("dead"), "{explained}");
    assert!(site.home.ok(&["watchdog", "run"]).contains("1 ended"));
    assert_eq!(site.home.json(&["job", "show", &id])["status"], "dead");
}

#[test]
fn a_flag_that_is_stored_is_told_of_by_the_watchdogs_status() {
    let site = Site::on_sqlite();
    assert_eq!(site.home.json(&["watchdog", "status"])["enabled"], true);
    site.home.ok(&["flag", "set", "JOB_HEARTBEAT", "off"]);
    let told = site.home.ok(&["watchdog", "status"]);
    assert!(told.contains("job heartbeats are switched off here"), "{told}");
    assert_eq!(site.home.json(&["watchdog", "status"])["enabled"], false);
}
