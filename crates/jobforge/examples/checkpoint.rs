//! Going on where the last attempt broke off: `cargo run --example checkpoint`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::core::settle::RetryPolicy;
use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Copy {
    pages: u32,
}

impl JobType for Copy {
    const TYPE: &'static str = "copy";
    const RETRY: Option<RetryPolicy> =
        Some(RetryPolicy { base_ms: 100, factor: 1.0, max_ms: 100, jitter: 0.0 });
    type Output = u32;
}

/// Where to go on.
#[derive(Serialize, Deserialize)]
struct Place {
    next_page: u32,
}

async fn copy(job: Copy, ctx: JobContext) -> Result<u32, JobError> {
    let place = ctx.checkpoint()?.unwrap_or(Place { next_page: 1 });
    println!("attempt {} begins at page {}", ctx.attempt(), place.next_page);
    let mut copied = 0;
    for page in place.next_page..=job.pages {
        tokio::time::sleep(Duration::from_millis(20)).await;
        println!("  page {page}");
        copied += 1;
        // Stored with the next heartbeat or with the end of the attempt, whichever comes first. After a crash of the
        // whole process up to a second of pages is copied again.
        ctx.set_checkpoint(&Place { next_page: page + 1 })?;
        if page % 4 == 0 {
            return Err(JobError::retry(
                "connection_lost",
                format!("the connection broke after page {page}"),
            ));
        }
    }
    Ok(copied)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let worker = Worker::builder(&client).register(copy).start().await?;
    let id = client.enqueue(Copy { pages: 10 }).await?.id;
    let job = client.wait(id, Duration::from_secs(10)).await?;
    let last: u32 = client.job_detail(id).await?.result.map_or(Ok(0), |result| result.decode())?;
    println!("{} after {} attempts; the last one copied {last} pages", job.status, job.attempts);
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
