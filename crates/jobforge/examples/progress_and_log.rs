//! A job that tells how far it has come, seen from the outside: `cargo run --example progress_and_log`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Import {
    rows: u64,
}

impl JobType for Import {
    const TYPE: &'static str = "import";
    type Output = ();
}

async fn import(job: Import, ctx: JobContext) -> Result<(), JobError> {
    ctx.phase("reading");
    ctx.log(format!("{} rows to read", job.rows));
    for row in 1..=job.rows {
        tokio::time::sleep(Duration::from_millis(60)).await;
        if row % 10 == 7 {
            ctx.items(0, 0, 1);
            ctx.log(format!("row {row} is a duplicate, passed over"));
        } else {
            ctx.items(1, 0, 0);
        }
        // Reports cost nothing here: the worker's next heartbeat carries them, at most a second later.
        ctx.progress(u8::try_from(row * 100 / job.rows)?, format!("row {row}"));
    }
    ctx.phase("done");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let worker = Worker::builder(&client).register(import).start().await?;
    let id = client.enqueue(Import { rows: 50 }).await?.id;

    // Any other process sees the same with `jobforge job show`.
    loop {
        let job = client.job(id).await?;
        let (phase, message) =
            (job.progress.phase.unwrap_or_default(), job.progress.message.unwrap_or_default());
        println!("{:>3} %  {phase}  {message}", job.progress.percent.unwrap_or(0));
        if job.status.is_terminal() {
            println!("{} done, {} passed over", job.items.processed, job.items.skipped);
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for log in client.job_detail(id).await?.logs {
        println!("log of attempt {}:\n{}", log.attempt, log.text);
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
