//! `examples/sql-worker`: a worker of a shell loop and psql, beside the real fleet.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::{Running, eventually};
use crate::site::{Site, outcomes, pid_in, send};

const QUEUE: &str = "by-sql";

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sql-worker").join(file)
}

/// Starts the example's worker with a lease that a test can wait for.
fn worker(site: &Site, handler: &Path) -> Running {
    let psql = testkit::postgres::find_binaries().unwrap().directory;
    let mut command = Command::new("sh");
    command.arg(example("worker.sh")).stdin(Stdio::null()).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", psql.display())).env("DATABASE_URL", site.database_url());
    command.env("HANDLER", handler).envs([
        ("QUEUE", QUEUE),
        ("TYPES", ""),
        ("LEASE_S", "4"),
        ("BEAT_S", "1"),
        ("POLL_S", "1"),
    ]);
    Running::start(command, "takes jobs from queue by-sql")
}

/// A handler of the test's own.
fn handler(site: &Site, script: &str) -> PathBuf {
    let path = site.home.path().join("handle.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn enqueue(site: &Site, job_type: &str, payload: &str, more: &[&str]) -> String {
    let mut arguments = vec!["job", "enqueue", job_type, payload, "--queue", QUEUE];
    arguments.extend(more);
    site.home.ok(&arguments)
}

#[test]
fn process_a_shell_loop_with_psql_runs_jobs_and_reports_how_they_ended() {
    let site = Site::on_postgres();
    let worker = worker(&site, &example("handle.sh"));
    let done = enqueue(&site, "text.shout", "{\"text\": \"it's\\ta tab | a bar\"}", &[]);
    let job = site.home.until(&done, "succeeded");
    assert!(job["result"]["output"].as_str().unwrap().contains("IT'S\\TA TAB | A BAR"), "{job:#}");
    let unknown = enqueue(&site, "no.such", "{}", &["--max-attempts", "1"]);
    let job = site.home.until(&unknown, "dead");
    assert_eq!(job["error"]["message"], "no handler for type no.such", "{job:#}");
    assert_eq!(job["error"]["details"]["code"], 1);
    assert_eq!(worker.terminate(), 0);
    let gone = site.sql("SELECT state FROM jobforge_workers WHERE pid = 0");
    assert_eq!(gone, "gone", "it says goodbye");
}

#[test]
fn process_a_shell_worker_keeps_a_job_that_is_longer_than_its_lease_and_finishes_it_before_it_stops() {
    let site = Site::on_postgres();
    let _watchdog = site.watchdog();
    let worker = worker(&site, &handler(&site, "sleep 6; echo slow"));
    let job = enqueue(&site, "slow", "{}", &[]);
    site.home.until(&job, "running");
    assert_eq!(worker.terminate(), 0);
    let job = site.home.json(&["job", "show", &job]);
    assert_eq!((job["status"].as_str(), job["attempts"].as_i64()), (Some("succeeded"), Some(1)), "{job:#}");
}

#[test]
fn process_a_killed_shell_workers_job_is_rescued_like_any_other() {
    let site = Site::on_postgres();
    let _watchdog = site.watchdog();
    let pid_file = site.home.path().join("pid");
    let script = format!(
        "if mkdir {0}/once; then echo $$ > {1}; exec sleep 60; fi; echo again",
        site.home.path().display(),
        pid_file.display()
    );
    let handler = handler(&site, &script);
    let first = worker(&site, &handler);
    let job = enqueue(&site, "slow", "{}", &[]);
    let orphan = pid_in(&pid_file);
    first.kill();
    let second = worker(&site, &handler);
    let job = site.home.until(&job, "succeeded");
    assert_eq!(outcomes(&job), ["lost", "succeeded"], "{job:#}");
    send("-KILL", orphan);
    assert_eq!(second.terminate(), 0);
}

#[test]
fn process_a_shell_worker_stops_its_handler_when_a_person_resets_the_job() {
    let site = Site::on_postgres();
    let pid_file = site.home.path().join("pid");
    let script = format!(
        "if mkdir {0}/once; then echo $$ > {1}; exec sleep 60; fi; echo again",
        site.home.path().display(),
        pid_file.display()
    );
    let worker = worker(&site, &handler(&site, &script));
    let job = enqueue(&site, "slow", "{}", &[]);
    let handler = pid_in(&pid_file);
    site.sql(&format!("UPDATE jobforge_jobs SET status = 'queued', locked_by = NULL, locked_at = NULL, run_at = NOW() WHERE id = '{job}'"));
    eventually("the handler is stopped", || !crate::site::lives(handler));
    let job = site.home.until(&job, "succeeded");
    assert_eq!(outcomes(&job), ["reset", "succeeded"], "{job:#}");
    assert_eq!(worker.terminate(), 0);
}
