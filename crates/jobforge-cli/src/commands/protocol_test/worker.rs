//! The program under test: started, frozen, told to stop, and cleared away with all that it has started.

use std::collections::BTreeSet;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jobforge::process::tree;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::server::Said;

/// Most looks for what a process that is being stopped has started meanwhile.
const ROUNDS: usize = 20;

/// What a worker is told by its environment.
pub(super) struct Told<'a> {
    pub(super) url: &'a str,
    pub(super) token: &'a str,
    pub(super) queue: &'a str,
    pub(super) grace: Duration,
}

/// A running worker; it and its children are killed when this is dropped.
pub(super) struct Worker {
    child: Child,
    pid: u32,
}

impl Worker {
    pub(super) fn start(command: &str, told: &Told<'_>, said: &Said) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C at the terminal is for the suite, which then clears the worker away.
        shell.process_group(0).kill_on_drop(true);
        shell.env("JOBFORGE_URL", told.url).env("JOBFORGE_TOKEN", told.token);
        shell.env("JOBFORGE_QUEUES", told.queue);
        shell.env("SHUTDOWN_GRACE_MS", told.grace.as_millis().to_string());
        let mut child = shell.spawn().context("cannot start the worker")?;
        let pid = child.id().context("the worker has no process id")?;
        keep(child.stdout.take(), said);
        keep(child.stderr.take(), said);
        Ok(Self { child, pid })
    }

    /// Stops it and all that it has started, as a machine does that goes to sleep.
    pub(super) fn freeze(&self) {
        // Who is not stopped yet may start another meanwhile.
        let mut stopped = BTreeSet::new();
        for _ in 0..ROUNDS {
            let new: Vec<u32> = tree(self.pid).into_iter().filter(|pid| stopped.insert(*pid)).collect();
            if new.is_empty() {
                return;
            }
            new.into_iter().for_each(|pid| send(pid, Signal::SIGSTOP));
        }
    }

    pub(super) fn thaw(&self) {
        // Children first: a shell counts a child that stands still as a news of its own.
        tree(self.pid).into_iter().rev().for_each(|pid| send(pid, Signal::SIGCONT));
    }

    /// SIGTERM to the process that `sh -c` has started or become, as service managers do.
    pub(super) fn terminate(&self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid)?), Signal::SIGTERM)
            .context("cannot send SIGTERM to the worker")
    }

    /// Why it is not running any more, if so.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it has ended by itself.
    pub(super) async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(ended) => ended.context("cannot wait for the worker"),
            Err(_) => bail!("it still ran {} s after SIGTERM", limit.as_secs()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        // Whoever is stopped starts nobody and hands nobody over to another parent, so none escapes.
        self.freeze();
        tree(self.pid).into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
    }
}

/// What has ended meanwhile needs no signal.
fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn keep(pipe: Option<impl AsyncRead + Send + Unpin + 'static>, said: &Said) {
    let (Some(pipe), said) = (pipe, said.clone()) else { return };
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.keep(line);
        }
    });
}
