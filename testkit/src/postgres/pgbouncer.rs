//! A throw-away pgbouncer in front of one database.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_postgres::config::Host;

use super::binaries::find_program;
use super::cluster::run;
use super::guardian::{Charge, Guardian};
use super::host::{self, Account};
use super::server::{Server, psql};

/// Another process may take the port between our choice and pgbouncer's.
const START_ATTEMPTS: usize = 5;

const READY_POLL: Duration = Duration::from_millis(10);
const READY_POLLS: usize = 1000;

/// Since this version pgbouncer can keep track of prepared statements, and later versions do unless told not to.
const FIRST_WITH_PREPARED_STATEMENTS: (u32, u32) = (1, 21);

/// How long a client keeps its connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    Session,
    Transaction,
    Statement,
}

/// A running pgbouncer, which stops when the handle is dropped.
///
/// It lets anybody in, and knows nothing of prepared statements: the strictest pooler that a user may have.
#[derive(Debug)]
pub struct PgBouncer {
    url: String,
    _guardian: Guardian,
}

impl PgBouncer {
    /// Starts a pooler for one database of a server.
    pub fn start(server: &Server, database: &str, mode: PoolMode) -> Result<Self> {
        let program = find_program("pgbouncer")
            .context("failed to find pgbouncer in PATH or /usr/sbin\nhint: apt-get install pgbouncer")?;
        let account = Account::for_servers()?;
        let directory = host::private_directory(&host::short_temporary_directory(), account)?;
        let guardian = Guardian::start(&Charge {
            // It has no state to lose, and the meaning of its other signals has changed between versions.
            signal: "KILL",
            pid_file: directory.join("pgbouncer.pid"),
            directory: directory.clone(),
        })?;
        let target = target(server, database)?;
        let tracks_statements = version(&program)? >= FIRST_WITH_PREPARED_STATEMENTS;
        let (ini, log) = (directory.join("pgbouncer.ini"), directory.join("pgbouncer.log"));
        for _ in 0..START_ATTEMPTS {
            let port = host::free_port()?;
            host::write_for(
                account,
                &ini,
                &settings(&directory, database, &target, mode, port, tracks_statements),
            )?;
            run(host::server_command(&program, &directory, account).arg("--daemon").arg(&ini))
                .context("failed to start pgbouncer")?;
            if listens(&log)? {
                let url = format!("postgres://postgres@127.0.0.1:{port}/{database}");
                psql(&url, "SELECT 1").context("failed to reach the database through pgbouncer")?;
                return Ok(Self { url, _guardian: guardian });
            }
            std::fs::remove_file(&log).context("failed to remove the log of a failed start")?;
        }
        bail!("failed to find a port for pgbouncer in {START_ATTEMPTS} attempts")
    }

    /// Returns the URL of the database by way of the pooler.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Waits until pgbouncer is up. Returns false when its port was taken, and fails with its log on anything else.
///
/// The command that starts it returns before it listens, and reports success in either case.
fn listens(log: &Path) -> Result<bool> {
    let mut text = String::new();
    for _ in 0..READY_POLLS {
        // Not there yet in the first moments.
        text = std::fs::read_to_string(log).unwrap_or_default();
        if text.contains("process up") {
            return Ok(true);
        }
        if text.contains("nowhere to listen") {
            return Ok(false);
        }
        if text.contains("FATAL") {
            break;
        }
        std::thread::sleep(READY_POLL);
    }
    bail!("failed to start pgbouncer; its log:\n{text}")
}

/// Returns how pgbouncer reaches the database, in its own notation.
fn target(server: &Server, database: &str) -> Result<String> {
    let config: tokio_postgres::Config = server.url().parse().context("failed to read the server's URL")?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.to_string_lossy().into_owned(),
        None => "127.0.0.1".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or("postgres");
    let password = config.get_password().map(String::from_utf8_lossy);
    let password =
        password.map(|text| format!(" password='{}'", text.replace('\'', "''"))).unwrap_or_default();
    Ok(format!("host={host} port={port} dbname={database} user={user}{password}"))
}

fn settings(
    directory: &Path,
    database: &str,
    target: &str,
    mode: PoolMode,
    port: u16,
    tracks_statements: bool,
) -> String {
    let mode = match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
        PoolMode::Statement => "statement",
    };
    let directory = directory.display();
    // An older pgbouncer refuses a setting that it does not know.
    let prepared_statements = if tracks_statements { "max_prepared_statements = 0\n" } else { "" };
    // The waits are short because its server may be gone for good: the defaults hold a client for two minutes, and try
    // a server that was restarted only after 15 seconds.
    format!(
        "[databases]\n{database} = {target}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = {mode}\n\
         max_client_conn = 300\n\
         default_pool_size = 20\n\
         query_wait_timeout = 20\n\
         server_login_retry = 1\n\
         logfile = {directory}/pgbouncer.log\n\
         pidfile = {directory}/pgbouncer.pid\n\
         {prepared_statements}"
    )
}

/// Reads `(1, 18)` from `PgBouncer 1.18.0`.
fn version(program: &Path) -> Result<(u32, u32)> {
    let output =
        std::process::Command::new(program).arg("--version").output().context("failed to run pgbouncer")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers = text.split_whitespace().nth(1).unwrap_or_default();
    let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    major.zip(minor).with_context(|| format!("failed to read pgbouncer's version from {text:?}"))
}
