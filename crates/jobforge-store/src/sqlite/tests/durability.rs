//! What is answered is on disk, and a disk that fills up loses nothing.

use jobforge_core::settle::Settled;
use jobforge_core::time::Now;

use super::{Scratch, claim, job, migrated, options, success, worker};
use crate::error::StoreError;
use crate::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use crate::traits::{Enqueue, WorkerSide};

async fn pragma(store: &SqliteStore, name: &'static str) -> String {
    let look = move |tx: &super::super::Tx<'_>| {
        let value = tx.conn().query_row(&format!("PRAGMA {name}"), [], |row| {
            let value: rusqlite::types::Value = row.get(0)?;
            Ok(match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            })
        });
        value.map_err(|error| tx.error(&error))
    };
    store.write("pragma", 1, look).await.expect(name)
}

#[tokio::test]
async fn commits_wait_for_the_disk_unless_told_otherwise() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(options(&scratch.file())).expect("open");
    for (name, value) in
        [("synchronous", "2"), ("journal_mode", "wal"), ("foreign_keys", "1"), ("trusted_schema", "0")]
    {
        assert_eq!(pragma(&store, name).await, value, "{name}");
    }
    drop(store);
    let normal = SqliteOptions { synchronous: Synchronous::Normal, ..options(&scratch.file()) };
    let store = SqliteStore::open(normal).expect("open");
    assert_eq!(pragma(&store, "synchronous").await, "1");
}

#[tokio::test]
async fn a_full_disk_refuses_new_jobs_and_settles_once_there_is_space() {
    let scratch = Scratch::new();
    let store = migrated(&scratch).await;
    let worker = worker(&store).await;
    store.enqueue(&[job("{}")], Now::Database).await.expect("enqueue");
    let held = claim(&store, &worker, 1).await.jobs;

    let pages: i64 = pragma(&store, "page_count").await.parse().expect("number");
    limit_pages(&store, pages).await;
    let big = format!("\"{}\"", "x".repeat(100_000));
    let error = store.enqueue(&[job(&big)], Now::Database).await.expect_err("no space");
    assert!(matches!(error, StoreError::Full { .. }), "{}", error.chain());
    assert!(error.is_transient());

    limit_pages(&store, pages + 10_000).await;
    let settled = store.settle(&worker, &[success(&held[0])], Now::Database).await.expect("settle");
    assert_eq!(settled, [Settled::Applied]);
    store.enqueue(&[job(&big)], Now::Database).await.expect("space again");
}

async fn limit_pages(store: &SqliteStore, pages: i64) {
    let set = move |tx: &super::super::Tx<'_>| {
        let set = tx.conn().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()));
        set.map_err(|error| tx.error(&error))
    };
    store.write("pragma", 1, set).await.expect("limit");
}

#[tokio::test]
async fn a_write_to_a_protected_database_is_called_read_only() {
    let scratch = Scratch::new();
    let store = migrated(&scratch).await;
    let protect = |tx: &super::super::Tx<'_>| {
        tx.conn().pragma_update(None, "query_only", true).map_err(|error| tx.error(&error))
    };
    store.write("pragma", 1, protect).await.expect("protect");
    let error = store.enqueue(&[job("{}")], Now::Database).await.expect_err("protected");
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{}", error.chain());
}

#[tokio::test]
async fn a_transaction_of_another_process_that_takes_too_long_interrupts_and_passes() {
    let scratch = Scratch::new();
    let store = migrated(&scratch).await;
    let impatient = |tx: &super::super::Tx<'_>| {
        tx.conn().busy_timeout(std::time::Duration::from_millis(20)).map_err(|error| tx.error(&error))
    };
    store.write("pragma", 1, impatient).await.expect("impatient");
    let other = rusqlite::Connection::open(scratch.file()).expect("other");
    other.execute_batch("BEGIN IMMEDIATE").expect("hold");
    let error = store.enqueue(&[job("{}")], Now::Database).await.expect_err("busy");
    assert!(matches!(error, StoreError::Interrupted { call: "enqueue", .. }), "{}", error.chain());
    other.execute_batch("ROLLBACK").expect("let go");
    store.enqueue(&[job("{}")], Now::Database).await.expect("free again");
}
