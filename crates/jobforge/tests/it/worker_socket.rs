//! A worker and the server that it speaks to over a socket.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobforge::core::job::{JobId, Lease};
use jobforge::core::state::Status;
use jobforge::remote::RemoteStore;
use jobforge::store::StoreError;
use jobforge::store::rows::JobFilter;
use jobforge::{JobContext, Worker, clock};
use tokio::sync::mpsc;

use crate::common::{SELDOM, SocketServer, Task, check_consistent, eventually, sqlite, task, until};

const JOBS: usize = 1500;
const RESTARTS: usize = 6;

type Ledger = Arc<Mutex<HashMap<JobId, Vec<Lease>>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_under_load_loses_nothing_and_runs_nothing_twice() {
    let db = sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sock");
    let mut server = SocketServer::begin(&db.client, &path);
    let ledger = Ledger::default();
    let noted = Arc::clone(&ledger);
    let work = move |_: Task, ctx: JobContext| {
        noted.lock().unwrap().entry(ctx.id()).or_default().push(ctx.fence());
        async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        }
    };
    let worker = Worker::on(Arc::new(RemoteStore::at(&path))).register(work).queue("default", 8);
    let worker = worker.start().await.unwrap();
    let name = worker.id();
    let jobs = (0..JOBS).map(|n| db.client.enqueue(task(n.to_string()))).collect();
    db.client.enqueue_many(jobs).await.unwrap();
    for share in 1..=RESTARTS {
        eventually("some jobs are done", || worker.stats().settled as usize >= JOBS * share / (RESTARTS + 1))
            .await;
        server.end().await;
        server = SocketServer::begin(&db.client, &path);
    }
    eventually("all are done", || worker.stats().settled as usize >= JOBS).await;
    assert_eq!((worker.stats().settled as usize, worker.stats().fenced, worker.id()), (JOBS, 0, name));
    let ledger = ledger.lock().unwrap().clone();
    assert_eq!(ledger.len(), JOBS);
    assert!(ledger.values().all(|runs| *runs == [Lease(1)]), "a job ran twice");
    let open =
        JobFilter { statuses: vec![Status::Queued, Status::Running], limit: 10, ..JobFilter::default() };
    assert!(db.client.jobs(&open).await.unwrap().is_empty());
    check_consistent(&db.client).await;
    server.end().await;
    assert!(!path.exists(), "the socket is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_starts_without_a_poll() {
    let db = crate::common::socket().await;
    let (begun, mut begins) = mpsc::unbounded_channel();
    let work = move |_: Task, _: JobContext| {
        let _ = begun.send(clock::monotonic());
        async { Ok(()) }
    };
    // It polls so seldom that only a signal can have told it.
    let worker = db.worker().register(work).poll(SELDOM).start().await.unwrap();
    let mut took = Vec::new();
    for n in 0..21 {
        let enqueued = clock::monotonic();
        db.client.enqueue(task(n.to_string())).await.unwrap();
        let begun = begins.recv().await.expect("a run");
        took.push(begun.duration_since(enqueued));
        let settled = n + 1;
        eventually("it is settled", || worker.stats().settled == settled).await;
    }
    took.sort();
    assert!(took[10] < SELDOM.interval / 100, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_kept_while_no_server_is_there() {
    let db = sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sock");
    let server = SocketServer::begin(&db.client, &path);
    let (go, gone) = tokio::sync::watch::channel(false);
    let work = move |_: Task, _: JobContext| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|gone| *gone).await;
            Ok(())
        }
    };
    let worker = Worker::on(Arc::new(RemoteStore::at(&path))).register(work).start().await.unwrap();
    let id = db.client.enqueue(task("patient")).await.unwrap().id;
    eventually("it runs", || worker.stats().held == 1).await;
    server.end().await;
    go.send(true).unwrap();
    eventually("the handler has ended", || worker.stats().held == 0).await;
    assert_eq!(db.client.job(id).await.unwrap().status, Status::Running);
    let _server = SocketServer::begin(&db.client, &path);
    until("its end is told", || async {
        let job = db.client.job(id).await.unwrap();
        (job.status == Status::Succeeded && job.attempts == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_socket_is_for_its_user_alone_and_takes_the_place_of_a_dead_one() {
    let db = sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sock");
    // What a process that was killed leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let remote = RemoteStore::at(&path);
    assert!(matches!(remote.reach().await, Err(StoreError::Unreachable { .. })));
    let _server = SocketServer::begin(&db.client, &path);
    remote.reach().await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
