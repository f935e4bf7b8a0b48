//! Databases that do not answer, are crowded, older, newer or damaged, and settings that do not go together.

use std::io::Read as _;
use std::time::Duration;

use testkit::postgres::{ClusterOptions, TestDatabase, psql};

use super::set_clock::SetClock;
use super::{DOCTOR, end_the_oldest, findings, left_open, read, says, until_healthy, until_only};
use crate::program::{Home, done};
use crate::site::Site;

on_each_engine!(process_a_schema_that_was_changed_by_hand_is_told_of_with_what_the_database_says);

#[test]
fn a_database_that_does_not_answer_is_the_finding() {
    let nobody = Home::on_postgres("postgres://ada:secret@127.0.0.1:1/jobs");
    let unreachable = until_only(&nobody, "database.unreachable");
    assert!(!unreachable.to_string().contains("secret"), "{unreachable:#}");
    let home = Home::new();
    until_only(&home, "database.missing");
    let database = TestDatabase::create().unwrap();
    let bare = Home::on_postgres(&database.url());
    let old = until_only(&bare, "database.schema_old");
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
    until_only(&site.home, "database.crowded");
    drop(runtime);
}

#[test]
fn process_settings_that_do_not_go_together_and_variables_that_are_misspelt_are_found() {
    let site = Site::on_sqlite();
    // A server that has not told of itself yet would be one more finding.
    until_healthy(&site.home);
    let with = |name: &str, value: &str| {
        let mut command = site.home.command(&DOCTOR);
        command.env(name, value);
        let (names, _, report) = read(&done(command.output().unwrap()));
        let found = findings(&report).next().unwrap().clone();
        (names, found)
    };
    // Without settings nobody knows where the database is, either.
    let (names, invalid) = with("HEARTBEAT_INTERVAL_MS", "soon");
    assert_eq!(names, ["database.settings", "settings.invalid"], "{invalid:#}");
    let (names, misspelt) = with("JOBFORGE_SLOT", "3");
    assert_eq!(names, ["settings.unknown_variable"]);
    says(&misspelt, "mend", "JOBFORGE_SLOTS is one");
    // Each is right alone.
    site.home.ok(&["config", "set", "heartbeat_threshold_ms=60000"]);
    let (names, stored) = with("HEARTBEAT_INTERVAL_MS", "59000");
    assert_eq!(names, ["settings.stored"]);
    says(&stored, "evidence", "HEARTBEAT_THRESHOLD_MS is 60000");
    until_healthy(&site.home);
}

#[test]
fn process_a_database_that_another_version_made_or_that_breaks_a_rule_is_found() {
    let site = Site::on_postgres();
    let server = site.watchdog();
    until_healthy(&site.home);
    // As a restored dump, or a person past the triggers, leaves it.
    let id = site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--delay", "1h"]);
    site.sql(&format!(
        "SET session_replication_role = replica; UPDATE jobforge_jobs SET finished_at = now() WHERE id = '{id}'"
    ));
    let broken = until_only(&site.home, "database.inconsistent");
    says(&broken, "evidence", &id);
    drop(server);
    site.sql("INSERT INTO jobforge_migrations (version, name, checksum) VALUES (9000, 'later', 'x')");
    let newer = until_only(&site.home, "database.schema_unknown");
    says(&newer, "mend", "jobforge version");
    let nobody = Home::on_postgres(&site.database_url().replace("postgres@", "nobody-here@"));
    let refused = until_only(&nobody, "database.refused");
    says(&refused, "evidence", "nobody-here");
}

#[test]
fn process_a_damaged_file_is_found() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let file = home.data_dir().join("jobforge.db");
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::write(&file, vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
    until_only(&home, "database.corrupt");
}

#[test]
fn process_a_lock_that_everybody_waits_for_is_told_of_as_a_database_that_does_not_answer_in_time() {
    let site = Site::on_postgres();
    let _server = site.watchdog();
    until_healthy(&site.home);
    let held = left_open(&site, "BEGIN; LOCK TABLE jobforge_jobs IN ACCESS EXCLUSIVE MODE");
    until_only(&site.home, "database.slow");
    drop(held);
    until_healthy(&site.home);
}

#[test]
fn process_a_transaction_that_was_left_open_for_long_is_told_of_until_it_is_ended() {
    let clock = SetClock::at("-40m");
    let site = clock.site();
    let _left = left_open(&site, "BEGIN; SELECT count(*) FROM jobforge_jobs");
    // Half an hour and more passes, in which nobody else is there.
    clock.set("+0");
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let old = until_only(&site.home, "database.old_transaction");
    assert_eq!(old["severity"], "warning");
    says(&old, "evidence", "the oldest for 40 min");
    end_the_oldest(&site, &old);
    until_healthy(&site.home);
}

#[test]
fn process_a_postgresql_whose_disk_is_full_is_told_of_until_there_is_space() {
    let options = ClusterOptions { databases_on_mib: Some(128), ..ClusterOptions::default() };
    let site = Site::on_own_postgres(&options);
    let _server = site.watchdog();
    let _work = site.work(&[]);
    until_healthy(&site.home);
    site.sql("CREATE UNLOGGED TABLE filler (line text) WITH (autovacuum_enabled = off)");
    for rows in [1000, 1] {
        while grows(&site, rows) {}
    }
    let full = until_only(&site.home, "database.full");
    says(&full, "evidence", "No space left on device");
    // Room that is free within a table may take a few small ones.
    let mut tries = (0..100).map(|_| site.home.run(&["job", "enqueue", "exec", &large()]));
    let refused = tries.find(|done| done.code != 0).unwrap();
    assert!(refused.err.contains("has no space left"), "{}", refused.err);
    until_only(&site.home, "database.full");
    site.sql("DROP TABLE filler");
    until_healthy(&site.home);
    site.home.ok(&["job", "enqueue", "exec", &large()]);
}

/// Whether there is still room for so many rows of a kilobyte.
fn grows(site: &Site, rows: u32) -> bool {
    let fill = format!("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, {rows})");
    match psql(&site.database_url(), &fill) {
        Ok(_) => true,
        Err(error) if error.to_string().contains("No space left on device") => false,
        Err(error) => panic!("{error}"),
    }
}

/// A payload that no database can make smaller.
fn large() -> String {
    let mut noise = vec![0; 25_000];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    let words: Vec<String> = noise.iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::json!({ "argv": ["true", words.concat()] }).to_string()
}

fn process_a_schema_that_was_changed_by_hand_is_told_of_with_what_the_database_says(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    until_healthy(&site.home);
    rename_column(site, "paused_at", "halted_at");
    let fails = until_only(&site.home, "database.fails");
    says(&fails, "evidence", "paused_at");
    rename_column(site, "halted_at", "paused_at");
    until_healthy(&site.home);
}

fn rename_column(site: &Site, from: &str, to: &str) {
    let rename = format!("ALTER TABLE jobforge_queues RENAME COLUMN {from} TO {to}");
    match site.home.database_url() {
        Some(url) => drop(psql(url, &rename).unwrap()),
        None => {
            let file = rusqlite::Connection::open(site.home.data_dir().join("jobforge.db")).unwrap();
            file.busy_timeout(Duration::from_secs(10)).unwrap();
            file.execute_batch(&rename).unwrap();
        }
    }
}
