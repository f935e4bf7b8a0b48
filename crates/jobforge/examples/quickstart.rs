//! A job, a handler, a worker: `cargo run --example quickstart`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

/// What the job needs to know. It is stored as JSON until a worker runs it.
#[derive(Serialize, Deserialize)]
struct SendEmail {
    to: String,
}

impl JobType for SendEmail {
    const TYPE: &'static str = "email.send";
    type Output = String;
}

async fn send_email(job: SendEmail, ctx: JobContext) -> Result<String, JobError> {
    // The id is the same in every attempt, so a mail service can use it to drop duplicates.
    println!("  attempt {} of job {} writes to {}", ctx.attempt(), ctx.id(), job.to);
    Ok(format!("delivered to {}", job.to))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;

    let receipt = client.enqueue(SendEmail { to: "ada@example.org".to_owned() }).await?;
    println!("enqueued job {}; from here on it survives a crash", receipt.id);

    let worker = Worker::builder(&client).register(send_email).start().await?;
    let job = client.wait(receipt.id, Duration::from_secs(10)).await?;
    println!("it {}", job.status);

    let detail = client.job_detail(receipt.id).await?;
    println!("its result is {}", detail.result.as_ref().map_or("nothing", |result| result.as_str()));

    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
