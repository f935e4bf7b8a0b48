//! Losing the lease, and being lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobforge::core::job::{JobId, WorkerId};
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::state::Status;
use jobforge::core::time::{Now, add};
use jobforge::core::worker::WorkerState;
use jobforge::services::{SweepReport, Watchdog};
use jobforge::{JobContext, JobError, StopReason, clock};
use tokio::sync::mpsc;

use crate::common::{
    Db, HANG, SELDOM, Task, check_consistent, ended, ended_detail, enqueue, eventually, job_when, until,
};

/// Short enough for a test to see it run out, long enough for a busy machine to renew it.
const SHORT_LEASE: Duration = Duration::from_millis(1200);

fn watchdog(db: &Db) -> Watchdog {
    Watchdog::new(db.store().clone(), RescuePolicy::default(), Duration::from_secs(60))
}

/// Sweeps until something was moved.
async fn sweep_until_moved(db: &Db) -> SweepReport {
    let watchdog = watchdog(db);
    until("the watchdog takes a job back", || async {
        let report = watchdog.run_once(Now::Database).await.expect("a sweep");
        (!report.moved.is_empty()).then_some(report)
    })
    .await
}

/// Never ends by itself.
async fn hang(_job: Task, ctx: JobContext) -> Result<(), JobError> {
    ctx.stopped().await;
    Err(JobError::stopped())
}

async fn succeed(_job: Task, _ctx: JobContext) -> Result<(), JobError> {
    Ok(())
}

/// Runs the job on a worker that is then dropped as by a crash.
async fn lose_it_on_a_worker(db: &Db, id: JobId) {
    let lost = db.worker().register(hang).lease(SHORT_LEASE).start().await.unwrap();
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    drop(lost);
}

async fn the_watchdog_takes_the_jobs_of_a_lost_worker_back_and_they_run_elsewhere(db: Db) {
    let id = enqueue(&db.client, "orphan").await;
    lose_it_on_a_worker(&db, id).await;
    let lost = db.client.job(id).await.unwrap().locked_by.unwrap();
    // Nothing is taken from a worker whose lease still runs.
    assert!(watchdog(&db).run_once(Now::Database).await.unwrap().moved.is_empty());
    let report = sweep_until_moved(&db).await;
    assert_eq!((report.moved[0].id, report.moved[0].to, report.moved[0].misses), (id, Status::Queued, 1));
    let other = db.worker().register(succeed).start().await.unwrap();
    let detail = ended_detail(&db.client, id).await;
    assert_eq!((detail.job.status, detail.job.last_worker), (Status::Succeeded, Some(other.id())));
    let told: Vec<_> = detail.attempts.iter().map(|a| (a.outcome.as_str(), a.worker.clone())).collect();
    assert_eq!(told, [("lost", Some(lost)), ("succeeded", Some(other.id()))]);
    check_consistent(&db.client).await;
}

async fn a_job_that_loses_its_second_worker_is_dead(db: Db) {
    let id = enqueue(&db.client, "killer").await;
    lose_it_on_a_worker(&db, id).await;
    sweep_until_moved(&db).await;
    lose_it_on_a_worker(&db, id).await;
    let report = sweep_until_moved(&db).await;
    assert_eq!((report.moved[0].to, report.moved[0].misses), (Status::Dead, 2));
    let job = db.client.job(id).await.unwrap();
    assert_eq!((job.status, job.error.unwrap().kind.as_str()), (Status::Dead, "worker_lost"));
}

async fn a_worker_that_renews_in_time_keeps_its_jobs(db: Db) {
    let work = |_: Task, _: JobContext| async {
        tokio::time::sleep(SHORT_LEASE * 2).await;
        Ok(())
    };
    let worker = db.worker().register(work).lease(SHORT_LEASE).start().await.unwrap();
    let name = worker.id();
    let id = enqueue(&db.client, "longer than the lease").await;
    let watchdog = watchdog(&db);
    let job = until("it ends", || async {
        let report = watchdog.run_once(Now::Database).await.expect("a sweep");
        assert!(report.expired.is_empty() && report.moved.is_empty(), "{report:?}");
        Some(db.client.job(id).await.unwrap()).filter(|job| job.status.is_terminal())
    })
    .await;
    assert_eq!((job.status, job.attempts, worker.id()), (Status::Succeeded, 1, name));
}

/// Declares the workers lost, of whom nothing was heard for an hour by a clock that is an hour ahead. One that renews at this
/// moment is passed over, so that it is tried again.
async fn declare_lost(db: &Db) -> Vec<WorkerId> {
    let later = Now::Fixed(add(clock::wall(), Duration::from_secs(3600)));
    until("it is declared lost", || async {
        Some(db.store().expire_workers(u32::MAX, later).await.unwrap()).filter(|lost| !lost.is_empty())
    })
    .await
}

