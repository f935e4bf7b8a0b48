//! Databases that crash, are flooded, lose their connections or run out of space while workers are at it. After each the
//! ledger of what the jobs did must add up.

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use testkit::postgres::{ClusterOptions, Durability, psql};

use crate::ledger::Ledger;
use crate::program::{done, eventually};
use crate::site::Site;

/// Longer than the lease of three seconds.
const LONGER_THAN_THE_LEASE: Duration = Duration::from_millis(3500);

fn crashable() -> ClusterOptions {
    ClusterOptions { durability: Durability::ServerCrash, ..ClusterOptions::default() }
}

#[test]
fn process_a_postgresql_that_crashes_under_load_loses_nothing_and_runs_nothing_twice() {
    let site = Site::on_own_postgres(&crashable());
    let _watchdog = site.watchdog();
    let _workers = [site.work(&[]), site.work(&[])];
    let mut ledger = Ledger::of(&site);
    ledger.enqueue(&site, 48, "sleep 0.1");
    for round in 1..=2 {
        ledger.until("done", round * 12);
        site.cluster.as_ref().unwrap().restart_immediate().unwrap();
    }
    ledger.settle(&site).succeeded();
}

#[test]
fn process_a_server_of_sqlite_that_is_killed_under_load_loses_nothing_and_runs_nothing_twice() {
    let mut site = Site::on_sqlite();
    let _workers = [site.work(&[]), site.work(&[])];
    let mut ledger = Ledger::of(&site);
    ledger.enqueue(&site, 48, "sleep 0.1");
    for round in 1..=2 {
        ledger.until("done", round * 12);
        site.kill_server();
        site.start_server();
    }
    ledger.settle(&site).undisturbed();
}

#[test]
fn process_connections_that_are_terminated_one_after_the_other_cost_no_job_anything() {
    let site = Site::on_own_postgres(&crashable());
    let _watchdog = site.watchdog();
    let _workers = [site.work(&[]), site.work(&[])];
    let mut ledger = Ledger::of(&site);
    ledger.enqueue(&site, 48, "sleep 0.2");
    let cluster = site.cluster.as_ref().unwrap();
    let mut terminated = 0;
    while ledger.count("done") < 40 {
        let others = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        for pid in cluster.psql(others).unwrap().lines() {
            cluster.psql(&format!("SELECT pg_terminate_backend({pid})")).unwrap();
            terminated += 1;
        }
    }
    assert!(terminated > 8, "{terminated} connections were terminated");
    ledger.settle(&site).undisturbed();
}

#[test]
fn process_a_postgresql_without_a_free_connection_costs_no_lease() {
    let site = Site::on_own_postgres(&ClusterOptions { max_connections: 30, ..crashable() });
    let _watchdog = site.watchdog();
    let _worker = site.work(&[]);
    let mut ledger = Ledger::of(&site);
    ledger.enqueue(&site, 4, &format!("sleep {}", LONGER_THAN_THE_LEASE.as_secs_f64()));
    ledger.until("begun", 4);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let storm = runtime.block_on(async {
        let mut open = Vec::new();
        let url = site.home.database_url().unwrap();
        while let Ok((client, connection)) = tokio_postgres::connect(url, tokio_postgres::NoTls).await {
            open.push((client, tokio::spawn(connection)));
        }
        open
    });
    assert!(!storm.is_empty(), "every connection was taken before the storm");
    std::thread::sleep(LONGER_THAN_THE_LEASE);
    drop(runtime);
    ledger.enqueue(&site, 8, "sleep 0.1");
    ledger.settle(&site).undisturbed();
}

#[test]
fn process_a_lock_on_the_jobs_that_outlasts_the_lease_costs_no_lease() {
    let site = Site::on_postgres();
    let _watchdog = site.watchdog();
    let _worker = site.work(&[]);
    let mut ledger = Ledger::of(&site);
    ledger.enqueue(&site, 12, "sleep 0.3");
    ledger.until("done", 4);
    let seconds = LONGER_THAN_THE_LEASE.as_secs_f64();
    let sql = format!(
        "BEGIN; LOCK TABLE jobforge_jobs IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT"
    );
    psql(site.home.database_url().unwrap(), &sql).unwrap();
    let settled = ledger.settle(&site);
    settled.succeeded();
    // What an answer gave that was so late is given back unbegun.
    assert_eq!((settled.attempts("lost"), settled.repeated), (0, 0));
    assert!(settled.jobs.iter().all(|job| job["attempts"] == 1), "{:#?}", settled.jobs);
}

#[test]
fn process_idle_connections_to_the_socket_cost_no_lease() {
    let site = Site::on_sqlite();
    let _worker = site.work(&[]);
    let mut ledger = Ledger::of(&site);
    ledger.enqueue(&site, 4, &format!("sleep {}", LONGER_THAN_THE_LEASE.as_secs_f64()));
    ledger.until("begun", 4);
    let socket = site.home.data_dir().join("jobforge.sock");
    let storm: Vec<_> = (0..500).map_while(|_| UnixStream::connect(&socket).ok()).collect();
    assert_eq!(storm.len(), 500);
    std::thread::sleep(LONGER_THAN_THE_LEASE);
    ledger.enqueue(&site, 8, "sleep 0.1");
    ledger.settle(&site).undisturbed();
}

#[test]
fn process_a_sqlite_that_cannot_write_keeps_what_was_answered_and_settles_once_it_can() {
    let site = Site::on_sqlite_under_limits();
    let _worker = site.work(&[]);
    let mut ledger = Ledger::of(&site);
    ledger.enqueue(&site, 24, "sleep 0.2");
    ledger.until("done", 4);
    limit_files(&site, "0");
    eventually("what runs ends", || ledger.count("begun") == ledger.count("done"));
    let running = site.home.json(&["job", "list", "--status", "running"]);
    assert_ne!(running["jobs"].as_array().unwrap().len(), 0, "nobody can write down how it ended");
    let enqueue = ["job", "enqueue", "exec", r#"{"argv":["true"]}"#];
    let refused = done(site.home.command_after("trap '' XFSZ; ulimit -f 0", &enqueue).output().unwrap());
    assert!(refused.code != 0 && refused.err.contains("repeating the call is safe"), "{}", refused.err);
    limit_files(&site, "unlimited");
    // The one that was refused is not among them.
    ledger.settle(&site).undisturbed();
}

/// How large the files may be that the server writes: with nothing it cannot write at all, as on a disk that is full.
fn limit_files(site: &Site, size: &str) {
    let pid = site.server_pid().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={size}:unlimited")]).status();
    assert!(set.unwrap().success());
}
