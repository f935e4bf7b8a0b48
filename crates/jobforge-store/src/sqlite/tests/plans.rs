//! Every statement prepares, and those of the hot path go by their index whatever the tables hold.

use rusqlite::{Connection, StatementStatus};

use super::super::migrate::MIGRATIONS;
use super::super::statements::{self, ALL, Sql};
use super::{Scratch, options};
use crate::sqlite::SqliteStore;

fn schema() -> Connection {
    let conn = Connection::open_in_memory().expect("memory");
    conn.execute_batch(statements::MIGRATIONS_TABLE.text).expect("list of migrations");
    for step in &MIGRATIONS {
        conn.execute_batch(step.sql).unwrap_or_else(|error| panic!("migration {}: {error}", step.name));
    }
    conn
}

fn plan(conn: &Connection, sql: &Sql) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text)).expect(sql.name);
    let lines = statement.raw_query().mapped(|row| row.get(3)).collect::<Result<Vec<String>, _>>();
    lines.expect(sql.name)
}

#[test]
fn every_statement_is_one_and_prepares() {
    let conn = schema();
    for sql in ALL {
        // A second statement in the file would be refused here.
        conn.prepare(sql.text).unwrap_or_else(|error| panic!("{}: {error}", sql.name));
        assert!(sql.text.starts_with("-- "), "{} has no header", sql.name);
    }
}

#[test]
fn every_file_is_used() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/sqlite");
    for entry in std::fs::read_dir(directory).expect("sql/sqlite") {
        let name = entry.expect("entry").file_name().into_string().expect("a plain name");
        assert!(ALL.iter().any(|sql| format!("{}.sql", sql.name) == name), "{name} is used by nobody");
    }
}

#[test]
fn no_statement_but_the_check_scans_the_jobs() {
    let conn = schema();
    for sql in ALL.iter().filter(|sql| sql.name != "check") {
        for line in plan(&conn, sql) {
            let scans = line.contains("SCAN jobforge_jobs") && !line.contains("USING");
            assert!(!scans, "{}: {line}", sql.name);
        }
    }
}