async fn a_worker_that_lost_its_lease_stops_its_jobs_and_starts_anew(db: Db) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let (told, mut reasons) = mpsc::unbounded_channel();
    let handler = move |_: Task, ctx: JobContext| {
        let (run, told) = (counted.fetch_add(1, Ordering::SeqCst), told.clone());
        async move {
            if run == 0 {
                let _ = told.send(ctx.stopped().await);
            }
            Ok(())
        }
    };
    let worker = db.worker().register(handler).lease(SHORT_LEASE).start().await.unwrap();
    let before = worker.id();
    let id = enqueue(&db.client, "interrupted").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    assert_eq!(declare_lost(&db).await, std::slice::from_ref(&before));
    let reason = tokio::time::timeout(HANG, reasons.recv()).await.expect("told in time");
    assert_eq!(reason, Some(StopReason::LeaseLost));
    eventually("it has a new identity", || worker.id() != before).await;
    // Nobody has taken the job back yet, so the word of the old incarnation still counts.
    let job = ended(&db.client, id).await;
    assert_eq!((job.status, job.attempts, job.last_worker), (Status::Succeeded, 1, Some(before.clone())));
    // On a busy machine so short a lease may be lost again meanwhile: the newest identity is the one that counts.
    let (mine, rows) = until("the new identity is live", || async {
        let mine = worker.id();
        let rows = db.store().workers(Now::Database).await.unwrap();
        let live = rows.iter().any(|row| row.id == mine && row.state == WorkerState::Live);
        live.then_some((mine, rows))
    })
    .await;
    let lost = rows.iter().find(|row| row.id == before).unwrap().state;
    assert!(mine != before && lost == WorkerState::Lost, "{lost:?}");
}

async fn a_worker_that_lost_its_lease_while_idle_takes_jobs_again_at_once(db: Db) {
    let worker = db.worker().register(succeed).lease(SHORT_LEASE).poll(SELDOM);
    let worker = worker.start().await.unwrap();
    let before = worker.id();
    declare_lost(&db).await;
    // Enqueued while nobody may claim, so that no announcement comes after the new registration.
    let id = enqueue(&db.client, "meanwhile").await;
    eventually("it has a new identity", || worker.id() != before).await;
    assert_eq!(ended(&db.client, id).await.status, Status::Succeeded);
}

async fn a_handler_that_blocks_every_thread_does_not_silence_its_worker(db: Db) {
    let (told, mut began) = mpsc::unbounded_channel();
    let block = move |_: Task, _: JobContext| {
        let told = told.clone();
        async move {
            let _ = told.send(());
            std::thread::sleep(SHORT_LEASE * 3);
            Ok(())
        }
    };
    let elsewhere = db.worker_elsewhere().await;
    let blocked = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let worker =
        blocked.spawn(async move { elsewhere.register(block).lease(SHORT_LEASE).start().await.unwrap() });
    let worker = worker.await.unwrap();
    let id = enqueue(&db.client, "blocks").await;
    tokio::time::timeout(HANG, began.recv()).await.expect("it runs");
    let (watchdog, began) = (watchdog(&db), clock::monotonic());
    while clock::monotonic().duration_since(began) < SHORT_LEASE * 2 {
        let report = watchdog.run_once(Now::Database).await.unwrap();
        assert!(report.expired.is_empty() && report.moved.is_empty(), "{report:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let job = ended(&db.client, id).await;
    assert_eq!((job.status, job.attempts, job.last_worker), (Status::Succeeded, 1, Some(worker.id())));
    drop(worker);
    blocked.shutdown_background();
}

async fn what_stops_when_its_worker_has_lost_the_lease_is_handed_over_without_a_miss(db: Db) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let handler = move |_: Task, ctx: JobContext| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if run == 0 {
                ctx.stopped().await;
                return Err(JobError::stopped());
            }
            Ok(())
        }
    };
    let worker = db.worker().register(handler).lease(SHORT_LEASE).start().await.unwrap();
    let id = enqueue(&db.client, "handed over").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    assert_eq!(declare_lost(&db).await.len(), 1);
    // No watchdog sweeps here: the worker itself gives the job back, and its next incarnation runs it.
    let detail = ended_detail(&db.client, id).await;
    assert_eq!((detail.job.status, detail.job.attempts, detail.job.misses), (Status::Succeeded, 1, 0));
    assert_eq!(
        (detail.attempts[0].outcome.as_str(), detail.job.last_worker),
        ("released", Some(worker.id()))
    );
}

async fn handlers_that_do_not_stop_for_a_lost_lease_bring_on_the_last_resort(db: Db) {
    let ignores = |_: Task, _: JobContext| async {
        std::future::pending::<()>().await;
        Ok(())
    };
    let (told, mut resorts) = mpsc::unbounded_channel();
    let resort = move || {
        let _ = told.send(());
    };
    let worker = db.worker().register(ignores).lease(SHORT_LEASE).last_resort(resort);
    let worker = worker.start().await.unwrap();
    let id = enqueue(&db.client, "ignores").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    declare_lost(&db).await;
    assert_eq!(tokio::time::timeout(HANG, resorts.recv()).await, Ok(Some(())));
    drop(worker);
}

on_each_engine_and_pooler!(
    the_watchdog_takes_the_jobs_of_a_lost_worker_back_and_they_run_elsewhere,
    a_job_that_loses_its_second_worker_is_dead,
    a_worker_that_renews_in_time_keeps_its_jobs,
    a_worker_that_lost_its_lease_stops_its_jobs_and_starts_anew,
    a_worker_that_lost_its_lease_while_idle_takes_jobs_again_at_once,
    a_handler_that_blocks_every_thread_does_not_silence_its_worker,
    what_stops_when_its_worker_has_lost_the_lease_is_handed_over_without_a_miss,
    handlers_that_do_not_stop_for_a_lost_lease_bring_on_the_last_resort,
);
