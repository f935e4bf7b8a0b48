//! Stopping a worker in good order: `cargo run --example graceful_stop`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Work {
    millis: u64,
}

impl JobType for Work {
    const TYPE: &'static str = "work";
    type Output = ();
}

async fn work(job: Work, ctx: JobContext) -> Result<(), JobError> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(job.millis)) => Ok(()),
        // The grace period is over. What was done so far could be kept with `ctx.set_checkpoint(…)`.
        _reason = ctx.stopped() => Err(JobError::stopped()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let worker = Worker::builder(&client).register(work).start().await?;
    let short = client.enqueue(Work { millis: 300 }).await?.id;
    let long = client.enqueue(Work { millis: 3_600_000 }).await?.id;
    while worker.stats().held < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{} jobs run; a program would now have got SIGTERM", worker.stats().held);

    let given_back = worker.stop_gracefully(Duration::from_secs(1)).await;
    println!("stopped; {given_back} job was given back");

    let job = client.job(short).await?;
    println!("the short one {} within the grace period", job.status);
    let job = client.job(long).await?;
    println!(
        "the long one is {} again ({}) with {} attempts used",
        job.status,
        job.queued_because.as_str(),
        job.attempts
    );
    for attempt in client.job_detail(long).await?.attempts {
        println!("  its history: attempt {} was {}", attempt.attempt, attempt.outcome);
    }

    // The next worker takes it at once: nothing has to time out.
    let next = Worker::builder(&client).register(work).start().await?;
    while next.stats().held < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{} runs it now", next.id());
    next.stop_gracefully(Duration::ZERO).await;
    Ok(())
}
