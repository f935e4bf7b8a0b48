//! Knowing at once that a worker process of this machine is dead.
//!
//! The server sees for itself that a process has ended, though not how: that only its parent is told. Where a parent
//! watches, its report is waited for, so that the jobs keep what it knows; but not for long.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobforge::core::death::{Death, DeathReport, ProcessId, Proof};
use jobforge::core::job::WorkerId;
use jobforge::core::time::Now;
use jobforge::live::Live;
use jobforge::process::is_stopped;
use jobforge::services::tell;
use jobforge::store::rows::Deaths;
use jobforge::store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::seen::{Peer, Seen, find};

/// Between two looks whether a process is stopped.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Workers that are watched at once; of more, only the lease tells.
const WATCHED: usize = 4096;
/// How often, and after which pause, a death is reported to a database in trouble.
const REPORTS: (u32, Duration) = (20, Duration::from_millis(250));
/// How long the supervisor of a process that has ended is given to say how. It takes some milliseconds.
const PATIENCE: Duration = Duration::from_millis(250);
/// The same for one that ended while no server was there to be told; its supervisor tries ten times a second.
const PATIENCE_AT_START: Duration = Duration::from_millis(500);

/// The worker processes that are watched.
pub(crate) struct Presence {
    store: Arc<dyn Store>,
    live: Live,
    watches: Mutex<HashMap<WorkerId, Watch>>,
}

/// A worker that was looked at.
struct Watch {
    /// Its process, if that could be held on to.
    process: Option<ProcessId>,
    /// Fires when this watch has nothing to report any more.
    over: CancellationToken,
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("watches", &self.watches().len()).finish_non_exhaustive()
    }
}

impl Presence {
    pub(crate) fn new(store: Arc<dyn Store>, live: Live) -> Self {
        Self { store, live, watches: Mutex::default() }
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<WorkerId, Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the process of a worker that has just registered.
    pub(crate) fn watch(self: &Arc<Self>, worker: &WorkerId, seen: Option<Seen>, supervised: bool) {
        self.begin(worker, seen, if supervised { PATIENCE } else { Duration::ZERO });
    }

    /// Watches a worker that registered with an earlier process of this server. It may have a supervisor.
    pub(crate) async fn adopt(self: &Arc<Self>, worker: &WorkerId, peer: Peer) {
        if self.watches().contains_key(worker) {
            return;
        }
        let Some(seen) = peer.see() else { return };
        // Who merely names a worker is not it: the process must be the one that registered.
        let Ok(rows) = self.store.workers(Now::Database).await else { return };
        match rows.into_iter().find(|row| row.id == *worker) {
            Some(row) if row.state.is_active() && row.process.as_ref() == Some(&seen.process) => {
                self.begin(worker, Some(seen), PATIENCE);
            }
            Some(_) | None => {}
        }
    }

    /// Looks for the workers that an earlier process of this server has left: those that live are watched before they
    /// speak, and those that died meanwhile are reported.
    pub(crate) async fn look_back(self: Arc<Self>) {
        let rows = match self.store.workers(Now::Database).await {
            Ok(rows) => rows,
            Err(error) => {
                let error = error.chain();
                tracing::warn!(error, "cannot look for the workers of before; their leases tell");
                return;
            }
        };
        for row in rows.into_iter().filter(|row| row.state.is_active()) {
            // A worker within this process needs no watch: it cannot outlive it, nor the other way round.
            let Some(process) = row.process.filter(|process| process.pid != std::process::id()) else {
                continue;
            };
            if let Some(seen) = find(&process) {
                let patience = if seen.has_ended() { PATIENCE_AT_START } else { PATIENCE };
                self.begin(&row.id, Some(seen), patience);
            }
        }
    }

    /// Ends the watch of a worker that left in good order.
    pub(crate) fn forget(&self, worker: &WorkerId) {
        if let Some(watch) = self.watches().remove(worker) {
            watch.over.cancel();
        }
    }

    /// Passes on how a process ended, as its supervisor saw it; the caller has made sure that it has ended.
    pub(crate) async fn certify(&self, report: &DeathReport) -> Result<Deaths, StoreError> {
        let deaths = self.store.report_death(report, &self.live.now().rescue_policy(), Now::Database).await?;
        end_of(&mut self.watches(), &report.process);
        deaths.moved.iter().for_each(tell);
        Ok(deaths)
    }

    fn begin(self: &Arc<Self>, worker: &WorkerId, seen: Option<Seen>, patience: Duration) {
        let process = seen.as_ref().map(|seen| seen.process.clone());
        let Some(over) = self.note(worker, process) else { return };
        match seen {
            Some(seen) => drop(tokio::spawn(Arc::clone(self).wait(worker.clone(), seen, patience, over))),
            None => {
                tracing::debug!(worker.id = %worker, "cannot watch the process of worker {worker}; its lease tells");
            }
        }
    }

    /// Takes note of a worker that was not seen before.
    fn note(&self, worker: &WorkerId, process: Option<ProcessId>) -> Option<CancellationToken> {
        let mut watches = self.watches();
        if let Some(process) = &process {
            // A process that has registered anew is reported once, under all the names that it had.
            end_of(&mut watches, process);
        }
        if watches.len() >= WATCHED || watches.contains_key(worker) {
            return None;
        }
        let over = CancellationToken::new();
        watches.insert(worker.clone(), Watch { process, over: over.clone() });
        Some(over)
    }

    async fn wait(
        self: Arc<Self>,
        worker: WorkerId,
        seen: Seen,
        patience: Duration,
        over: CancellationToken,
    ) {
        let ended = async {
            let ended = seen.ended().await;
            tokio::time::sleep(patience).await;
            ended
        };
        let ended = tokio::select! {
            ended = ended => ended,
            () = over.cancelled() => false,
            never = self.tell_stops(&seen.process) => never,
        };
        if ended {
            self.watches().remove(&worker);
            self.report_death(&worker, seen.process).await;
        }
    }

    /// Tells the database whenever the process of a worker is stopped, by SIGSTOP or by a debugger, or goes on.
    async fn tell_stops(&self, process: &ProcessId) -> ! {
        let mut told = None;
        loop {
            let stopped = is_stopped(process.pid);
            if told != Some(stopped) {
                match self.store.report_stopped(process, stopped, Now::Database).await {
                    Ok(_) => told = Some(stopped),
                    Err(error) => {
                        let error = error.chain();
                        tracing::debug!(
                            pid = process.pid,
                            error,
                            "failed to report whether a process is stopped"
                        );
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Tells the database that the process of a worker is dead, and has its jobs taken back at once.
    async fn report_death(&self, worker: &WorkerId, process: ProcessId) {
        let pid = process.pid;
        tracing::warn!(worker.id = %worker, pid, "process {pid} of worker {worker} has ended without a word");
        let report = DeathReport { process, death: Death::new(Proof::Ended, []) };
        for _ in 0..REPORTS.0 {
            match self.store.report_death(&report, &self.live.now().rescue_policy(), Now::Database).await {
                Ok(deaths) => return deaths.moved.iter().for_each(tell),
                Err(error) => {
                    let error = error.chain();
                    tracing::warn!(worker.id = %worker, error, "failed to report the death of worker {worker}; trying again");
                    tokio::time::sleep(REPORTS.1).await;
                }
            }
        }
    }
}

/// Ends every watch of a process.
fn end_of(watches: &mut HashMap<WorkerId, Watch>, process: &ProcessId) {
    watches.retain(|_, watch| {
        let other = watch.process.as_ref() != Some(process);
        if !other {
            watch.over.cancel();
        }
        other
    });
}
