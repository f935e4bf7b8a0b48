//! Bad input: a message that names it and the way out, a stable exit code, and nothing half done.

use testkit::postgres::TestDatabase;

use crate::program::{Home, done};

fn refused(home: &Home, name: &str, arguments: &[&str], code: i32, parts: &[&str]) {
    let done = home.run(arguments);
    assert_eq!(done.code, code, "{name}: {}", done.err);
    for part in parts {
        assert!(done.err.contains(part), "{name}: it does not say {part:?}: {}", done.err);
    }
    assert!(!done.err.contains("panicked"), "{name}: {}", done.err);
    assert!(done.err.len() < 2000 && done.out.is_empty(), "{name}: it repeats {} bytes", done.err.len());
}

#[test]
fn jobs_that_cannot_be_stored_are_refused_and_nothing_is_enqueued() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let deep = "[".repeat(10_000);
    let long_type = "x".repeat(129);
    let long_key = "k".repeat(256);
    std::fs::write(home.path().join("big.json"), format!("\"{}\"", "x".repeat(1_100_000))).unwrap();
    let million = "[".repeat(120_000);
    for (name, arguments, parts) in [
        ("an empty type", vec!["", "{}"], vec!["type", "must not be empty"]),
        ("a type with a space", vec!["a b"], vec!["\"a b\" is not a usable name"]),
        ("a type of 129 bytes", vec![long_type.as_str()], vec!["129 bytes"]),
        ("a type of an emoji", vec!["🦀"], vec!["is not a usable name"]),
        ("a type with a bidi override", vec!["\u{202e}t"], vec!["is not a usable name"]),
        ("a look-alike letter", vec!["еmail"], vec!["is not a usable name"]),
        ("a type with a line end", vec!["a\nb"], vec!["is not a usable name"]),
        ("half a document", vec!["t", "{"], vec!["not valid JSON", "line 1 column 1"]),
        ("two documents", vec!["t", "{} {}"], vec!["trailing"]),
        ("single quotes", vec!["t", "{'a':1}"], vec!["not valid JSON"]),
        ("NaN", vec!["t", "NaN"], vec!["not valid JSON"]),
        ("a byte order mark", vec!["t", "\u{feff}{}"], vec!["not valid JSON"]),
        ("U+0000 in a string", vec!["t", r#"{"a":{"b":"\u0000"}}"#], vec!["U+0000", "/a/b"]),
        ("U+0000 in a key", vec!["t", r#"{"a\u0000":1}"#], vec!["U+0000", "in a key"]),
        ("a lone surrogate", vec!["t", r#""\ud800""#], vec!["hex escape"]),
        ("a key twice", vec!["t", r#"{"a":1,"a":2}"#], vec!["appears twice", "/a"]),
        ("a payload 10,000 deep", vec!["t", deep.as_str()], vec!["64 levels"]),
        ("a payload 120,000 deep", vec!["t", million.as_str()], vec!["64 levels"]),
        ("a number beyond a double", vec!["t", "1e400"], vec!["out of range"]),
        ("a number below a double", vec!["t", "1e-400"], vec!["out of range"]),
        ("a payload of more than 1 MiB", vec!["t", "@big.json"], vec!["1100002 bytes", "data_ref"]),
        ("a file that is not there", vec!["t", "@missing.json"], vec!["missing.json cannot be read"]),
        ("a negative delay", vec!["t", "--delay", "-5s"], vec!["--delay", "not a duration"]),
        ("a delay of 1e308", vec!["t", "--delay", "1e308"], vec!["--delay", "not a duration"]),
        ("a delay of ages", vec!["t", "--delay", "9999999d"], vec!["delay_ms", "out of range"]),
        ("the year 300000", vec!["t", "--run-at", "300000-01-01T00:00:00Z"], vec!["run_at", "9998"]),
        ("a time without an end", vec!["t", "--run-at", "infinity"], vec!["run_at", "RFC 3339"]),
        ("now as a word", vec!["t", "--run-at", "now"], vec!["run_at", "RFC 3339"]),
        ("a time as a number", vec!["t", "--run-at", "1790000000"], vec!["run_at", "RFC 3339"]),
        ("a time of no zone", vec!["t", "--run-at", "2027-01-01T00:00:00"], vec!["run_at", "RFC 3339"]),
        ("24 o'clock", vec!["t", "--run-at", "2027-01-01T24:00:00Z"], vec!["run_at", "RFC 3339"]),
        ("a leap second", vec!["t", "--run-at", "2026-12-31T23:59:60Z"], vec!["run_at", "RFC 3339"]),
        ("the 30th of February", vec!["t", "--run-at", "2027-02-30T00:00:00Z"], vec!["run_at", "RFC 3339"]),
        ("two times", vec!["t", "--run-at", "2027-01-01T00:00:00Z", "--delay", "1s"], vec!["not both"]),
        ("no attempts", vec!["t", "--max-attempts", "0"], vec!["max_attempts", "1 to 1000"]),
        ("a billion attempts", vec!["t", "--max-attempts", "1000000000"], vec!["max_attempts", "1 to 1000"]),
        ("half an attempt", vec!["t", "--max-attempts", "2.5"], vec!["--max-attempts"]),
        ("a priority out of range", vec!["t", "--priority", "99999"], vec!["priority", "-32768 to 32767"]),
        ("a time-out of nothing", vec!["t", "--timeout", "0s"], vec!["timeout_ms"]),
        ("an empty key", vec!["t", "--key", ""], vec!["idempotency_key"]),
        ("a key of 256 characters", vec!["t", "--key", long_key.as_str()], vec!["256 characters"]),
        ("a key with a space before it", vec!["t", "--key", " k"], vec!["idempotency_key"]),
        ("a key with a line end", vec!["t", "--key", "k\nk"], vec!["idempotency_key"]),
        ("an empty queue", vec!["t", "--queue", ""], vec!["queue", "must not be empty"]),
        ("a tenant that is a path", vec!["t", "--tenant", "a/b"], vec!["tenant_id"]),
        ("an empty tag", vec!["t", "--tag", ""], vec!["tags"]),
    ] {
        let mut full = vec!["job", "enqueue"];
        full.extend(arguments);
        refused(&home, name, &full, 2, &parts);
    }
    assert_eq!(home.json(&["job", "list"])["jobs"].as_array().unwrap().len(), 0);
}

#[test]
fn ids_that_are_none_and_jobs_that_are_not_there_are_told_apart() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    refused(&home, "the placeholder", &["job", "show", "JOB_ID_HERE"], 2, &["placeholder from the runbook"]);
    refused(&home, "no id", &["job", "cancel", "not-an-id"], 2, &["is a UUID such as"]);
    refused(
        &home,
        "an unknown job",
        &["job", "explain", "01890a5d-ac96-774b-bcce-b302099a8057"],
        3,
        &["there is no job"],
    );
    refused(&home, "no status", &["job", "list", "--status", "cancelled"], 2, &["canceled"]);
    refused(&home, "a page of none", &["job", "list", "--limit", "0"], 2, &["1 to 1000"]);
    refused(&home, "no command", &["job", "frobnicate"], 2, &["frobnicate"]);
    refused(&home, "no queue", &["queue", "pause", "a b"], 2, &["not a usable name"]);
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
    refused(&home, "a deleted job", &["job", "delete", &id, "--yes"], 3, &["there is no job"]);
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
    refused(
        &home,
        "a misspelt setting",
        &["--config", "typo.toml", "up"],
        78,
        &["slotz", "did you mean \"slots\""],
    );
    refused(
        &home,
        "no such file",
        &["--config", "missing.toml", "up"],
        78,
        &["missing.toml", "cannot be read"],
    );
    refused(&home, "no address", &["up", "--listen", "nowhere"], 78, &["nowhere", "127.0.0.1:8080"]);
    refused(&home, "open to all", &["up", "--listen", "0.0.0.0:0"], 78, &["AUTH_TOKEN"]);
    refused(&home, "no slots", &["up", "--queues", "a=0"], 78, &["a=0"]);
}

#[test]
fn databases_that_cannot_be_used_are_told_apart() {
    let home = Home::new();
    let db = |url: &str| ["--database-url", url, "job", "list"].map(str::to_owned);
    let check = |url: &str, code: i32, parts: &[&str]| {
        let arguments = db(url);
        refused(&home, url, &arguments.each_ref().map(String::as_str), code, parts);
    };
    check("postgres://nobody@127.0.0.1:1/d", 6, &["127.0.0.1:1/d cannot be reached"]);
    check("mysql://h/d", 78, &["\"mysql\" is not a known kind of database"]);
    check("just words", 78, &["database URL cannot be used"]);
    check("sqlite:", 78, &["names no file"]);
    check("sqlite:/nonexistent/dir/x.db", 6, &["/nonexistent/dir/x.db"]);
    refused(&home, "no database yet", &["job", "list"], 6, &["jobforge up"]);
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
    refused(&home, "a newer schema", &["job", "list"], 78, &["version 99", "newer jobforge"]);
}
