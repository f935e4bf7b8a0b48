//! Databases that do not answer, are crowded, older, newer or damaged, and settings that do not go together.

use testkit::postgres::{ClusterOptions, TestDatabase};

use super::{DOCTOR, findings, read, says, until_healthy, until_only};
use crate::program::{Home, done};
use crate::site::Site;

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
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = site.database_url();
    let held = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("BEGIN; LOCK TABLE jobforge_jobs IN ACCESS EXCLUSIVE MODE").await.unwrap();
        client
    });
    until_only(&site.home, "database.slow");
    drop(held);
    drop(runtime);
    until_healthy(&site.home);
}
