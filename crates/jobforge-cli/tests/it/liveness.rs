//! Workers that die, freeze or are stopped, as real processes on both engines.

use std::time::Duration;

use jiff::Timestamp;
use jobforge::clock;
use serde_json::Value;

use crate::program::eventually;
use crate::site::{Site, lives, outcomes, pid_in, send, why_lost};

/// Within this time what dies must be noticed. It takes some milliseconds; test machines are busy.
const SOON: Duration = Duration::from_secs(15);
/// Sooner than any lease of a site: what is seen so soon was not found by silence. How soon it really is, `docs/benchmarks.md`
/// tells.
const BEFORE_ANY_LEASE: Duration = Duration::from_millis(2500);

on_each_engine!(
    process_the_job_of_a_killed_worker_runs_again_at_once_with_the_proof_and_without_its_orphans,
    process_a_frozen_worker_loses_its_job_and_changes_nothing_when_it_wakes,
    process_a_worker_that_is_stopped_under_load_loses_nothing,
    process_a_worker_whose_supervisor_is_killed_ends_with_its_programs,
    process_settings_that_no_worker_can_use_end_the_supervisor_too,
    process_a_drill_really_kills_a_worker_and_measures_how_its_jobs_come_back,
    process_drills_freeze_a_worker_and_cut_one_off,
    process_a_drill_of_many_trials_sums_them_up,
    process_a_drill_of_short_pauses_sees_nobody_taken_for_dead,
);

#[test]
fn process_a_stopped_worker_is_named_as_such_until_it_goes_on_on_sqlite() {
    is_named_while_stopped(&Site::on_sqlite().with_a_long_lease());
}

#[test]
fn process_a_stopped_worker_is_named_as_such_until_it_goes_on_on_postgres() {
    is_named_while_stopped(&Site::on_postgres().with_a_long_lease());
}

fn is_named_while_stopped(site: &Site) {
    let work = site.work(&[]);
    let id = site.enqueue("sleep 300", "true");
    site.home.until(&id, "running");
    let explained = || site.home.json(&["job", "explain", &id]);
    send("-STOP", work.worker_pid());
    eventually("it is said to be stopped", || explained()["verdict"] == "stopped");
    let standing = explained();
    assert_eq!(standing["kind"], "stuck", "{standing}");
    let command = format!("kill -CONT {}", work.worker_pid());
    let first = standing["actions"][0]["command"].as_str().unwrap();
    assert!(first.starts_with(&command), "{standing}");
    send("-CONT", work.worker_pid());
    eventually("it is said to run", || explained()["verdict"] == "running");
}

/// When the second attempt began.
fn began_again(job: &Value) -> Timestamp {
    job["attempts_made"][1]["started_at"].as_str().unwrap().parse().unwrap()
}

fn process_the_job_of_a_killed_worker_runs_again_at_once_with_the_proof_and_without_its_orphans(site: &Site) {
    let work = site.work(&[]);
    // The second attempt fails if the first one's program still lives.
    let id = site.enqueue("sleep 300 & echo $! > pid; wait", "! kill -0 $(cat pid)");
    site.home.until(&id, "running");
    let program = pid_in(&site.home.path().join("pid"));
    let worker = work.worker_pid();
    let killed = clock::wall();
    send("-KILL", worker);
    let ended = site.home.until(&id, "succeeded");
    let took = began_again(&ended).duration_since(killed);
    assert!(took <= BEFORE_ANY_LEASE.try_into().unwrap(), "{took:#}");
    assert!(!lives(program), "the program of the dead worker lives");
    assert_eq!(outcomes(&ended), ["lost", "succeeded"]);
    let why = why_lost(&ended);
    assert!(why.ends_with("ended while it ran the job: signal 9 (SIGKILL)"), "{why}");
    let death = &ended["attempts_made"][0]["error"]["details"]["death"];
    assert_eq!(death["proof"]["name"], "SIGKILL");
    let last_output = death["last_output"].as_array().unwrap();
    assert!(last_output.iter().any(|line| line.as_str().unwrap().contains("takes jobs from")), "{death}");
    assert_ne!(work.worker_pid(), worker);
    assert_eq!(work.terminate(), 0);
}

