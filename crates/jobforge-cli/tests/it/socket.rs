//! Worker processes on SQLite, which speak to the server that owns the file. Those with supervisors are in `supervised`.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jobforge::clock;

use crate::program::{Home, Running};

const JOBS: usize = 60;

fn serve(home: &Home) -> Running {
    home.start(&["serve", "--listen", "127.0.0.1:0"], "stop with Ctrl-C")
}

/// A worker that nobody watches but the server.
fn work(home: &Home) -> Running {
    home.start(&["work", "--no-supervise", "--exec-allow", "*", "--slots", "2"], "takes jobs from")
}

/// Enqueues a program that writes a line into the ledger when it ends; returns the job's id.
fn enqueue(home: &Home, script: &str) -> String {
    let payload = serde_json::json!({ "argv": ["sh", "-c", script] }).to_string();
    home.ok(&["job", "enqueue", "exec", &payload])
}

fn lines(ledger: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(ledger).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it never happened: {what}");
}

fn active_workers(home: &Home) -> usize {
    // `workers` has no command yet; the socket answers what the port answers.
    let socket = home.data_dir().join("jobforge.sock");
    let asked = Command::new("curl")
        .args(["--silent", "--unix-socket"])
        .arg(&socket)
        .arg("http://localhost/v1/workers")
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap_or_default();
    let workers = told["workers"].as_array().cloned().unwrap_or_default();
    workers.iter().filter(|worker| worker["state"] == "live").count()
}

#[test]
fn process_work_of_a_killed_worker_is_done_by_another_at_once() {
    let home = Home::new();
    let _server = serve(&home);
    let workers = [work(&home), work(&home)];
    assert_eq!(active_workers(&home), 2);
    let pids = home.path().join("pids");
    // Says which worker process runs it; the first attempt hangs.
    let script = format!("echo $PPID >> {0}; [ $(wc -l < {0}) -gt 1 ] || sleep 30", pids.display());
    let id = enqueue(&home, &script);
    until("it runs", || !lines(&pids).is_empty());
    let runs_it: u32 = lines(&pids)[0].parse().unwrap();
    let (killed, others): (Vec<_>, Vec<_>) = workers.into_iter().partition(|worker| worker.pid() == runs_it);
    let begun = clock::monotonic();
    for worker in killed {
        worker.kill();
    }
    until("the other one runs it", || lines(&pids).len() == 2);
    let took = clock::monotonic().duration_since(begun);
    let ended = home.until(&id, "succeeded");
    assert_eq!(lines(&pids)[1], others[0].pid().to_string());
    // The lease alone would take twenty seconds.
    assert!(took < Duration::from_secs(10), "{took:?}");
    let lost = &ended["attempts_made"][0];
    assert_eq!(lost["outcome"], "lost");
    let why = lost["error"]["message"].as_str().unwrap();
    assert!(why.contains("its process ended, as its server saw"), "{why}");
    assert_eq!(home.run(&["db", "check"]).code, 0);
}

#[test]
fn process_a_server_that_is_killed_and_comes_back_loses_nothing_and_runs_nothing_twice() {
    let home = Home::new();
    let server = serve(&home);
    let _workers = [work(&home), work(&home)];
    let ledger = home.path().join("ledger");
    let ids: Vec<String> =
        (0..JOBS).map(|n| enqueue(&home, &format!("sleep 0.05; echo {n} >> {}", ledger.display()))).collect();
    until("some are done", || lines(&ledger).len() > JOBS / 6);
    server.kill();
    let server = serve(&home);
    until("more are done", || lines(&ledger).len() > JOBS / 2);
    assert_eq!(server.terminate(), 0);
    let _server = serve(&home);
    for id in &ids {
        let job = home.until(id, "succeeded");
        assert_eq!(job["attempts"], 1, "{job:#}");
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for line in lines(&ledger) {
        *counts.entry(line).or_default() += 1;
    }
    assert_eq!(counts.len(), JOBS);
    assert!(counts.values().all(|runs| *runs == 1), "{counts:?}");
    assert_eq!(home.run(&["db", "check"]).code, 0);
}

#[test]
fn process_a_worker_waits_for_its_server_and_never_takes_the_file() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let worker = home.start(&["work", "--exec-allow", "*"], "waiting for one");
    let _server = serve(&home);
    let id = enqueue(&home, "true");
    home.until(&id, "succeeded");
    assert_eq!(worker.terminate(), 0);
    assert_eq!(active_workers(&home), 0);
}

#[test]
fn process_a_worker_that_is_stopped_gives_its_jobs_back() {
    let home = Home::new();
    let _server = serve(&home);
    std::fs::write(home.path().join("jobforge.toml"), "shutdown_grace_ms = 100\n").unwrap();
    let arguments = ["work", "--exec-allow", "*", "--config", "jobforge.toml"];
    let worker = home.start(&arguments, "takes jobs from");
    let id = home.ok(&["job", "enqueue", "exec", r#"{"argv":["sleep","300"],"grace_ms":100}"#]);
    home.until(&id, "running");
    assert_eq!(worker.terminate(), 0);
    let job = home.json(&["job", "show", &id]);
    assert_eq!((&job["status"], &job["attempts"]), (&"queued".into(), &0.into()));
}

#[test]
fn process_a_canceled_job_of_another_process_is_stopped() {
    let home = Home::new();
    let _server = serve(&home);
    let _worker = work(&home);
    let ledger = home.path().join("ledger");
    let script = format!("trap 'echo stopped >> {}; exit 0' TERM; sleep 300 & wait", ledger.display());
    let id = enqueue(&home, &script);
    home.until(&id, "running");
    home.ok(&["job", "cancel", &id]);
    until("it is told", || lines(&ledger) == ["stopped"]);
    home.until(&id, "canceled");
}

#[test]
fn a_worker_with_a_wrong_data_directory_is_told_what_to_do() {
    let home = Home::new();
    let _server = serve(&home);
    let done = home.run(&["work", "--data-dir", "elsewhere"]);
    assert_eq!(done.code, 6);
    for part in ["there is no database at elsewhere/jobforge.db", "jobforge serve", "--data-dir"] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
    assert!(!home.path().join("elsewhere").exists());
}

#[test]
fn process_the_clean_up_job_runs_in_a_worker_that_has_no_database() {
    let home = Home::new();
    let _server = serve(&home);
    let _worker = work(&home);
    let id = home.ok(&["job", "enqueue", "system.cleanup.old_jobs", r#"{"days_to_keep": 30}"#]);
    let ended = home.until(&id, "succeeded");
    assert_eq!(ended["result"]["kept_days"]["succeeded_days"], 30);
}

#[test]
fn the_socket_is_private_and_any_data_directory_will_do() {
    let home = Home::new();
    let deep = "d".repeat(150);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", deep.as_str()];
    let server = home.start(&arguments, "stop with Ctrl-C");
    let socket = home.path().join(&deep).join("jobforge.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let _worker = home.start(&["work", "--data-dir", &deep], "takes jobs from");
    // What a killed server leaves behind is replaced by the next, which has the lock.
    server.kill();
    assert!(socket.exists());
    let server = home.start(&arguments, "stop with Ctrl-C");
    // It says so a moment before it heeds signals.
    home.ok(&["job", "list", "--data-dir", &deep]);
    assert_eq!(server.terminate(), 0);
    assert!(!socket.exists(), "the socket is still there");
    std::fs::write(&socket, "mine").unwrap();
    let refused = home.run(&arguments);
    assert_eq!(refused.code, 78);
    assert!(refused.err.contains("is not a socket"), "{}", refused.err);
}
