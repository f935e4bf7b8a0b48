//! Telling how a worker process ended to whoever gives its jobs to others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobforge::core::death::{DeathReport, ProcessId};
use jobforge::core::job::WorkerId;
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::time::Now;
use jobforge::live::OwnSettings;
use jobforge::remote::RemoteStore;
use jobforge::store::{Store, StoreError, WorkerStore};
use jobforge::{clock, services};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::child::Ended;

/// First wait after a report that failed; it doubles.
const FAILED: Duration = Duration::from_millis(50);
/// The longest, for a database that others need as well.
const FAILED_DATABASE: Duration = Duration::from_secs(5);
/// The longest, for a server of this machine: when it starts, it waits for reports, though not for long.
const FAILED_SERVER: Duration = Duration::from_millis(100);
/// A report that has failed for so long is given up: twice the longest lease that a worker may have been given meanwhile. Until
/// that has run out, which a database that comes back may have renewed, it matters.
const TRY_FOR: Duration = Duration::from_secs(2 * 86_400);
/// After this time a report is sent again: a claim that was on its way when the worker died has landed by then.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a stopping supervisor waits for its reports.
const LAST: Duration = Duration::from_secs(5);

/// Who is told.
#[derive(Clone)]
pub(crate) enum Desk {
    /// A database that any process may use.
    Database {
        /// On a connection of its own.
        store: Arc<dyn Store>,
        /// Decides what becomes of the jobs, together with what is stored by then…
        own: OwnSettings,
        /// …and alone, where that does not go together.
        at_start: RescuePolicy,
    },
    /// The server that owns an embedded database. It decides what becomes of the jobs, and says so in its own log.
    Server(Arc<RemoteStore>),
}

/// Reports deaths beside whatever else happens.
pub(crate) struct Reporter {
    desk: Desk,
    reports: Mutex<JoinSet<()>>,
    /// The worker process, and whether it is stopped.
    stops: watch::Sender<Option<(ProcessId, bool)>>,
}

impl Reporter {
    pub(crate) fn new(desk: Desk) -> Self {
        let stops = watch::Sender::new(None);
        // A server of this machine looks for itself.
        if let Desk::Database { store, .. } = &desk {
            tokio::spawn(report_stops(Arc::clone(store), stops.subscribe()));
        }
        Self { desk, reports: Mutex::default(), stops }
    }

    /// Begins to report that a worker process is stopped, or not any more.
    pub(super) fn stopped(&self, process: ProcessId, stopped: bool) {
        self.stops.send_replace(Some((process, stopped)));
    }

    /// Where a supervisor keeps what it counts.
    pub(crate) fn store(&self) -> Arc<dyn WorkerStore> {
        self.desk.store()
    }

    /// Begins to report an end.
    pub(super) fn report(&self, ended: Ended) {
        let Some(process) = ended.process else {
            tracing::warn!(
                worker.pid = ended.pid,
                "this system does not identify processes; the jobs of worker process {} wait for its lease",
                ended.pid
            );
            return;
        };
        let report = DeathReport { process, death: ended.death };
        let desk = self.desk.clone();
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        while reports.try_join_next().is_some() {}
        reports.spawn(async move {
            if send(&desk, &report).await && desk.wants_it_again() {
                tokio::time::sleep(AGAIN).await;
                send(&desk, &report).await;
            }
        });
    }

    /// Waits until every report has arrived, though not for long.
    pub(super) async fn finish(&self) {
        let mut reports = std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = tokio::time::timeout(LAST, async { while reports.join_next().await.is_some() {} }).await;
    }
}

impl Desk {
    /// Where a supervisor keeps what it counts.
    fn store(&self) -> Arc<dyn WorkerStore> {
        match self {
            Self::Database { store, .. } => Arc::clone(store) as Arc<dyn WorkerStore>,
            Self::Server(server) => Arc::clone(server) as Arc<dyn WorkerStore>,
        }
    }

    /// Reports once; returns the workers that the process was.
    async fn tell(&self, report: &DeathReport) -> Result<Vec<WorkerId>, StoreError> {
        match self {
            Self::Database { store, own, at_start } => {
                // As it is now: an operator may have changed it since this process started.
                let stored = store.stored_settings(Now::Database).await?;
                let policy = own.above(stored.layer()).map(|settings| settings.rescue_policy());
                let policy = policy.unwrap_or_else(|_| at_start.clone());
                let deaths = store.report_death(report, &policy, Now::Database).await?;
                deaths.moved.iter().for_each(services::tell);
                Ok(deaths.workers)
            }
            Self::Server(server) => Ok(server.report_death(report).await?.workers),
        }
    }

    /// Whether a claim may land after the first report. A server answers one after the other, and a dead worker nothing.
    fn wants_it_again(&self) -> bool {
        match self {
            Self::Database { .. } => true,
            Self::Server(_) => false,
        }
    }

    fn longest_wait(&self) -> Duration {
        match self {
            Self::Database { .. } => FAILED_DATABASE,
            Self::Server(_) => FAILED_SERVER,
        }
    }

    /// Whether an error means that no later try can do better. A database that refuses us may have new settings soon.
    fn is_final(&self, error: &StoreError) -> bool {
        match self {
            Self::Database { .. } => false,
            Self::Server(_) => !error.is_transient(),
        }
    }
}

/// Reports how it is now, however often it has changed meanwhile, until it is heard.
async fn report_stops(store: Arc<dyn Store>, mut stops: watch::Receiver<Option<(ProcessId, bool)>>) {
    while stops.changed().await.is_ok() {
        let mut wait = FAILED;
        loop {
            let Some((process, stopped)) = stops.borrow_and_update().clone() else { break };
            match store.report_stopped(&process, stopped, Now::Database).await {
                Ok(_) => break,
                Err(error) => {
                    let error = error.chain();
                    tracing::debug!(worker.pid = process.pid, error, "failed to report a stopped process");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(FAILED_DATABASE);
        }
    }
}

async fn send(desk: &Desk, report: &DeathReport) -> bool {
    let (pid, began) = (report.process.pid, clock::monotonic());
    let mut wait = FAILED;
    let mut told = false;
    loop {
        let error = match desk.tell(report).await {
            Ok(workers) => {
                if workers.is_empty() {
                    tracing::info!(
                        worker.pid = pid,
                        "worker process {pid} had left, or not registered yet, when it ended"
                    );
                } else if told {
                    tracing::info!(worker.pid = pid, "the end of worker process {pid} is reported");
                }
                return true;
            }
            Err(error) => error,
        };
        let over = desk.is_final(&error) || clock::monotonic().duration_since(began) >= TRY_FOR;
        let error = error.chain();
        if over {
            tracing::error!(
                worker.pid = pid,
                error,
                "gave up reporting the end of worker process {pid}; its lease brings its jobs back"
            );
            return false;
        }
        // Once, not ten times a second for as long as nobody is there.
        if !told {
            tracing::warn!(
                worker.pid = pid,
                error,
                "failed to report the end of worker process {pid}; trying again until it is heard"
            );
            told = true;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(desk.longest_wait());
    }
}
