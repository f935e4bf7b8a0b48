//! A PostgreSQL cluster that exists only as long as its handle.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use super::binaries::{Binaries, find_binaries};
use super::guardian::{Charge, Guardian};
use super::host::{self, Account};
use super::server::Server;

/// Another process may take the port between our choice and the server's.
const START_ATTEMPTS: usize = 5;

/// How long `pg_ctl` waits for a start, recovery after a crash included, or a stop.
const PG_CTL_TIMEOUT_S: u32 = 60;

const LOG_LINES_SHOWN: usize = 40;

/// What a committed transaction survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// An orderly stop only. The fastest; after [`Cluster::restart_immediate`] the last commits may be missing.
    OrderlyStop,
    /// A crash of the server process too, but not of the machine. For tests that crash the server and count.
    ServerCrash,
    /// Everything that PostgreSQL promises in production, on a disk. For benchmarks.
    Full,
}

/// How to set a cluster up. The default is right for tests.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    pub durability: Durability,
    /// As in postgresql.conf, for instance `2GB`.
    pub shared_buffers: String,
    pub max_connections: u32,
    /// Further lines of postgresql.conf, which win over the others.
    pub settings: Vec<(String, String)>,
    /// Variables of the server's environment.
    pub environment: Vec<(String, String)>,
    /// Keeps what the databases hold on a disk of its own, of so many MiB, apart from the server's log of changes. It lasts
    /// until the server stops, and what was written to it is gone with it.
    pub databases_on_mib: Option<u32>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            durability: Durability::OrderlyStop,
            shared_buffers: "128MB".to_owned(),
            max_connections: 300,
            settings: Vec::new(),
            environment: Vec::new(),
            databases_on_mib: None,
        }
    }
}

impl ClusterOptions {
    /// Returns options under which measured figures mean something: full durability, and room between checkpoints.
    pub fn for_benchmarks(shared_buffers: impl Into<String>) -> Self {
        Self {
            durability: Durability::Full,
            shared_buffers: shared_buffers.into(),
            settings: vec![("max_wal_size".to_owned(), "8GB".to_owned())],
            ..Self::default()
        }
    }
}

/// A running cluster, reachable over TCP on 127.0.0.1 and over a unix socket, with the superuser `postgres`.
///
/// Dropping it stops the server at once and removes every file.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    account: Option<Account>,
    /// Holds the data directory, the socket and the log.
    directory: PathBuf,
    server: Server,
    guardian: Guardian,
    environment: Vec<(String, String)>,
    databases_on_mib: Option<u32>,
}

impl Cluster {
    /// Creates and starts a cluster. Takes about a second.
    ///
    /// Fails with the server's log when it does not come up, and then leaves nothing behind.
    pub fn start(options: &ClusterOptions) -> Result<Self> {
        let binaries = find_binaries()?;
        let account = Account::for_servers()?;
        let parent = match options.durability {
            Durability::Full => host::short_temporary_directory(),
            Durability::OrderlyStop | Durability::ServerCrash => host::fastest_directory(),
        };
        let directory = host::private_directory(&parent, account)?;
        let pid_file = directory.join("data/postmaster.pid");
        let guardian = Guardian::start(&Charge { signal: "QUIT", pid_file, directory: directory.clone() })?;
        let mut cluster = Self {
            binaries,
            account,
            directory,
            server: Server::from_url(String::new()),
            guardian,
            environment: options.environment.clone(),
            databases_on_mib: options.databases_on_mib,
        };
        cluster.create()?;
        cluster.start_on_a_free_port(options)?;
        Ok(cluster)
    }

    /// Returns how to reach the server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Lets the server live until another process of the same user ends, and removes one more file then.
    pub(super) fn hand_over(self, successor: Pid, also_remove: &Path) -> Result<Server> {
        self.guardian.hand_over(successor, also_remove)?;
        Ok(self.server)
    }

    /// Runs statements on the maintenance database, as [`super::psql`] does.
    pub fn psql(&self, sql: &str) -> Result<String> {
        self.server.psql(sql)
    }

    /// Ends every connection, writes a checkpoint and stops the server. Its files stay for [`Cluster::start_again`].
    pub fn stop(&self) -> Result<()> {
        self.pg_ctl(&["stop", "--mode=fast"])
    }

    /// Stops the server as a crash would: no checkpoint, no word to the clients.
    pub fn stop_immediate(&self) -> Result<()> {
        self.pg_ctl(&["stop", "--mode=immediate"])
    }