#[test]
fn process_a_worker_that_nobody_saw_die_is_suspect_at_once_and_loses_jobs_of_fast_types_before_its_lease() {
    let site = Site::on_postgres();
    let settings = "worker_lease_ms = 60000\nexec_allow = \"*\"\nfast_types = \"exec\"\n";
    std::fs::write(site.home.path().join("jobforge.toml"), settings).unwrap();
    let _serve = site.watchdog();
    let work = site.work(&["--no-supervise"]);
    let id = site.enqueue("sleep 300", "true");
    site.home.until(&id, "running");
    // Only what a watchdog has seen can be missed by it.
    let locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted";
    eventually("the worker holds its connection", || site.sql(locked) == "1");
    let since = site.sql("SELECT clock_timestamp()");
    let looked = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE query LIKE '-- The workers whose session lock is held%' AND state = 'idle' AND query_start > '{since}'"
    );
    eventually("the watchdog has looked", || site.sql(&looked) != "0");
    // In a slot of its own, so that it proves nothing of the other.
    let _heir = site.work(&[]);
    work.kill();
    eventually("it is suspect", || site.home.json(&["job", "explain", &id])["verdict"] == "suspect");
    let ended = site.home.until(&id, "succeeded");
    assert_eq!(outcomes(&ended), ["lost", "succeeded"]);
    assert!(why_lost(&ended).contains("lost its connection"), "{}", why_lost(&ended));
}

fn process_a_frozen_worker_loses_its_job_and_changes_nothing_when_it_wakes(site: &Site) {
    let _watchdog = site.watchdog();
    let zombie = site.work(&[]);
    let id = site.enqueue("until [ -e go ]; do sleep 0.05; done", "true");
    site.home.until(&id, "running");
    send("-STOP", zombie.worker_pid());
    zombie.until_it_says("is stopped, by SIGSTOP or by a debugger");
    let _heir = site.work(&[]);
    let mut ended = site.home.until(&id, "succeeded");
    assert_eq!(outcomes(&ended), ["lost", "succeeded"]);
    assert!(why_lost(&ended).contains("not heard for"), "{}", why_lost(&ended));
    // What the frozen worker will say of its program comes too late.
    std::fs::write(site.home.path().join("go"), "").unwrap();
    send("-CONT", zombie.worker_pid());
    zombie.until_it_says("has lost its lease");
    let mut after = site.home.json(&["job", "show", &id]);
    // What it still said, if it came to that, was refused and counted; nothing else has changed.
    after["attempts_made"][0]["refused"].take();
    ended["attempts_made"][0]["refused"].take();
    assert_eq!((&after["attempts_made"], &after["lease"]), (&ended["attempts_made"], &ended["lease"]));
    assert_eq!(site.home.run(&["db", "check"]).code, 0);
    assert_eq!(zombie.terminate(), 0);
}

fn process_a_worker_that_is_stopped_under_load_loses_nothing(site: &Site) {
    let work = site.work(&[]);
    let lines = "{\"type\":\"exec\",\"payload\":{\"argv\":[\"sleep\",\"0.1\"]}}\n".repeat(40);
    std::fs::write(site.home.path().join("jobs.jsonl"), lines).unwrap();
    site.home.ok(&["job", "enqueue", "--from", "jobs.jsonl"]);
    let ended = |status: &str| {
        let list = site.home.json(&["job", "list", "--limit", "100", "--status", status]);
        list["jobs"].as_array().unwrap().clone()
    };
    eventually("some have ended", || ended("succeeded").len() >= 4);
    assert_eq!(work.terminate(), 0);
    assert_eq!(ended("running").len(), 0);
    let _next = site.work(&[]);
    eventually("all have ended", || ended("succeeded").len() == 40);
    assert!(ended("succeeded").iter().all(|job| job["attempts"] == 1), "none was started twice");
    assert_eq!(site.home.run(&["db", "check"]).code, 0);
}

