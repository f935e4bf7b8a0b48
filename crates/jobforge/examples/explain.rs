//! What a job is now, why, and what happens next: `cargo run --example explain`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::core::job::JobId;
use jobforge::core::standing::Rules;
use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Convert {
    file: String,
}

impl JobType for Convert {
    const TYPE: &'static str = "convert";
    type Output = ();
}

async fn convert(job: Convert, ctx: JobContext) -> Result<(), JobError> {
    ctx.phase("decoding");
    ctx.progress(30, format!("reading {}", job.file));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    if ctx.attempt() == 1 { Err(JobError::retry("disk_slow", "the disk did not answer")) } else { Ok(()) }
}

/// Prints what `jobforge job explain` prints.
async fn explain(client: &Client, id: JobId, when: &str) -> anyhow::Result<()> {
    let standing = client.explain(id, &Rules::default()).await?;
    println!("{when}:\n  the job {}", standing.headline);
    for evidence in &standing.evidence {
        println!("    because {}", evidence.text);
    }
    println!("    next: {}, by {}", standing.next.what, standing.next.by);
    for action in &standing.actions {
        println!("    to {}: {}", action.why, action.command);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let id = client.enqueue(Convert { file: "film.mov".to_owned() }).await?.id;
    explain(&client, id, "enqueued, and nobody works").await?;

    let worker = Worker::builder(&client).register(convert).start().await?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    explain(&client, id, "a worker has begun").await?;

    tokio::time::sleep(Duration::from_millis(600)).await;
    explain(&client, id, "the first attempt has failed").await?;

    client.cancel(id).await?;
    explain(&client, id, "somebody has canceled it").await?;
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
