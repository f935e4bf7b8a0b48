//! graphile_worker with the settings that make it fastest; the reasons are in `../README.md`.

use std::time::Duration;

use graphile_worker::{
    IntoTaskHandlerResult, LocalQueueConfig, TaskHandler, Worker, WorkerContext, WorkerOptions, WorkerUtils,
};
use serde::{Deserialize, Serialize};

use crate::arrivals::Arrivals;

pub const NAME: &str = "graphile-worker-rs";
/// Kept beside the pin in `Cargo.toml`.
pub const VERSION: &str = "0.14.1";

const CONNECTIONS: u32 = 20;
const PROMPT_CONCURRENCY: usize = 24;
const THROUGHPUT_CONCURRENCY: usize = 500;
const LOCAL_QUEUE_JOBS: usize = 5_000;
const COMPLETION_BATCH_DELAY: Duration = Duration::from_millis(5);
const PADDING_BYTES: usize = 80;

/// A job whose handler does nothing but note that it started; about 100 bytes of JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Noop {
    sequence: usize,
    padding: String,
}

impl Noop {
    pub fn new(sequence: usize) -> Self {
        Self { sequence, padding: "x".repeat(PADDING_BYTES) }
    }
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let arrivals = context.get_ext::<Arrivals>().ok_or("the worker was built without arrivals")?;
        arrivals.note(self.sequence);
        Ok::<(), &'static str>(())
    }
}

/// Connects, creates or updates the schema, and returns what enqueues.
pub async fn client(database_url: &str) -> anyhow::Result<WorkerUtils> {
    Ok(options(database_url, Arrivals::expect(0)).init().await?.create_utils())
}

/// Returns a worker that gets through a backlog as fast as it can.
pub async fn throughput_worker(database_url: &str, arrivals: Arrivals) -> anyhow::Result<Worker> {
    let options = options(database_url, arrivals)
        .concurrency(THROUGHPUT_CONCURRENCY)
        .local_queue(LocalQueueConfig::default().with_size(LOCAL_QUEUE_JOBS))
        .complete_job_batch_delay(COMPLETION_BATCH_DELAY);
    Ok(options.init().await?)
}

/// Returns a worker that starts single jobs as soon as it can.
///
/// Without the local queue, which in this version sometimes stops fetching under single jobs; see `../README.md`.
pub async fn prompt_worker(database_url: &str, arrivals: Arrivals) -> anyhow::Result<Worker> {
    Ok(options(database_url, arrivals).concurrency(PROMPT_CONCURRENCY).init().await?)
}

fn options(database_url: &str, arrivals: Arrivals) -> WorkerOptions {
    WorkerOptions::default()
        .database_url(database_url)
        .max_pg_conn(CONNECTIONS)
        .listen_os_shutdown_signals(false)
        .add_extension(arrivals)
        .define_job::<Noop>()
}

/// Returns whether a job is left; a completed job is a deleted row here.
pub async fn has_pending(worker: &Worker) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM graphile_worker._private_jobs)";
    Ok(sqlx::query_scalar(sql).fetch_one(worker.pg_pool()).await?)
}
