//! Time-outs, cancellation and shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jobforge::core::job::QueuedBecause;
use jobforge::core::standing::Kind;
use jobforge::core::standing::Rules;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::core::worker::WorkerState;
use jobforge::{JobContext, JobError, StopReason, clock};
use tokio::sync::mpsc;

use crate::common::{
    Db, DropFlag, HANG, SELDOM, Task, check_consistent, ended, ended_detail, enqueue, eventually, task, until,
};

type Run = BoxFuture<'static, Result<(), JobError>>;

/// A handler that never ends by itself and does not listen; the flags say that it began and that it was dropped.
fn deaf() -> (impl Fn(Task, JobContext) -> Run + Send + Sync + 'static, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (begun, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begins, drops) = (Arc::clone(&begun), Arc::clone(&dropped));
    let handler = move |_, _| -> Run {
        let flag = DropFlag(Arc::clone(&drops));
        begins.store(true, Ordering::SeqCst);
        Box::pin(async move {
            let _flag = flag;
            std::future::pending().await
        })
    };
    (handler, begun, dropped)
}

/// A handler that ends when it is told to, and what it says of that.
fn obedient() -> (impl Fn(Task, JobContext) -> Run + Send + Sync + 'static, Told) {
    let (tell, told) = mpsc::unbounded_channel();
    let handler = move |_, ctx: JobContext| -> Run {
        let tell = tell.clone();
        Box::pin(async move {
            let _ = tell.send(None);
            let _ = tell.send(Some(ctx.stopped().await));
            Err(JobError::stopped())
        })
    };
    (handler, Told(told))
}

/// What the obedient handler says: nothing when it begins, and why it was told to stop.
struct Told(mpsc::UnboundedReceiver<Option<StopReason>>);

impl Told {
    async fn begins(&mut self) {
        let word = tokio::time::timeout(HANG, self.0.recv()).await.expect("a handler");
        assert_eq!(word.expect("a worker"), None);
    }

    async fn stops(&mut self) -> StopReason {
        let word = tokio::time::timeout(HANG, self.0.recv()).await.expect("told in time");
        word.expect("a worker").expect("a reason")
    }
}

async fn a_time_out_stops_the_handler_and_the_job_is_retried(db: Db) {
    let (handler, mut told) = obedient();
    let _worker = db.worker().register(handler).start().await.unwrap();
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
    told.begins().await;
    assert_eq!(told.stops().await, StopReason::TimedOut);
}

async fn a_handler_that_ignores_its_time_out_is_dropped_after_the_grace(db: Db) {
    let (handler, begun, dropped) = deaf();
    let worker = db.worker().register(handler).stop_grace(Duration::from_millis(300));
    let _worker = worker.default_timeout(Duration::from_millis(200)).start().await.unwrap();
    let id = db.client.enqueue(task("deaf")).max_attempts(1).await.unwrap().id;
    eventually("it runs", || begun.load(Ordering::SeqCst)).await;
    let began = clock::monotonic();
    let job = ended(&db.client, id).await;
    let took = clock::monotonic().duration_since(began);
    assert!(took < HANG / 2, "it was waited for: {took:?}");
    assert!(dropped.load(Ordering::SeqCst), "the handler still runs");
    assert_eq!((job.status, job.error.unwrap().kind.as_str()), (Status::Dead, "timeout"));
}

async fn a_canceled_job_is_told(db: Db) {
    let mut events = db.store().subscribe();
    let (handler, mut told) = obedient();
    let worker = db.worker().register(handler).poll(SELDOM).start().await.unwrap();
    let id = enqueue(&db.client, "unwanted").await;
    told.begins().await;
    // Whoever hears anything listens by now; a cancel before that is noticed with the next look around.
    tokio::time::timeout(HANG, events.recv()).await.expect("an event").unwrap();
    db.client.cancel(id).await.unwrap();
    let reason = told.stops().await;
    assert_eq!(reason, StopReason::Canceled);
    eventually("the slot is free again", || worker.stats().held == 0).await;
    assert_eq!(db.client.job(id).await.unwrap().status, Status::Canceled);
    assert_eq!(worker.stats().settled, 0);
}

async fn a_cancel_by_another_process_is_noticed(db: Db) {
    let (handler, mut told) = obedient();
    let _worker = db.worker().register(handler).poll(SELDOM).start().await.unwrap();
    let id = enqueue(&db.client, "unwanted").await;
    told.begins().await;
    db.visit().await.cancel(id).await.unwrap();
    let reason = told.stops().await;
    assert_eq!(reason, StopReason::Canceled);
}

async fn a_success_after_the_cancel_is_refused(db: Db) {
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let stubborn = move |_: Task, ctx: JobContext| {
        begins.store(true, Ordering::SeqCst);
        async move {
            ctx.stopped().await;
            Ok(())
        }
    };
    let worker = db.worker().register(stubborn).start().await.unwrap();
    let id = enqueue(&db.client, "too late").await;
    eventually("it runs", || begun.load(Ordering::SeqCst)).await;
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
    let worker = db.worker().register(short).start().await.unwrap();
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
    let (handler, mut told) = obedient();
    let worker = db.worker().register(handler).start().await.unwrap();
    let name = worker.id();
    let id = enqueue(&db.client, "long").await;
    told.begins().await;
    assert_eq!(worker.stop_gracefully(Duration::from_millis(50)).await, 1);
    assert_eq!(told.stops().await, StopReason::Shutdown);
    let job = db.client.job(id).await.unwrap();
    assert_eq!((job.status, job.queued_because, job.attempts), (Status::Queued, QueuedBecause::Release, 0));
    let workers = db.store().workers(Now::Database).await.unwrap();
    let row = workers.iter().find(|row| row.id == name).unwrap();
    assert_eq!((row.state, row.end_reason.is_some()), (WorkerState::Gone, true));
    check_consistent(&db.client).await;
}

