//! What README.md and the pages of docs/ show of the library, word for word: `cargo run --example documented`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::Payloads;
use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct SendEmail {
    to: String,
}

impl JobType for SendEmail {
    const TYPE: &'static str = "email.send";
    type Output = ();
}

async fn send_email(job: SendEmail, ctx: JobContext) -> Result<(), JobError> {
    ctx.progress(10, format!("writing to {}", job.to));
    // Any error is retried with back-off; JobError::fatal(…) is not; a panic or a time-out is a failure like others.
    Ok(())
}

/// README.md
async fn read_me() -> anyhow::Result<()> {
    let client = Client::open("sqlite:jobs.db").await?;
    client.enqueue(SendEmail { to: "a@example.org".into() }).idempotency_key("welcome-17").await?;
    let worker = Worker::builder(&client).register(send_email).queue("default", 10).start().await?;

    // The second time the first job is returned.
    let again =
        client.enqueue(SendEmail { to: "a@example.org".into() }).idempotency_key("welcome-17").await?;
    println!("the e-mail {}", client.wait(again.id, Duration::from_secs(10)).await?.status);
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Import {
    text: String,
}

impl JobType for Import {
    const TYPE: &'static str = "import";
    type Output = usize;
}

async fn import(job: Import, _ctx: JobContext) -> Result<usize, JobError> {
    Ok(job.text.len())
}

/// docs/payloads.md
async fn large_payload(directory: &str) -> anyhow::Result<()> {
    let client = Client::open("sqlite:imports.db").await?.payloads(Payloads::at(directory)?);
    let worker = Worker::builder(&client); // has the client's
    let worker = worker.register(import).start().await?;

    let import = client.enqueue(Import { text: "line\n".repeat(100_000) }).await?;
    client.wait(import.id, Duration::from_secs(10)).await?;
    println!("of half a megabyte came {:?}", client.job_detail(import.id).await?.result);
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Refresh {
    top: u32,
}

impl JobType for Refresh {
    const TYPE: &'static str = "refresh_scores";
    type Output = ();
}

async fn refresh(job: Refresh, _ctx: JobContext) -> Result<(), JobError> {
    println!("the best {} are known", job.top);
    Ok(())
}

/// docs/schedules.md
async fn schedule() -> anyhow::Result<()> {
    let client = Client::open("sqlite:schedules.db").await?;
    let worker = Worker::builder(&client)
        .register(refresh)
        .schedule("hot_score_refresh", Refresh { top: 100 }, |when| when.every("5m"))
        .start()
        .await?;

    let next = client.next_runs("hot_score_refresh", 1).await?;
    println!("they are refreshed at {next:?}");
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::env::set_current_dir(&folder)?;
    read_me().await?;
    large_payload("payloads").await?;
    schedule().await
}
