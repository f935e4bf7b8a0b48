//! Restarting as it was told, and a lease that changes while the worker lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobforge::core::audit::By;
use jobforge::core::job::WorkerId;
use jobforge::core::settings::{Change, Settings};
use jobforge::core::state::Status;
use jobforge::core::time::{Now, since};
use jobforge::core::worker::{WorkerRow, WorkerState};
use jobforge::live::{Follower, OwnSettings};
use jobforge::store::WorkerStore;
use jobforge::store::rows::RestartTold;
use jobforge::{JobContext, JobError, change_settings, clock};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::common::{Db, HANG, SELDOM, Task, ended_detail, enqueue, eventually, job_when, until};

/// Long enough that a restart within a test came because the worker was woken.
const LONG_LEASE: Duration = Duration::from_secs(120);
/// Short enough that the next renewal comes soon where nobody can be woken.
const SHORT_LEASE: Duration = Duration::from_millis(1200);
/// A worker that has not renewed for so long has nothing more to say for a while.
const REST: Duration = Duration::from_secs(1);
/// How long jobs may take when their worker restarts.
const MOMENT: Duration = Duration::from_millis(100);

async fn tell(db: &Db, worker: &WorkerId) {
    let asked = std::slice::from_ref(worker);
    let told = db.store().restart_workers(asked, &By::named("tester"), Now::Database).await.unwrap();
    assert_eq!(told, [RestartTold::Told]);
}

async fn row(db: &Db, worker: &WorkerId) -> WorkerRow {
    let workers = db.store().workers(Now::Database).await.unwrap();
    workers.into_iter().find(|row| row.id == *worker).expect("it is listed")
}

async fn a_worker_that_is_told_to_restart_finishes_what_it_has_and_begins_anew(db: Db) {
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let handler = move |_: Task, _: JobContext| {
        let gate = Arc::clone(&waits);
        async move {
            gate.acquire().await.map_err(|error| JobError::retry("gate", error.to_string()))?.forget();
            Ok(())
        }
    };
    let worker = db.worker_elsewhere().await.register(handler).lease(LONG_LEASE).poll(SELDOM);
    let worker = worker.start().await.unwrap();
    let before = worker.id();
    let held = enqueue(&db.client, "held").await;
    job_when(&db.client, held, "it runs", |job| job.status == Status::Running).await;
    // What woke it at its start must not help it to be seen to drain.
    until("it rests", || async {
        let silent = since(clock::wall(), row(&db, &before).await.last_heartbeat_at);
        (silent > REST).then_some(())
    })
    .await;
    tell(&db, &before).await;
    until("it drains", || async { (row(&db, &before).await.state == WorkerState::Draining).then_some(()) })
        .await;
    let later = enqueue(&db.client, "later").await;
    gate.add_permits(1);
    let detail = ended_detail(&db.client, held).await;
    assert_eq!((detail.job.status, detail.job.last_worker), (Status::Succeeded, Some(before.clone())));
    assert_eq!(detail.attempts.len(), 1, "it lost nothing by it");
    eventually("it is another", || worker.id() != before).await;
    gate.add_permits(1);
    let detail = ended_detail(&db.client, later).await;
    assert_eq!((detail.job.status, detail.job.last_worker), (Status::Succeeded, Some(worker.id())));
    let gone = row(&db, &before).await;
    assert_eq!(gone.state, WorkerState::Gone);
    assert_eq!(gone.end_reason.as_deref(), Some("it restarted, as it was told"));
    assert_eq!(worker.stop_gracefully(HANG).await, 0);
}

async fn a_handler_that_does_not_end_is_stopped_and_its_job_handed_over(db: Db) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let handler = move |_: Task, _: JobContext| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if run == 0 {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    };
    let worker = db.worker().register(handler).lease(LONG_LEASE).drain(MOMENT).stop_grace(MOMENT);
    let worker = worker.start().await.unwrap();
    let before = worker.id();
    let id = enqueue(&db.client, "hangs").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    tell(&db, &before).await;
    let detail = ended_detail(&db.client, id).await;
    let told: Vec<_> = detail.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!((detail.job.status, told), (Status::Succeeded, vec!["released", "succeeded"]));
    assert_eq!((detail.job.attempts, detail.job.misses), (1, 0));
    assert_ne!(worker.id(), before);
}

