//! Drives graphile_worker (Rust) through the scenarios of `cargo xtask bench-peers`.
//!
//! Every scenario prints one JSON line on stdout. What each of them measures is defined in `../README.md`.

mod arrivals;
mod peer;
mod scenario;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Drive graphile_worker (Rust) through one scenario")]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Create the schema
    Setup(Target),
    /// Enqueue many jobs, in batches
    EnqueueBulk(Counted),
    /// Enqueue one job per call, one after the other
    EnqueueSingle(Timed),
    /// Work off jobs that were enqueued before, in one worker
    Drain(Counted),
    /// Measure the time from an enqueue's commit to the start of its handler
    Latency(Counted),
}

#[derive(Debug, Args)]
struct Target {
    /// The PostgreSQL database to use
    #[arg(long)]
    database_url: String,
}

#[derive(Debug, Args)]
struct Counted {
    #[command(flatten)]
    target: Target,
    /// How many jobs
    #[arg(long)]
    jobs: usize,
}

#[derive(Debug, Args)]
struct Timed {
    #[command(flatten)]
    target: Target,
    /// For how long
    #[arg(long)]
    seconds: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let line = match Cli::parse().scenario {
        Scenario::Setup(target) => scenario::setup(&target.database_url).await?,
        Scenario::EnqueueBulk(args) => scenario::enqueue_bulk(&args.target.database_url, args.jobs).await?,
        Scenario::EnqueueSingle(args) => {
            scenario::enqueue_single(&args.target.database_url, args.seconds).await?
        }
        Scenario::Drain(args) => scenario::drain(&args.target.database_url, args.jobs).await?,
        Scenario::Latency(args) => scenario::latency(&args.target.database_url, args.jobs).await?,
    };
    println!("{line}");
    Ok(())
}
