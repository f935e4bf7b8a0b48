//! Learning that a running job was moved by another hand.

use std::sync::Arc;

use jobforge_core::job::JobId;
use jobforge_core::time::Now;
use jobforge_store::rows::WakeEvent;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::heartbeat::verdict;
use super::pool::Pool;

/// Passes on what happens to the worker's jobs until it closes, also while it drains.
pub(crate) async fn watch_loop(pool: Arc<Pool>, mut events: Receiver<WakeEvent>) {
    loop {
        let event = tokio::select! {
            biased;
            () = pool.closing.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(WakeEvent::Moved { id }) => look(&pool, id),
            Ok(WakeEvent::Renew { worker }) if worker == pool.id() => pool.renew_soon.notify_one(),
            Ok(WakeEvent::Renew { .. }) => {}
            // What was missed may concern any job, so the next heartbeat, within a second, asks for all of them. It may have
            // been an order to the worker itself.
            Ok(WakeEvent::Everything) | Err(RecvError::Lagged(_)) => {
                pool.beat_all_soon();
                pool.renew_soon.notify_one();
            }
            Ok(WakeEvent::Work { .. }) => {}
            // The store is gone; the heartbeats will tell.
            Err(RecvError::Closed) => return,
        }
    }
}

/// Asks the handler of a job to stop if the job is no longer its own.
fn look(pool: &Arc<Pool>, id: JobId) {
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        if !pool.holds(id) {
            // A claim in flight may be bringing it.
            drop(pool.claiming.lock().await);
        }
        let Some(beat) = pool.question(id) else { return };
        let worker = pool.id();
        let asked = pool.store.heartbeat(&worker, std::slice::from_ref(&beat), Now::Database);
        let Ok(replies) = asked.await else { return pool.beat_all_soon() };
        if let Some(reason) = replies.first().and_then(verdict) {
            pool.ask_to_stop(id, beat.lease, reason);
        }
    });
}