async fn a_handler_that_blocks_every_thread_does_not_keep_its_worker_from_restarting(db: Db) {
    let (told, mut began) = mpsc::unbounded_channel();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = std::sync::Mutex::new(blocked);
    let block = move |_: Task, _: JobContext| {
        let _ = told.send(());
        // The first one blocks until the test lets it go, in which case nobody sends any more.
        let _ = blocked.lock().map(|blocked| blocked.recv());
        async { Ok(()) }
    };
    let elsewhere = db.worker_elsewhere().await;
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let worker = threads.spawn(async move {
        elsewhere.register(block).lease(SHORT_LEASE).drain(MOMENT).stop_grace(MOMENT).start().await.unwrap()
    });
    let worker = worker.await.unwrap();
    let before = worker.id();
    enqueue(&db.client, "blocks").await;
    tokio::time::timeout(HANG, began.recv()).await.expect("it runs");
    tell(&db, &before).await;
    eventually("it is another", || worker.id() != before).await;
    // Once they let go it works, under its new name.
    drop(release);
    let next = enqueue(&db.client, "next").await;
    let detail = ended_detail(&db.client, next).await;
    assert_eq!((detail.job.status, detail.job.last_worker), (Status::Succeeded, Some(worker.id())));
    drop(worker);
    threads.shutdown_background();
}

async fn a_worker_whose_process_is_to_restart_says_so_and_stays_who_it_is(db: Db) {
    let handler = |_: Task, _: JobContext| async { Ok(()) };
    let worker = db.worker().register(handler).lease(LONG_LEASE).restarts_process(|| {});
    let worker = worker.start().await.unwrap();
    let before = worker.id();
    tell(&db, &before).await;
    tokio::time::timeout(HANG, worker.restart_asked()).await.expect("it is asked");
    let late = enqueue(&db.client, "late").await;
    assert_eq!(worker.id(), before);
    assert_eq!(worker.stop_gracefully(HANG).await, 0);
    assert_eq!(db.client.job(late).await.unwrap().status, Status::Queued);
    assert_eq!(row(&db, &before).await.state, WorkerState::Gone);
}

async fn a_lease_that_is_changed_in_the_settings_is_asked_for_at_once(db: Db) {
    let handler = |_: Task, _: JobContext| async { Ok(()) };
    let store = Arc::clone(db.store()) as Arc<dyn WorkerStore>;
    let (follower, live) = Follower::begin(store, OwnSettings::none(), Settings::defaults()).await;
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    let worker = db.worker().register(handler).settings(&live.now()).live(live).start().await.unwrap();
    let before = worker.id();
    let set = async |lease_ms: u64| {
        let value = Some(lease_ms.to_string());
        let change = Change { key: "worker_lease_ms".to_owned(), value, until: None };
        let by = By::named("tester");
        let report =
            change_settings(&**db.store(), &OwnSettings::none(), &[change], None, &by).await.unwrap();
        assert_eq!(report.changes[0].effect, "live");
    };
    let lasts = async || {
        let row = row(&db, &before).await;
        since(row.lease_expires_at, row.last_heartbeat_at)
    };
    set(90_000).await;
    until("it has a longer lease", || async { (lasts().await == Duration::from_secs(90)).then_some(()) })
        .await;
    // What was given stays until it is over, but the worker renews by the shorter one from now on.
    set(2000).await;
    let given = row(&db, &before).await.lease_expires_at;
    let renewed = async |after| {
        until("it renews", || async {
            Some(row(&db, &before).await.last_heartbeat_at).filter(|at| *at > after)
        })
        .await
    };
    let mut at = row(&db, &before).await.last_heartbeat_at;
    for _ in 0..3 {
        at = renewed(at).await;
    }
    assert!(row(&db, &before).await.lease_expires_at >= given);
    assert_eq!(worker.id(), before, "it was never late");
    assert_eq!(worker.stop_gracefully(HANG).await, 0);
    stop.cancel();
    following.await.unwrap();
}

on_each_engine!(
    a_worker_that_is_told_to_restart_finishes_what_it_has_and_begins_anew,
    a_handler_that_does_not_end_is_stopped_and_its_job_handed_over,
    a_handler_that_blocks_every_thread_does_not_keep_its_worker_from_restarting,
    a_worker_whose_process_is_to_restart_says_so_and_stays_who_it_is,
    a_lease_that_is_changed_in_the_settings_is_asked_for_at_once,
);
