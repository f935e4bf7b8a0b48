//! Knowing at once that a worker process of this machine is dead.
//!
//! The kernel says which process opened a connection, and a pidfd on that process becomes readable when it has ended.
//! That is proof: unlike its number, a pidfd never comes to mean another process. Should the number have been reused
//! before the pidfd was opened, then the worker was dead already, and a later report of its death is no lie.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use jobforge::core::death::{Death, DeathReport, ProcessId, Proof};
use jobforge::core::job::WorkerId;
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::time::Now;
use jobforge::process;
use jobforge::services::tell;
use jobforge::store::Store;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// Workers that are watched at once; of more, only the lease tells.
const WATCHED: usize = 4096;
/// How often, and after which pause, a death is reported to a database in trouble.
const REPORTS: (u32, Duration) = (20, Duration::from_millis(250));

/// The process at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its number, if the kernel can name it in our own process namespace.
    pub(crate) pid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let pid = stream.io().peer_cred().ok().and_then(|peer| peer.pid());
        Self { pid: pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0) }
    }
}

/// A process that is held on to.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Which it is.
    pub(crate) process: ProcessId,
    /// Readable when it has ended.
    end: AsyncFd<OwnedFd>,
}

/// The worker processes that are watched.
pub(crate) struct Presence {
    store: Arc<dyn Store>,
    policy: RescuePolicy,
    /// Workers that were looked at, each with what ends its watch.
    seen: Mutex<HashMap<WorkerId, CancellationToken>>,
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("seen", &self.seen().len()).finish_non_exhaustive()
    }
}

impl Presence {
    pub(crate) fn new(store: Arc<dyn Store>, policy: RescuePolicy) -> Self {
        Self { store, policy, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<WorkerId, CancellationToken>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the process of a worker that has just registered.
    pub(crate) fn watch(self: &Arc<Self>, worker: &WorkerId, seen: Option<Seen>) {
        let Some(left) = self.note(worker) else { return };
        match seen {
            Some(seen) => drop(tokio::spawn(Arc::clone(self).wait(worker.clone(), seen, left))),
            None => {
                tracing::debug!(worker.id = %worker, "cannot watch the process of worker {worker}; its lease tells");
            }
        }
    }

    /// Watches a worker that registered with an earlier process of this server.
    pub(crate) async fn adopt(self: &Arc<Self>, worker: &WorkerId, peer: Peer) {
        if self.seen().contains_key(worker) {
            return;
        }
        let Some(seen) = peer.see() else { return };
        // Who merely names a worker is not it: the process must be the one that registered.
        let Ok(rows) = self.store.workers(Now::Database).await else { return };
        match rows.into_iter().find(|row| row.id == *worker) {
            Some(row) if row.state.is_active() && row.process.as_ref() == Some(&seen.process) => {
                self.watch(worker, Some(seen));
            }
            Some(_) | None => {}
        }
    }

    /// Ends the watch of a worker that left in good order.
    pub(crate) fn forget(&self, worker: &WorkerId) {
        if let Some(left) = self.seen().remove(worker) {
            left.cancel();
        }
    }

    /// Takes note of a worker that was not seen before.
    fn note(&self, worker: &WorkerId) -> Option<CancellationToken> {
        let mut seen = self.seen();
        if seen.len() >= WATCHED || seen.contains_key(worker) {
            return None;
        }
        let left = CancellationToken::new();
        seen.insert(worker.clone(), left.clone());
        Some(left)
    }

    async fn wait(self: Arc<Self>, worker: WorkerId, seen: Seen, left: CancellationToken) {
        let ended = tokio::select! {
            ready = seen.end.readable() => ready.is_ok(),
            () = left.cancelled() => false,
        };
        if ended {
            self.seen().remove(&worker);
            self.report_death(&worker, seen.process).await;
        }
    }

    /// Tells the database that the process of a worker is dead, and has its jobs taken back at once.
    async fn report_death(&self, worker: &WorkerId, process: ProcessId) {
        let pid = process.pid;
        tracing::warn!(worker.id = %worker, pid, "process {pid} of worker {worker} has ended without a word");
        let report = DeathReport { process, death: Death::new(Proof::Ended, []) };
        for _ in 0..REPORTS.0 {
            match self.store.report_death(&report, &self.policy, Now::Database).await {
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

impl Peer {
    /// Takes hold of the process, if it is there to be seen.
    pub(crate) fn see(self) -> Option<Seen> {
        let pid = self.pid?;
        let process = process::of(pid)?;
        let end = pidfd(pid).ok()?;
        // Unless it is the same before and after, the hold may be on another process that was given the number.
        (process::of(pid).as_ref() == Some(&process)).then_some(Seen { process, end })
    }
}

#[expect(
    deprecated,
    reason = "its successor is not safe; here the descriptor is owned by what waits for it, so nobody can close it"
)]
fn pidfd(pid: u32) -> std::io::Result<AsyncFd<OwnedFd>> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::InvalidInput)?;
    AsyncFd::with_interest(pidfd_open(pid, PidfdFlags::empty())?, Interest::READABLE)
}
