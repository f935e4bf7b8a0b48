//! The application's own connections.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Transaction};
use jobforge::clock;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::warn;

use crate::trouble::Trouble;

/// Connections; each job that runs needs one at a time.
const POOL_SIZE: usize = 10;
/// How long a job waits for a connection before that is an error.
const WAIT: Duration = Duration::from_secs(30);
/// Bounds on one statement, so that a run that was stopped does not go on in the database.
const BOUNDS: &str = "SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '10s'";
/// From here on a statement is worth a line in the log.
const SLOW: Duration = Duration::from_millis(500);

const SCHEMA: &str = include_str!("../sql/schema.sql");

/// A statement of `sql/` with what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Sql {
    /// Fits after "failed to".
    pub action: &'static str,
    /// The statement.
    pub text: &'static str,
}

/// The application's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
}

impl Db {
    /// Prepares connections to a `postgres://` URL; none is opened yet.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn open(url: &str) -> anyhow::Result<Self> {
        let mut config: Config =
            url.parse().context("the database URL cannot be read; write postgres://USER@HOST/NAME")?;
        config.application_name("background-jobs").connect_timeout(WAIT);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = if config.get_ssl_mode() == SslMode::Disable || is_local(&config) {
            Manager::from_config(config, NoTls, recycling)
        } else {
            Manager::from_config(config, tls()?, recycling)
        };
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self { pool })
    }

    /// Creates the application's tables where they are missing.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses.
    pub async fn set_up(&self) -> anyhow::Result<()> {
        let client = self.pool.get().await.context("failed to reach the database")?;
        client.batch_execute(SCHEMA).await.context("failed to create the tables of the application")
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn client(&self) -> Result<Object, Trouble> {
        self.pool.get().await.map_err(|error| Trouble::database("reach the database", &error))
    }
}

/// Begins a transaction whose statements have bounds.
///
/// # Errors
/// When the database fails.
pub async fn begin(client: &mut Object) -> Result<Transaction<'_>, Trouble> {
    let failed = |error| Trouble::database("begin a transaction", &error);
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(BOUNDS).await.map_err(failed)?;
    Ok(transaction)
}

/// Runs a statement, and tells of it when it is slow.
///
/// # Errors
/// As the driver.
pub async fn query(
    transaction: &Transaction<'_>,
    sql: Sql,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let began = clock::monotonic();
    let statement = transaction.prepare_cached(sql.text).await?;
    let rows = transaction.query(&statement, parameters).await?;
    let took = clock::monotonic().duration_since(began);
    if took >= SLOW {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        warn!(took_ms, "slow query to {} took {took_ms} ms", sql.action);
    }
    Ok(rows)
}

/// The same, where any error ends the run.
///
/// # Errors
/// When the database fails.
pub async fn must(
    transaction: &Transaction<'_>,
    sql: Sql,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Trouble> {
    query(transaction, sql, parameters).await.map_err(|error| Trouble::database(sql.action, &error))
}

/// Ends a transaction.
///
/// # Errors
/// When the database fails.
pub async fn commit(transaction: Transaction<'_>) -> Result<(), Trouble> {
    transaction.commit().await.map_err(|error| Trouble::database("commit", &error))
}

/// Whether the database refused the data and not the connection: another attempt with the same data ends the same way.
pub fn is_about_the_data(error: &tokio_postgres::Error) -> bool {
    // Classes 22, data exception, and 23, integrity constraint violation.
    error.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23"))
}

fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
    })
}

fn tls() -> anyhow::Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
