//! A database that goes away under a working worker.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobforge::core::heartbeat::BeatPolicy;
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::state::Status;
use jobforge::services::Watchdog;
use jobforge::store::rows::JobFilter;
use jobforge::{JobContext, OpenOptions, clock};
use testkit::postgres::{Cluster, ClusterOptions, Durability, TestDatabase};
use tokio_util::sync::CancellationToken;

use crate::common::{
    Db, HANG, Task, check_consistent, enqueue, eventually, job_when, migrate, open, task, until,
};

const JOBS: usize = 400;

async fn on_a_server_of_its_own() -> (Arc<Cluster>, Db) {
    let options = ClusterOptions { durability: Durability::ServerCrash, ..ClusterOptions::default() };
    let cluster = Arc::new(Cluster::start(&options).unwrap());
    let database = TestDatabase::create_on(cluster.server(), None).unwrap();
    migrate(database.url()).await.unwrap();
    let db = open(OpenOptions::for_url(&database.url()), Box::new(database)).await;
    (cluster, db)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_database_loses_no_job_and_settles_none_twice() {
    let (cluster, db) = on_a_server_of_its_own().await;
    let ran = Arc::new(Mutex::new(HashSet::new()));
    let noted = Arc::clone(&ran);
    let work = move |_: Task, ctx: JobContext| {
        let noted = Arc::clone(&noted);
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            noted.lock().unwrap().insert(ctx.id());
            Ok(())
        }
    };
    // A claim whose answer was lost leaves jobs with a worker that does not know of them: their heartbeat is missed.
    let beat = BeatPolicy {
        enabled: true,
        interval: Duration::from_millis(500),
        max_interval: Duration::from_millis(500),
        multiplier: 1.0,
        threshold: Duration::from_secs(2),
    };
    let patient = RescuePolicy { max_misses: 100, ..RescuePolicy::default() };
    let stop = CancellationToken::new();
    let watchdog = Watchdog::new(db.store().clone(), patient, Duration::from_millis(200));
    let watchdog = tokio::spawn(watchdog.run(stop.clone()));
    let jobs = (0..JOBS).map(|n| db.client.enqueue(task(n.to_string())).max_attempts(50)).collect();
    let ids: Vec<_> =
        db.client.enqueue_many(jobs).await.unwrap().into_iter().map(|receipt| receipt.id).collect();
    let worker = db.worker().register(work).queue("default", 4).heartbeat(beat).start().await.unwrap();
    for share in [1, 2] {
        eventually("some jobs are done", || worker.stats().settled as usize > JOBS * share / 4).await;
        let cluster = Arc::clone(&cluster);
        tokio::task::spawn_blocking(move || cluster.restart_immediate()).await.unwrap().unwrap();
    }
    eventually("all are done", || worker.stats().settled as usize >= JOBS).await;
    let open =
        JobFilter { statuses: vec![Status::Queued, Status::Running], limit: 10, ..JobFilter::default() };
    until("nothing is left", || async { db.client.jobs(&open).await.ok().filter(Vec::is_empty) }).await;
    let done = db
        .client
        .jobs(&JobFilter { statuses: vec![Status::Succeeded], limit: 1000, ..JobFilter::default() })
        .await;
    assert_eq!(done.unwrap().len(), JOBS);
    assert_eq!(worker.stats().settled as usize, JOBS, "a job was settled twice");
    assert_eq!(*ran.lock().unwrap(), ids.into_iter().collect());
    stop.cancel();
    watchdog.await.unwrap();
    worker.stop_gracefully(HANG).await;
    check_consistent(&db.client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_ends_even_without_the_database() {
    let (cluster, db) = on_a_server_of_its_own().await;
    let work = |_: Task, _: JobContext| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    };
    let lease = Duration::from_secs(3);
    let worker = db.worker().register(work).lease(lease).start().await.unwrap();
    let id = enqueue(&db.client, "unlucky").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    cluster.stop_immediate().unwrap();
    let began = clock::monotonic();
    // Its lease has run out by then, so there is nothing left that this worker could say.
    tokio::time::timeout(lease * 3, worker.stop_gracefully(Duration::from_secs(1))).await.expect("it ends");
    let took = clock::monotonic().duration_since(began);
    assert!(took < lease * 2, "{took:?}");
}
