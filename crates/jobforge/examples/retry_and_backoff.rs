//! Failing, trying again and giving up: `cargo run --example retry_and_backoff`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::core::settle::RetryPolicy;
use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Charge {
    amount: String,
    fails: u32,
}

impl JobType for Charge {
    const TYPE: &'static str = "charge";
    const MAX_ATTEMPTS: u32 = 4;
    // 200, 400, 800 ms; without this it would be 1, 2, 4, … seconds up to an hour, each 20 % more or less.
    const RETRY: Option<RetryPolicy> =
        Some(RetryPolicy { base_ms: 200, factor: 2.0, max_ms: 10_000, jitter: 0.0 });
    type Output = ();
}

async fn charge(job: Charge, ctx: JobContext) -> Result<(), JobError> {
    // No attempt can mend the input, so the job ends at once.
    if job.amount.starts_with('-') {
        return Err(JobError::fatal("invalid_amount", format!("cannot charge {}", job.amount)));
    }
    // Any error of the standard kind may be passed on with `?`; it is tried again.
    job.amount.parse::<u32>()?;
    if ctx.attempt() <= job.fails {
        // The bank said when to come back, which replaces the back-off.
        let busy = JobError::retry("bank_busy", "the bank is busy");
        return Err(if ctx.attempt() == 1 { busy.after(Duration::from_millis(50)) } else { busy });
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let worker = Worker::builder(&client).register(charge).start().await?;

    for (amount, fails) in [("100", 0), ("100", 2), ("100", 9), ("a lot", 0), ("-5", 0)] {
        let id = client.enqueue(Charge { amount: amount.to_owned(), fails }).await?.id;
        let job = client.wait(id, Duration::from_secs(10)).await?;
        println!("charge of {amount}: {} after {} attempt(s)", job.status, job.attempts);
        for attempt in client.job_detail(id).await?.attempts {
            let error =
                attempt.error.map(|error| format!("{}: {}", error.kind, error.message)).unwrap_or_default();
            println!("  attempt {} {} {error}", attempt.attempt, attempt.outcome);
        }
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
