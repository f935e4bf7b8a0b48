//! Attempts with a bound, and what it does to a handler: `cargo run --example timeout`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Ask {
    listens: bool,
}

impl JobType for Ask {
    const TYPE: &'static str = "ask";
    const MAX_ATTEMPTS: u32 = 2;
    // Of every attempt, not of the job; an enqueue may say otherwise with `.timeout(…)`.
    const TIMEOUT: Option<Duration> = Some(Duration::from_millis(400));
    type Output = ();
}

/// Says that the handler is gone, however it went.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        println!("  the handler is gone, and all that it held is free");
    }
}

async fn ask(job: Ask, ctx: JobContext) -> Result<(), JobError> {
    let _gone = Gone;
    println!("  attempt {} has {:?} and must be over at {:?}", ctx.attempt(), ctx.timeout(), ctx.deadline());
    if job.listens {
        let reason = ctx.stopped().await;
        println!("  told to stop: {reason:?}");
        return Err(JobError::stopped());
    }
    // Nobody ever answers, and nobody listens: the worker drops this future after its grace period.
    std::future::pending().await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let worker =
        Worker::builder(&client).register(ask).stop_grace(Duration::from_millis(300)).start().await?;

    for listens in [true, false] {
        println!("a handler that {}:", if listens { "listens" } else { "does not listen" });
        let id = client.enqueue(Ask { listens }).await?.id;
        let job = client.wait(id, Duration::from_secs(10)).await?;
        let error = job.error.map(|error| format!("{}: {}", error.kind, error.message)).unwrap_or_default();
        println!("{} after {} attempts: {error}", job.status, job.attempts);
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
