//! `jobforge doctor` against fleets in which one fault is really caused: it finds that fault and no other.

use std::time::Duration;

use jobforge::clock;
use serde_json::Value;
use testkit::postgres::ClusterOptions;

use crate::program::{Done, Home, done, eventually};
use crate::site::{Site, pid_in, send};

/// How long a fault may take until it shows.
const PATIENCE: Duration = Duration::from_secs(40);

/// The names of all findings, the code that the program ended with, and what it printed.
fn examined(home: &Home, more: &[&str]) -> (Vec<String>, i32, Value) {
    let mut arguments = vec!["doctor", "--json"];
    arguments.extend(more);
    let done = home.run(&arguments);
    let report: Value =
        serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{}{}", done.out, done.err));
    let findings =
        report["areas"].as_array().unwrap().iter().flat_map(|area| area["findings"].as_array().unwrap());
    let names = findings.map(|finding| finding["name"].as_str().unwrap().to_owned()).collect();
    (names, done.code, report)
}

fn finding<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all =
        report["areas"].as_array().unwrap().iter().flat_map(|area| area["findings"].as_array().unwrap());
    all.into_iter().find(|finding| finding["name"] == name).unwrap()
}

/// Waits until exactly this is found, and returns it.
#[track_caller]
fn until_only(home: &Home, name: &str, more: &[&str]) -> Value {
    let deadline = clock::monotonic() + PATIENCE;
    loop {
        let (names, code, report) = examined(home, more);
        if names == [name] {
            let expected = if finding(&report, name)["severity"] == "error" { 11 } else { 10 };
            assert_eq!(code, expected);
            return finding(&report, name).clone();
        }
        assert!(clock::monotonic() < deadline, "{names:?} instead of {name}: {report:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[track_caller]
fn until_healthy(home: &Home) {
    let deadline = clock::monotonic() + PATIENCE;
    loop {
        let (names, code, report) = examined(home, &[]);
        if names.is_empty() {
            assert_eq!((code, &report["errors"]), (0, &0.into()));
            return;
        }
        assert!(clock::monotonic() < deadline, "{report:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

on_each_engine!(
    process_a_healthy_fleet_has_nothing_and_a_program_that_is_stopped_is_found,
    process_a_worker_that_was_killed_or_is_frozen_is_found_with_its_proof,
    process_a_queue_that_nobody_serves_or_that_is_paused_is_found,
    process_jobs_that_fail_alike_are_told_by_their_cause,
);

fn process_a_healthy_fleet_has_nothing_and_a_program_that_is_stopped_is_found(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--wait"]);
    let id = site.enqueue("sleep 300 & echo $! > pid; wait", "true");
    site.home.until(&id, "running");
    let child = pid_in(&site.home.path().join("pid"));
    until_healthy(&site.home);
    send("-STOP", child);
    let hung = until_only(&site.home, "jobs.hung_child", &[]);
    assert!(
        hung["cause"].as_str().unwrap().contains(&format!("sleep (process {child}) is stopped")),
        "{hung:#}"
    );
    assert_eq!(hung["mend"][0], format!("kill -CONT {child}"));
    send("-CONT", child);
    until_healthy(&site.home);
    let shown = site.home.ok(&["doctor"]);
    assert!(shown.contains("ok      servers") && shown.ends_with("Nothing is wrong."), "{shown}");
}

fn process_a_worker_that_was_killed_or_is_frozen_is_found_with_its_proof(site: &Site) {
    let _server = site.watchdog();
    let work = site.work(&[]);
    until_healthy(&site.home);
    send("-STOP", work.worker_pid());
    let frozen = until_only(&site.home, "workers.frozen", &[]);
    assert!(frozen["mend"][0].as_str().unwrap().contains("kill -CONT"), "{frozen:#}");
    send("-KILL", work.worker_pid());
    let died = until_only(&site.home, "workers.died", &[]);
    assert!(died["cause"].as_str().unwrap().contains("signal 9 (SIGKILL)"), "{died:#}");
    eventually("another has taken its place", || {
        let died = until_only(&site.home, "workers.died", &[]);
        died["evidence"][0].as_str().unwrap().contains("has taken its place")
    });
}

fn process_a_queue_that_nobody_serves_or_that_is_paused_is_found(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--queue", "mail"]);
    let unserved = until_only(&site.home, "queues.unserved", &[]);
    assert_eq!(unserved["mend"][0], "jobforge work --queues mail");
    site.home.ok(&["queue", "pause", "mail", "--reason", "INC-42"]);
    let paused = until_only(&site.home, "queues.paused", &[]);
    assert!(paused["evidence"][0].as_str().unwrap().contains("INC-42"), "{paused:#}");
    assert_eq!(paused["fix"], Value::Null, "who paused it may have had a reason");
}

fn process_jobs_that_fail_alike_are_told_by_their_cause(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let fails = |says: &str| {
        let payload = serde_json::json!({ "argv": ["sh", "-c", format!("echo '{says}' >&2; exit 3")] });
        site.home.ok(&["job", "enqueue", "exec", &payload.to_string(), "--max-attempts", "1"])
    };
    let refused = fails("Google Drive access denied: token expired");
    site.home.until(&refused, "dead");
    let credential = until_only(&site.home, "jobs.credential", &[]);
    assert!(credential["because"].as_str().unwrap().contains("token expired"), "{credential:#}");
    let again = credential["mend"].as_array().unwrap().last().unwrap().as_str().unwrap();
    assert!(again.starts_with("jobforge dead retry --group "), "{again}");
    site.home.ok(&["dead", "discard", &refused, "--note", "known", "--yes"]);
    let crowded = fails("FATAL: sorry, too many clients already");
    site.home.until(&crowded, "dead");
    until_only(&site.home, "jobs.pool", &[]);
    site.home.ok(&["dead", "discard", &crowded, "--note", "known", "--yes"]);
    let payload = r#"{"argv":["sleep","300"],"grace_ms":100}"#;
    let hangs = site.home.ok(&["job", "enqueue", "exec", payload, "--timeout", "1s", "--max-attempts", "1"]);
    site.home.until(&hangs, "dead");
    until_only(&site.home, "jobs.hung", &[]);
}

#[test]
fn process_a_fleet_without_a_server_or_without_one_role_says_what_is_missing() {
    let site = Site::on_postgres();
    let none = until_only(&site.home, "servers.none", &[]);
    assert_eq!(none["evidence"][0], "no server has ever been here");
    let roles = ["serve", "--roles", "api,scheduler,housekeeper,alerts", "--listen", "127.0.0.1:0"];
    let _partly = site.home.start(&roles, "stop with Ctrl-C");
    until_only(&site.home, "servers.no_watchdog", &[]);
}

#[test]
fn process_the_socket_of_a_killed_server_is_removed_by_fix_and_the_audit_log_tells_it() {
    let mut site = Site::on_sqlite();
    until_healthy(&site.home);
    let socket = site.home.data_dir().join("jobforge.sock");
    site.kill_server();
    until_only(&site.home, "servers.none", &[]);
    let asked = site.home.run(&["doctor", "--fix"]);
    assert_eq!(asked.code, 2, "{}", asked.err);
    assert!(asked.err.contains("on which nobody listens"), "{}", asked.err);
    site.home.run(&["doctor", "--fix", "--dry-run"]);
    assert!(socket.exists());
    let mended = site.home.run(&["doctor", "--fix", "--yes", "--reason", "INC-7"]);
    assert!(mended.err.contains("is removed"), "{}", mended.err);
    assert!(!socket.exists());
    let audit = site.home.json(&["audit", "list", "--action", "doctor.remove_socket"]);
    assert_eq!(audit[0]["reason"], "INC-7", "{audit:#}");
}

#[test]
fn process_jobs_that_no_worker_can_see_are_offered_again_by_fix() {
    let site = Site::on_postgres();
    let id = site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#]);
    site.sql("DELETE FROM jobforge_ready");
    let (names, _, report) = examined(&site.home, &[]);
    // No server runs that would mend it.
    assert_eq!(names, ["database.unoffered", "servers.none"], "{report:#}");
    assert_eq!(finding(&report, "database.unoffered")["evidence"][0], *id);
    let mended = site.home.run(&["doctor", "--fix", "--yes"]);
    assert!(mended.err.contains("1 row put right"), "{}", mended.err);
    assert_eq!(site.sql("SELECT count(*) FROM jobforge_ready"), "1");
    assert!(!examined(&site.home, &[]).0.contains(&"database.unoffered".to_owned()));
}

#[test]
fn a_database_that_does_not_answer_is_the_finding() {
    let nobody = Home::on_postgres("postgres://ada:secret@127.0.0.1:1/jobs");
    let unreachable = until_only(&nobody, "database.unreachable", &[]);
    assert!(!unreachable.to_string().contains("secret"), "{unreachable:#}");
    let home = Home::new();
    until_only(&home, "database.missing", &[]);
    let database = testkit::postgres::TestDatabase::create().unwrap();
    let bare = Home::on_postgres(&database.url());
    let old = until_only(&bare, "database.schema_old", &[]);
    assert_eq!(old["mend"][0], "jobforge db migrate");
}

#[test]
fn process_a_database_with_hardly_a_connection_left_is_found() {
    let site = Site::on_own_postgres(&ClusterOptions { max_connections: 40, ..ClusterOptions::default() });
    let _server = site.watchdog();
    until_healthy(&site.home);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = site.home.database_url().unwrap();
    let held = runtime.block_on(async {
        let mut held = Vec::new();
        // Three are kept for superusers, such as this test.
        while held.len() < 40 {
            let count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
            let Ok((client, connection)) = tokio_postgres::connect(url, tokio_postgres::NoTls).await else {
                break;
            };
            let driver = tokio::spawn(connection);
            let used: i64 = client.query_one(count, &[]).await.unwrap().get(0);
            held.push((client, driver));
            if used >= 36 {
                break;
            }
        }
        held
    });
    assert!(!held.is_empty());
    until_only(&site.home, "database.crowded", &[]);
    drop(runtime);
}

#[test]
fn settings_that_do_not_go_together_and_variables_that_are_misspelt_are_found() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let with = |name: &str, value: &str| -> Done {
        let mut command = home.command(&["doctor", "--json"]);
        command.env(name, value);
        done(command.output().unwrap())
    };
    let invalid = with("HEARTBEAT_INTERVAL_MS", "soon");
    assert_eq!(invalid.code, 11, "{}", invalid.err);
    assert!(invalid.out.contains("settings.invalid") && invalid.out.contains("soon"), "{}", invalid.out);
    let misspelt = with("JOBFORGE_SLOT", "3");
    assert!(misspelt.out.contains("settings.unknown_variable"), "{}", misspelt.out);
    assert!(misspelt.out.contains("JOBFORGE_SLOTS is one"), "{}", misspelt.out);
}

#[test]
fn process_a_token_that_expired_while_it_was_in_use_is_found() {
    let site = Site::on_sqlite();
    until_healthy(&site.home);
    let made = site.home.json(&["token", "create", "deploy", "--scope", "operate", "--for", "4s"]);
    let token = made["token"].as_str().unwrap();
    let bearer = format!("Authorization: Bearer {token}");
    let answer = crate::program::http("GET", &format!("{}/v1/jobs", site.url(None)), &[&bearer], None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let expired = until_only(&site.home, "tokens.expired", &[]);
    assert_eq!(expired["mend"][0], "jobforge token create \"deploy\" --scope operate");
}
