//! What JobForge does for itself is done by a server when no worker takes it: the queue must not fill because nobody purges.

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::job::JobId;
use jobforge_core::retention::Retention;
use jobforge_core::schedule::{CLEANUP, SYSTEM_QUEUE};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_store::{Store, WorkerStore};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::error::Error;
use crate::worker::Worker;

/// Between two looks for a clean-up that waits.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long a clean-up may take before the next look; it goes on in the meantime.
const WAITED_FOR: Duration = Duration::from_secs(600);
/// How long a stopping server waits for it; it is given back then and goes on elsewhere.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Runs clean-ups that nobody else takes, in a worker that is there only as long as there is one.
#[derive(Clone)]
pub struct SystemRunner {
    store: Arc<dyn Store>,
    retention: Retention,
}

impl std::fmt::Debug for SystemRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemRunner").finish_non_exhaustive()
    }
}

impl SystemRunner {
    /// Runs those of this store; what their payload does not name is kept for so long.
    pub fn new(store: Arc<dyn Store>, retention: Retention) -> Self {
        Self { store, retention }
    }

    /// Does so until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.run_once(&stop).await {
                tracing::warn!(error = %error, "could not run {CLEANUP}; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Runs a clean-up that waits and that nobody takes, if there is one; says whether there was.
    ///
    /// # Errors
    /// When the database fails, or the worker cannot start.
    pub async fn run_once(&self, stop: &CancellationToken) -> Result<bool, Error> {
        let Some(job) = self.waiting().await? else { return Ok(false) };
        let store = Arc::clone(&self.store) as Arc<dyn WorkerStore>;
        let worker = Worker::on(store).name("server").queue(SYSTEM_QUEUE, 1).system_jobs(self.retention);
        let worker = worker.start().await?;
        let client = Client::new(Arc::clone(&self.store));
        let ended = tokio::select! {
            ended = client.wait(job, WAITED_FOR) => ended.map(|_| true),
            () = stop.cancelled() => Ok(true),
        };
        worker.stop_gracefully(STOPS_WITHIN).await;
        match ended {
            Err(Error::NotEnded { .. }) => Ok(true),
            other => other,
        }
    }

    /// A clean-up that could run now, if no worker is there that would take it.
    async fn waiting(&self) -> Result<Option<JobId>, Error> {
        let newest = self.store.schedule_runs(CLEANUP, None, 1).await?;
        let Some(id) = newest.first().filter(|line| line.finished_at.is_none()).and_then(|line| line.job_id)
        else {
            return Ok(None);
        };
        let job = self.store.job(id).await?;
        let waits = job.is_some_and(|job| job.status == Status::Queued && job.queue == SYSTEM_QUEUE);
        if !waits {
            return Ok(None);
        }
        let workers = self.store.workers(Now::Database).await?;
        let is_served = workers.iter().any(|worker| {
            let serves = worker.queues.iter().any(|queue| queue == SYSTEM_QUEUE);
            let knows = worker.types.as_ref().is_none_or(|types| types.iter().any(|known| known == CLEANUP));
            worker.state.is_active() && serves && knows
        });
        Ok((!is_served).then_some(id))
    }
}
