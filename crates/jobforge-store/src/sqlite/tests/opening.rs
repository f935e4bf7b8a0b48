//! Opening a file that is missing, foreign, protected or somebody else's.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::migrate::MIGRATIONS;
use super::{Scratch, job, migrated, options};
use crate::error::StoreError;
use crate::sqlite::{SqliteOptions, SqliteStore};
use crate::traits::{Admin, Enqueue};
use jobforge_core::time::Now;

fn refused(options: SqliteOptions) -> StoreError {
    match SqliteStore::open(options) {
        Ok(store) => panic!("{store:?} was opened"),
        Err(error) => error,
    }
}

#[test]
fn a_missing_file_is_only_created_on_request() {
    let scratch = Scratch::new();
    let path = scratch.0.join("deep").join("er").join("jobs.db");
    let error = refused(SqliteOptions { create: false, ..options(&path) });
    assert!(matches!(error, StoreError::Unreachable { .. }), "{}", error.chain());
    SqliteStore::open(options(&path)).expect("created with its directories");
    SqliteStore::open(SqliteOptions { create: false, ..options(&path) }).expect("there now");
}

#[test]
fn a_file_that_is_no_database_is_called_corrupt() {
    let scratch = Scratch::new();
    fs::write(scratch.file(), "this is a shopping list, and a long one: ".repeat(50)).expect("write");
    let error = refused(options(&scratch.file()));
    assert!(matches!(error, StoreError::Corrupt { .. }), "{}", error.chain());
    assert!(error.to_string().contains("jobs.db"), "{error}");
}

#[test]
fn a_directory_is_no_database() {
    let scratch = Scratch::new();
    let error = refused(options(&scratch.0));
    assert!(matches!(error, StoreError::Unreachable { .. }), "{}", error.chain());
}

#[test]
fn a_second_owner_is_told_who_owns_the_file() {
    let scratch = Scratch::new();
    let exclusive = SqliteOptions { exclusive: true, ..options(&scratch.file()) };
    let owner = SqliteStore::open(exclusive.clone()).expect("the first owner");
    match refused(exclusive.clone()) {
        StoreError::InUse { path, pid } => {
            assert_eq!(pid, std::process::id().to_string());
            assert_eq!(path, scratch.0.display().to_string());
        }
        other => panic!("{}", other.chain()),
    }
    SqliteStore::open(options(&scratch.file())).expect("a one-shot command beside the owner");
    drop(owner);
    SqliteStore::open(exclusive).expect("the lock ended with its owner");
}

#[test]
fn a_protected_directory_is_called_read_only() {
    let scratch = Scratch::new();
    let protected = scratch.0.join("protected");
    fs::create_dir(&protected).expect("directory");
    fs::set_permissions(&protected, fs::Permissions::from_mode(0o555)).expect("protect");
    if fs::write(protected.join("probe"), "").is_ok() {
        // The superuser is not bound by permissions.
        return;
    }
    let error = refused(options(&protected.join("jobs.db")));
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{}", error.chain());
    assert!(error.is_transient());
}

#[test]
fn a_protected_file_is_called_read_only() {
    let scratch = Scratch::new();
    drop(SqliteStore::open(options(&scratch.file())).expect("create"));
    fs::set_permissions(scratch.file(), fs::Permissions::from_mode(0o444)).expect("protect");
    if fs::OpenOptions::new().write(true).open(scratch.file()).is_ok() {
        // The superuser is not bound by permissions.
        return;
    }
    let error = refused(options(&scratch.file()));
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{}", error.chain());
}

#[tokio::test]
async fn an_empty_file_has_no_schema_and_a_foreign_one_is_refused() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(options(&scratch.file())).expect("open");
    let newest = MIGRATIONS.last().expect("a step").version;
    let error = store.verify_schema().await.expect_err("no schema");
    assert!(
        matches!(error, StoreError::SchemaTooOld { found: 0, needed, .. } if needed == newest),
        "{error}"
    );
    assert_eq!(store.migrations().await.expect("list")[0].applied_at, None);
    assert_eq!(store.migrate().await.expect("migrate").len(), MIGRATIONS.len());
    assert_eq!(store.migrate().await.expect("again").len(), 0);
    store.verify_schema().await.expect("complete");

    let raw = rusqlite::Connection::open(scratch.file()).expect("raw");
    raw.execute("UPDATE jobforge_migrations SET checksum = 'x'", []).expect("drift");
    assert!(matches!(store.verify_schema().await, Err(StoreError::MigrationDrift { version: 1, .. })));
    assert!(matches!(store.migrate().await, Err(StoreError::MigrationDrift { version: 1, .. })));
    raw.execute("UPDATE jobforge_migrations SET version = 99 WHERE version = 1", []).expect("future");
    let error = store.verify_schema().await.expect_err("from the future");
    assert!(matches!(error, StoreError::SchemaTooNew { found: 99, known, .. } if known == newest), "{error}");
}

#[tokio::test]
async fn jobs_are_still_there_after_closing_and_opening() {
    let scratch = Scratch::new();
    let store = migrated(&scratch).await;
    let new = job("{}");
    store.enqueue(std::slice::from_ref(&new), Now::Database).await.expect("enqueue");
    drop(store);
    assert!(!scratch.0.join("jobs.db-wal").exists(), "closing leaves one file");
    let store = migrated(&scratch).await;
    assert!(crate::traits::Inspect::job(&store, new.id).await.expect("read").is_some());
}