#[test]
fn the_hot_statements_use_their_index() {
    let conn = schema();
    for (sql, wanted) in [
        (&statements::CLAIM, "idx_jobforge_jobs_claim (queue=? AND alone=?)"),
        (&statements::CLAIM_PROMOTE, "idx_jobforge_jobs_scheduled (run_at<?)"),
        (&statements::CLAIM_NEXT_DUE, "idx_jobforge_jobs_scheduled"),
        (
            &statements::ENQUEUE_KEY,
            "idx_jobforge_jobs_idempotency (idempotency_key=? AND type=? AND tenant_id=?)",
        ),
        (&statements::HEARTBEAT, "sqlite_autoindex_jobforge_jobs_1 (id=?)"),
        (&statements::SETTLE, "sqlite_autoindex_jobforge_jobs_1 (id=?)"),
        (&statements::RESCUE, "sqlite_autoindex_jobforge_jobs_1 (id=?)"),
        (&statements::SUSPECTS, "SCAN jobforge_jobs USING INDEX idx_jobforge_jobs_running"),
        (&statements::PURGE, "idx_jobforge_jobs_finished (status=? AND finished_at>? AND finished_at<?)"),
        (&statements::JOB_IDS, "COVERING INDEX sqlite_autoindex_jobforge_jobs_1 (id<?)"),
        (&statements::JOB_IDS_TAG, "PRIMARY KEY (tag=? AND id<?)"),
        (&statements::JOB_IDS_KIND, "PRIMARY KEY (kind=? AND id<?)"),
        (&statements::JOB_KINDS, "PRIMARY KEY (kind=? AND id<?)"),
        (&statements::JOB_IDS_FALLEN, "COVERING INDEX idx_jobforge_jobs_fallen (status=? AND id<?)"),
        (
            &statements::JOB_IDS_FALLEN_TENANT,
            "COVERING INDEX idx_jobforge_jobs_fallen_tenant (tenant_id=? AND status=? AND id<?)",
        ),
        (&statements::FEW_SCHEDULED, "idx_jobforge_jobs_scheduled (run_at>?)"),
        (&statements::FEW_READY, "idx_jobforge_jobs_scheduled (run_at<?)"),
        (&statements::JOB_IDS_KEY, "idx_jobforge_jobs_idempotency (idempotency_key=?)"),
        (&statements::JOB_IDS_WORKER, "idx_jobforge_jobs_running (locked_by=?)"),
        (&statements::DEAD_LIST, "idx_jobforge_jobs_dead_newest (id<?)"),
        (&statements::GAUGE_RETRYING, "COVERING INDEX idx_jobforge_jobs_scheduled"),
        (&statements::STATUS_COUNT, "COVERING INDEX idx_jobforge_jobs_finished (status=? AND finished_at>?)"),
        (
            &statements::DEAD_LIST_TENANT,
            "idx_jobforge_jobs_fallen_tenant (tenant_id=? AND status=? AND id<?)",
        ),
        (&statements::DEAD_LIST_GROUP, "idx_jobforge_jobs_dead_listed (dead_group=? AND id<?)"),
        (&statements::DEAD_GROUP, "COVERING INDEX idx_jobforge_jobs_dead (dead_group=?)"),
        (&statements::JOBS_AMONG, "sqlite_autoindex_jobforge_jobs_1 (id=?)"),
        (&statements::JOBS_KNOWN, "sqlite_autoindex_jobforge_jobs_1 (id=?)"),
        (&statements::QUEUES_SCHEDULED, "COVERING INDEX idx_jobforge_jobs_scheduled"),
        (&statements::AUDIT_LIST_TARGET, "idx_jobforge_audit_target (target=? AND id>? AND id<?)"),
        (&statements::AUDIT_LIST, "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (&statements::QUEUES_READY, "idx_jobforge_jobs_claim (queue=? AND alone=? AND priority>?)"),
    ] {
        let plan = plan(&conn, sql).join("\n");
        assert!(plan.contains(wanted), "{} does not use {wanted}:\n{plan}", sql.name);
    }
}

#[test]
fn a_claim_reads_its_index_in_order_and_sorts_nothing() {
    let plan = plan(&schema(), &statements::CLAIM).join("\n");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn a_list_reads_its_index_in_order_and_sorts_nothing() {
    use statements::{
        DEAD_LIST, DEAD_LIST_GROUP, DEAD_LIST_TENANT, JOB_IDS, JOB_IDS_FALLEN, JOB_IDS_FALLEN_TENANT,
        JOB_IDS_KIND, JOB_IDS_TAG,
    };
    let conn = schema();
    for sql in [
        &JOB_IDS,
        &JOB_IDS_TAG,
        &JOB_IDS_KIND,
        &JOB_IDS_FALLEN,
        &JOB_IDS_FALLEN_TENANT,
        &DEAD_LIST,
        &DEAD_LIST_TENANT,
        &DEAD_LIST_GROUP,
    ] {
        let plan = plan(&conn, sql).join("\n");
        assert!(!plan.contains("TEMP B-TREE"), "{}: {plan}", sql.name);
    }
}

#[test]
fn no_statement_is_compiled_anew_at_each_call() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(options(&scratch.file())).expect("open");
    let conn = store.home.writer().expect("a connection set up as the store does");
    conn.execute_batch(statements::MIGRATIONS_TABLE.text).expect("list of migrations");
    for step in &MIGRATIONS {
        conn.execute_batch(step.sql).expect(step.name);
    }
    for sql in ALL.iter().filter(|sql| sql.name != "migrations_table") {
        let mut statement = conn.prepare(sql.text).expect(sql.name);
        for value in ["1", "2", "3"] {
            for parameter in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(parameter, value).expect(sql.name);
            }
            let mut rows = statement.raw_query();
            // Some refuse such values; what matters is whether they were compiled again before that.
            while let Ok(Some(_)) = rows.next() {}
            drop(rows);
            statement.clear_bindings();
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{}", sql.name);
    }
}

#[test]
fn the_database_refuses_what_the_core_refuses() {
    let conn = schema();
    let insert = "INSERT INTO jobforge_jobs (id, type, run_at, created_at, updated_at";
    for (columns, values) in [
        (", status", "'running'"),
        (", locked_by", "'worker-1'"),
        (", status", "'succeeded'"),
        (", finished_at", "1"),
        (", status", "'cancelled'"),
        (", attempts", "-1"),
        (", max_attempts", "0"),
        (", due", "2"),
        (", progress", "101"),
    ] {
        let refused = conn.execute(&format!("{insert}{columns}) VALUES ('x', 't', 1, 1, 1, {values})"), []);
        assert!(refused.is_err(), "{columns} {values}");
    }
    conn.execute(&format!("{insert}) VALUES ('x', 't', 1, 1, 1)"), []).expect("a plain job");
}
