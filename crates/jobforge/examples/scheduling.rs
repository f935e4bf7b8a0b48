//! When and where jobs run: delay, moment, priority and queues with slots: `cargo run --example scheduling`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::{Duration, Instant};

use jobforge::{Client, JobContext, JobError, JobType, Worker, clock};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Note {
    text: String,
}

impl JobType for Note {
    const TYPE: &'static str = "note";
    type Output = ();
}

fn note(text: &str) -> Note {
    Note { text: text.to_owned() }
}

/// When the program began.
struct Began(Instant);

async fn print(job: Note, ctx: JobContext) -> Result<(), JobError> {
    let after = clock::monotonic().duration_since(ctx.state::<Began>()?.0).as_millis();
    println!("{after:>5} ms  queue {:<7}  {}", ctx.job().queue, job.text);
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;

    let began = Began(clock::monotonic());
    let moment = client.store().now().await? + Duration::from_millis(1500);
    client.enqueue(note("planned for a moment 1500 ms ahead")).run_at(moment).await?;
    client.enqueue(note("delayed by 1000 ms")).delay(Duration::from_secs(1)).await?;
    // Lower runs first. The queue has one slot, so they run one after the other.
    client.enqueue(note("not urgent")).priority(10).await?;
    client.enqueue(note("like most others")).await?;
    client.enqueue(note("urgent")).priority(-10).await?;
    // A queue of its own is never held up by others; its three slots make three at a time.
    let mut last = None;
    for n in 1..=6 {
        last = Some(client.enqueue(note(&format!("report {n} of 6"))).queue("reports").await?.id);
    }

    let builder = Worker::builder(&client).register(print).state(began);
    let worker = builder.queue("default", 1).queue("reports", 3).start().await?;
    if let Some(id) = last {
        client.wait(id, Duration::from_secs(10)).await?;
    }
    while worker.stats().settled < 11 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
