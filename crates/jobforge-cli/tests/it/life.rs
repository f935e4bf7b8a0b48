//! Jobs from the command line to their ends, on both engines.

use testkit::postgres::TestDatabase;

use crate::program::Home;

fn on_postgres() -> (Home, TestDatabase) {
    let database = TestDatabase::create().unwrap();
    (Home::on_postgres(&database.url()), database)
}

fn a_job_runs_and_tells_its_result(home: &Home) {
    let _up = home.up();
    let script = r#"{"argv":["sh","-c","echo hello; echo '::result {\"n\": 7}'"]}"#;
    let ended = home.json(&["job", "enqueue", "exec", script, "--wait"]);
    assert_eq!((&ended["status"], &ended["result"]["result"]["n"]), (&"succeeded".into(), &7.into()));
    let id = ended["id"].as_str().unwrap();
    assert!(home.ok(&["job", "logs", id]).contains("hello"));
    assert!(home.ok(&["job", "explain", id]).contains("succeeded"));
    assert!(home.ok(&["job", "list", "--status", "succeeded", "--output", "name"]).contains(id));
    assert_eq!(home.run(&["db", "check"]).code, 0);
}

#[test]
fn process_a_job_runs_on_sqlite_and_tells_its_result() {
    a_job_runs_and_tells_its_result(&Home::new());
}

#[test]
fn process_a_job_runs_on_postgresql_and_tells_its_result() {
    let (home, _database) = on_postgres();
    a_job_runs_and_tells_its_result(&home);
}

fn work_of_a_killed_process_is_done_by_the_next(home: &Home) {
    let up = home.up();
    let marker = home.path().join("second-try");
    let script =
        format!(r#"if [ -e {0} ]; then echo again; else touch {0}; sleep 300; fi"#, marker.display());
    let payload = serde_json::json!({ "argv": ["sh", "-c", script] }).to_string();
    let id = home.ok(&["job", "enqueue", "exec", &payload]);
    home.until(&id, "running");
    up.kill();
    let explained = home.ok(&["job", "explain", &id]);
    let told = ["runs on worker-", "recover", "waits for a worker"];
    assert!(told.iter().any(|words| explained.contains(words)), "{explained}");
    // A lease of two seconds keeps the wait short; the default is twenty.
    let mut next = home.command(&["up", "--listen", "127.0.0.1:0"]);
    let mut next =
        next.env("JOBFORGE_WORKER_LEASE_MS", "2000").stderr(std::process::Stdio::null()).spawn().unwrap();
    let ended = home.until(&id, "succeeded");
    next.kill().unwrap();
    next.wait().unwrap();
    let outcomes: Vec<&str> = ended["attempts_made"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!((outcomes.len(), outcomes[1]), (2, "succeeded"));
    // The worker is a process of its own, which gives the job back when it finds its supervisor gone and can.
    assert!(["released", "lost"].contains(&outcomes[0]), "{outcomes:?}");
    if outcomes[0] == "lost" {
        let lost = ended["attempts_made"][0]["error"]["message"].as_str().unwrap();
        assert!(lost.contains("worker-"), "{lost}");
    }
}

#[test]
fn process_work_of_a_killed_process_is_done_by_the_next_on_sqlite() {
    work_of_a_killed_process_is_done_by_the_next(&Home::new());
}

#[test]
fn process_work_of_a_killed_process_is_done_by_the_next_on_postgresql() {
    let (home, _database) = on_postgres();
    work_of_a_killed_process_is_done_by_the_next(&home);
}

#[test]
fn process_a_stopped_worker_gives_its_jobs_back_without_using_an_attempt() {
    let home = Home::new();
    let up = home.start(&["up", "--listen", "127.0.0.1:0", "--config", "jobforge.toml"], "cannot be read");
    drop(up);
    std::fs::write(home.path().join("jobforge.toml"), "shutdown_grace_ms = 100\n").unwrap();
    let up = home.start(&["up", "--listen", "127.0.0.1:0", "--config", "jobforge.toml"], "stop with Ctrl-C");
    let id = home.ok(&["job", "enqueue", "exec", r#"{"argv":["sleep","300"],"grace_ms":100}"#]);
    home.until(&id, "running");
    assert_eq!(up.terminate(), 0);
    let job = home.json(&["job", "show", &id]);
    assert_eq!((&job["status"], &job["attempts"]), (&"queued".into(), &0.into()));
    assert_eq!(job["attempts_made"][0]["outcome"], "released");
}

#[test]
fn process_a_canceled_program_is_killed_and_the_job_stays_canceled() {
    let home = Home::new();
    let _up = home.up();
    let id =
        home.ok(&["job", "enqueue", "exec", r#"{"argv":["sh","-c","sleep 4711 & wait"],"grace_ms":200}"#]);
    home.until(&id, "running");
    home.ok(&["job", "cancel", &id]);
    home.until(&id, "canceled");
    for _ in 0..200 {
        let found = std::process::Command::new("pgrep").args(["-f", "sleep 4711"]).output().unwrap();
        if found.stdout.is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the canceled job's program still runs");
}

#[test]
fn process_the_demo_runs_to_its_end_and_tells_what_to_try() {
    let home = Home::new();
    let done = home.run(&["up", "--demo", "--once", "--listen", "127.0.0.1:0"]);
    assert_eq!(done.code, 0, "{}", done.err);
    for part in ["succeeded at attempt 2", "no-such-program", "job list", "JobForge is up"] {
        assert!(done.err.contains(part) || done.out.contains(part), "{part}: {}", done.err);
    }
    assert_eq!(home.json(&["job", "list"])["jobs"].as_array().unwrap().len(), 5);
}

#[test]
fn process_a_paused_queue_keeps_its_jobs_until_it_is_resumed() {
    let home = Home::new();
    let _up = home.up();
    home.ok(&["queue", "pause", "default"]);
    let id = home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#]);
    let explained = home.json(&["job", "explain", &id]);
    assert_eq!((&explained["kind"], &explained["waiting_for"]), (&"waiting".into(), &"paused_queue".into()));
    home.ok(&["queue", "resume", "default"]);
    home.until(&id, "succeeded");
}

#[test]
fn process_two_owners_of_one_directory_are_refused_with_the_first_ones_pid() {
    let home = Home::new();
    let first = home.up();
    let second = home.run(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 78);
    assert!(
        second.err.contains(&format!("process {}", first.pid())) && second.err.contains("--data-dir"),
        "{}",
        second.err
    );
}

#[test]
fn waiting_tells_by_its_exit_code_how_the_job_ended() {
    let home = Home::new();
    let _up = home.up();
    let code = |payload: &str, more: &[&str]| {
        let mut arguments = vec!["job", "enqueue", "exec", payload, "--wait"];
        arguments.extend(more);
        home.run(&arguments).code
    };
    assert_eq!(code(r#"{"argv":["true"]}"#, &[]), 0);
    assert_eq!(code(r#"{"argv":["no-such-program"]}"#, &[]), 8);
    assert_eq!(code(r#"{"argv":["false"]}"#, &["--max-attempts", "1"]), 9);
    let id = home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--delay", "1h"]);
    assert_eq!(home.run(&["job", "wait", &id, "--timeout", "100ms"]).code, 7);
}
