//! Every promise of the store, on PostgreSQL: with prepared statements, with unnamed ones, and through a real PgBouncer in
//! transaction mode.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jobforge_store::Store;
use jobforge_store::postgres::{Pooler, PostgresOptions, PostgresStore};
use jobforge_store::traits::Admin;
use sha2::{Digest, Sha256};
use testkit::Result;
use testkit::conformance::Fresh;
use testkit::postgres::{PgBouncer, PoolMode, TestDatabase, shared};

pub(crate) async fn direct() -> Result<Fresh> {
    fresh(Pooler::Off).await
}

pub(crate) async fn pooled() -> Result<Fresh> {
    fresh(Pooler::On).await
}

/// Everything but LISTEN and migrations goes through the pooler, which the store must find out by itself.
pub(crate) async fn pgbouncer() -> Result<Fresh> {
    let database = migrated_database().await?;
    let pooler = PgBouncer::start(database.server(), database.name(), PoolMode::Transaction)?;
    let options = PostgresOptions { direct_url: Some(database.url()), ..PostgresOptions::new(pooler.url()) };
    let store = PostgresStore::connect(options).await?;
    anyhow::ensure!(store.capabilities().pooled, "the pooler was not recognised");
    Ok(Fresh { store: Arc::new(store), guard: Box::new((pooler, database)) })
}

async fn fresh(pooler: Pooler) -> Result<Fresh> {
    let (store, database) = with_database(pooler).await?;
    Ok(Fresh { store, guard: Box::new(database) })
}

/// A migrated store, and its database for raw SQL.
pub(crate) async fn with_database(pooler: Pooler) -> Result<(Arc<dyn Store>, TestDatabase)> {
    let database = migrated_database().await?;
    let url = database.url();
    let options = PostgresOptions { pooler, direct_url: Some(url.clone()), ..PostgresOptions::new(url) };
    let store = PostgresStore::connect(options).await?;
    Ok((Arc::new(store), database))
}

/// Copies a database that is migrated once per run. Its name changes with the migrations, because a server that is
/// kept between runs also keeps the templates.
async fn migrated_database() -> Result<TestDatabase> {
    let migrate = |url: String| async move {
        PostgresStore::connect(PostgresOptions { pooler: Pooler::Off, ..PostgresOptions::new(url) })
            .await?
            .migrate()
            .await?;
        Ok(())
    };
    let template = shared()?.template(&format!("jf_store_{}", fingerprint()?), migrate).await?;
    TestDatabase::create_from(&template)
}

fn fingerprint() -> Result<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let mut files = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(fs::read(file)?);
    }
    Ok(digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

mod prepared {
    testkit::conformance!(crate::postgres::direct);
}

mod through_pgbouncer {
    testkit::conformance!(crate::postgres::pgbouncer);
}

mod unprepared {
    testkit::conformance!(crate::postgres::pooled);
}
