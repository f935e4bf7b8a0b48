//! Thousands of jobs in one call, all or none: `cargo run --example bulk`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::{Client, JobContext, JobError, JobType, Worker, clock};
use serde::{Deserialize, Serialize};

const JOBS: u64 = 5000;

#[derive(Serialize, Deserialize)]
struct Thumbnail {
    picture: u64,
}

impl JobType for Thumbnail {
    const TYPE: &'static str = "thumbnail";
    type Output = ();
}

async fn make(_job: Thumbnail, _ctx: JobContext) -> Result<(), JobError> {
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;

    // One that is refused takes the others with it: nothing is stored by halves.
    let mut batch: Vec<_> = (0..3).map(|picture| client.enqueue(Thumbnail { picture })).collect();
    batch.push(client.enqueue(Thumbnail { picture: 3 }).queue("no such name!"));
    if let Err(error) = client.enqueue_many(batch).await {
        println!("the whole batch was refused: {error}");
    }

    let began = clock::monotonic();
    let batch = (0..JOBS).map(|picture| client.enqueue(Thumbnail { picture })).collect();
    let receipts = client.enqueue_many(batch).await?;
    println!(
        "{} jobs enqueued in {} ms",
        receipts.len(),
        clock::monotonic().duration_since(began).as_millis()
    );

    let began = clock::monotonic();
    let worker = Worker::builder(&client).register(make).queue("default", 50).start().await?;
    while worker.stats().settled < JOBS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = clock::monotonic().duration_since(began);
    println!("{JOBS} jobs run in {} ms: {:.0} a second", took.as_millis(), JOBS as f64 / took.as_secs_f64());
    println!("(`cargo run --release --example bulk` is several times faster)");
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
