//! Workers that are told to restart: their processes end, others begin, and no job loses anything by it.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Running, eventually, http};
use crate::site::{Site, outcomes};

on_each_engine!(
    process_the_worker_of_a_job_that_hangs_restarts_and_its_other_jobs_end_unharmed,
    process_every_worker_restarts_when_all_are_told_and_gives_back_what_does_not_end,
);

/// A job of a queue that runs this script in the site's directory.
fn enqueue(site: &Site, queue: &str, script: &str, grace_ms: u32, more: &[&str]) -> String {
    let script = format!("cd {}; {script}", site.home.path().display());
    let payload = json!({ "argv": ["sh", "-c", script], "grace_ms": grace_ms }).to_string();
    site.home.ok(&[&["job", "enqueue", "exec", &payload, "--queue", queue], more].concat())
}

fn worker_of(job: &Value) -> String {
    let attempts = job["attempts_made"].as_array().unwrap();
    attempts.last().unwrap()["worker"].as_str().unwrap().to_owned()
}

fn workers(site: &Site) -> Vec<Value> {
    site.home.json(&["worker", "list"]).as_array().unwrap().clone()
}

fn state(site: &Site, worker: &str) -> String {
    let workers = workers(site);
    let found = workers.iter().find(|row| row["id"] == worker);
    found.map(|row| row["state"].as_str().unwrap().to_owned()).unwrap_or_default()
}

fn process_the_worker_of_a_job_that_hangs_restarts_and_its_other_jobs_end_unharmed(site: &Site) {
    let beside = site.watchdog();
    let url = site.url(beside.as_ref());
    let (hung, other) = (site.work(&["--queues", "hung"]), site.work(&["--queues", "other"]));
    let (before, untouched) = (hung.worker_pid(), other.worker_pid());
    // Its time is over after a second, and nothing but SIGKILL ends it, which comes long after.
    let hangs = "if mkdir once; then trap '' TERM; while :; do sleep 0.2; done; fi";
    let stuck = enqueue(site, "hung", hangs, 25_000, &["--timeout", "1s"]);
    let waits = "until [ -e go ]; do sleep 0.1; done";
    let neighbour = enqueue(site, "hung", waits, 100, &[]);
    let elsewhere = enqueue(site, "other", waits, 100, &[]);
    let held = site.home.until(&neighbour, "running");
    let worker = worker_of(&held);
    site.home.until(&elsewhere, "running");
    let act = format!("{url}/api/qc/debug");
    eventually("the job that hangs is stuck", || {
        let seen = http("GET", &act, &[], None).body;
        seen["stuckJobs"].as_array().is_some_and(|jobs| jobs.iter().any(|job| job["id"] == stuck.as_str()))
    });
    let told = http("POST", &act, &["X-Reason: it hangs"], Some(&json!({ "action": "trigger_worker" })));
    assert_eq!(told.status, 200, "{}", told.body);
    let named: Vec<&Value> = told.body["told"].as_array().unwrap().iter().map(|one| &one["worker"]).collect();
    assert_eq!(named, [&json!(worker)], "only the one that holds it: {}", told.body);
    let one = &told.body["told"][0];
    assert_eq!((&one["jobs"], &one["place"]), (&json!([stuck]), &json!("local")), "{one}");
    eventually("it takes no more jobs", || state(site, &worker) == "draining");
    let later = enqueue(site, "hung", "true", 100, &[]);
    fs::write(site.home.path().join("go"), "").unwrap();
    let ended = site.home.until(&neighbour, "succeeded");
    assert_eq!((outcomes(&ended), worker_of(&ended)), (vec!["succeeded"], worker.clone()));
    hung.until_it_says("ended to restart, as it was told");
    eventually("another process works", || hung.worker_pid() != before);
    let again = site.home.until(&stuck, "succeeded");
    assert_eq!(outcomes(&again), ["reset", "succeeded"]);
    assert_ne!(worker_of(&again), worker);
    assert_ne!(worker_of(&site.home.until(&later, "succeeded")), worker);
    assert_eq!(state(site, &worker), "gone");
    // The other worker has noticed nothing.
    assert_eq!(outcomes(&site.home.until(&elsewhere, "succeeded")), ["succeeded"]);
    assert_eq!(other.worker_pid(), untouched);
    let audit = http("GET", &format!("{url}/v1/audit?action=worker.restart"), &[], None).body;
    let entries = audit["entries"].as_array().unwrap_or_else(|| panic!("{audit}"));
    assert_eq!((entries.len(), &entries[0]["target"]), (1, &json!(worker)), "{audit}");
    assert_eq!(entries[0]["reason"], "it hangs", "{audit}");
    assert_eq!((hung.terminate(), other.terminate()), (0, 0));
}

fn process_every_worker_restarts_when_all_are_told_and_gives_back_what_does_not_end(site: &Site) {
    let supervised = site.work(&["--queues", "beside"]);
    let within = site.work(&["--queues", "within", "--no-supervise"]);
    let (before, pid) = (supervised.worker_pid(), within.pid());
    // It outlasts the grace of the drain.
    let long = enqueue(site, "beside", "if mkdir once; then sleep 300; fi", 100, &[]);
    let worker = worker_of(&site.home.until(&long, "running"));
    let active = |site: &Site| -> Vec<String> {
        let active = site.home.json(&["worker", "list", "--active"]);
        active.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = active(site);
    assert_eq!(all.len(), 2, "{all:?}");
    let told = site.home.json(&["worker", "restart", "--all", "--reason", "new certificates"]);
    assert!(told.as_array().unwrap().iter().all(|one| one["restarts"] == true), "{told}");
    // Nothing runs in the one that has its worker within, so it begins anew at once, in the same process.
    eventually("the worker without supervisor is another", || {
        let now = active(site);
        now.iter().any(|id| !all.contains(id))
            && workers(site).iter().any(|row| {
                row["pid"] == pid
                    && row["state"] == "live"
                    && !all.contains(&row["id"].as_str().unwrap().to_owned())
            })
    });
    assert_eq!(
        outcomes(&site.home.until(&enqueue(site, "within", "true", 100, &[]), "succeeded")),
        ["succeeded"]
    );
    let ended = site.home.until(&long, "succeeded");
    assert_eq!(outcomes(&ended), ["released", "succeeded"]);
    assert_ne!(worker_of(&ended), worker);
    assert_ne!(supervised.worker_pid(), before);
    let unknown = site.home.run(&["worker", "restart", "worker-0badbad0"]);
    assert!(unknown.code == 3 && unknown.err.contains("worker list"), "{}", unknown.err);
    assert_eq!(site.home.run(&["worker", "restart"]).code, 2, "nobody is named");
    let codes: Vec<i32> = [supervised, within].into_iter().map(Running::terminate).collect();
    assert_eq!(codes, [0, 0]);
}
