//! Telling workers to restart.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::audit::AuditFilter;
use jobforge_core::job::WorkerId;
use jobforge_core::settle::Settled;
use jobforge_core::time::Now;
use jobforge_core::worker::{NewWorker, WorkerRow, WorkerState};
use jobforge_store::Store;
use jobforge_store::rows::{RestartTold, WakeEvent};

use crate::fixtures::{
    at, by, claim, enqueue, job, moment, new_worker, register, register_for, running_job, s, settle_one,
    success,
};

async fn row(store: &Arc<dyn Store>, id: &WorkerId) -> Result<WorkerRow> {
    Ok(store.workers(at(9)).await?.into_iter().find(|row| row.id == *id).expect("listed"))
}

async fn tell(store: &Arc<dyn Store>, worker: &WorkerId, second: i64) -> Result<RestartTold> {
    Ok(store.restart_workers(std::slice::from_ref(worker), &by(), at(second)).await?.remove(0))
}

/// Whether the worker hears with its renewal that it shall restart.
async fn hears(store: &Arc<dyn Store>, worker: &WorkerId, draining: bool, second: i64) -> Result<bool> {
    Ok(store.renew(worker, draining, None, at(second)).await?.expect("it has its lease").restart)
}

pub async fn a_worker_that_is_told_to_restart_hears_of_it_and_gets_no_more_jobs(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    let other = register(&store, "worker-00000002", at(0)).await?;
    enqueue(&store, job("email"), at(1)).await?;
    assert!(!hears(&store, &worker, false, 1).await?);
    assert_eq!(tell(&store, &worker, 2).await?, RestartTold::Told);
    let told = row(&store, &worker).await?;
    assert_eq!((told.state, told.restart_at), (WorkerState::Live, Some(moment(2))));
    assert_eq!(claim(&store, &worker, 1, at(3)).await?.len(), 0, "before it has heard of it");
    assert!(hears(&store, &worker, false, 4).await? && hears(&store, &worker, true, 5).await?);
    assert!(!hears(&store, &other, false, 5).await?, "nobody else is told");
    // What it has it may finish.
    assert_eq!(settle_one(&store, &worker, &held, success(), at(6)).await?, Settled::Applied);
    assert_eq!(claim(&store, &other, 1, at(6)).await?.len(), 1);
    Ok(())
}

pub async fn its_next_incarnation_was_told_nothing(store: Arc<dyn Store>) -> Result<()> {
    let before = register(&store, "worker-00000001", at(0)).await?;
    tell(&store, &before, 1).await?;
    store.leave(&before, "it restarted", at(2)).await?;
    let after = register(&store, "worker-00000002", at(3)).await?;
    enqueue(&store, job("email"), at(3)).await?;
    assert!(!hears(&store, &after, false, 4).await?);
    assert_eq!(claim(&store, &after, 1, at(4)).await?.len(), 1);
    assert_eq!(row(&store, &after).await?.restart_at, None);
    Ok(())
}

pub async fn who_cannot_restart_is_said_and_nobody_is_told_twice(store: Arc<dyn Store>) -> Result<()> {
    let left = register(&store, "worker-00000001", at(0)).await?;
    store.leave(&left, "done", at(1)).await?;
    let overdue = register_for(&store, "worker-00000002", s(5), at(0)).await?;
    let live = register(&store, "worker-00000003", at(0)).await?;
    let draining = register(&store, "worker-00000004", at(0)).await?;
    store.renew(&draining, true, None, at(1)).await?;
    let sql = NewWorker { pid: 0, ..new_worker("worker-00000005") };
    store.register(&sql, at(0)).await?;
    let unknown = WorkerId("worker-0badbad0".to_owned());
    let asked = [unknown, live.clone(), left, sql.id.clone(), overdue, draining];
    let first = store.restart_workers(&asked, &by(), at(8)).await?;
    let (told, before, gone, none) =
        (RestartTold::Told, RestartTold::ToldBefore, RestartTold::Gone, RestartTold::NoProcess);
    assert_eq!(first, [gone, told, gone, none, gone, told]);
    let second = store.restart_workers(&asked, &by(), at(9)).await?;
    assert_eq!(second, [gone, before, gone, none, gone, before]);
    assert_eq!(row(&store, &live).await?.restart_at, Some(moment(8)), "the first order counts");
    enqueue(&store, job("email"), at(9)).await?;
    assert_eq!(claim(&store, &sql.id, 1, at(9)).await?.len(), 1, "who cannot restart goes on");
    assert_eq!(store.restart_workers(&[], &by(), at(9)).await?, []);
    Ok(())
}

pub async fn every_order_is_told_of_once(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    for second in [1, 2] {
        tell(&store, &worker, second).await?;
    }
    tell(&store, &WorkerId("worker-0badbad0".to_owned()), 3).await?;
    let filter = AuditFilter { action: Some("worker.restart".to_owned()), ..AuditFilter::default() };
    let entries = store.audit(&filter, 10).await?;
    let told: Vec<_> = entries.iter().map(|entry| (entry.target.as_deref(), entry.at)).collect();
    assert_eq!(told, [(Some("worker-00000001"), moment(1))]);
    assert_eq!(entries[0].by.actor, by().actor);
    Ok(())
}

pub async fn the_worker_is_woken_to_hear_of_it(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", Now::Database).await?;
    let mut events = store.subscribe();
    let wanted = WakeEvent::Renew { worker: worker.clone() };
    store.restart_workers(&[worker], &by(), Now::Database).await?;
    let heard = async {
        // Where a subscription takes a moment to begin, it tells to look at everything.
        while !matches!(events.recv().await, Ok(event) if event == wanted || event == WakeEvent::Everything) {
        }
    };
    tokio::time::timeout(Duration::from_secs(10), heard).await?;
    Ok(())
}
