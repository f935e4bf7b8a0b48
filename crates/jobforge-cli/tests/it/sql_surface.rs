//! `jobforge db` and the SQL surface: views, roles and rights as an operator asks for them.

use testkit::postgres::TestDatabase;

use crate::program::Home;

#[test]
fn the_runbooks_views_are_made_when_asked_for_and_told_of_once() {
    let database = TestDatabase::create().unwrap();
    let home = Home::on_postgres(&database.url());
    let plain = home.run(&["db", "migrate"]);
    assert_eq!(plain.code, 0, "{}", plain.err);
    assert!(
        plain.err.contains("applied migration 2 (surface)") && !plain.err.contains("view"),
        "{}",
        plain.err
    );
    assert!(database.psql("SELECT FROM qc_jobs").is_err());
    database.psql("CREATE TABLE executions (mine int)").unwrap();
    let asked = home.run(&["db", "migrate", "--runbook-views"]);
    for told in [
        "created view qc_jobs",
        "created view worker_heartbeats",
        "created view job_dlq",
        "left executions alone",
    ] {
        assert!(asked.err.contains(told), "{}", asked.err);
    }
    let again = home.run(&["db", "migrate", "--runbook-views"]);
    assert!(again.err.contains("up to date") && !again.err.contains("created"), "{}", again.err);
    let granted = home.run(&["db", "grant"]);
    assert_eq!(granted.code, 0, "{}", granted.err);
    assert!(granted.err.contains("GRANT jobforge_app TO"), "{}", granted.err);
    assert_eq!(
        database.psql("SET ROLE jobforge_readonly; SELECT count(*) FROM qc_jobs").unwrap().trim(),
        "0"
    );
}

#[test]
fn up_makes_the_views_on_its_way() {
    let database = TestDatabase::create().unwrap();
    let home = Home::on_postgres(&database.url());
    let up = home.up();
    assert_eq!(
        database.psql("SELECT count(*) FROM worker_heartbeats WHERE status = 'live'").unwrap().trim(),
        "1"
    );
    assert_eq!(up.terminate(), 0);
}

#[test]
fn on_sqlite_it_is_said_that_there_is_none() {
    let home = Home::new();
    for arguments in [["db", "migrate", "--runbook-views"].as_slice(), &["db", "grant"]] {
        let done = home.run(arguments);
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(
            done.err.contains("needs PostgreSQL") && done.err.contains("jobforge job list"),
            "{}",
            done.err
        );
    }
}

#[test]
fn rights_are_not_granted_on_a_database_without_tables() {
    let database = TestDatabase::create().unwrap();
    let done = Home::on_postgres(&database.url()).run(&["db", "grant"]);
    assert_eq!(done.code, 78, "{}", done.err);
    assert!(done.err.contains("jobforge db migrate"), "{}", done.err);
}
