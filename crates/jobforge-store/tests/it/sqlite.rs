//! Every promise of the store, on SQLite: in memory, and in a file, where looking has connections of its own.

use std::sync::Arc;
use std::time::Duration;

use jobforge_store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use jobforge_store::traits::Admin;
use testkit::Result;
use testkit::conformance::Fresh;

pub(crate) async fn memory() -> Result<Fresh> {
    let store = SqliteStore::open_in_memory()?;
    store.migrate().await?;
    Ok(Fresh { store: Arc::new(store), guard: Box::new(()) })
}

pub(crate) async fn file() -> Result<Fresh> {
    let directory = testkit::fixtures::directory()?;
    let store = SqliteStore::open(SqliteOptions {
        path: directory.path().join("jobforge.db"),
        synchronous: Synchronous::Normal,
        slow_query: Duration::from_secs(1),
        exclusive: true,
        create: true,
    })?;
    store.migrate().await?;
    Ok(Fresh { store: Arc::new(store), guard: Box::new(directory) })
}

mod in_memory {
    testkit::conformance!(crate::sqlite::memory);
}

mod in_a_file {
    testkit::conformance!(crate::sqlite::file);
}
