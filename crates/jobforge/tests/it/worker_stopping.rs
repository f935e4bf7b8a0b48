//! Time-outs, cancellation and shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jobforge::core::job::{JobId, QueuedBecause};
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::standing::Kind;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::core::worker::WorkerState;
use jobforge::{JobContext, JobError, StopReason, Worker, clock};
use tokio::sync::mpsc;

use crate::common::{
    Db, DropFlag, HANG, SELDOM, Task, check_consistent, ended, ended_detail, enqueue, eventually, job_when,
    task, until,
};

type Run = BoxFuture<'static, Result<(), JobError>>;

/// A handler that never ends by itself and does not listen; the flag says that it was dropped.
fn deaf(dropped: &Arc<AtomicBool>) -> impl Fn(Task, JobContext) -> Run + Send + Sync + 'static + use<> {
    let dropped = Arc::clone(dropped);
    move |_, _| {
        let flag = DropFlag(Arc::clone(&dropped));
        Box::pin(async move {
            let _flag = flag;
            std::future::pending().await
        })
    }
}

/// A handler that ends when it is told to and sends why.
fn obedient(
    told: mpsc::UnboundedSender<StopReason>,
) -> impl Fn(Task, JobContext) -> Run + Send + Sync + 'static {
    move |_, ctx| {
        let told = told.clone();
        Box::pin(async move {
            let _ = told.send(ctx.stopped().await);
            Err(JobError::stopped())
        })
    }
}

async fn running(db: &Db, id: JobId) {
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
}

async fn a_time_out_stops_the_handler_and_the_job_is_retried(db: Db) {
    let (told, mut reasons) = mpsc::unbounded_channel();
    let _worker = Worker::builder(&db.client).register(obedient(told)).start().await.unwrap();
    let began = clock::monotonic();
    let id =
        db.client.enqueue(task("slow")).timeout(Duration::from_millis(200)).max_attempts(2).await.unwrap().id;
    let detail = ended_detail(&db.client, id).await;
    assert!(clock::monotonic().duration_since(began) >= Duration::from_millis(400));
    assert_eq!((detail.job.status, detail.job.attempts), (Status::Dead, 2));
    for attempt in &detail.attempts {
        let error = attempt.error.as_ref().unwrap();
        assert_eq!((error.kind.as_str(), error.retryable), ("timeout", true));
        assert!(error.message.contains("200 ms"), "{}", error.message);
    }
    assert_eq!(reasons.recv().await, Some(StopReason::TimedOut));
}

async fn a_handler_that_ignores_its_time_out_is_dropped_after_the_grace(db: Db) {
    let dropped = Arc::new(AtomicBool::new(false));
    let worker = Worker::builder(&db.client).register(deaf(&dropped)).stop_grace(Duration::from_millis(300));
    let _worker = worker.default_timeout(Duration::from_millis(200)).start().await.unwrap();
    let id = db.client.enqueue(task("deaf")).max_attempts(1).await.unwrap().id;
    running(&db, id).await;
    let began = clock::monotonic();
    let job = ended(&db.client, id).await;
    let took = clock::monotonic().duration_since(began);
    // 500 ms are the time-out and the grace; the rest is room for a busy machine.
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(dropped.load(Ordering::SeqCst), "the handler still runs");
    assert_eq!((job.status, job.error.unwrap().kind.as_str()), (Status::Dead, "timeout"));
}

async fn a_canceled_job_is_told_within_a_second(db: Db) {
    let (told, mut reasons) = mpsc::unbounded_channel();
    let worker = Worker::builder(&db.client).register(obedient(told)).poll(SELDOM).start().await.unwrap();
    let id = enqueue(&db.client, "unwanted").await;
    running(&db, id).await;
    db.client.cancel(id).await.unwrap();
    let reason = tokio::time::timeout(Duration::from_secs(1), reasons.recv()).await.expect("told in time");
    assert_eq!(reason, Some(StopReason::Canceled));
    eventually("the slot is free again", || worker.stats().held == 0).await;
    assert_eq!(db.client.job(id).await.unwrap().status, Status::Canceled);
    assert_eq!(worker.stats().settled, 0);
}

