//! The consistency check checked: every rule is broken on purpose, by hand, and must be found under its name.

use std::sync::Arc;

use jobforge_core::job::NewJob;
use jobforge_core::payload::Payload;
use jobforge_core::settle::Outcome;
use jobforge_core::state::Status;
use jobforge_store::Store;
use jobforge_store::postgres::Pooler;
use jobforge_store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use jobforge_store::traits::Admin;
use testkit::Result;
use testkit::fixtures::{at, claim_one, ended_job, enqueue, job, register, running_job, settle_one};

/// What breaks a rule of both engines, in words that both understand. Ids are compared as the engine stores them.
const CORRUPTIONS: [(&str, &str); 19] = [
    ("job_is_listed", "DELETE FROM jobforge_listed"),
    ("tag_is_listed", "DELETE FROM jobforge_tagged"),
    ("running_is_owned", "UPDATE jobforge_jobs SET locked_by = NULL WHERE status = 'running'"),
    ("running_is_owned", "UPDATE jobforge_jobs SET locked_by = 'worker-x' WHERE status = 'queued'"),
    ("ended_has_end", "UPDATE jobforge_jobs SET finished_at = NULL WHERE status = 'succeeded'"),
    ("ended_has_end", "UPDATE jobforge_jobs SET finished_at = created_at WHERE status = 'queued'"),
    ("failure_says_why", "UPDATE jobforge_jobs SET error = NULL WHERE status = 'dead'"),
    ("times_in_order", "UPDATE jobforge_jobs SET created_at = finished_at WHERE status = 'succeeded'"),
    (
        "attempt_times_in_order",
        "UPDATE jobforge_job_attempts SET finished_at = (SELECT min(created_at) FROM jobforge_jobs)",
    ),
    ("owner_is_known", "UPDATE jobforge_jobs SET locked_by = 'worker-x' WHERE status = 'running'"),
    ("fence_is_highest", "UPDATE jobforge_job_attempts SET lease = lease + 100"),
    ("success_is_final", "UPDATE jobforge_job_attempts SET outcome = 'succeeded' WHERE outcome = 'dead'"),
    ("result_is_of_success", "UPDATE jobforge_jobs SET result_id = NULL WHERE status = 'succeeded'"),
    ("named_result_exists", "DELETE FROM jobforge_job_results"),
    ("children_share_tenant", "UPDATE jobforge_job_attempts SET tenant_id = 'somebody-else'"),
    ("lease_is_kept", "UPDATE jobforge_workers SET lease_expires_at = started_at"),
    ("dead_has_proof", "UPDATE jobforge_workers SET state = 'dead', ended_at = started_at"),
    (
        "slot_has_one_process",
        "UPDATE jobforge_workers SET slot_id = 's', machine_id = 'm', boot_id = 'b', pid_namespace = 1,
         process_start = CASE WHEN id = 'worker-00000001' THEN 1 ELSE 2 END",
    ),
    (
        "running_attempt_is_open",
        "UPDATE jobforge_job_attempts SET job_id = (SELECT id FROM jobforge_jobs WHERE status = 'running'),
         lease = (SELECT lease FROM jobforge_jobs WHERE status = 'running')",
    ),
];

/// What breaks a rule of one engine, or of both in the words of one.
const OF_POSTGRES: [(&str, &str); 4] = [
    ("queued_is_offered", "DELETE FROM jobforge_ready"),
    (
        "offer_is_queued",
        "INSERT INTO jobforge_ready (id, queue, priority, run_at, type) VALUES (gen_random_uuid(), 'default', 0, now(), 't')",
    ),
    ("times_are_past", "UPDATE jobforge_jobs SET heartbeat_at = '2100-01-01' WHERE status = 'running'"),
    ("attempt_times_in_order", "UPDATE jobforge_job_attempts SET finished_at = NULL"),
];
const OF_SQLITE: [(&str, &str); 4] = [
    (
        "due_mark_is_right",
        "UPDATE jobforge_jobs SET due = 1, run_at = 4102444800000000 WHERE status = 'queued'",
    ),
    ("times_are_past", "UPDATE jobforge_jobs SET heartbeat_at = 4102444800000000 WHERE status = 'running'"),
    ("references_hold", "UPDATE jobforge_job_attempts SET job_id = 'nobody'"),
    (
        "file_is_sound",
        // The index is out of sight while a row that is in it changes.
        "CREATE TABLE aside AS SELECT * FROM sqlite_schema WHERE name = 'idx_jobforge_jobs_dead';
         PRAGMA writable_schema = ON;
         DELETE FROM sqlite_schema WHERE name = 'idx_jobforge_jobs_dead';
         PRAGMA schema_version = 998;
         PRAGMA writable_schema = RESET;
         UPDATE jobforge_jobs SET dead_group = 'another' WHERE status = 'dead';
         PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema SELECT * FROM aside;
         PRAGMA schema_version = 999",
    ),
];

