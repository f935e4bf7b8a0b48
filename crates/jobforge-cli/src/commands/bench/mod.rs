//! `jobforge bench`: measuring this installation on the real code path.
//!
//! Everything runs in a queue of its own with a job type of its own and is removed afterwards. The embedded engine is
//! measured in a file of its own beside the data, on the same disk.

mod enqueue;
mod heartbeat;
mod idle;
mod latency;
mod lists;
mod month;
mod pages;
mod raw;
mod schedules;
mod scrape;
mod throughput;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobforge::core::audit::By;
use jobforge::core::job::JobId;
use jobforge::core::time::Now;
use jobforge::store::Store;
use jobforge::store::rows::Move;
use jobforge::{
    Client, JobContext, JobError, JobType, OpenOptions, Purpose, Worker, WorkerBuilder, clock, open_store,
};
use serde::{Deserialize, Serialize};

use super::Context;
use crate::cli::BenchCommand;
use crate::failure::{self, Failure};
use crate::output;

/// The queue of every measurement; nobody else should use it.
const QUEUE: &str = "jobforge-bench";
/// Makes a payload of about 100 bytes.
const PAD: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// A job that does nothing.
#[derive(Debug, Serialize, Deserialize)]
struct BenchJob {
    seq: u64,
    pad: String,
}

impl JobType for BenchJob {
    const TYPE: &'static str = "jobforge.bench";
    const QUEUE: &'static str = QUEUE;
    type Output = ();
}

impl BenchJob {
    fn new(seq: u64) -> Self {
        Self { seq, pad: PAD.to_owned() }
    }
}

async fn do_nothing(_: BenchJob, _: JobContext) -> Result<(), JobError> {
    Ok(())
}

pub(crate) async fn run(context: Context, command: BenchCommand) -> Result<(), Failure> {
    let bench = Bench::open(&context).await?;
    let outcome = match command {
        BenchCommand::Throughput(args) => throughput::run(&context, &bench, &args).await,
        BenchCommand::Enqueue { seconds, clients } => enqueue::run(&context, &bench, seconds, clients).await,
        BenchCommand::Latency { jobs } => latency::run(&context, &bench, jobs).await,
        BenchCommand::Idle { seconds } => idle::run(&context, &bench, seconds).await,
        BenchCommand::Schedules(args) => schedules::run(&bench, &args, context.json).await,
        BenchCommand::Scrape { jobs, scrapes } => scrape::run(&context, &bench, jobs, scrapes).await,
        BenchCommand::Heartbeat(args) => heartbeat::run(&context, &bench, &args).await,
        BenchCommand::Lists(args) => lists::run(&context, &bench, &args).await,
        BenchCommand::Pages(args) => pages::run(&context, &bench, &args).await,
    };
    bench.close();
    outcome
}

/// The database under measurement.
struct Bench {
    store: Arc<dyn Store>,
    client: Client,
    /// The embedded engine's own directory, removed in the end.
    scratch: Option<PathBuf>,
    /// Its file.
    file: Option<PathBuf>,
    /// Plain SQL, where the engine is PostgreSQL.
    raw: Option<raw::Raw>,
}

impl Bench {
    async fn open(context: &Context) -> Result<Self, Failure> {
        let mut options = OpenOptions::from_settings(&context.settings, Purpose::Own, true);
        let is_postgres = options.database_url.starts_with("postgres");
        let mut scratch = None;
        if options.database_url.is_empty() {
            let directory = options.data_dir.join(format!("bench-{}", std::process::id()));
            options.data_dir.clone_from(&directory);
            scratch = Some(directory);
        }
        let raw = if is_postgres {
            options.open_unverified().await?.migrate().await?;
            Some(raw::Raw::connect(&options.database_url).await?)
        } else {
            None
        };
        let store = open_store(&options).await?;
        Ok(Self { client: Client::new(Arc::clone(&store)), store, scratch, file: options.embedded()?, raw })
    }

    fn close(self) {
        let Self { store, client, scratch, .. } = self;
        drop(client);
        drop(store);
        if let Some(directory) = scratch
            && let Err(error) = std::fs::remove_dir_all(&directory)
        {
            output::note(&format!("{} could not be removed: {error}", directory.display()));
        }
    }

    fn worker(&self, context: &Context, slots: usize) -> WorkerBuilder {
        Worker::builder(&self.client).settings(&context.settings).register(do_nothing).queue(QUEUE, slots)
    }

    /// Deletes what was measured with.
    async fn remove(&self, ids: &[JobId]) -> Result<(), Failure> {
        for batch in ids.chunks(1000) {
            self.store.move_jobs(batch, Move::Delete, &By::named("bench"), Now::Database).await?;
        }
        Ok(())
    }
}

fn per_second(count: usize, took: Duration) -> f64 {
    round(count as f64 / took.as_secs_f64())
}

/// Three significant decimals are more than a measurement has.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value below which the given share of the values lies (nearest rank).
pub(super) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// A length of at least a second.
fn length(seconds: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|length| length.as_secs() >= 1)
        .ok_or_else(|| Failure::usage(format!("--seconds is {seconds}; it must be at least 1")))
}

async fn wait(length: Duration, bar: &indicatif::ProgressBar) {
    let end = clock::monotonic() + length;
    while clock::monotonic() < end {
        tokio::time::sleep(Duration::from_secs(1).min(end.saturating_duration_since(clock::monotonic())))
            .await;
        bar.inc(1);
    }
}

fn positive(flag: &str, number: usize) -> Result<usize, Failure> {
    if number == 0 {
        Err(Failure::new(failure::USAGE, format!("{flag} must be at least 1")))
    } else {
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!((median(&values), percentile(&values, 0.99), percentile(&values, 0.2)), (3.0, 5.0, 1.0));
        assert!(median(&[]).is_nan());
    }
}
