//! A real server of the suite's own: this very program, with a database that goes away with it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jobforge::{Client, OpenOptions, Purpose, open_store};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::oneshot;

/// How long the server may take to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// What it says when it serves.
const SERVING: &str = "on http://";
/// What follows the address then.
const ITS_END: &str = "; stop with";
/// Lines that are kept of what it, or a worker, says.
const LINES: usize = 200;

/// Rhythms so short that what comes of missing them can be waited for.
const SETTINGS: [(&str, &str); 9] = [
    ("HEARTBEAT_INTERVAL_MS", "500"),
    ("HEARTBEAT_MAX_INTERVAL_MS", "500"),
    ("WATCHDOG_CHECK_INTERVAL_MS", "500"),
    ("POLL_INTERVAL_MS", "200"),
    ("MAX_POLL_INTERVAL_MS", "1000"),
    // In a storm a job may lose its worker more than once.
    ("HEARTBEAT_MAX_MISSES", "100"),
    // The jobs live for seconds: nothing is lost with the machine that anybody would miss.
    ("JOBFORGE_SQLITE_SYNCHRONOUS", "normal"),
    ("JOBFORGE_ROLES", "api,watchdog"),
    ("JOBFORGE_LOG_FORMAT", "json"),
];

/// A running server; it is killed when this is dropped.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    pub(super) async fn start(home: &Path, lease: Duration) -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "info"]).current_dir(home);
        // What the user has set for servers of his own is not for this one.
        command.env_clear().env("JOBFORGE_DATA_DIR", home).envs(SETTINGS);
        command.env("JOBFORGE_WORKER_LEASE_MS", lease.as_millis().to_string());
        command.env("HEARTBEAT_THRESHOLD_MS", (lease * 3 / 4).as_millis().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start a server")?;
        let log = child.stderr.take().context("the server has no log")?;
        let address = match tokio::time::timeout(BEGIN, address(log)).await {
            Ok(address) => address?,
            Err(_) => bail!("the server did not begin within {} s", BEGIN.as_secs()),
        };
        Ok(Self { child, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// kill -9.
    pub(super) async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill the server")
    }
}

/// Opens its database beside it, as a one-shot command would.
pub(super) async fn visit(home: &Path) -> Result<Client> {
    let mut options = OpenOptions::for_url("");
    options.data_dir = PathBuf::from(home);
    (options.purpose, options.create) = (Purpose::Visit, false);
    Ok(Client::new(open_store(&options).await.context("cannot open the server's database")?))
}

/// Reads the log until the server says where it is, and goes on reading, so that it never waits for us.
async fn address(log: ChildStderr) -> Result<SocketAddr> {
    let (tell, told) = oneshot::channel();
    let said = Said::default();
    let keeper = said.clone();
    tokio::spawn(async move {
        let mut tell = Some(tell);
        let mut lines = BufReader::new(log).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let found =
                line.split_once(SERVING).and_then(|(_, rest)| rest.split_once(ITS_END)?.0.parse().ok());
            if let Some((address, tell)) = found.and_then(|address| Some((address, tell.take()?))) {
                let _ = tell.send(address);
            }
            keeper.keep(line);
        }
    });
    told.await.map_err(|_| anyhow::anyhow!("the server ended at once: {}", said.last().unwrap_or_default()))
}

/// The last lines that a program said.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<VecDeque<String>>>);

impl Said {
    pub(super) fn keep(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(super) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
