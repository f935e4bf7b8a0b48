//! Workers that die, freeze or are stopped, as real processes on PostgreSQL.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jobforge::clock;
use serde_json::Value;
use testkit::postgres::TestDatabase;

use crate::program::{Home, Running, eventually};

/// Within this time a killed worker's job must have run again. The promise is one second; test machines are busy.
const SOON: Duration = Duration::from_secs(5);

struct Site {
    home: Home,
    _database: TestDatabase,
}

impl Site {
    /// A database and settings with a lease that a test can wait for.
    fn new() -> Self {
        let database = TestDatabase::create().unwrap();
        let home = Home::on_postgres(&database.url());
        home.ok(&["db", "migrate"]);
        let settings = "worker_lease_ms = 3000\nexec_allow = \"*\"\nshutdown_grace_ms = 10000\nslots = 4\n";
        std::fs::write(home.path().join("jobforge.toml"), settings).unwrap();
        Self { home, _database: database }
    }

    fn work(&self) -> Running {
        self.home.start(&["work", "--config", "jobforge.toml"], "takes jobs from")
    }

    fn serve(&self) -> Running {
        self.home.start(&["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"], "serving")
    }

    /// A job whose first attempt runs `first` and every other one `then`, both in a shell in the site's directory.
    fn enqueue(&self, first: &str, then: &str) -> String {
        let script =
            format!("cd {}; if mkdir once; then {first}; else {then}; fi", self.home.path().display());
        let payload = serde_json::json!({ "argv": ["sh", "-c", script], "grace_ms": 100 }).to_string();
        self.home.ok(&["job", "enqueue", "exec", &payload])
    }
}

fn outcomes(job: &Value) -> Vec<&str> {
    let attempts = job["attempts_made"].as_array().unwrap();
    attempts.iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect()
}

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The number that a job's script wrote there.
fn pid_in(file: &Path) -> u32 {
    let mut pid = None;
    eventually("the program tells its number", || {
        pid = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    pid.unwrap()
}

#[test]
fn process_the_job_of_a_killed_worker_runs_again_at_once_with_the_proof_and_without_its_orphans() {
    let site = Site::new();
    let work = site.work();
    // The second attempt fails if the first one's program still lives.
    let id = site.enqueue("sleep 300 & echo $! > pid; wait", "! kill -0 $(cat pid)");
    site.home.until(&id, "running");
    let program = pid_in(&site.home.path().join("pid"));
    let worker = work.worker_pid();
    let killed = clock::monotonic();
    send("-KILL", worker);
    let ended = site.home.until(&id, "succeeded");
    assert!(killed.elapsed() < SOON, "{:?}", killed.elapsed());
    assert!(!lives(program), "the program of the dead worker lives");
    assert_eq!(outcomes(&ended), ["lost", "succeeded"]);
    let error = &ended["attempts_made"][0]["error"];
    assert!(
        error["message"].as_str().unwrap().ends_with("ended while it ran the job: signal 9 (SIGKILL)"),
        "{error}"
    );
    assert_eq!(error["details"]["death"]["proof"]["name"], "SIGKILL");
    assert!(
        error["details"]["death"]["last_output"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line.as_str().unwrap().contains("takes jobs from"))
    );
    assert_ne!(work.worker_pid(), worker);
    assert_eq!(work.terminate(), 0);
}

#[test]
fn process_a_frozen_worker_loses_its_job_and_changes_nothing_when_it_wakes() {
    let site = Site::new();
    let _serve = site.serve();
    let zombie = site.work();
    let id = site.enqueue("until [ -e go ]; do sleep 0.05; done", "true");
    site.home.until(&id, "running");
    send("-STOP", zombie.worker_pid());
    let _heir = site.work();
    let mut ended = site.home.until(&id, "succeeded");
    assert_eq!(outcomes(&ended), ["lost", "succeeded"]);
    assert!(ended["attempts_made"][0]["error"]["message"].as_str().unwrap().contains("not heard for"));
    // What the frozen worker will say of its program comes too late.
    std::fs::write(site.home.path().join("go"), "").unwrap();
    send("-CONT", zombie.worker_pid());
    zombie.until_it_says("has lost its lease");
    let mut after = site.home.json(&["job", "show", &id]);
    // Its heartbeats and its result are refused, which the attempt remembers; nothing else has changed.
    assert_ne!(after["attempts_made"][0]["refused"].take(), 0);
    ended["attempts_made"][0]["refused"].take();
    assert_eq!((&after["attempts_made"], &after["lease"]), (&ended["attempts_made"], &ended["lease"]));
    assert_eq!(site.home.run(&["db", "check"]).code, 0);
    assert_eq!(zombie.terminate(), 0);
}

#[test]
fn process_a_worker_that_is_stopped_under_load_loses_nothing() {
    let site = Site::new();
    let work = site.work();
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
    let _next = site.work();
    eventually("all have ended", || ended("succeeded").len() == 40);
    assert!(ended("succeeded").iter().all(|job| job["attempts"] == 1), "none was started twice");
    assert_eq!(site.home.run(&["db", "check"]).code, 0);
}

#[test]
fn process_a_worker_whose_supervisor_is_killed_ends_with_its_programs() {
    let site = Site::new();
    let work = site.work();
    let id = site.enqueue("sleep 300 & echo $! > pid; wait", "true");
    site.home.until(&id, "running");
    let (program, worker) = (pid_in(&site.home.path().join("pid")), work.worker_pid());
    let killed = clock::monotonic();
    work.kill();
    eventually("the worker has ended", || !lives(worker));
    assert!(killed.elapsed() < SOON, "{:?}", killed.elapsed());
    assert!(!lives(program), "the program outlives its worker");
    let _next = site.work();
    let ended = site.home.until(&id, "succeeded");
    assert_eq!(outcomes(&ended).len(), 2);
}

#[test]
fn process_a_restart_under_the_same_name_proves_the_one_before_dead() {
    let site = Site::new();
    let work = site.work();
    let id = site.enqueue("sleep 300", "true");
    site.home.until(&id, "running");
    // So that it cannot report what it sees.
    send("-STOP", work.pid());
    send("-KILL", work.worker_pid());
    work.kill();
    let _next = site.work();
    let ended = site.home.until(&id, "succeeded");
    let message = ended["attempts_made"][0]["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("successor holds slot worker"), "{message}");
}

#[test]
fn process_settings_that_no_worker_can_use_end_the_supervisor_too() {
    let site = Site::new();
    let done = site.home.run(&["work", "--queues", "mail=none"]);
    assert_eq!(done.code, 78);
    assert!(done.err.contains("at least one slot"), "{}", done.err);
}

#[test]
fn process_a_drill_really_kills_a_worker_and_measures_how_its_jobs_come_back() {
    let site = Site::new();
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

#[test]
fn process_drills_freeze_a_worker_and_cut_one_off() {
    let site = Site::new();
    let _serve = site.serve();
    for drill in ["stop-worker", "partition"] {
        let shown = site.home.json(&["drill", drill, "--config", "jobforge.toml"]);
        assert_eq!((&shown["drill"], &shown["result"]["passed"]), (&drill.into(), &true.into()), "{shown}");
    }
}

#[test]
fn process_a_drill_without_a_watchdog_fails() {
    let site = Site::new();
    let done = site.home.run(&["drill", "stop-worker", "--config", "jobforge.toml", "--within", "5s"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.out.contains("never") && done.out.contains("failed"), "{}", done.out);
}
