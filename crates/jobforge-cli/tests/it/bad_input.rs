//! Bad input: a message that names it and the way out, a stable exit code, and nothing half done.

use testkit::postgres::TestDatabase;

use crate::program::{Home, done};

fn refused(home: &Home, arguments: &[&str], code: i32, parts: &[&str]) {
    let done = home.run(arguments);
    assert_eq!(done.code, code, "{arguments:?}: {}", done.err);
    for part in parts {
        assert!(done.err.contains(part), "{arguments:?} does not say {part:?}: {}", done.err);
    }
}

#[test]
fn jobs_that_cannot_be_stored_are_refused_and_nothing_is_enqueued() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let deep = "[".repeat(10_000);
    let long_type = "x".repeat(129);
    let long_key = "k".repeat(256);
    std::fs::write(home.path().join("big.json"), format!("\"{}\"", "x".repeat(1_100_000))).unwrap();
    for (arguments, parts) in [
        (vec!["", "{}"], vec!["type", "must not be empty"]),
        (vec!["a b"], vec!["\"a b\" is not a usable name"]),
        (vec![long_type.as_str()], vec!["129 bytes"]),
        (vec!["t", "{"], vec!["not valid JSON", "line 1 column 1"]),
        (vec!["t", "{} {}"], vec!["trailing"]),
        (vec!["t", "{'a':1}"], vec!["not valid JSON"]),
        (vec!["t", "NaN"], vec!["not valid JSON"]),
        (vec!["t", r#"{"a":{"b":"\u0000"}}"#], vec!["U+0000", "/a/b"]),
        (vec!["t", r#"{"a":1,"a":2}"#], vec!["appears twice", "/a"]),
        (vec!["t", deep.as_str()], vec!["64 levels"]),
        (vec!["t", "1e400"], vec!["out of range"]),
        (vec!["t", "@big.json"], vec!["1100002 bytes", "data_ref"]),
        (vec!["t", "@missing.json"], vec!["missing.json cannot be read"]),
        (vec!["t", "--delay", "-5s"], vec!["--delay", "not a duration"]),
        (vec!["t", "--delay", "1e308"], vec!["--delay", "not a duration"]),
        (vec!["t", "--delay", "9999999d"], vec!["delay_ms", "out of range"]),
        (vec!["t", "--run-at", "300000-01-01T00:00:00Z"], vec!["run_at", "RFC 3339"]),
        (vec!["t", "--run-at", "infinity"], vec!["run_at", "RFC 3339"]),
        (vec!["t", "--run-at", "2027-02-30T00:00:00Z"], vec!["run_at", "RFC 3339"]),
        (vec!["t", "--run-at", "2027-01-01T00:00:00Z", "--delay", "1s"], vec!["not both"]),
        (vec!["t", "--max-attempts", "0"], vec!["max_attempts", "1 to 1000"]),
        (vec!["t", "--priority", "99999"], vec!["priority", "-32768 to 32767"]),
        (vec!["t", "--timeout", "0s"], vec!["timeout_ms"]),
        (vec!["t", "--key", ""], vec!["idempotency_key"]),
        (vec!["t", "--key", long_key.as_str()], vec!["256 bytes"]),
        (vec!["t", "--queue", ""], vec!["queue", "must not be empty"]),
        (vec!["t", "--tenant", "a/b"], vec!["tenant_id"]),
        (vec!["t", "--tag", ""], vec!["tags"]),
    ] {
        let mut full = vec!["job", "enqueue"];
        full.extend(arguments);
        refused(&home, &full, 2, &parts);
    }
    assert_eq!(home.json(&["job", "list"])["jobs"].as_array().unwrap().len(), 0);
}

#[test]
fn ids_that_are_none_and_jobs_that_are_not_there_are_told_apart() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    refused(&home, &["job", "show", "JOB_ID_HERE"], 2, &["placeholder from the runbook"]);
    refused(&home, &["job", "cancel", "not-an-id"], 2, &["is a UUID such as"]);
    refused(&home, &["job", "explain", "01890a5d-ac96-774b-bcce-b302099a8057"], 3, &["there is no job"]);
    refused(&home, &["job", "list", "--status", "cancelled"], 2, &["canceled"]);
    refused(&home, &["job", "list", "--limit", "0"], 2, &["1 to 1000"]);
    refused(&home, &["job", "frobnicate"], 2, &["frobnicate"]);
    refused(&home, &["queue", "pause", "a b"], 2, &["not a usable name"]);
}

#[test]
fn moves_that_a_jobs_state_forbids_are_refused() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let id = home.ok(&["job", "enqueue", "t"]);
    home.ok(&["job", "cancel", &id]);
    home.ok(&["job", "cancel", &id]);
    home.ok(&["job", "retry", &id]);
    home.ok(&["job", "delete", &id, "--yes"]);
    refused(&home, &["job", "delete", &id, "--yes"], 3, &["there is no job"]);
}

#[test]
fn settings_that_cannot_be_used_are_named_with_what_is_accepted() {
    let home = Home::new();
    for (name, value, part) in [
        ("HEARTBEAT_INTERVAL_MS", "abc", "whole number of milliseconds from 100"),
        ("HEARTBEAT_INTERVAL_MS", "30s", "whole number of milliseconds"),
        ("HEARTBEAT_INTERVAL_MS", "", "HEARTBEAT_INTERVAL_MS is \"\""),
        ("HEARTBEAT_INTERVAL_MS", "90000", "at least twice"),
        ("CHECK_INTERVAL", "-1", "a number of seconds from 0.1"),
        ("STALE_THRESHOLD_MINUTES", "1e20", "a number of minutes"),
        ("FEATURE_FLAG_JOB_HEARTBEAT", "perhaps", "true or false"),
        ("IDLE_BACKOFF_MULTIPLIER", "0.5", "a number from 1"),
    ] {
        let done = done(home.command(&["up"]).env(name, value).output().unwrap());
        assert_eq!(done.code, 78, "{name}={value}: {}", done.err);
        assert!(done.err.contains(name) && done.err.contains(part), "{name}={value}: {}", done.err);
    }
    let both = home
        .command(&["up"])
        .env("CHECK_INTERVAL", "30")
        .env("WATCHDOG_CHECK_INTERVAL_MS", "60000")
        .output()
        .unwrap();
    let both = done(both);
    assert_eq!(both.code, 78);
    assert!(both.err.contains("disagree (60000 and 30000)"), "{}", both.err);
    std::fs::write(home.path().join("typo.toml"), "slotz = 3\n").unwrap();
    refused(&home, &["--config", "typo.toml", "up"], 78, &["slotz", "did you mean \"slots\""]);
    refused(&home, &["--config", "missing.toml", "up"], 78, &["missing.toml", "cannot be read"]);
    refused(&home, &["up", "--listen", "nowhere"], 78, &["nowhere", "127.0.0.1:8080"]);
    refused(&home, &["up", "--listen", "0.0.0.0:0"], 78, &["AUTH_TOKEN"]);
    refused(&home, &["up", "--queues", "a=0"], 78, &["a=0"]);
}

#[test]
fn databases_that_cannot_be_used_are_told_apart() {
    let home = Home::new();
    let db = |url: &str| ["--database-url", url, "job", "list"].map(str::to_owned);
    let check = |url: &str, code: i32, parts: &[&str]| {
        let arguments = db(url);
        refused(&home, &arguments.each_ref().map(String::as_str), code, parts);
    };
    check("postgres://nobody@127.0.0.1:1/d", 6, &["127.0.0.1:1/d cannot be reached"]);
    check("mysql://h/d", 78, &["\"mysql\" is not a known kind of database"]);
    check("just words", 78, &["database URL cannot be used"]);
    check("sqlite:", 78, &["names no file"]);
    check("sqlite:/nonexistent/dir/x.db", 6, &["/nonexistent/dir/x.db"]);
    refused(&home, &["job", "list"], 6, &["jobforge up"]);
    std::fs::write(
        home.path().join("garbage.db"),
        "this is not a database, it only looks like a long enough file".repeat(100),
    )
    .unwrap();
    check("sqlite:garbage.db", 78, &["garbage.db", "not a usable database file"]);
    let database = TestDatabase::create().unwrap();
    check(&database.url(), 78, &["jobforge db migrate"]);
    let home = Home::on_postgres(&database.url());
    home.ok(&["db", "migrate"]);
    home.ok(&["job", "list"]);
    database.psql("UPDATE jobforge_migrations SET version = 99 WHERE version = 3").unwrap();
    refused(&home, &["job", "list"], 78, &["version 99", "newer jobforge"]);
}
