//! What a server does besides answering: the watchdog takes lost jobs back, the housekeeper keeps the queue right.
//!
//! Each service is a step that can be driven by hand (`run_once`) and a loop that drives it.

mod alerts;
mod notifier;
mod numbers;
mod operations;
pub mod probes;
mod scheduler;
mod system;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::retention::{PURGE_BATCH, Retention};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_store::traits::Purge;
use jobforge_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::payloads::Payloads;

pub use alerts::{AlertJudge, Round, Sampler, Telling};
pub use notifier::Notifier;
pub use numbers::{Numbers, exposition, own_telling, telling};
pub use operations::BulkRunner;
pub use scheduler::{Pass, Scheduler};
pub use system::SystemRunner;
pub use watchdog::{SweepReport, Watchdog, tell};

/// Between two looks for audit entries that have no place in the chain yet.
const SEAL_EVERY: Duration = Duration::from_secs(5);
/// Between two steps of the sweep for payloads without jobs.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Between two reconciliations of the side tables.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);

/// Keeps right what says which jobs may be claimed, names what jobs died of, and seals the audit log. What ended long ago is
/// forgotten by whoever records a run of the watchdog.
#[derive(Clone)]
pub struct Housekeeper {
    store: Arc<dyn Store>,
    name: String,
    payloads: Option<Payloads>,
}

impl std::fmt::Debug for Housekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Housekeeper").finish_non_exhaustive()
    }
}

impl Housekeeper {
    /// Reconciles from time to time.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let name = format!("{}:{}", crate::process::hostname(), std::process::id());
        Self { store, name, payloads: None }
    }

    /// Removes large payloads too whose jobs are gone.
    #[must_use]
    pub fn payloads(self, payloads: Option<Payloads>) -> Self {
        Self { payloads, ..self }
    }

    /// Gives every audit entry that was written so far its place in the chain.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seal(&self) -> Result<(), StoreError> {
        while self.store.seal_audit().await? > 0 {}
        Ok(())
    }

    async fn keep_sealing(&self) {
        loop {
            if let Err(error) = self.seal().await {
                tracing::warn!(error = error.chain(), "could not seal the audit log; trying again");
            }
            tokio::time::sleep(SEAL_EVERY).await;
        }
    }

    async fn keep_sweeping(&self) {
        let Some(payloads) = &self.payloads else { return std::future::pending().await };
        let mut behind = None;
        loop {
            match payloads.sweep(&*self.store, behind.as_deref()).await {
                Ok(swept) => {
                    if swept.removed > 0 {
                        let removed = swept.removed;
                        tracing::info!(removed, "Removed {removed} large payloads whose jobs are gone");
                    }
                    behind = swept.behind;
                }
                Err(error) => {
                    tracing::warn!(%error, "could not look for payloads without jobs; trying again");
                }
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    /// Does all of it until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            // In order, so that a simulation of the same seed goes the same way.
            biased;
            () = self.keep_sealing() => {}
            () = self.keep_sweeping() => {}
            () = self.reconcile_until(stop) => {}
        }
    }

    async fn reconcile_until(&self, stop: CancellationToken) {
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
            if let Err(error) = self.store.name_causes().await {
                tracing::warn!(error = error.chain(), "could not name what dead jobs died of; trying again");
            }
            if let Err(error) = self.store.sign_housekeeper(&self.name, Now::Database).await {
                tracing::warn!(error = error.chain(), "the housekeeper could not say that it is there");
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONCILE_EVERY) => {}
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
    store: &(impl Purge + ?Sized),
    retention: &Retention,
    mut progress: impl FnMut(&[(Status, u64)]),
    mut enough: impl FnMut() -> bool,
) -> Result<Vec<(Status, u64)>, StoreError> {
    let mut total: Vec<(Status, u64)> = Vec::new();
    loop {
        let batch = store.purge(retention, Now::Database).await?;
        // A batch is of each status: as long as one was full there may be more of it.
        let full = batch.iter().any(|(_, count)| *count >= PURGE_BATCH as u64);
        for (status, count) in batch {
            match total.iter_mut().find(|(known, _)| *known == status) {
                Some((_, sum)) => *sum += count,
                None => total.push((status, count)),
            }
        }
        progress(&total);
        if !full || enough() {
            return Ok(total);
        }
    }
}
