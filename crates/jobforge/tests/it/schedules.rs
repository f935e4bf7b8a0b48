//! Schedules that a program declares beside its handlers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jobforge::core::schedule::{Definition, Overlap, ScheduleState, Source};
use jobforge::core::time::Now;
use jobforge::services::Scheduler;
use jobforge::store::rows::Fired;
use jobforge::{Error, JobContext, JobError, Worker, WorkerBuilder, clock};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::common::{Db, Task, eventually, task, until};

const TICK: &str = "tick";

async fn do_nothing(_: Task, _: JobContext) -> Result<(), JobError> {
    Ok(())
}

fn declaring(db: &Db, every: &str) -> WorkerBuilder {
    let every = every.to_owned();
    Worker::builder(&db.client)
        .register(do_nothing)
        .schedule(TICK, task("scheduled"), move |when| when.every(every).overlap(Overlap::Allow))
}

async fn start_and_stop(worker: WorkerBuilder) {
    worker.start().await.unwrap().stop_gracefully(Duration::from_secs(5)).await;
}

async fn what_a_worker_declares_is_fired_and_run_by_its_handler(db: Db) {
    let ran = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ran);
    let handler = move |job: Task, _: JobContext| {
        let counter = Arc::clone(&counter);
        async move {
            assert_eq!(job.name, "by itself");
            counter.fetch_add(1, Ordering::SeqCst);
            Ok::<(), JobError>(())
        }
    };
    let worker = Worker::builder(&db.client)
        .register(handler)
        .schedule(TICK, task("by itself"), |when| when.every("1s"))
        .start()
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let firing = tokio::spawn(Scheduler::new(db.store().clone()).run(stop.clone()));
    eventually("two seconds fire", || ran.load(Ordering::SeqCst) >= 2).await;
    let known = until("a success is noted", || async {
        let known = db.client.find_schedule(TICK).await.unwrap();
        known.schedule.last_success_at.is_some().then_some(known)
    })
    .await;
    assert_eq!((known.schedule.source, known.state), (Source::Code, ScheduleState::Ok));
    assert_eq!(known.schedule.definition.job_type, "test.task");
    assert_eq!(known.schedule.definition.max_attempts, Some(3), "what the type says holds for its schedules");
    stop.cancel();
    firing.await.unwrap();
    worker.stop_gracefully(Duration::from_secs(5)).await;
}

async fn a_worker_that_starts_again_leaves_alone_what_people_have_changed(db: Db) {
    start_and_stop(declaring(&db, "5m")).await;
    db.client.pause_schedule(TICK, None).await.unwrap();
    let patch = json!({ "every": "2m" }).as_object().unwrap().clone();
    db.client.patch_schedule(TICK, patch, None).await.unwrap();
    start_and_stop(declaring(&db, "5m")).await;
    let kept = db.client.find_schedule(TICK).await.unwrap();
    assert_eq!(kept.when, "every 2 minutes", "the program says what it said before");
    assert!(kept.schedule.paused.is_some());
    // What it says anew counts, but for the pause.
    start_and_stop(declaring(&db, "10m")).await;
    let changed = db.client.find_schedule(TICK).await.unwrap();
    assert_eq!(changed.when, "every 10 minutes");
    assert!(changed.schedule.paused.is_some(), "a pause outlives every program");
    // Taken out of the program it stays until somebody removes it.
    start_and_stop(Worker::builder(&db.client).register(do_nothing)).await;
    assert!(db.client.find_schedule(TICK).await.is_ok());
}

async fn a_schedule_that_makes_no_sense_keeps_the_worker_from_starting(db: Db) {
    let refused = |worker: WorkerBuilder| async move {
        match worker.start().await {
            Err(Error::BadWorker(why)) => why,
            other => panic!("it should not start: {other:?}"),
        }
    };
    let why = refused(declaring(&db, "soon")).await;
    assert!(why.contains("soon"), "{why}");
    let twice = declaring(&db, "5m").schedule(TICK, task("again"), |when| when.every("1m"));
    assert!(refused(twice).await.contains("tick is declared twice"));
    assert!(
        db.store()
            .schedules(&jobforge::store::rows::ScheduleFilter { limit: 10, ..Default::default() })
            .await
            .unwrap()
            .is_empty()
    );
    assert!(db.store().workers(Now::Database).await.unwrap().is_empty(), "it has not registered either");
}

/// With nothing due for ten seconds, nobody waits so long.
async fn a_scheduler_that_rests_is_woken_by_a_new_schedule(db: Db) {
    const BEFORE_ITS_REST_ENDS: Duration = Duration::from_secs(6);
    let passes: Arc<Mutex<Vec<Option<Timestamp>>>> = Arc::default();
    let told = Arc::clone(&passes);
    let note = move |step: &Fired| told.lock().unwrap().push(step.next_due);
    let stop = CancellationToken::new();
    let firing = tokio::spawn(Scheduler::new(db.store().clone()).telling(note).run(stop.clone()));
    eventually("it has looked", || !passes.lock().unwrap().is_empty()).await;
    let begun = clock::monotonic();
    let definition = Definition { every: Some("1h".to_owned()), ..Definition::new(TICK, "test.task") };
    db.client.add_schedule(definition, Source::Api).await.unwrap();
    eventually("it knows the new moment", || passes.lock().unwrap().last().is_some_and(Option::is_some))
        .await;
    let took = clock::monotonic().duration_since(begun);
    assert!(took < BEFORE_ITS_REST_ENDS, "it was not woken: {took:?}");
    stop.cancel();
    firing.await.unwrap();
}

on_each_engine!(
    a_scheduler_that_rests_is_woken_by_a_new_schedule,
    what_a_worker_declares_is_fired_and_run_by_its_handler,
    a_worker_that_starts_again_leaves_alone_what_people_have_changed,
    a_schedule_that_makes_no_sense_keeps_the_worker_from_starting,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_a_database_of_its_own_says_who_must_declare() {
    let db = crate::common::socket().await;
    let worker = db.worker().register(do_nothing).schedule(TICK, task("x"), |when| when.every("5m"));
    let refused = worker.start().await.unwrap_err().to_string();
    assert!(refused.contains("with a client of the database"), "{refused}");
}
