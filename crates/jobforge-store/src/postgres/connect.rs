//! From a URL to a pool, and what has to be found out on the way.

use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deadpool_postgres::{BuildError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::pools;
use super::{PostgresStore, claim, session, wake};
use crate::error::{Result, StoreError};
use crate::slow::SlowLog;

/// Waiting for a connection, to the server or from the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Oldest server that works.
const OLDEST_SERVER: i32 = 140_000;

/// What a session needs so that plans never depend on the statistics of an empty table: without them, prepared statements
/// planned on an empty database drained thirteen times slower than after ANALYZE. With them there is one good plan for
/// each hot statement, so it is made once: making it anew took a claim of one job three times as long as running it.
const SESSION_OPTIONS: &str = "-c plan_cache_mode=force_generic_plan -c enable_hashjoin=off -c enable_mergejoin=off \
     -c enable_seqscan=off -c jit=off -c idle_in_transaction_session_timeout=60000";

/// Whether the URL leads through a transaction pooler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Find out: port 6543, or a server that refuses session options.
    #[default]
    Auto,
    /// It does.
    On,
    /// It does not.
    Off,
}

/// How to reach a database.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…`.
    pub url: String,
    /// The same database without a pooler, for LISTEN and migrations.
    pub direct_url: Option<String>,
    /// Whether `url` leads through a pooler.
    pub pooler: Pooler,
    /// Most connections of this process.
    pub pool_size: usize,
    /// Statements that take longer are logged.
    pub slow_query: Duration,
    /// What the server sees as the name of this program.
    pub application_name: String,
}

impl PostgresOptions {
    /// Defaults for a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            direct_url: None,
            pooler: Pooler::Auto,
            pool_size: 8,
            slow_query: Duration::from_millis(500),
            application_name: "jobforge".to_owned(),
        }
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions").field("pooler", &self.pooler).finish_non_exhaustive()
    }
}

/// A way to open single connections outside of the pool.
#[derive(Clone)]
pub(super) struct Direct {
    pub(super) config: Config,
    pub(super) tls: Tls,
    pub(super) location: String,
    /// False when only a pooler is known: no LISTEN, no session locks.
    pub(super) available: bool,
}

#[derive(Clone)]
pub(super) enum Tls {
    Off,
    On(MakeRustlsConnect),
}

impl Direct {
    /// Opens a connection and returns it with the task that drives it, which the caller runs.
    pub(super) async fn open(&self) -> Result<(Client, wake::Driver)> {
        let opened = match &self.tls {
            Tls::Off => {
                self.config.connect(NoTls).await.map(|(client, driver)| (client, wake::Driver::plain(driver)))
            }
            Tls::On(tls) => self
                .config
                .connect(tls.clone())
                .await
                .map(|(client, driver)| (client, wake::Driver::tls(driver))),
        };
        opened.map_err(|error| session::map_error(&self.location, "connect", error))
    }
}

impl PostgresStore {
    /// Opens a pool; fails at once if the database cannot be reached, is too old or refuses the login.
    ///
    /// # Errors
    /// `BadUrl`, `Unreachable`, `Refused`, `ServerTooOld`. The schema is not looked at: see `verify_schema`.
    pub async fn connect(options: PostgresOptions) -> Result<Self> {
        let mut config = parse(&options.url, &options.application_name)?;
        let location = location(&config);
        let tls = tls(&config)?;
        let port_says_pooler = config.get_ports().contains(&6543);
        let mut pooled = match options.pooler {
            Pooler::On => true,
            Pooler::Off => false,
            Pooler::Auto => port_says_pooler,
        };
        if !pooled {
            config.options(SESSION_OPTIONS);
        }
        let mut direct =
            Direct { config: config.clone(), tls: tls.clone(), location: location.clone(), available: true };
        let probe = match direct.open().await {
            Err(error) if !pooled && options.pooler == Pooler::Auto && refuses_options(&error) => {
                pooled = true;
                config = parse(&options.url, &options.application_name)?;
                direct.config = config.clone();
                direct.open().await?
            }
            other => other?,
        };
        check_version(probe, &location).await?;
        if pooled {
            direct.available = false;
        }
        if let Some(url) = &options.direct_url {
            let config = parse(url, &options.application_name)?;
            direct = Direct {
                tls: self::tls(&config)?,
                location: self::location(&config),
                config,
                available: true,
            };
        }
        let pool = pool(config, tls, options.pool_size.max(2)).map_err(|error| StoreError::Failed {
            location: location.clone(),
            call: "connect",
            source: error.into(),
        })?;
        Ok(Self {
            pool,
            pooled,
            slow: SlowLog { threshold: options.slow_query },
            cursors: Mutex::new(claim::Cursors::default()),
            wake: wake::Listener::new(direct.clone()),
            direct,
            location,
        })
    }
}