async fn a_graceful_stop_drops_handlers_that_do_not_listen(db: Db) {
    let (handler, begun, dropped) = deaf();
    let worker = db.worker().register(handler).stop_grace(Duration::from_millis(100));
    let worker = worker.start().await.unwrap();
    let id = enqueue(&db.client, "deaf").await;
    eventually("it runs", || begun.load(Ordering::SeqCst)).await;
    worker.stop_gracefully(Duration::ZERO).await;
    assert!(dropped.load(Ordering::SeqCst));
    let job = db.client.job(id).await.unwrap();
    assert_eq!((job.status, job.attempts), (Status::Queued, 0));
}

async fn a_stop_at_any_moment_leaves_no_job_running(db: Db) {
    for round in 0..24 {
        let (handler, _told) = obedient();
        let id = enqueue(&db.client, "interrupted").await;
        let worker = db.worker().register(handler).start().await.unwrap();
        // From before its first claim to well after it.
        tokio::time::sleep(Duration::from_micros(300 * round)).await;
        let stopped = tokio::time::timeout(HANG / 2, worker.stop_gracefully(Duration::ZERO)).await;
        stopped.expect("the stop ends soon");
        let job = db.client.job(id).await.unwrap();
        assert_eq!((job.status, job.attempts), (Status::Queued, 0), "round {round}");
    }
}

async fn a_stopping_worker_takes_no_more_jobs_but_notices_a_cancel(db: Db) {
    let (handler, mut told) = obedient();
    let worker = db.worker().register(handler).start().await.unwrap();
    let name = worker.id();
    let id = enqueue(&db.client, "canceled while stopping").await;
    told.begins().await;
    let stopping = tokio::spawn(worker.stop_gracefully(HANG));
    until("it drains", || async {
        let workers = db.store().workers(Now::Database).await.unwrap();
        workers.iter().any(|row| row.id == name && row.state == WorkerState::Draining).then_some(())
    })
    .await;
    let late = enqueue(&db.client, "too late").await;
    db.client.cancel(id).await.unwrap();
    let reason = told.stops().await;
    assert_eq!(reason, StopReason::Canceled);
    assert_eq!(stopping.await.unwrap(), 0);
    let job = db.client.job(late).await.unwrap();
    assert_eq!((job.status, job.attempts), (Status::Queued, 0));
}

async fn dropping_a_worker_stops_its_handlers(db: Db) {
    let (handler, mut told) = obedient();
    let worker = db.worker().register(handler).start().await.unwrap();
    let id = enqueue(&db.client, "orphan").await;
    told.begins().await;
    drop(worker);
    let reason = told.stops().await;
    assert_eq!(reason, StopReason::LeaseLost);
    // Nobody says anything about the job any more: it is for the watchdog to find.
    let standing = db.client.explain(id, &Rules::default()).await.unwrap();
    assert_eq!(standing.kind, Kind::Running);
}

async fn a_job_that_is_retried_while_it_runs_is_taken_from_its_handler(db: Db) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let (tell, told) = mpsc::unbounded_channel();
    let mut told = Told(told);
    let meeting = Arc::new(tokio::sync::Barrier::new(2));
    // The first run is slow to stop, so that the second begins in the same worker beside it.
    let handler = move |job: Task, ctx: JobContext| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        let (tell, meeting) = (tell.clone(), Arc::clone(&meeting));
        async move {
            if job.name == "pair" {
                meeting.wait().await;
            } else if run == 0 {
                let _ = tell.send(None);
                let _ = tell.send(Some(ctx.stopped().await));
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Ok(())
        }
    };
    let worker = db.worker().register(handler).queue("default", 2).start().await.unwrap();
    let id = enqueue(&db.client, "again").await;
    told.begins().await;
    db.client.retry(id).await.unwrap();
    let job = ended(&db.client, id).await;
    assert_eq!((job.status, job.attempts), (Status::Succeeded, 1));
    assert_eq!(told.stops().await, StopReason::LeaseLost);
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

on_each_engine_and_pooler!(
    a_time_out_stops_the_handler_and_the_job_is_retried,
    a_handler_that_ignores_its_time_out_is_dropped_after_the_grace,
    a_canceled_job_is_told,
    a_cancel_by_another_process_is_noticed,
    a_success_after_the_cancel_is_refused,
    a_graceful_stop_waits_for_short_jobs,
    a_graceful_stop_gives_long_jobs_back_without_using_an_attempt,
    a_graceful_stop_drops_handlers_that_do_not_listen,
    a_stop_at_any_moment_leaves_no_job_running,
    a_stopping_worker_takes_no_more_jobs_but_notices_a_cancel,
    dropping_a_worker_stops_its_handlers,
    a_job_that_is_retried_while_it_runs_is_taken_from_its_handler,
);