/// One job of each kind whose rows the corruptions touch: queued, running, succeeded with a result, dead.
async fn populate(store: &Arc<dyn Store>) -> Result<()> {
    running_job(store, "worker-00000001", at(0)).await?;
    let worker = register(store, "worker-00000002", at(0)).await?;
    enqueue(store, job("email"), at(1)).await?;
    let held = claim_one(store, &worker, at(2)).await?;
    let result = Some(Payload::parse(r#"{"sent":1}"#)?);
    settle_one(store, &worker, &held, Outcome::Succeeded { result }, at(5)).await?;
    ended_job(store, Status::Dead, job("dies"), at(6)).await?;
    enqueue(store, NewJob { tags: vec!["red".to_owned()], ..job("waits") }, at(7)).await?;
    assert!(store.check(at(60)).await?.is_empty(), "the database is sound before it is broken");
    Ok(())
}

async fn found(store: &dyn Store) -> Result<Vec<String>> {
    Ok(store.check(at(60)).await?.into_iter().map(|finding| finding.rule).collect())
}

#[test]
fn no_rule_is_left_unbroken() {
    for (sql, own) in [
        (include_str!("../../sql/postgres/check.sql"), OF_POSTGRES),
        (include_str!("../../sql/sqlite/check.sql"), OF_SQLITE),
    ] {
        // A rule begins with its name, followed by what it means in words.
        let quoted: Vec<&str> = sql.split('\'').collect();
        let is_name = |text: &str| {
            text.contains('_') && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
        };
        let rules =
            quoted.windows(3).filter(|next| is_name(next[0]) && next[2].contains(' ')).map(|next| next[0]);
        let rules: Vec<&str> = rules.collect();
        assert!(rules.len() > 15, "{rules:?}");
        for rule in rules {
            assert!(CORRUPTIONS.iter().chain(&own).any(|(name, _)| *name == rule), "{rule}");
        }
    }
}

#[tokio::test]
async fn every_rule_finds_its_corruption_on_postgres() -> Result<()> {
    for (rule, sql) in CORRUPTIONS.into_iter().chain(OF_POSTGRES) {
        let (store, database) = crate::postgres::with_database(Pooler::Off).await?;
        populate(&store).await?;
        // As somebody does it who knows how to get past the guard, or as a damaged disk does.
        database.psql(&format!("SET session_replication_role = replica; {sql}"))?;
        let rules = found(store.as_ref()).await?;
        assert!(rules.iter().any(|name| name == rule), "{rule}: {sql} shows {rules:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_rule_finds_its_corruption_on_sqlite() -> Result<()> {
    for (rule, sql) in CORRUPTIONS.into_iter().chain(OF_SQLITE) {
        let directory = testkit::fixtures::directory()?;
        let path = directory.path().join("jobforge.db");
        let store = SqliteStore::open(SqliteOptions {
            path: path.clone(),
            synchronous: Synchronous::Normal,
            slow_query: std::time::Duration::from_secs(1),
            exclusive: true,
            create: true,
        })?;
        store.migrate().await?;
        let store: Arc<dyn Store> = Arc::new(store);
        populate(&store).await?;
        let raw = rusqlite::Connection::open(&path)?;
        raw.execute_batch(&format!(
            "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; {sql}"
        ))?;
        let rules = found(store.as_ref()).await?;
        assert!(rules.iter().any(|name| name == rule), "{rule}: {sql} shows {rules:?}");
    }
    Ok(())
}
