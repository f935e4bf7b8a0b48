//! The drill's own workers, jobs and ledger.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jobforge::core::enqueue::JobRequest;
use jobforge::core::job::JobId;
use jobforge::core::payload::Payload;
use jobforge::core::time::Now;
use jobforge::core::worker::WorkerRow;
use jobforge::store::rows::JobFilter;
use jobforge::{Client, clock};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use super::super::own_directory::OwnDirectory;
use super::Context;
use crate::cli::{Global, WorkArgs};
use crate::failure::{self, Failure};
use crate::supervise;

/// How long a worker may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(15);
/// What a job does: it writes its start down, and whether the program of the attempt before still lives. Only the first
/// one goes on for ever.
const SCRIPT: &str = r#"before=$(cat "$0/$JOB_ID" 2>/dev/null) && kill -0 "$before" 2>/dev/null && beside=yes || beside=no
echo $$ > "$0/$JOB_ID"
echo "$JOB_ID $beside" >> "$0/ledger"
[ "$JOB_FENCE" -gt 1 ] || exec sleep 3600"#;

/// Where a drill happens: a queue and a directory of its own.
pub(super) struct Place {
    queue: String,
    directory: OwnDirectory,
}

/// One start of a job.
pub(super) struct Start {
    pub(super) job: String,
    /// Whether the program of the attempt before still lived.
    pub(super) beside: bool,
}

impl Place {
    pub(super) fn new() -> Result<Self, Failure> {
        let queue = format!("drill-{}-{}", std::process::id(), clock::wall().as_millisecond());
        let directory = OwnDirectory::new(&queue);
        let directory = directory.map_err(|error| failed("make a directory for its ledger", &error))?;
        Ok(Self { queue, directory })
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) async fn enqueue(&self, client: &Client, count: usize) -> Result<Vec<JobId>, Failure> {
        let payload =
            serde_json::json!({ "argv": ["sh", "-c", SCRIPT, self.directory.path()], "grace_ms": 100 });
        let payload = Payload::parse(&payload.to_string()).map_err(jobforge::Error::from)?;
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            let request = JobRequest {
                job_type: "exec".to_owned(),
                queue: Some(self.queue.clone()),
                payload: Some(payload.clone()),
                ..JobRequest::default()
            };
            ids.push(client.enqueue_untyped(request).await?.id);
        }
        Ok(ids)
    }

    /// What the ledger says so far.
    pub(super) fn starts(&self) -> Vec<Start> {
        let ledger = fs::read_to_string(self.directory.path().join("ledger")).unwrap_or_default();
        let start = |(job, beside): (&str, &str)| Start { job: job.to_owned(), beside: beside == "yes" };
        ledger.lines().filter_map(|line| line.split_once(' ')).map(start).collect()
    }

    pub(super) async fn jobs(&self, client: &Client) -> Result<Vec<JobId>, Failure> {
        let filter = JobFilter { queue: Some(self.queue.clone()), limit: 100, ..JobFilter::default() };
        Ok(client.jobs(&filter).await?.into_iter().map(|job| job.id).collect())
    }

    /// The drill's workers that may hold jobs.
    pub(super) async fn workers(&self, client: &Client) -> Result<Vec<WorkerRow>, Failure> {
        let mut workers = client.store().workers(Now::Database).await?;
        workers.retain(|worker| worker.state.is_active() && worker.queues.contains(&self.queue));
        Ok(workers)
    }
}

/// A worker with its supervisor, as `jobforge work` starts them.
pub(super) struct Canary {
    supervisor: Child,
}

impl Canary {
    /// Starts a worker for the drill's queue, through another way to the database if one is given.
    pub(super) fn start(
        global: &Global,
        context: &Context,
        place: &Place,
        url: Option<&str>,
    ) -> Result<Self, Failure> {
        let args = WorkArgs {
            queues: Some(place.queue.clone()),
            slots: Some(super::JOBS.to_string()),
            exec_allow: Some("*".to_owned()),
            no_supervise: false,
            supervised: false,
        };
        let mut command = supervise::work_command(global, &context.settings, &args, false);
        if let Some(url) = url {
            command.env("DATABASE_URL", url).env("DATABASE_DIRECT_URL", url).env_remove("SUPABASE_DB_URL");
            command.env_remove("DATABASE_URL_FILE").env_remove("DATABASE_DIRECT_URL_FILE");
        }
        // What it says is of interest only to who asked for a log.
        let said = || if global.log.is_some() { Stdio::inherit() } else { Stdio::null() };
        let started = command.stdin(Stdio::null()).stdout(said()).stderr(said()).kill_on_drop(true).spawn();
        Ok(Self { supervisor: started.map_err(|error| failed("start a worker", &error))? })
    }

    pub(super) async fn stop(mut self) {
        if let Some(pid) = self.supervisor.id() {
            let _ = signal(pid, Signal::SIGTERM);
        }
        // One that takes longer is killed when it is dropped.
        let _ = tokio::time::timeout(STOP, self.supervisor.wait()).await;
    }
}

/// A frozen process, which goes on when this is dropped, however the drill ends.
pub(super) struct Frozen(u32);

impl Frozen {
    pub(super) fn freeze(pid: u32) -> Result<Self, Failure> {
        signal(pid, Signal::SIGSTOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = signal(self.0, Signal::SIGCONT);
    }
}

/// Sends a signal to a process of this machine.
pub(super) fn signal(pid: u32, signal: Signal) -> Result<(), Failure> {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
    kill(pid, signal).map_err(|error| failed(&format!("send {signal} to process {pid}"), &error))
}

pub(super) fn failed(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(failure::FAILED, format!("the drill cannot {what}: {error}"))
}
