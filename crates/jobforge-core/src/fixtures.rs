//! Plain jobs and workers for the tests of this crate.

use jiff::Timestamp;
use uuid::Uuid;

use crate::job::{Items, Job, JobId, Lease, Progress, QueuedBecause, WorkerId};
use crate::payload::Payload;
use crate::standing::Facts;
use crate::state::Status;
use crate::worker::{WorkerRow, WorkerState};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

/// A queued job, created and due at `second`.
pub(crate) fn queued_job(second: i64) -> Job {
    Job {
        id: JobId(Uuid::from_u128(1)),
        tenant_id: "default".to_owned(),
        job_type: "email.send".to_owned(),
        queue: "default".to_owned(),
        priority: 0,
        payload: Payload::empty(),
        status: Status::Queued,
        queued_because: QueuedBecause::Enqueued,
        attempts: 0,
        max_attempts: 5,
        misses: 0,
        crashes: Vec::new(),
        run_at: at(second),
        locked_by: None,
        locked_at: None,
        last_worker: None,
        lease: Lease(0),
        heartbeat_at: None,
        heartbeat_due_at: None,
        heard: Default::default(),
        timeout: None,
        progress_timeout: None,
        deadline_at: None,
        progress_limit: None,
        started_at: None,
        finished_at: None,
        progress: Progress::default(),
        items: Items::default(),
        checkpoint: None,
        error: None,
        dead_group: None,
        resolved: None,
        result_id: None,
        idempotency_key: None,
        tags: Vec::new(),
        traceparent: None,
        created_by: None,
        retry: None,
        created_at: at(second),
        updated_at: at(second),
    }
}

/// A job claimed at `second` by `worker-00000001`.
pub(crate) fn running_job(second: i64) -> Job {
    Job {
        status: Status::Running,
        attempts: 1,
        lease: Lease(1),
        locked_by: Some(WorkerId("worker-00000001".to_owned())),
        locked_at: Some(at(second)),
        heartbeat_at: Some(at(second)),
        heartbeat_due_at: Some(at(second + 120)),
        started_at: Some(at(second)),
        ..queued_job(second)
    }
}

/// What is known of a job at `second` when a live worker could run it.
pub(crate) fn facts(job: Job, second: i64) -> Facts {
    Facts {
        job,
        worker: None,
        last_attempt: None,
        queue_paused_at: None,
        queue_workers: 1,
        able_workers: 1,
        held: None,
        as_of: at(second),
    }
}

/// A live worker heard at `heard` whose lease ends at `expires`.
pub(crate) fn worker(heard: i64, expires: i64) -> WorkerRow {
    WorkerRow {
        id: WorkerId("worker-00000001".to_owned()),
        name: None,
        hostname: "host-a".to_owned(),
        pid: 42,
        queues: vec!["default".to_owned()],
        types: None,
        slots: 4,
        state: WorkerState::Live,
        started_at: at(heard.min(50)),
        last_heartbeat_at: at(heard),
        lease_expires_at: at(expires),
        ended_at: None,
        end_reason: None,
        stopped_at: None,
        suspect_at: None,
        restart_at: None,
        process: None,
        slot: None,
        death: None,
        died_with: None,
        registered_by: None,
    }
}
