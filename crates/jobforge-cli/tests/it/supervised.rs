//! Supervised workers on SQLite: what their supervisors tell the server that owns the file, and what it sees itself.

use crate::program::{Home, done};
use crate::site::{Site, lives, outcomes, pid_in, send, why_lost};

#[test]
fn process_a_worker_that_was_told_not_to_wait_leaves_its_exit_code_and_its_jobs_at_once() {
    let site = Site::on_sqlite();
    let work = site.work(&[]);
    let id = site.enqueue("sleep 300", "true");
    site.home.until(&id, "running");
    send("-INT", work.pid());
    work.until_it_says("stop again to give back at once what still runs");
    assert_eq!(work.terminate(), 130);
    let left = site.home.json(&["job", "show", &id]);
    assert_eq!((left["status"].as_str(), outcomes(&left)), (Some("queued"), vec!["lost"]));
    assert!(why_lost(&left).ends_with("exit code 130"), "{}", why_lost(&left));
    let _heir = site.work(&[]);
    site.home.until(&id, "succeeded");
}

#[test]
fn process_a_death_while_the_server_is_down_is_told_to_the_next_one() {
    let mut site = Site::on_sqlite();
    let work = site.work(&[]);
    let id = site.enqueue("sleep 300", "true");
    site.home.until(&id, "running");
    site.kill_server();
    send("-KILL", work.worker_pid());
    work.until_it_says("failed to report the end of worker process");
    site.start_server();
    let ended = site.home.until(&id, "succeeded");
    assert_eq!(outcomes(&ended), ["lost", "succeeded"]);
    assert!(why_lost(&ended).ends_with("signal 9 (SIGKILL)"), "{}", why_lost(&ended));
    assert_eq!(work.terminate(), 0);
}

#[test]
fn process_a_worker_without_supervisor_that_died_while_the_server_was_down_is_found_dead() {
    let mut site = Site::on_sqlite();
    let work = site.work(&["--no-supervise"]);
    // Nobody kills its program.
    let id = site.enqueue("sleep 10", "true");
    site.home.until(&id, "running");
    site.kill_server();
    work.kill();
    site.start_server();
    let _heir = site.work(&[]);
    let ended = site.home.until(&id, "succeeded");
    assert!(why_lost(&ended).contains("as its server saw"), "{}", why_lost(&ended));
}

#[test]
fn process_the_server_does_not_wait_for_a_supervisor_that_says_nothing() {
    let site = Site::on_sqlite();
    let work = site.work(&[]);
    let id = site.enqueue("sleep 300", "true");
    site.home.until(&id, "running");
    let _heir = site.work(&[]);
    let worker = work.worker_pid();
    send("-STOP", work.pid());
    send("-KILL", worker);
    let ended = site.home.until(&id, "succeeded");
    assert!(why_lost(&ended).contains("as its server saw"), "{}", why_lost(&ended));
    send("-CONT", work.pid());
}

#[test]
fn process_a_supervisor_says_once_that_its_worker_is_stopped_and_once_that_it_goes_on() {
    let site = Site::on_sqlite();
    let work = site.work(&[]);
    send("-STOP", work.worker_pid());
    work.until_it_says("is stopped, by SIGSTOP or by a debugger");
    send("-CONT", work.worker_pid());
    work.until_it_says("is not stopped any more");
    // A stopped worker cannot be told to stop, but it can be killed.
    send("-STOP", work.worker_pid());
    send("-KILL", work.worker_pid());
    work.until_it_says("ended: signal 9 (SIGKILL)");
    assert_eq!(work.terminate(), 0);
}

#[test]
fn process_up_goes_on_when_its_worker_is_killed_and_says_so() {
    let home = Home::new();
    let up = home.up();
    let script = "if mkdir once; then sleep 300 & echo $! > pid; wait; fi";
    let script = format!("cd {}; {script}", home.path().display());
    let payload = serde_json::json!({ "argv": ["sh", "-c", script], "grace_ms": 100 }).to_string();
    let id = home.ok(&["job", "enqueue", "exec", &payload]);
    home.until(&id, "running");
    let (worker, program) = (up.worker_pid(), pid_in(&home.path().join("pid")));
    send("-KILL", worker);
    up.until_it_says("ended: signal 9 (SIGKILL); starting another at once");
    let ended = home.until(&id, "succeeded");
    assert!(!lives(program), "the program of the dead worker lives");
    assert!(why_lost(&ended).ends_with("signal 9 (SIGKILL)"), "{}", why_lost(&ended));
    assert_ne!(up.worker_pid(), worker);
    assert_eq!(
        home.json(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--wait"])["status"],
        "succeeded"
    );
    assert_eq!(up.terminate(), 0);
}

#[test]
fn process_up_can_keep_its_worker_within() {
    let home = Home::new();
    let up = home.start(&["up", "--listen", "127.0.0.1:0", "--no-supervise"], "stop with Ctrl-C");
    assert_eq!(
        home.json(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--wait"])["status"],
        "succeeded"
    );
    let workers = std::process::Command::new("pgrep").args(["-P", &up.pid().to_string()]).output().unwrap();
    assert!(workers.stdout.is_empty(), "it has children");
    assert_eq!(up.terminate(), 0);
}

#[test]
fn process_up_works_in_any_data_directory() {
    let home = Home::new();
    let deep = "d".repeat(150);
    let up = home.start(&["up", "--listen", "127.0.0.1:0", "--data-dir", &deep], "stop with Ctrl-C");
    let enqueue = ["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--wait", "--data-dir", &deep];
    assert_eq!(home.json(&enqueue)["status"], "succeeded");
    assert_eq!(up.terminate(), 0);
}

#[test]
fn process_a_supervised_worker_that_waits_for_its_server_can_be_stopped() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let work = home.start(&["work"], "waiting for one");
    assert_eq!(work.terminate(), 0);
}

#[test]
fn a_drill_without_a_server_says_what_to_start() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    for drill in ["kill-worker", "stop-worker", "partition"] {
        let done = home.run(&["drill", drill]);
        assert_eq!(done.code, 6, "{}", done.err);
        for part in ["no server listens at", "jobforge up", "--data-dir"] {
            assert!(done.err.contains(part), "{part}: {}", done.err);
        }
    }
}

#[test]
fn process_a_drill_whose_jobs_are_too_late_fails() {
    let site = Site::on_sqlite();
    for (drill, within) in [("kill-worker", "1ms"), ("stop-worker", "1s")] {
        let mut drill = site.home.command(&["drill", drill, "--config", "jobforge.toml", "--within", within]);
        let done = done(drill.env("SHUTDOWN_GRACE_MS", "100").output().unwrap());
        assert_eq!(done.code, 1, "{}", done.err);
        assert!(done.out.contains("failed"), "{}", done.out);
    }
}
