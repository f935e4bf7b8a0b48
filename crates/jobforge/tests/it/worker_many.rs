//! Many jobs on several workers: each runs exactly once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jobforge::JobContext;
use jobforge::core::job::{JobId, Lease};
use jobforge::core::state::Status;
use jobforge::store::rows::JobFilter;

use crate::common::{Db, Task, check_consistent, eventually, task};

const JOBS: usize = 3000;
const PER_CALL: usize = 600;

async fn three_thousand_jobs_on_two_workers_each_run_once(db: Db) {
    let ledger: Arc<Mutex<HashMap<JobId, Vec<Lease>>>> = Arc::default();
    let noted = Arc::clone(&ledger);
    let note = move |_: Task, ctx: JobContext| {
        noted.lock().unwrap().entry(ctx.id()).or_default().push(ctx.fence());
        async { Ok(()) }
    };
    let workers = [
        db.worker().register(note.clone()).queue("default", 20).start().await.unwrap(),
        db.worker_elsewhere().await.register(note).queue("default", 20).start().await.unwrap(),
    ];
    let mut ids = Vec::with_capacity(JOBS);
    for batch in 0..JOBS / PER_CALL {
        let jobs = (0..PER_CALL).map(|n| db.client.enqueue(task(format!("{batch}-{n}")))).collect();
        ids.extend(db.client.enqueue_many(jobs).await.unwrap().into_iter().map(|receipt| receipt.id));
    }
    let settled = || workers.iter().map(|worker| worker.stats().settled).sum::<u64>();
    eventually("all have run", || settled() == JOBS as u64).await;
    for worker in &workers {
        assert_eq!((worker.stats().fenced, worker.stats().held), (0, 0));
        assert!(worker.stats().claimed > 0, "one worker did everything");
    }
    let ledger = ledger.lock().unwrap().clone();
    assert_eq!(ledger.len(), JOBS);
    for id in ids {
        assert_eq!(ledger[&id], [Lease(1)], "job {id}");
    }
    let open =
        JobFilter { statuses: vec![Status::Queued, Status::Running], limit: 10, ..JobFilter::default() };
    assert!(db.client.jobs(&open).await.unwrap().is_empty());
    check_consistent(&db.client).await;
}

on_each_engine!(three_thousand_jobs_on_two_workers_each_run_once);