fn process_a_worker_whose_supervisor_is_killed_ends_with_its_programs(site: &Site) {
    let work = site.work(&[]);
    let id = site.enqueue("sleep 300 & echo $! > pid; wait", "true");
    site.home.until(&id, "running");
    let (program, worker) = (pid_in(&site.home.path().join("pid")), work.worker_pid());
    let killed = clock::monotonic();
    work.kill();
    eventually("the worker has ended", || !lives(worker));
    assert!(killed.elapsed() < SOON, "{:?}", killed.elapsed());
    assert!(!lives(program), "the program outlives its worker");
    let _next = site.work(&[]);
    let ended = site.home.until(&id, "succeeded");
    assert_eq!(outcomes(&ended).len(), 2);
}

fn process_settings_that_no_worker_can_use_end_the_supervisor_too(site: &Site) {
    for (queues, part) in [("mail=none", "at least one slot"), ("mail,mail", "named twice")] {
        let done = site.home.run(&["work", "--queues", queues]);
        assert_eq!(done.code, 78, "{}", done.err);
        assert!(done.err.contains(part), "{}", done.err);
    }
}

fn process_a_drill_really_kills_a_worker_and_measures_how_its_jobs_come_back(site: &Site) {
    let shown = site.home.json(&["drill", "kill-worker", "--config", "jobforge.toml"]);
    let result = &shown["result"];
    assert_eq!(
        (&shown["drill"], &result["passed"], &result["lost"]),
        (&"kill-worker".into(), &true.into(), &0.into())
    );
    assert!(result["detected_ms"].as_u64() <= result["running_again_ms"].as_u64(), "{shown}");
    assert_eq!(result["outcomes"][0], serde_json::json!(["lost", "succeeded"]));
    assert_eq!(
        site.home.json(&["job", "list"])["jobs"].as_array().unwrap().len(),
        0,
        "nothing is left of it"
    );
}

fn process_drills_freeze_a_worker_and_cut_one_off(site: &Site) {
    let _watchdog = site.watchdog();
    for drill in ["stop-worker", "partition"] {
        let shown = site.home.json(&["drill", drill, "--config", "jobforge.toml"]);
        assert_eq!((&shown["drill"], &shown["result"]["passed"]), (&drill.into(), &true.into()), "{shown}");
    }
}

fn process_a_drill_of_many_trials_sums_them_up(site: &Site) {
    let shown = site.home.json(&["drill", "kill-worker", "--trials", "2", "--config", "jobforge.toml"]);
    let summary = &shown["summary"];
    assert_eq!((&summary["trials"], &summary["passed"], &summary["lost"]), (&2.into(), &2.into(), &0.into()));
    let slowest = shown["trials"].as_array().unwrap().iter().map(|trial| trial["running_again_ms"].as_u64());
    assert_eq!(summary["running_again"]["p99_ms"].as_u64(), slowest.max().unwrap());
}

fn process_a_drill_of_short_pauses_sees_nobody_taken_for_dead(site: &Site) {
    let _watchdog = site.watchdog();
    let arguments =
        ["drill", "pauses", "--length", "2s", "--workers", "1", "--busy", "0", "--config", "jobforge.toml"];
    let result = &site.home.json(&arguments)["result"];
    assert_eq!(
        (&result["passed"], &result["workers_lost"], &result["jobs_lost"]),
        (&true.into(), &0.into(), &0.into())
    );
    assert!(result["pauses"].as_u64() >= Some(1), "{result}");
}

#[test]
fn process_a_restart_under_the_same_name_proves_the_one_before_dead() {
    let site = Site::on_postgres();
    let work = site.work(&[]);
    let id = site.enqueue("sleep 300", "true");
    site.home.until(&id, "running");
    // So that it cannot report what it sees.
    send("-STOP", work.pid());
    send("-KILL", work.worker_pid());
    work.kill();
    let _next = site.work(&[]);
    let ended = site.home.until(&id, "succeeded");
    assert!(why_lost(&ended).ends_with("successor holds slot worker"), "{}", why_lost(&ended));
}

#[test]
fn process_a_drill_without_a_watchdog_fails() {
    let site = Site::on_postgres();
    let done = site.home.run(&["drill", "stop-worker", "--config", "jobforge.toml", "--within", "5s"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.out.contains("failed"), "{}", done.out);
    // Without one nobody could be taken for dead, so that would show nothing.
    let done = site.home.run(&["drill", "pauses", "--length", "1s"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("no watchdog is running"), "{}", done.err);
}