async fn a_cancel_by_another_process_is_noticed_soon(db: Db) {
    let (told, mut reasons) = mpsc::unbounded_channel();
    let _worker = Worker::builder(&db.client).register(obedient(told)).poll(SELDOM).start().await.unwrap();
    let id = enqueue(&db.client, "unwanted").await;
    running(&db, id).await;
    db.visit().await.cancel(id).await.unwrap();
    let reason = tokio::time::timeout(Duration::from_secs(3), reasons.recv()).await.expect("told in time");
    assert_eq!(reason, Some(StopReason::Canceled));
}

async fn a_success_after_the_cancel_is_refused(db: Db) {
    let stubborn = |_: Task, ctx: JobContext| async move {
        ctx.stopped().await;
        Ok(())
    };
    let worker = Worker::builder(&db.client).register(stubborn).start().await.unwrap();
    let id = enqueue(&db.client, "too late").await;
    running(&db, id).await;
    db.client.cancel(id).await.unwrap();
    eventually("the late success is refused", || worker.stats().fenced == 1).await;
    assert_eq!(worker.stats().settled, 0);
    let detail = db.client.job_detail(id).await.unwrap();
    assert_eq!((detail.job.status, detail.result.is_none()), (Status::Canceled, true));
}

async fn a_graceful_stop_waits_for_short_jobs(db: Db) {
    let (started, mut running) = mpsc::unbounded_channel();
    let short = move |_: Task, _: JobContext| {
        let _ = started.send(());
        async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Ok(())
        }
    };
    let worker = Worker::builder(&db.client).register(short).start().await.unwrap();
    let ids = [enqueue(&db.client, "a").await, enqueue(&db.client, "b").await];
    running.recv().await;
    running.recv().await;
    assert_eq!(worker.stop_gracefully(HANG).await, 0);
    // The stop returns only when the ends are stored.
    for id in ids {
        assert_eq!(db.client.job(id).await.unwrap().status, Status::Succeeded);
    }
}

async fn a_graceful_stop_gives_long_jobs_back_without_using_an_attempt(db: Db) {
    let (told, mut reasons) = mpsc::unbounded_channel();
    let worker = Worker::builder(&db.client).register(obedient(told)).start().await.unwrap();
    let name = worker.id();
    let id = enqueue(&db.client, "long").await;
    running(&db, id).await;
    assert_eq!(worker.stop_gracefully(Duration::from_millis(50)).await, 1);
    assert_eq!(reasons.recv().await, Some(StopReason::Shutdown));
    let job = db.client.job(id).await.unwrap();
    assert_eq!((job.status, job.queued_because, job.attempts), (Status::Queued, QueuedBecause::Release, 0));
    let workers = db.store().workers(Now::Database).await.unwrap();
    let row = workers.iter().find(|row| row.id == name).unwrap();
    assert_eq!((row.state, row.end_reason.is_some()), (WorkerState::Gone, true));
    check_consistent(&db.client).await;
}

async fn a_graceful_stop_drops_handlers_that_do_not_listen(db: Db) {
    let dropped = Arc::new(AtomicBool::new(false));
    let worker = Worker::builder(&db.client).register(deaf(&dropped)).stop_grace(Duration::from_millis(100));
    let worker = worker.start().await.unwrap();
    let id = enqueue(&db.client, "deaf").await;
    running(&db, id).await;
    worker.stop_gracefully(Duration::ZERO).await;
    assert!(dropped.load(Ordering::SeqCst));
    let job = db.client.job(id).await.unwrap();
    assert_eq!((job.status, job.attempts), (Status::Queued, 0));
}

