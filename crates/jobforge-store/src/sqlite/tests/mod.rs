//! What is special to this engine; the common meaning is in `testkit::conformance`.

mod durability;
mod opening;
mod plans;
mod searching;
mod waking;
mod writing;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobforge_core::claim::{ClaimAsk, Claimed, QueueAsk, TypeBounds};
use jobforge_core::job::{ClaimedJob, JobId, NewJob, QueuedBecause, RunAt, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::settle::Settlement;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::worker::NewWorker;
use uuid::Uuid;

use super::{SqliteOptions, SqliteStore, Synchronous};
use crate::traits::{Admin, WorkerSide};

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("jobforge-sqlite-{}", Uuid::new_v4()));
        fs::create_dir(&path).expect("scratch directory");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("jobs.db")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(path: &Path) -> SqliteOptions {
    SqliteOptions {
        path: path.to_owned(),
        synchronous: Synchronous::Full,
        slow_query: Duration::from_secs(5),
        exclusive: false,
        create: true,
    }
}

async fn migrated(scratch: &Scratch) -> SqliteStore {
    let store = SqliteStore::open(options(&scratch.file())).expect("open");
    store.migrate().await.expect("migrate");
    store
}

fn job(payload: &str) -> NewJob {
    NewJob {
        id: JobId::new(),
        tenant_id: "default".to_owned(),
        job_type: "email.send".to_owned(),
        queue: "default".to_owned(),
        priority: 0,
        payload: Payload::parse(payload).expect("json"),
        when: RunAt::Now,
        max_attempts: 5,
        timeout: None,
        progress_timeout: None,
        idempotency_key: None,
        tags: Vec::new(),
        traceparent: None,
        created_by: None,
        retry: None,
    }
}

async fn worker(store: &SqliteStore) -> WorkerId {
    let id = WorkerId::random();
    let worker = NewWorker {
        id: id.clone(),
        name: None,
        hostname: "host-a".to_owned(),
        pid: 42,
        queues: vec!["default".to_owned()],
        types: None,
        slots: 10,
        lease: Duration::from_secs(3600),
        lease_scales: false,
        place: None,
        registered_by: None,
    };
    store.register(&worker, Now::Database).await.expect("register");
    id
}

async fn claim(store: &SqliteStore, worker: &WorkerId, limit: usize) -> Claimed {
    let ask = ClaimAsk {
        worker: worker.clone(),
        queues: vec![QueueAsk { queue: "default".to_owned(), limit }],
        types: None,
        tenant: None,
        beat_due_in: Duration::from_secs(60),
        beat_interval: None,
        alone: false,
        bounds: TypeBounds::default(),
    };
    store.claim(&ask, Now::Database).await.expect("claim")
}

fn success(job: &ClaimedJob) -> Settlement {
    Settlement {
        id: job.id,
        lease: job.lease,
        to: Status::Succeeded,
        because: QueuedBecause::Retry,
        delay: Duration::ZERO,
        burns_attempt: true,
        error: None,
        result: None,
        report: jobforge_core::heartbeat::Report::default(),
    }
}
