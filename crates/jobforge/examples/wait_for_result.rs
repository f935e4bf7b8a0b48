//! Asking for something and waiting for the answer: `cargo run --example wait_for_result`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::core::state::Status;
use jobforge::{Client, Error, JobContext, JobError, JobType, Worker, clock};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Divide {
    dividend: i64,
    divisor: i64,
}

/// Any type that can be written as JSON may be an output; `()` stores none.
#[derive(Debug, Serialize, Deserialize)]
struct Quotient {
    whole: i64,
    rest: i64,
}

impl JobType for Divide {
    const TYPE: &'static str = "divide";
    type Output = Quotient;
}

async fn divide(job: Divide, _ctx: JobContext) -> Result<Quotient, JobError> {
    tokio::time::sleep(Duration::from_millis(200)).await;
    match (job.dividend.checked_div(job.divisor), job.dividend.checked_rem(job.divisor)) {
        (Some(whole), Some(rest)) => Ok(Quotient { whole, rest }),
        _ => Err(JobError::fatal("undefined", format!("{} / {} is not defined", job.dividend, job.divisor))),
    }
}

/// Runs the division on some worker and returns what it gave.
async fn answer(client: &Client, dividend: i64, divisor: i64) -> anyhow::Result<Quotient> {
    let id = client.enqueue(Divide { dividend, divisor }).await?.id;
    let job = client.wait(id, Duration::from_secs(10)).await?;
    let error = job.error.map(|error| error.message).unwrap_or_default();
    anyhow::ensure!(job.status == Status::Succeeded, "job {id} {}: {error}", job.status);
    let result = client.job_detail(id).await?.result;
    Ok(result.ok_or_else(|| anyhow::anyhow!("job {id} has no result"))?.decode()?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;

    // Waiting longer than one likes is no failure of the job: it goes on.
    let id = client.enqueue(Divide { dividend: 1, divisor: 1 }).await?.id;
    match client.wait(id, Duration::from_millis(100)).await {
        Err(error @ Error::NotEnded { .. }) => println!("{error}"),
        other => println!("unexpected: {other:?}"),
    }

    let worker = Worker::builder(&client).register(divide).start().await?;
    let began = clock::monotonic();
    println!("100 / 7 = {:?}", answer(&client, 100, 7).await?);
    println!("after {} ms", clock::monotonic().duration_since(began).as_millis());
    if let Err(error) = answer(&client, 1, 0).await {
        println!("{error}");
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
