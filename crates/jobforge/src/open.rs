//! From a URL to a store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobforge_core::settings::Settings;
use jobforge_store::postgres::{Pooler, PostgresOptions, PostgresStore};
use jobforge_store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use jobforge_store::traits::Admin;
use jobforge_store::{Store, StoreError};

/// The file of the embedded database in the data directory.
const DATABASE_FILE: &str = "jobforge.db";

/// What the store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To own it for as long as the process lives: a second owner of an embedded database is refused.
    Own,
    /// To look or act once, beside an owner.
    Visit,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// `postgres://…` or `sqlite:PATH`; empty is SQLite in the data directory.
    pub database_url: String,
    /// PostgreSQL without a pooler in between.
    pub direct_url: Option<String>,
    /// Where the embedded database lives when the URL is empty.
    pub data_dir: PathBuf,
    /// SQLite's durability.
    pub synchronous: Synchronous,
    /// Whether the URL leads through a transaction pooler.
    pub pooler: Pooler,
    /// Most connections to PostgreSQL.
    pub pool_size: usize,
    /// Statements that take longer are logged.
    pub slow_query: Duration,
    /// What it is opened for.
    pub purpose: Purpose,
    /// Whether to make an embedded database that does not exist, and bring an embedded schema up to date.
    pub create: bool,
}

impl OpenOptions {
    /// Takes everything from the settings.
    pub fn from_settings(settings: &Settings, purpose: Purpose, create: bool) -> Self {
        let direct = settings.text("database_direct_url");
        Self {
            database_url: settings.text("database_url").to_owned(),
            direct_url: (!direct.is_empty()).then(|| direct.to_owned()),
            data_dir: PathBuf::from(settings.text("data_dir")),
            synchronous: if settings.text("sqlite_synchronous") == "normal" {
                Synchronous::Normal
            } else {
                Synchronous::Full
            },
            pooler: match settings.text("pooler") {
                "on" => Pooler::On,
                "off" => Pooler::Off,
                _ => Pooler::Auto,
            },
            pool_size: usize::try_from(settings.integer("database_pool_size")).unwrap_or(8),
            slow_query: settings.millis("slow_query_ms"),
            purpose,
            create,
        }
    }

    /// Defaults for a URL: own it, create it if it is embedded.
    pub fn for_url(url: &str) -> Self {
        let mut options = Self::from_settings(&Settings::defaults(), Purpose::Own, true);
        url.clone_into(&mut options.database_url);
        options
    }
}

impl OpenOptions {
    /// The file of an embedded database; `None` for PostgreSQL.
    ///
    /// # Errors
    /// `BadUrl` when the URL is of no known kind.
    pub fn embedded(&self) -> Result<Option<PathBuf>, StoreError> {
        if self.is_postgres() {
            return Ok(None);
        }
        sqlite_path(self.database_url.trim(), self).map(Some)
    }
}

/// Opens a store and makes sure that its schema fits.
///
/// An embedded database is migrated on the way when `create` is set; PostgreSQL never is, because other programs may be
/// using it: run `jobforge db migrate`, or call [`jobforge_store::traits::Admin::migrate`].
///
/// # Errors
/// As [`StoreError`] says: bad URL, unreachable, refused, too old, too new, in use, read-only, damaged.
pub async fn open_store(options: &OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    let store = open_unverified(options).await?;
    store.verify_schema().await?;
    Ok(store)
}

impl OpenOptions {
    /// Whether they lead to PostgreSQL, which any number of processes may use.
    pub fn is_postgres(&self) -> bool {
        let url = self.database_url.trim();
        url.starts_with("postgres://") || url.starts_with("postgresql://")
    }

    /// Opens a store without looking at its schema, to migrate or examine it.
    ///
    /// # Errors
    /// As [`open_store`], but for the schema.
    pub async fn open_unverified(&self) -> Result<Arc<dyn Store>, StoreError> {
        open_unverified(self).await
    }
}

impl OpenOptions {
    /// Opens PostgreSQL for what only it can do, without looking at its schema.
    ///
    /// # Errors
    /// As [`open_store`], but for the schema.
    pub async fn open_postgres(&self) -> Result<PostgresStore, StoreError> {
        PostgresStore::connect(PostgresOptions {
            direct_url: self.direct_url.clone(),
            pooler: self.pooler,
            pool_size: self.pool_size,
            slow_query: self.slow_query,
            ..PostgresOptions::new(self.database_url.trim())
        })
        .await
    }

    /// Opens an embedded database for what only it can do, without looking at its schema.
    ///
    /// # Errors
    /// As [`open_store`], but for the schema.
    pub fn open_sqlite(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(SqliteOptions {
            path: sqlite_path(self.database_url.trim(), self)?,
            synchronous: self.synchronous,
            slow_query: self.slow_query,
            exclusive: self.purpose == Purpose::Own,
            create: self.create,
        })
    }
}

async fn open_unverified(options: &OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    if options.is_postgres() {
        return Ok(Arc::new(options.open_postgres().await?));
    }
    let store = options.open_sqlite()?;
    if options.create {
        store.migrate().await?;
    }
    Ok(Arc::new(store))
}

fn sqlite_path(url: &str, options: &OpenOptions) -> Result<PathBuf, StoreError> {
    if url.is_empty() {
        return Ok(options.data_dir.join(DATABASE_FILE));
    }
    let Some(path) = url.strip_prefix("sqlite:") else {
        let scheme: String = url.chars().take_while(|c| *c != ':').take(20).collect();
        let known = scheme.len() < url.len();
        let reason = if known {
            format!("{scheme:?} is not a known kind of database")
        } else {
            "it has no scheme".to_owned()
        };
        return Err(StoreError::BadUrl { reason });
    };
    // Both sqlite:relative.db and sqlite:///absolute.db are in use.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(StoreError::BadUrl { reason: "it names no file".to_owned() });
    }
    Ok(PathBuf::from(path))
}
