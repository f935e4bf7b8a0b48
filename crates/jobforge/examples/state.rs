//! Handlers find the application's own values, such as a pool or a client: `cargo run --example state`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

/// Stands for anything a handler needs and a job cannot carry.
struct Mailer {
    sender: String,
    sent: AtomicU32,
}

impl Mailer {
    fn send(&self, to: &str) -> u32 {
        println!("  {} writes to {to}", self.sender);
        self.sent.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[derive(Serialize, Deserialize)]
struct Greet {
    to: String,
}

impl JobType for Greet {
    const TYPE: &'static str = "greet";
    type Output = u32;
}

async fn greet(job: Greet, ctx: JobContext) -> Result<u32, JobError> {
    // A worker that was given no Mailer fails the job for good, and the error says what to call.
    let mailer = ctx.state::<Mailer>()?;
    Ok(mailer.send(&job.to))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let mailer = Mailer { sender: "office@example.org".to_owned(), sent: AtomicU32::new(0) };
    let worker = Worker::builder(&client).register(greet).state(mailer).start().await?;

    for name in ["ada", "grace", "edsger"] {
        let id = client.enqueue(Greet { to: format!("{name}@example.org") }).await?.id;
        client.wait(id, Duration::from_secs(10)).await?;
        let number: u32 = client.job_detail(id).await?.result.map_or(Ok(0), |result| result.decode())?;
        println!("mail number {number} is out");
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