    /// Starts a stopped server, on the same port. Returns when it accepts connections.
    pub fn start_again(&self) -> Result<()> {
        let log = self.log_path();
        self.pg_ctl(&["start", "--log", &log.to_string_lossy()])
    }

    /// Crashes the server and starts it again. Returns when it has recovered.
    ///
    /// What was committed just before survives only with [`Durability::ServerCrash`] or more.
    pub fn restart_immediate(&self) -> Result<()> {
        self.stop_immediate()?;
        self.start_again()
    }

    /// Lets the server end its history and begin another one, as a standby does that is promoted: recovery finds no more
    /// of the archive and goes on by itself. Returns when it takes writes.
    pub fn fail_over(&self) -> Result<()> {
        self.stop()?;
        let settings = self.data_path().join("jobforge.conf");
        let before = std::fs::read_to_string(&settings).context("failed to read the settings")?;
        host::write_for(self.account, &settings, &format!("{before}restore_command = 'false'\n"))?;
        host::write_for(self.account, &self.data_path().join("recovery.signal"), "")?;
        self.start_again()?;
        for _ in 0..PG_CTL_TIMEOUT_S * 20 {
            if self.psql("SELECT pg_is_in_recovery()")?.trim() == "f" {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("failed to promote the PostgreSQL cluster; the end of its log:\n{}", self.log_tail())
    }

    /// Returns the end of the server's log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    fn create(&self) -> Result<()> {
        let mut initdb = self.command("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        let data = self.data_path();
        run(initdb.arg("--pgdata").arg(&data)).context("failed to create a PostgreSQL cluster")?;
        let main_file = data.join("postgresql.conf");
        let defaults = std::fs::read_to_string(&main_file).context("failed to read postgresql.conf")?;
        host::write_for(self.account, &main_file, &format!("{defaults}\ninclude 'jobforge.conf'\n"))
    }

    fn start_on_a_free_port(&mut self, options: &ClusterOptions) -> Result<()> {
        let settings_file = self.data_path().join("jobforge.conf");
        let mut attempt = 1;
        loop {
            let port = host::free_port()?;
            host::write_for(self.account, &settings_file, &self.settings(options, port))?;
            match self.start_again() {
                Ok(()) => {
                    self.server = Server::from_url(format!("postgres://postgres@127.0.0.1:{port}/postgres"));
                    return Ok(());
                }
                Err(_) if attempt < START_ATTEMPTS && self.log_tail().contains("could not bind") => {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn settings(&self, options: &ClusterOptions, port: u16) -> String {
        let (fsync, synchronous_commit, full_page_writes) = match options.durability {
            Durability::OrderlyStop => ("off", "off", "off"),
            Durability::ServerCrash => ("off", "on", "off"),
            Durability::Full => ("on", "on", "on"),
        };
        let ours = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port.to_string()),
            ("unix_socket_directories", &self.directory.to_string_lossy()),
            ("max_connections", &options.max_connections.to_string()),
            ("shared_buffers", &options.shared_buffers),
            ("fsync", fsync),
            ("synchronous_commit", synchronous_commit),
            ("full_page_writes", full_page_writes),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
        ];
        let theirs = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        ours.into_iter().chain(theirs).fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
            text
        })
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Result<()> {
        let mut pg_ctl = match self.databases_on_mib {
            Some(mib) if arguments[0] == "start" => {
                let disk = host::Disk { mib, over: &self.data_path().join("base") };
                let program = self.binaries.program("pg_ctl");
                host::server_command_with_a_disk(&program, &self.directory, self.account, &disk)
            }
            _ => self.command("pg_ctl"),
        };
        // It tells by the server's clock whether the server has started.
        pg_ctl.envs(self.environment.iter().map(|(name, value)| (name, value)));
        pg_ctl.args(arguments).arg("--wait").arg(format!("--timeout={PG_CTL_TIMEOUT_S}"));
        run(pg_ctl.arg("--silent").arg("--pgdata").arg(self.data_path())).with_context(|| {
            format!(
                "failed to {} the PostgreSQL cluster; the end of its log:\n{}",
                arguments[0],
                self.log_tail()
            )
        })
    }

    fn command(&self, program: &str) -> Command {
        host::server_command(&self.binaries.program(program), &self.directory, self.account)
    }

    fn data_path(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }
}

/// Runs a program to its end. Fails with all that it printed.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("failed to run {program}"))?;
    if !output.status.success() {
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        bail!("{program} ended with {}: {}\n{}", output.status, err.trim(), out.trim());
    }
    Ok(())
}