async fn a_stopping_worker_takes_no_more_jobs_but_notices_a_cancel(db: Db) {
    let (told, mut reasons) = mpsc::unbounded_channel();
    let worker = Worker::builder(&db.client).register(obedient(told)).start().await.unwrap();
    let name = worker.id();
    let id = enqueue(&db.client, "canceled while stopping").await;
    running(&db, id).await;
    let stopping = tokio::spawn(worker.stop_gracefully(HANG));
    until("it drains", || async {
        let workers = db.store().workers(Now::Database).await.unwrap();
        workers.iter().any(|row| row.id == name && row.state == WorkerState::Draining).then_some(())
    })
    .await;
    let late = enqueue(&db.client, "too late").await;
    db.client.cancel(id).await.unwrap();
    let reason = tokio::time::timeout(Duration::from_secs(2), reasons.recv()).await.expect("told in time");
    assert_eq!(reason, Some(StopReason::Canceled));
    assert_eq!(stopping.await.unwrap(), 0);
    let job = db.client.job(late).await.unwrap();
    assert_eq!((job.status, job.attempts), (Status::Queued, 0));
}

async fn dropping_a_worker_stops_its_handlers(db: Db) {
    let (told, mut reasons) = mpsc::unbounded_channel();
    let worker = Worker::builder(&db.client).register(obedient(told)).start().await.unwrap();
    let id = enqueue(&db.client, "orphan").await;
    running(&db, id).await;
    drop(worker);
    let reason = tokio::time::timeout(Duration::from_secs(1), reasons.recv()).await.expect("told in time");
    assert_eq!(reason, Some(StopReason::LeaseLost));
    // Nobody says anything about the job any more: it is for the watchdog to find.
    let standing = db.client.explain(id, &RescuePolicy::default()).await.unwrap();
    assert_eq!(standing.kind, Kind::Running);
}

async fn a_job_that_is_retried_while_it_runs_is_taken_from_its_handler(db: Db) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let (told, mut reasons) = mpsc::unbounded_channel();
    let meeting = Arc::new(tokio::sync::Barrier::new(2));
    // The first run is slow to stop, so that the second begins in the same worker beside it.
    let handler = move |job: Task, ctx: JobContext| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        let (told, meeting) = (told.clone(), Arc::clone(&meeting));
        async move {
            if job.name == "pair" {
                meeting.wait().await;
            } else if run == 0 {
                let _ = told.send(ctx.stopped().await);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Ok(())
        }
    };
    let worker = Worker::builder(&db.client).register(handler).queue("default", 2).start().await.unwrap();
    let id = enqueue(&db.client, "again").await;
    running(&db, id).await;
    db.client.retry(id).await.unwrap();
    let job = ended(&db.client, id).await;
    assert_eq!((job.status, job.attempts), (Status::Succeeded, 1));
    assert_eq!(reasons.recv().await, Some(StopReason::LeaseLost));
    eventually("the first run's success is refused", || worker.stats().fenced == 1).await;
    assert_eq!((worker.stats().held, worker.stats().settled), (0, 1));
    // Both slots are free again: two jobs that wait for each other end.
    let pair = [
        db.client.enqueue(task("pair")).await.unwrap().id,
        db.client.enqueue(task("pair")).await.unwrap().id,
    ];
    for id in pair {
        assert_eq!(ended(&db.client, id).await.status, Status::Succeeded);
    }
}

on_each_engine!(
    a_time_out_stops_the_handler_and_the_job_is_retried,
    a_handler_that_ignores_its_time_out_is_dropped_after_the_grace,
    a_canceled_job_is_told_within_a_second,
    a_cancel_by_another_process_is_noticed_soon,
    a_success_after_the_cancel_is_refused,
    a_graceful_stop_waits_for_short_jobs,
    a_graceful_stop_gives_long_jobs_back_without_using_an_attempt,
    a_graceful_stop_drops_handlers_that_do_not_listen,
    a_stopping_worker_takes_no_more_jobs_but_notices_a_cancel,
    dropping_a_worker_stops_its_handlers,
    a_job_that_is_retried_while_it_runs_is_taken_from_its_handler,
);
