//! Looking again later without using an attempt: `cargo run --example snooze`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

/// Waits for a report of somebody else, who takes a while.
#[derive(Serialize, Deserialize)]
struct FetchReport {}

impl JobType for FetchReport {
    const TYPE: &'static str = "report.fetch";
    // Not a single failure is allowed, and waiting is none.
    const MAX_ATTEMPTS: u32 = 1;
    type Output = String;
}

/// The other side: ready at the fourth look.
#[derive(Default)]
struct Partner {
    looks: AtomicU32,
}

async fn fetch(_job: FetchReport, ctx: JobContext) -> Result<String, JobError> {
    let look = ctx.state::<Partner>()?.looks.fetch_add(1, Ordering::Relaxed) + 1;
    if look < 4 {
        println!(
            "  look {look}, attempt {}: not ready, the slot is free for others meanwhile",
            ctx.attempt()
        );
        return Err(JobError::snooze(Duration::from_millis(300)));
    }
    println!("  look {look}, attempt {}: there it is", ctx.attempt());
    Ok("all is well".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let worker = Worker::builder(&client).register(fetch).state(Partner::default()).start().await?;
    let id = client.enqueue(FetchReport {}).await?.id;
    let job = client.wait(id, Duration::from_secs(10)).await?;
    println!("{} with {} attempt of {}", job.status, job.attempts, job.max_attempts);
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
