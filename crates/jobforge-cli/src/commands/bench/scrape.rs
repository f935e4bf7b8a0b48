//! What a scrape costs when as many series are told as there may be, and what it costs to read the shared numbers.

use std::sync::Arc;
use std::time::Duration;

use jobforge::clock;
use jobforge::core::job::JobId;
use jobforge::core::metric::{Format, process, table};
use jobforge::live::Live;
use jobforge::services::{Numbers, exposition};
use serde::Serialize;

use super::{Bench, BenchJob, median, percentile, positive, round};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output;

/// Jobs enqueued at once.
const CHUNK: usize = 5000;
/// Names of queues and jobs that are met: more than are told.
const NAMES: usize = 400;

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    jobs: usize,
    series: usize,
    bytes: usize,
    scrape_ms_median: f64,
    scrape_ms_p99: f64,
    read_ms_median: f64,
    read_ms_p99: f64,
}

pub(super) async fn run(
    context: &Context,
    bench: &Bench,
    jobs: usize,
    scrapes: usize,
) -> Result<(), Failure> {
    positive("--scrapes", scrapes)?;
    let mut ids: Vec<JobId> = Vec::with_capacity(jobs);
    while ids.len() < jobs {
        let count = CHUNK.min(jobs - ids.len());
        let batch: Result<Vec<_>, _> =
            (0..count).map(|seq| bench.client.enqueue(BenchJob::new(seq as u64)).into_job()).collect();
        ids.extend(bench.client.enqueue_jobs(&batch?).await?.iter().map(|receipt| receipt.id));
    }
    fill();
    let numbers = Numbers::new(Arc::clone(&bench.store), Live::fixed(context.settings.clone()));
    let (mut told, mut read) = (Vec::new(), Vec::new());
    let mut text = String::new();
    for _ in 0..scrapes {
        let began = clock::monotonic();
        numbers.read().await?;
        read.push(millis(clock::monotonic().duration_since(began)));
        let began = clock::monotonic();
        text = exposition(Format::Prometheus);
        told.push(millis(clock::monotonic().duration_since(began)));
    }
    let report = Report {
        scenario: "scrape",
        engine: bench.store.capabilities().engine,
        jobs,
        series: text.lines().filter(|line| !line.starts_with('#')).count(),
        bytes: text.len(),
        scrape_ms_median: median(&told),
        scrape_ms_p99: percentile(&told, 0.99),
        read_ms_median: median(&read),
        read_ms_p99: percentile(&read, 0.99),
    };
    bench.remove(&ids).await?;
    if context.json {
        return output::json(&report);
    }
    output::say(&format!(
        "a scrape of {} series ({} bytes) takes {:.1} ms (p99 {:.1}); reading the shared numbers beside {jobs} waiting jobs {:.1} ms (p99 {:.1})",
        report.series,
        report.bytes,
        report.scrape_ms_median,
        report.scrape_ms_p99,
        report.read_ms_median,
        report.read_ms_p99
    ));
    Ok(())
}

/// Makes this process tell as much as it ever will.
fn fill() {
    for n in 0..NAMES {
        let (queue, job) = (format!("queue-{n}"), format!("job-{n}"));
        process().know_queue(&queue);
        process().know_job(&job);
        process().observe(&table::CLAIM_WAIT, &[&queue], Duration::from_millis(3));
        process().observe(&table::EXECUTION_SECONDS, &[&job], Duration::from_secs(3));
    }
}

fn millis(took: Duration) -> f64 {
    round(took.as_secs_f64() * 1000.0)
}
