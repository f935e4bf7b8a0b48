//! How soon jobs start.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jobforge::{JobContext, Worker, clock};
use tokio::sync::mpsc;

use crate::common::{Db, HANG, SELDOM, Task, ended, enqueue, eventually, task};

/// How soon an idle worker starts what is enqueued. A bound for a busy machine, not a measurement.
const WOKEN_WITHIN: Duration = Duration::from_secs(1);
/// How soon after its time a waiting job starts.
const ON_TIME_WITHIN: Duration = Duration::from_millis(100);
/// Tries at being that prompt.
const TRIES: usize = 8;

/// A worker that polls so seldom that only being told makes it start a job, and the moments at which it starts them.
async fn idle_worker(db: &Db) -> (Worker, mpsc::UnboundedReceiver<Instant>) {
    let (started, mut starts) = mpsc::unbounded_channel();
    let note = move |_: Task, _: JobContext| {
        let _ = started.send(clock::monotonic());
        async { Ok(()) }
    };
    let worker = db.worker().register(note).poll(SELDOM).start().await.unwrap();
    // The first job shows that the worker listens.
    enqueue(&db.client, "first").await;
    start(&mut starts).await;
    (worker, starts)
}

async fn start(starts: &mut mpsc::UnboundedReceiver<Instant>) -> Instant {
    tokio::time::timeout(HANG, starts.recv()).await.expect("a start").expect("a worker")
}

/// Tries until a start came within `bound`. A machine that has other things to do may be late now and then; a worker
/// that is not told, or sleeps past a job's time, is late every time.
async fn check_prompt(bound: Duration, mut lateness: impl AsyncFnMut() -> Duration) {
    let mut seen = Vec::new();
    while seen.len() < TRIES {
        let late = lateness().await;
        if late <= bound {
            return;
        }
        seen.push(late);
    }
    panic!("always late: {seen:?}");
}

async fn an_idle_worker_is_woken_by_an_enqueue(db: Db) {
    let (_worker, mut starts) = idle_worker(&db).await;
    check_prompt(WOKEN_WITHIN, async || {
        let enqueued = clock::monotonic();
        enqueue(&db.client, "next").await;
        start(&mut starts).await.duration_since(enqueued)
    })
    .await;
}

async fn an_idle_worker_is_woken_by_another_process(db: Db) {
    let (_worker, mut starts) = idle_worker(&db).await;
    let visitor = db.visit().await;
    check_prompt(WOKEN_WITHIN, async || {
        let enqueued = clock::monotonic();
        enqueue(&visitor, "from elsewhere").await;
        start(&mut starts).await.duration_since(enqueued)
    })
    .await;
}

async fn a_delayed_job_starts_when_its_time_has_come(db: Db) {
    let (_worker, mut starts) = idle_worker(&db).await;
    let delay = Duration::from_millis(500);
    check_prompt(ON_TIME_WITHIN, async || {
        let enqueued = clock::monotonic();
        db.client.enqueue(task("later")).delay(delay).await.unwrap();
        let waited = start(&mut starts).await.duration_since(enqueued);
        assert!(waited >= delay, "{waited:?}");
        waited - delay
    })
    .await;
}

async fn a_job_planned_for_a_moment_starts_then(db: Db) {
    let (_worker, mut starts) = idle_worker(&db).await;
    check_prompt(ON_TIME_WITHIN, async || {
        let moment = db.store().now().await.unwrap() + Duration::from_millis(500);
        let id = db.client.enqueue(task("at a moment")).run_at(moment).await.unwrap().id;
        // The earlier plan is not forgotten over a later one.
        db.client.enqueue(task("much later")).delay(Duration::from_secs(3600)).await.unwrap();
        start(&mut starts).await;
        let started = ended(&db.client, id).await.started_at.unwrap();
        Duration::try_from(started.duration_since(moment)).expect("not before its time")
    })
    .await;
}

async fn many_short_jobs_wait_for_no_poll(db: Db) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let count = move |_: Task, _: JobContext| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    };
    let worker = db.worker().register(count).queue("default", 3).poll(SELDOM).start().await.unwrap();
    for batch in 0..5 {
        let jobs = (0..50).map(|n| db.client.enqueue(task(format!("{batch}-{n}")))).collect();
        db.client.enqueue_many(jobs).await.unwrap();
    }
    eventually("all have run", || worker.stats().settled == 250).await;
    assert_eq!(runs.load(Ordering::SeqCst), 250);
}

on_each_engine!(
    an_idle_worker_is_woken_by_an_enqueue,
    an_idle_worker_is_woken_by_another_process,
    a_delayed_job_starts_when_its_time_has_come,
    a_job_planned_for_a_moment_starts_then,
    many_short_jobs_wait_for_no_poll,
);
