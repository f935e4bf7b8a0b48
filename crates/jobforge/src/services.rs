//! What a server does besides answering: the watchdog takes lost jobs back, the housekeeper keeps the queue right.
//!
//! Each service is a step that can be driven by hand (`run_once`) and a loop that drives it.

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::job::{JobId, WorkerId};
use jobforge_core::rescue::{Rescue, RescuePolicy, plan};
use jobforge_core::retention::{PURGE_BATCH, Retention};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Between two looks at the workers' leases.
const TICK: Duration = Duration::from_secs(1);
/// Most suspects judged at once; the rest follow in the next round of the same sweep.
const BATCH: usize = 500;
/// Most rounds of one sweep.
const ROUNDS: usize = 100;
/// Between two reconciliations of the side tables.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);

/// What one sweep of the watchdog did.
#[derive(Debug, Clone, Default)]
pub struct SweepReport {
    /// Workers whose lease had run out.
    pub expired: Vec<WorkerId>,
    /// Running jobs that were looked at.
    pub checked: usize,
    /// Jobs moved, as decided.
    pub moved: Vec<Rescue>,
    /// Jobs that somebody else changed between the look and the move.
    pub lost_races: Vec<JobId>,
}

/// Takes jobs of lost workers back. Any number may run: safety comes from the conditions of its statements.
#[derive(Clone)]
pub struct Watchdog {
    store: Arc<dyn Store>,
    policy: RescuePolicy,
    check_interval: Duration,
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watchdog").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Watchdog {
    /// A watchdog that sweeps at least every `check_interval`, and at once when a lease has run out.
    pub fn new(store: Arc<dyn Store>, policy: RescuePolicy, check_interval: Duration) -> Self {
        Self { store, policy, check_interval }
    }

    /// One whole sweep, by the given clock.
    ///
    /// # Errors
    /// When the database fails; what was moved before stays moved, and the next sweep goes on.
    pub async fn run_once(&self, at: Now) -> Result<SweepReport, StoreError> {
        let mut report = SweepReport::default();
        if self.policy.heartbeats {
            report.expired = self.store.expire_workers(at).await?;
        }
        for _ in 0..ROUNDS {
            let page = self.store.suspects(BATCH, at).await?;
            report.checked += page.suspects.len();
            let lines = plan(&page, &self.policy);
            let applied = self.store.apply_rescues(&lines, at).await?;
            for line in lines {
                if applied.moved.contains(&line.id) {
                    tell(&line);
                    report.moved.push(line);
                }
            }
            report.lost_races.extend(applied.lost_races);
            // A page that was not full was the last; one of which nothing moved would come again unchanged.
            if page.suspects.len() < BATCH || applied.moved.is_empty() {
                break;
            }
        }
        Ok(report)
    }

    /// Sweeps until `stop` fires: when the check interval is over, and at the next tick once a lease has run out or a
    /// sweep has failed.
    pub async fn run(self, stop: CancellationToken) {
        let mut last_sweep = None;
        loop {
            let overdue =
                last_sweep.is_none_or(|at| clock::monotonic().duration_since(at) >= self.check_interval);
            match self.tick(overdue).await {
                Ok(true) => last_sweep = Some(clock::monotonic()),
                Ok(false) => {}
                Err(error) => {
                    // The workers that were just marked lost are not told again: the next tick must sweep.
                    last_sweep = None;
                    tracing::error!(error = error.chain(), "[QCWorker] Stuck job check failed");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Sweeps if it is time or a worker's lease has run out; says whether it did.
    async fn tick(&self, overdue: bool) -> Result<bool, StoreError> {
        let due = overdue
            || (self.policy.heartbeats && !self.store.expire_workers(Now::Database).await?.is_empty());
        if due {
            self.run_once(Now::Database).await?;
        }
        Ok(due)
    }
}

fn tell(line: &Rescue) {
    let (id, to) = (line.id, line.to);
    tracing::warn!(job.id = %id, status = %to, misses = line.misses, "[QCWorker] Rescued job {id}, now {to}: {}", line.error.message);
}

/// Keeps right what says which jobs may be claimed, and forgets workers that ended long ago.
#[derive(Clone)]
pub struct Housekeeper {
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for Housekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Housekeeper").finish_non_exhaustive()
    }
}

impl Housekeeper {
    /// Reconciles from time to time.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Reconciles until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match self.store.reconcile(Now::Database).await {
                Ok(0) => {}
                Ok(mended) => tracing::warn!(
                    mended,
                    "Mended {mended} queued jobs that were offered wrongly or not at all"
                ),
                Err(error) => {
                    tracing::warn!(error = error.chain(), "could not reconcile the queue; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RECONCILE_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Deletes ended jobs past their horizon, batch by batch, until none is left or `enough` says so.
///
/// `progress` is called after each batch with all that was deleted so far.
///
/// # Errors
/// When the database fails; what was deleted stays deleted.
pub async fn purge(
    store: &dyn Store,
    retention: &Retention,
    mut progress: impl FnMut(&[(Status, u64)]),
    mut enough: impl FnMut() -> bool,
) -> Result<Vec<(Status, u64)>, StoreError> {
    let mut total: Vec<(Status, u64)> = Vec::new();
    loop {
        let batch = store.purge(retention, Now::Database).await?;
        let deleted: u64 = batch.iter().map(|(_, count)| count).sum();
        for (status, count) in batch {
            match total.iter_mut().find(|(known, _)| *known == status) {
                Some((_, sum)) => *sum += count,
                None => total.push((status, count)),
            }
        }
        progress(&total);
        if deleted < PURGE_BATCH as u64 || enough() {
            return Ok(total);
        }
    }
}
