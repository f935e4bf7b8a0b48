//! Canceling a running job, and a handler that notices: `cargo run --example cancel`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker, clock};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Render {
    frames: u32,
}

impl JobType for Render {
    const TYPE: &'static str = "render";
    type Output = ();
}

async fn render(job: Render, ctx: JobContext) -> Result<(), JobError> {
    for frame in 1..=job.frames {
        // Waits that can be broken off listen to the signal …
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => println!("  frame {frame}"),
            reason = ctx.stopped() => {
                println!("  told to stop ({reason:?}): the temporary files are removed");
                return Err(JobError::stopped());
            }
        }
        // … and loops that compute ask from time to time. Whoever does neither is dropped after a grace period.
        ctx.check()?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let worker = Worker::builder(&client).register(render).start().await?;

    let id = client.enqueue(Render { frames: 1000 }).await?.id;
    tokio::time::sleep(Duration::from_millis(550)).await;
    let asked = clock::monotonic();
    client.cancel(id).await?;
    // From this moment on nothing that the handler says can change the job any more.
    println!("canceled; the job is {}", client.job(id).await?.status);
    while worker.stats().held > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("the slot was free after {} ms", clock::monotonic().duration_since(asked).as_millis());

    match client.cancel(id).await {
        Ok(()) => println!("canceling again changes nothing and is no error"),
        Err(error) => println!("unexpected: {error}"),
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
