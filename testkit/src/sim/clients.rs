//! Programs that enqueue, and people who interfere.

use std::time::Duration;

use jobforge::change_settings;
use jobforge::live::OwnSettings;
use jobforge_core::job::WorkerId;
use jobforge_core::settings::Change;
use jobforge_core::time::Now;
use jobforge_store::rows::Move;
use jobforge_store::{Result, Store};

use super::event::What;
use super::weather::{Patience, Request};
use super::world::Shared;
use crate::fixtures::by;

/// Between two tries of a client that persists.
const AGAIN: Duration = Duration::from_millis(700);

/// Asks for one thing; repeats it until the answer is known, or leaves it at one try.
pub(super) async fn ask(store: &dyn Store, world: &Shared, request: Request) {
    let by = by();
    match request {
        Request::Enqueue(job, patience) => {
            let known = match patience {
                Patience::Persists => {
                    while store.enqueue(std::slice::from_ref(&*job), Now::Database).await.is_err() {
                        tokio::time::sleep(AGAIN).await;
                    }
                    true
                }
                Patience::GivesUp => store.enqueue(&[*job.clone()], Now::Database).await.is_ok(),
            };
            if known {
                world.lock().tell(What::Promised { job: job.id });
            }
        }
        Request::Cancel(job) => once(store.move_jobs(&[job], Move::Cancel, &by, Now::Database).await),
        Request::Retry(job, delay) => {
            once(store.move_jobs(&[job], Move::Retry { delay }, &by, Now::Database).await);
        }
        Request::Delete(job) => once(store.move_jobs(&[job], Move::Delete, &by, Now::Database).await),
        Request::Pause(queue) => once(store.pause_queue(queue, true, &by, Now::Database).await),
        Request::Resume(queue) => once(store.pause_queue(queue, false, &by, Now::Database).await),
        Request::Lease(lease) => {
            let value = Some(lease.as_millis().to_string());
            let change = Change { key: "worker_lease_ms".to_owned(), value, until: None };
            let _ = change_settings(store, &OwnSettings::none(), &[change], None, &by).await;
        }
        Request::Restart(luck) => {
            let Ok(workers) = store.workers(Now::Database).await else { return };
            let active: Vec<WorkerId> =
                workers.into_iter().filter(|row| row.state.is_active()).map(|row| row.id).collect();
            if let Some(worker) = active.get(luck as usize % active.len().max(1)) {
                once(store.restart_workers(std::slice::from_ref(worker), &by, Now::Database).await);
            }
        }
    }
}

/// What came of it is seen in the database.
fn once<T>(_: Result<T>) {}
