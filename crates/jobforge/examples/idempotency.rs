//! Enqueuing twice without running twice: `cargo run --example idempotency`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Invoice {
    order: u64,
    cents: u64,
}

impl JobType for Invoice {
    const TYPE: &'static str = "invoice.send";
    type Output = ();
}

async fn send(job: Invoice, ctx: JobContext) -> Result<(), JobError> {
    println!("  the invoice of order {} over {} cents goes out, as job {}", job.order, job.cents, ctx.id());
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let worker = Worker::builder(&client).register(send).start().await?;

    // A web shop that gets no answer asks again: there is still one job.
    for _ in 0..3 {
        let receipt = client.enqueue(Invoice { order: 17, cents: 4200 }).idempotency_key("order-17").await?;
        println!("job {} {}", receipt.id, if receipt.created { "was created" } else { "was there already" });
        client.wait(receipt.id, Duration::from_secs(10)).await?;
    }

    // The same key for something else is a mistake, and says so.
    match client.enqueue(Invoice { order: 17, cents: 9900 }).idempotency_key("order-17").await {
        Ok(receipt) => println!("unexpected: job {}", receipt.id),
        Err(error) => println!("refused: {error}"),
    }

    // Keys belong to a tenant and a type.
    let other =
        client.enqueue(Invoice { order: 17, cents: 9900 }).tenant("acme").idempotency_key("order-17").await?;
    println!("tenant acme has its own order 17: job {}", other.id);
    client.wait(other.id, Duration::from_secs(10)).await?;
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
