//! Settings, flags, tokens and the audit log, as an administrator uses them.

use serde_json::Value;

use crate::program::Home;
use crate::site::Site;

/// A database that nobody has open.
fn home() -> Home {
    let home = Home::new();
    assert_eq!(home.up().terminate(), 0);
    home
}

#[test]
fn a_setting_is_stored_shown_undone_and_remembered() {
    let home = home();
    let set =
        home.json(&["config", "set", "slots=4", "heartbeat_threshold_ms=300000", "--reason", "a long film"]);
    assert_eq!((&set["version"], &set["changes"][0]["new"]), (&1.into(), &"4".into()), "{set}");
    assert_eq!(home.ok(&["config", "get", "heartbeat_threshold_ms"]), "300000");
    let listed = home.ok(&["config", "list", "--stored"]);
    assert!(listed.contains("stored setting") && listed.contains("restart"), "{listed}");
    home.ok(&["config", "revert", "slots"]);
    assert_eq!(home.ok(&["config", "get", "slots"]), "10");
    let history = home.json(&["config", "history", "slots"]);
    assert_eq!(history.as_array().unwrap().len(), 2);
    assert_eq!(history[1]["reason"], "a long film");
    assert!(history[1]["actor"].as_str().unwrap().starts_with("cli:"), "{history}");
    for (pair, told) in [
        ("slotz=4", "did you mean \"slots\"?"),
        ("slots=0", "from 1 to 100000"),
        ("heartbeat_interval_ms=200000", "a healthy job would be declared stuck"),
        ("exec_allow=*", "cannot be stored"),
        ("slots", "is not KEY=VALUE"),
    ] {
        let refused = home.run(&["config", "set", pair]);
        assert!(refused.code == 2 && refused.err.contains(told), "{pair}: {}", refused.err);
    }
    let late = home.run(&["config", "set", "slots=5", "--expect", "1"]);
    assert_eq!(late.code, 4, "{}", late.err);
}

#[test]
fn a_flag_is_switched_for_a_while() {
    let home = home();
    home.ok(&["flag", "set", "JOB_HEARTBEAT", "off", "--for", "2h"]);
    let flags = home.json(&["flag", "list"]);
    assert_eq!((&flags[0]["name"], &flags[0]["enabled"]), (&"JOB_HEARTBEAT".into(), &false.into()));
    assert!(flags[0]["until"].is_string(), "{flags}");
    let unknown = home.run(&["flag", "set", "NONE", "off"]);
    assert!(unknown.code == 2 && unknown.err.contains("JOB_HEARTBEAT"), "{}", unknown.err);
}

#[test]
fn a_token_is_shown_once_and_can_be_taken_back() {
    let home = home();
    let made = home.json(&[
        "token",
        "create",
        "deploy",
        "--scope",
        "read,operate",
        "--tenant",
        "acme",
        "--for",
        "90d",
    ]);
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with("jfo_"), "{text}");
    let listed = home.ok(&["token", "list"]);
    assert!(listed.contains("deploy") && listed.contains("good") && !listed.contains(text), "{listed}");
    home.ok(&["token", "revoke", text]);
    assert_eq!(home.run(&["token", "revoke", text]).code, 3);
    assert!(home.ok(&["token", "list"]).contains("revoked"));
    assert_eq!(home.run(&["token", "create", "x", "--scope", "root"]).code, 2);
    assert_eq!(home.run(&["token", "create", "x", "--scope", "admin", "--tenant", "acme"]).code, 2);
}

#[test]
fn the_audit_log_tells_what_was_done_and_proves_that_it_is_whole() {
    let home = home();
    let id = home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#]);
    home.ok(&["job", "cancel", &id, "--reason", "not needed"]);
    home.ok(&["queue", "pause", "mail"]);
    let entries = home.json(&["audit", "list", "--target", &id]);
    assert_eq!((&entries[0]["action"], &entries[0]["reason"]), (&"job.cancel".into(), &"not needed".into()));
    let whole = home.json(&["audit", "verify"]);
    assert_eq!(whole["entries"], home.ok(&["audit", "export"]).lines().count(), "{whole}");
    let head = whole["hash"].as_str().unwrap();
    home.ok(&["queue", "resume", "mail"]);
    home.ok(&["audit", "verify", "--head", head]);
    let cut = home.run(&["audit", "verify", "--head", &"0".repeat(64)]);
    assert!(cut.code == 1 && cut.err.contains("cut off"), "{}", cut.err);
    let exported = home.ok(&["audit", "export"]);
    let actions = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["action"].clone());
    // `up` makes the schedule of the clean-up, unless it is ended before.
    let ours: Vec<Value> = actions.filter(|action| action != "schedule.create").collect();
    assert_eq!(ours, ["job.cancel", "queue.pause", "queue.resume"]);
}

#[test]
fn process_a_changed_setting_reaches_every_process_within_seconds_on_postgres() {
    reaches_every_process(&Site::on_postgres());
}

#[test]
fn process_a_changed_setting_reaches_every_process_within_seconds_on_sqlite() {
    reaches_every_process(&Site::on_sqlite());
}

fn reaches_every_process(site: &Site) {
    let server = site.watchdog();
    let worker = site.work(&["--no-supervise"]);
    site.home.ok(&["config", "set", "heartbeat_threshold_ms=300000"]);
    worker.until_it_says("Heartbeat rhythm changed");
    if let Some(server) = server {
        server.until_it_says("Setting heartbeat_threshold_ms is now");
    }
}

#[test]
fn a_server_takes_its_tokens_from_files_and_says_so_when_it_has_none() {
    let home = Home::new();
    home.start(&["serve", "--listen", "127.0.0.1:0"], "No token is configured").kill();
    std::fs::write(home.path().join("admin"), "\n").unwrap();
    std::fs::write(home.path().join("jobforge.toml"), "admin_token_file = \"admin\"\n").unwrap();
    let serve = ["serve", "--config", "jobforge.toml", "--listen", "0.0.0.0:0"];
    let blank = home.run(&serve);
    assert!(blank.code == 78 && blank.err.contains("which is empty"), "{}", blank.err);
    std::fs::write(home.path().join("admin"), "a-long-secret\n").unwrap();
    assert_eq!(home.start(&serve, "stop with Ctrl-C").terminate(), 0);
}
