//! The one claimer of a worker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jobforge_core::claim::{ClaimAsk, Claimed, QueueAsk, Turn, ask, turn};
use jobforge_core::time::{Now, since};
use jobforge_store::rows::WakeEvent;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::pool::Pool;
use super::run::Runner;

/// Added to the moment at which a waiting job becomes due, so that the claim does not come a hair too early.
const DUE_SLACK: Duration = Duration::from_millis(2);
/// Between two looks of a worker that takes nothing for the sake of a job that must run alone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// First and longest wait after a claim that failed.
const FAILED_CLAIM: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What ended a wait.
enum Woken {
    /// There may be work, or there is room that there was not.
    Work,
    /// Time has passed.
    Time,
    /// No more jobs shall be taken.
    Draining,
}

/// Claims until the worker drains.
pub(crate) async fn claim_loop(pool: Arc<Pool>, runner: Runner) {
    let mut events = pool.store.subscribe();
    let types = pool.registry.types();
    let mut idle_wait: Option<Duration> = None;
    let mut failed_wait = FAILED_CLAIM.0;
    let mut alone_waits: Option<Duration> = None;
    while !pool.draining.is_cancelled() {
        // A worker past its deadline would have to give back at once whatever it took, again and again; one that restarts
        // gets nothing.
        if !acts(&pool) || pool.is_restarting() {
            tokio::select! {
                biased;
                () = pool.draining.cancelled() => break,
                () = pool.anew.notified() => {}
                () = tokio::time::sleep(FAILED_CLAIM.0) => {}
            }
            continue;
        }
        // Register for freed slots before counting them, so that none is missed.
        let freed = pool.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        let turn = match alone_waits {
            None => Turn::Company,
            Some(since) => turn(pool.boot().saturating_sub(since), pool.held(), &pool.id()),
        };
        let queues = match turn {
            Turn::Company => ask(&pool.rooms()),
            Turn::Alone => {
                pool.queues.iter().map(|queue| QueueAsk { queue: queue.name.clone(), limit: 1 }).collect()
            }
            Turn::MakeRoom => Vec::new(),
        };
        if queues.is_empty() {
            tokio::select! {
                biased;
                () = pool.draining.cancelled() => break,
                () = freed => {}
                // Making room ends some time.
                () = tokio::time::sleep(LOOK_AGAIN), if turn == Turn::MakeRoom => {}
            }
            continue;
        }
        // The claim sees the work that was announced so far; a claim for each announcement would find nothing.
        events = events.resubscribe();
        let asked = queues.len();
        let worker = pool.id();
        let beat = pool.beat();
        let request = ClaimAsk {
            tenant: None,
            worker: worker.clone(),
            queues,
            types: Some(types.clone()),
            beat_due_in: beat.due_in(beat.interval),
            beat_interval: beat.enabled.then_some(beat.interval),
            bounds: pool.bounds(),
            alone: turn == Turn::Alone,
        };
        let claiming = pool.claiming.lock().await;
        let sent = pool.boot();
        let claimed = match pool.store.claim(&request, Now::Database).await {
            Ok(claimed) => claimed,
            Err(error) => {
                drop(claiming);
                tracing::warn!(worker.id = %worker, error = error.chain(), "failed to claim jobs; trying again");
                if matches!(wait(&pool, &mut events, pool.queues.len(), failed_wait).await, Woken::Draining) {
                    break;
                }
                failed_wait = (failed_wait * 2).min(FAILED_CLAIM.1);
                continue;
            }
        };
        failed_wait = FAILED_CLAIM.0;
        alone_waits = claimed.alone_waits.then(|| alone_waits.unwrap_or(sent));
        let more = claimed.more;
        let due_in = claimed.next_due.map(|due| since(due, claimed.as_of) + DUE_SLACK);
        idle_wait = match (claimed.jobs.is_empty(), more) {
            (false, _) => None,
            (true, _) => Some(pool.poll().next(idle_wait)),
        };
        if pool.id() == worker && is_in_time(&pool, sent) {
            start(&pool, &runner, claimed);
        } else {
            runner.give_back(&worker, claimed.jobs);
        }
        drop(claiming);
        // A worker that runs nothing turns to the job that must run alone at once.
        if more || (alone_waits.is_some() && turn == Turn::Company && pool.held() == 0) {
            continue;
        }
        let pause = idle_wait.unwrap_or(pool.poll().interval);
        let pause = due_in.map_or(pause, |due| pause.min(due));
        match wait(&pool, &mut events, asked, pause).await {
            Woken::Draining => break,
            Woken::Work => idle_wait = None,
            Woken::Time => {}
        }
    }
}

/// Whether jobs that were asked for at this moment may be started: not by a worker that should have stopped, as after a
/// freeze, and not when the answer was so long on its way that the jobs may have been taken back for want of heartbeats.
/// What is not started is handed over.
fn is_in_time(pool: &Pool, sent: Duration) -> bool {
    acts(pool) && pool.boot().saturating_sub(sent) < pool.lease()
}

/// Whether this incarnation may act.
fn acts(pool: &Pool) -> bool {
    pool.boot() < pool.acts_until()
}

fn start(pool: &Arc<Pool>, runner: &Runner, claimed: Claimed) {
    if claimed.jobs.is_empty() {
        return;
    }
    pool.counters.claimed.fetch_add(claimed.jobs.len() as u64, Ordering::Relaxed);
    runner.start(claimed.jobs);
}

/// Waits for a hint of new work, at most for `pause`. The last claim asked for `asked` queues; the others were full.
async fn wait(pool: &Arc<Pool>, events: &mut Receiver<WakeEvent>, asked: usize, pause: Duration) -> Woken {
    let sleep = tokio::time::sleep(pause);
    tokio::pin!(sleep);
    let some_were_full = asked < pool.queues.len();
    loop {
        let freed = pool.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        if some_were_full && ask(&pool.rooms()).len() > asked {
            return Woken::Work;
        }
        tokio::select! {
            biased;
            () = pool.draining.cancelled() => return Woken::Draining,
            () = &mut sleep => return Woken::Time,
            () = pool.anew.notified() => return Woken::Work,
            () = freed, if some_were_full => {}
            event = events.recv() => match event {
                Ok(WakeEvent::Work { queue }) if pool.queues.iter().all(|mine| mine.name != queue) => {}
                Ok(WakeEvent::Work { .. } | WakeEvent::Everything) | Err(RecvError::Lagged(_)) => return Woken::Work,
                Ok(WakeEvent::Moved { .. } | WakeEvent::Renew { .. }) => {}
                // The store is gone; only time is left to wait for.
                Err(RecvError::Closed) => {
                    sleep.as_mut().await;
                    return Woken::Time;
                }
            }
        }
    }
}
