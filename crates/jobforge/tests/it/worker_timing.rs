//! How soon jobs start.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jobforge::{JobContext, Worker, clock};
use tokio::sync::mpsc;

use crate::common::{Db, SELDOM, Task, ended, enqueue, task};

/// A worker that polls so seldom that only being told makes it start a job, and the moments at which it starts them.
async fn idle_worker(db: &Db) -> (Worker, mpsc::UnboundedReceiver<std::time::Instant>) {
    let (started, starts) = mpsc::unbounded_channel();
    let note = move |_: Task, _: JobContext| {
        let _ = started.send(clock::monotonic());
        async { Ok(()) }
    };
    let worker = Worker::builder(&db.client).register(note).poll(SELDOM).start().await.unwrap();
    let mut worker_and_starts = (worker, starts);
    // The first job shows that the worker listens.
    enqueue(&db.client, "first").await;
    worker_and_starts.1.recv().await.unwrap();
    worker_and_starts
}

async fn an_idle_worker_is_woken_by_an_enqueue(db: Db) {
    let (_worker, mut starts) = idle_worker(&db).await;
    for _ in 0..10 {
        let enqueued = clock::monotonic();
        enqueue(&db.client, "next").await;
        let wait = starts.recv().await.unwrap().duration_since(enqueued);
        assert!(wait < Duration::from_secs(1), "{wait:?}");
    }
}

async fn an_idle_worker_is_woken_by_another_process(db: Db) {
    let (_worker, mut starts) = idle_worker(&db).await;
    let visitor = db.visit().await;
    let enqueued = clock::monotonic();
    enqueue(&visitor, "from elsewhere").await;
    let wait = starts.recv().await.unwrap().duration_since(enqueued);
    assert!(wait < Duration::from_secs(1), "{wait:?}");
}

async fn a_delayed_job_starts_when_its_time_has_come(db: Db) {
    let (_worker, mut starts) = idle_worker(&db).await;
    let delay = Duration::from_millis(700);
    let enqueued = clock::monotonic();
    db.client.enqueue(task("later")).delay(delay).await.unwrap();
    let wait = starts.recv().await.unwrap().duration_since(enqueued);
    // 100 ms on an idle machine; the rest is room for a busy one.
    assert!(wait >= delay && wait < delay + Duration::from_millis(300), "{wait:?}");
}

async fn a_job_planned_for_a_moment_starts_then(db: Db) {
    let (_worker, mut starts) = idle_worker(&db).await;
    let moment = db.store().now().await.unwrap() + Duration::from_millis(400);
    let id = db.client.enqueue(task("at a moment")).run_at(moment).await.unwrap().id;
    // The earlier plan is not forgotten over a later one.
    db.client.enqueue(task("much later")).delay(Duration::from_secs(3600)).await.unwrap();
    starts.recv().await.unwrap();
    let late = ended(&db.client, id).await.started_at.unwrap().duration_since(moment).as_millis();
    assert!((0..300).contains(&late), "{late} ms");
}

async fn many_short_jobs_wait_for_no_poll(db: Db) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let count = move |_: Task, _: JobContext| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    };
    let worker =
        Worker::builder(&db.client).register(count).queue("default", 3).poll(SELDOM).start().await.unwrap();
    for batch in 0..5 {
        let jobs = (0..50).map(|n| db.client.enqueue(task(format!("{batch}-{n}")))).collect();
        db.client.enqueue_many(jobs).await.unwrap();
    }
    crate::common::eventually("all have run", || worker.stats().settled == 250).await;
    assert_eq!(runs.load(Ordering::SeqCst), 250);
}

on_each_engine!(
    an_idle_worker_is_woken_by_an_enqueue,
    an_idle_worker_is_woken_by_another_process,
    a_delayed_job_starts_when_its_time_has_come,
    a_job_planned_for_a_moment_starts_then,
    many_short_jobs_wait_for_no_poll,
);
