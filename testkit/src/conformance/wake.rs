//! Being told of changes: a hint that comes soon, and never the only way to learn of one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::settle::Outcome;
use jobforge_store::Store;
use jobforge_store::rows::{Move, WakeEvent};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::fixtures::{at, by, claim_one, enqueue, job, register, running_job, settle_one};

/// How long a hint may take on a busy machine before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(10);
/// A subscriber that is told to look at everything has missed something; the change is then made once more.
const TRIES: usize = 3;

/// Waits for the event, or to be told to look at everything.
async fn heard(events: &mut Receiver<WakeEvent>, wanted: &WakeEvent) -> Result<bool> {
    let listen = async {
        loop {
            match events.recv().await {
                Ok(event) if event == *wanted => return Ok(true),
                Ok(WakeEvent::Everything) | Err(RecvError::Lagged(_)) => return Ok(false),
                Ok(WakeEvent::Work { .. } | WakeEvent::Moved { .. } | WakeEvent::Renew { .. }) => {}
                Err(RecvError::Closed) => anyhow::bail!("the store stopped telling"),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, listen).await {
        Ok(told) => told,
        Err(_) => anyhow::bail!("{wanted:?} was not heard within {PATIENCE:?}"),
    }
}

fn work(queue: &str) -> WakeEvent {
    WakeEvent::Work { queue: queue.to_owned() }
}

pub async fn a_subscriber_hears_of_new_work(store: Arc<dyn Store>) -> Result<()> {
    let mut events = store.subscribe();
    for _ in 0..TRIES {
        enqueue(&store, jobforge_core::job::NewJob { queue: "mail".to_owned(), ..job("email") }, at(0))
            .await?;
        if heard(&mut events, &work("mail")).await? {
            return Ok(());
        }
    }
    anyhow::bail!("new work was never told by name")
}

pub async fn a_subscriber_hears_that_a_running_job_was_canceled(store: Arc<dyn Store>) -> Result<()> {
    hears_of(&store, Move::Cancel).await
}

pub async fn a_subscriber_hears_that_a_running_job_was_taken_away(store: Arc<dyn Store>) -> Result<()> {
    hears_of(&store, Move::Retry { delay: Duration::from_secs(86_400) }).await
}

async fn hears_of(store: &Arc<dyn Store>, step: Move) -> Result<()> {
    let worker = register(store, "worker-00000001", at(0)).await?;
    let mut events = store.subscribe();
    for _ in 0..TRIES {
        enqueue(store, job("email"), at(0)).await?;
        let held = claim_one(store, &worker, at(1)).await?;
        store.move_jobs(&[held.id], step, &by(), at(2)).await?;
        if heard(&mut events, &WakeEvent::Moved { id: held.id }).await? {
            return Ok(());
        }
    }
    anyhow::bail!("{step:?} was never told by name")
}

pub async fn a_subscriber_hears_of_work_that_comes_back(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    let mut events = store.subscribe();
    settle_one(&store, &worker, &held, Outcome::Released, at(1)).await?;
    heard(&mut events, &work("default")).await?;
    Ok(())
}
