//! Reporting how attempts ended, in batches that gather while the last one is in flight.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jobforge_core::job::WorkerId;
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::time::Now;
use tokio::sync::mpsc;

use super::pool::Pool;

/// Most settlements in one call.
const BATCH: usize = 1000;
/// Ended attempts that may wait to be reported; more make their handlers' slots wait.
const BACKLOG: usize = 4 * BATCH;
/// First and longest wait after a call that failed.
const FAILED: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// An attempt that has ended, and the incarnation that held its job: nobody else can settle it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) worker: WorkerId,
    pub(crate) settlement: Settlement,
}

/// Both ends of the way from handlers to the settler.
pub(crate) struct Channel {
    pub(crate) sender: mpsc::Sender<Ended>,
    pub(crate) receiver: mpsc::Receiver<Ended>,
}

pub(crate) fn channel() -> Channel {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    Channel { sender, receiver }
}

/// Settles until every sender is gone.
pub(crate) async fn settle_loop(pool: Arc<Pool>, mut ended: mpsc::Receiver<Ended>) {
    let mut batch = Vec::with_capacity(BATCH);
    while ended.recv_many(&mut batch, BATCH).await > 0 {
        for (worker, settlements) in by_worker(batch.drain(..)) {
            settle(&pool, &worker, &settlements).await;
            pool.has_reported(settlements.len());
        }
    }
}

/// All of one worker together, as long as it does not change: it does only when the worker has lost its lease.
fn by_worker(ended: impl Iterator<Item = Ended>) -> Vec<(WorkerId, Vec<Settlement>)> {
    let mut parts: Vec<(WorkerId, Vec<Settlement>)> = Vec::with_capacity(1);
    for Ended { worker, settlement } in ended {
        match parts.last_mut().filter(|(of, _)| *of == worker) {
            Some((_, settlements)) => settlements.push(settlement),
            None => parts.push((worker, vec![settlement])),
        }
    }
    parts
}

/// Sends one batch, again and again as long as the database cannot be reached: repeating is safe, for a settlement
/// that took effect is answered as a replay, and one that came too late is refused.
async fn settle(pool: &Pool, worker: &WorkerId, batch: &[Settlement]) {
    let mut wait = FAILED.0;
    loop {
        match pool.store.settle(worker, batch, Now::Database).await {
            Ok(answers) => {
                for (settlement, answer) in batch.iter().zip(answers) {
                    note(pool, settlement, &answer);
                }
                return;
            }
            Err(error) if error.is_transient() => {
                let count = batch.len();
                tracing::warn!(worker.id = %worker, error = error.chain(), "failed to report {count} ended attempts; trying again");
            }
            Err(error) => {
                // One bad settlement must not hold up the others: each goes alone, and one that fails alone is left
                // to the watchdog.
                let count = batch.len();
                tracing::error!(worker.id = %worker, error = error.chain(), "failed to report {count} ended attempts");
                if let [only] = batch {
                    tracing::error!(job.id = %only.id, "the end of job {} could not be stored; its lease will bring it back", only.id);
                    return;
                }
                for one in batch {
                    Box::pin(settle(pool, worker, std::slice::from_ref(one))).await;
                }
                return;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(FAILED.1);
    }
}

/// Gives a job back that an incarnation of this worker held when it lost its lease: it then costs the job nothing.
///
/// Tried until the database answers or the worker closes, for nobody takes jobs back either while it is away. A watchdog
/// that was quicker has won, which is no news to anybody.
pub(crate) async fn hand_over(pool: &Pool, worker: &WorkerId, settlement: &Settlement) {
    let id = settlement.id;
    let mut wait = FAILED.0;
    while !pool.closing.is_cancelled() {
        match pool.store.settle(worker, std::slice::from_ref(settlement), Now::Database).await {
            Ok(answers) if answers.first() == Some(&Settled::Applied) => {
                tracing::info!(job.id = %id, worker.id = %worker, "worker {worker}, which has lost its lease, handed job {id} over; it lost no attempt");
                return;
            }
            Ok(_) => return,
            Err(error) if error.is_transient() => {
                tracing::debug!(job.id = %id, error = error.chain(), "could not hand job {id} over yet");
            }
            Err(error) => {
                tracing::error!(job.id = %id, error = error.chain(), "failed to hand job {id} over; its lease will bring it back");
                return;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(FAILED.1);
    }
}

fn note(pool: &Pool, settlement: &Settlement, answer: &Settled) {
    let id = settlement.id;
    match answer {
        Settled::Applied | Settled::Replayed => {
            pool.counters.settled.fetch_add(1, Ordering::Relaxed);
            if let Some(error) = &settlement.error {
                let (to, lease) = (settlement.to, settlement.lease);
                tracing::info!(job.id = %id, %lease, status = %to, "job {id} failed and is now {to}: {}", error.message);
            }
        }
        Settled::Fenced { status, lease } => {
            pool.counters.fenced.fetch_add(1, Ordering::Relaxed);
            let held = settlement.lease;
            tracing::warn!(job.id = %id, "the end of job {id} came too late: held under lease {held}, now {status} under {lease}");
        }
        Settled::Gone => {
            pool.counters.fenced.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(job.id = %id, "the end of job {id} came too late: it was deleted");
        }
    }
}
