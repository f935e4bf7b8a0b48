//! Restarting because somebody said so: the worker takes no more jobs, finishes what it has, and begins anew.
//!
//! The order is stored with the worker and comes with its renewal. All of this runs where the renewals run, so that handlers
//! that block every thread of the worker cannot keep it from happening.

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::time::Now;
use jobforge_store::traits::WorkerSide;
use tokio::task::JoinHandle;

use super::pool::Pool;

/// What a process may take to end once its worker has drained, beyond its leases.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Begins the restart that the worker was told of. The task ends when it has drained and may begin anew where it is; there is
/// none if its process is to end.
pub(super) fn begin(pool: &Arc<Pool>) -> Option<JoinHandle<()>> {
    let (worker, held) = (pool.id(), pool.held());
    tracing::warn!(worker.id = %worker, held, "worker {worker} was told to restart: it takes no more jobs and waits up to {} s for the {held} that it has", pool.config.drain.as_secs());
    let pool = Arc::clone(pool);
    if let Some(end) = pool.config.restart_process.clone() {
        pool.draining.cancel();
        pool.restart_asked.cancel();
        tokio::spawn(async move {
            let patience = pool.config.drain + pool.stops_within() + 2 * pool.lease() + ENDS_WITHIN;
            tokio::time::sleep(patience).await;
            tracing::error!(worker.id = %pool.id(), "worker {} does not come to an end; this process ends itself to restart", pool.id());
            end();
        });
        return None;
    }
    Some(tokio::spawn(async move {
        // A claim in flight may still bring jobs, which are waited for like the others.
        let _ = tokio::time::timeout(pool.lease(), pool.claiming.lock()).await;
        pool.drain(pool.config.drain).await;
        let _ = tokio::time::timeout(pool.lease(), pool.reported()).await;
    }))
}

/// Resolves when the worker has drained in order to restart; never if it does not restart.
pub(super) async fn drained(restart: &mut Option<JoinHandle<()>>) {
    match restart {
        Some(task) => {
            let _ = task.await;
        }
        None => std::future::pending().await,
    }
}

/// Says goodbye in the name of the incarnation that restarts. What its handlers still hold is found by the next sweep.
pub(super) async fn leave(pool: &Pool, store: &dyn WorkerSide) {
    let (worker, held) = (pool.id(), pool.held());
    if held > 0 {
        tracing::error!(worker.id = %worker, held, "{held} handlers of worker {worker} have not stopped; their jobs are run elsewhere, and they are left behind in this process");
    }
    let goodbye = store.leave(&worker, "it restarted, as it was told", Now::Database);
    match tokio::time::timeout(pool.lease(), goodbye).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(worker.id = %worker, error = error.chain(), "could not say goodbye; the lease will run out");
        }
        Err(_) => tracing::warn!(worker.id = %worker, "could not say goodbye in time; the lease has run out"),
    }
}