impl PostgresStore {
    /// The same database on one connection of its own, opened when it is first used, directly if there is a way.
    pub(super) fn apart(&self) -> Option<Self> {
        let direct = self.direct.clone();
        Some(Self {
            pool: pool(direct.config.clone(), direct.tls.clone(), 1).ok()?,
            pooled: !direct.available,
            slow: self.slow,
            cursors: Mutex::default(),
            wake: wake::Listener::new(direct.clone()),
            location: direct.location.clone(),
            direct,
        })
    }
}

fn pool(config: Config, tls: Tls, size: usize) -> std::result::Result<Pool, BuildError> {
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match tls {
        Tls::Off => Manager::from_config(config, NoTls, manager_config),
        Tls::On(tls) => Manager::from_config(config, tls, manager_config),
    };
    let pool = Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .build()?;
    pools::watch(&pool);
    Ok(pool)
}

fn parse(url: &str, application_name: &str) -> Result<Config> {
    let mut config = Config::from_str(url).map_err(|error| {
        // The driver's own text never repeats the URL, but its causes may name a parameter.
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        StoreError::BadUrl { reason }
    })?;
    if config.get_hosts().is_empty() {
        return Err(StoreError::BadUrl { reason: "it names no host".to_owned() });
    }
    config.application_name(application_name);
    config.connect_timeout(CONNECT_TIMEOUT);
    // A peer that vanished without a word is noticed within seconds, not after the operating system's two hours.
    config
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(1));
    config.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(8));
    Ok(config)
}

fn location(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", config.get_dbname().or(config.get_user()).unwrap_or("postgres"))
}

/// Chooses encryption by the URL's `sslmode`; certificates are verified against the system's roots.
fn tls(config: &Config) -> Result<Tls> {
    let remote = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if !is_loopback(name)));
    match config.get_ssl_mode() {
        SslMode::Disable => return Ok(Tls::Off),
        SslMode::Prefer if !remote => return Ok(Tls::Off),
        _ => {}
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::BadUrl { reason: format!("TLS cannot be set up: {error}") })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls::On(MakeRustlsConnect::new(client)))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// PgBouncer answers session options with `unsupported startup parameter`.
fn refuses_options(error: &StoreError) -> bool {
    error.chain().contains("unsupported startup parameter")
}

async fn check_version((client, driver): (Client, wake::Driver), location: &str) -> Result<()> {
    let task = tokio::spawn(driver.run_silent());
    let answer = client.simple_query("SHOW server_version_num").await;
    let text = client.simple_query("SHOW server_version").await;
    task.abort();
    let read =
        |answer: std::result::Result<Vec<tokio_postgres::SimpleQueryMessage>, tokio_postgres::Error>| {
            let rows = answer.map_err(|error| session::map_error(location, "connect", error))?;
            Ok(rows.iter().find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            }))
        };
    let number: i32 = read(answer)?.and_then(|text| text.parse().ok()).unwrap_or(0);
    if number < OLDEST_SERVER {
        let found = read(text)?.unwrap_or_else(|| "of an unknown version".to_owned());
        return Err(StoreError::ServerTooOld { location: location.to_owned(), found });
    }
    Ok(())
}
