//! The scenarios, each returning the line to print.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use graphile_worker::JobSpec;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::arrivals::Arrivals;
use crate::peer::{NAME, Noop, VERSION, client, has_pending, prompt_worker, throughput_worker};

const ENQUEUE_BATCH_JOBS: usize = 5_000;
const DRAIN_LIMIT: Duration = Duration::from_secs(600);
const DURABLE_LIMIT: Duration = Duration::from_secs(60);
const DURABLE_POLL: Duration = Duration::from_millis(2);
/// How long a started worker is left alone, so that it has found nothing to do and waits.
const SETTLE: Duration = Duration::from_secs(2);
const LATENCY_GAP: Duration = Duration::from_millis(5);
const LATENCY_LIMIT: Duration = Duration::from_secs(30);

pub async fn setup(database_url: &str) -> anyhow::Result<Value> {
    client(database_url).await?;
    Ok(json!({ "peer": NAME, "scenario": "setup", "version": VERSION }))
}

pub async fn enqueue_bulk(database_url: &str, jobs: usize) -> anyhow::Result<Value> {
    let utils = client(database_url).await?;
    let spec = JobSpec::default();
    let began = Instant::now();
    for first in (0..jobs).step_by(ENQUEUE_BATCH_JOBS) {
        let last = jobs.min(first + ENQUEUE_BATCH_JOBS);
        let batch: Vec<_> = (first..last).map(|sequence| (Noop::new(sequence), &spec)).collect();
        utils.add_jobs(&batch).await?;
    }
    Ok(throughput("enqueue_bulk", jobs, began.elapsed()))
}

pub async fn enqueue_single(database_url: &str, seconds: f64) -> anyhow::Result<Value> {
    let utils = client(database_url).await?;
    let limit = Duration::try_from_secs_f64(seconds).context("--seconds")?;
    let began = Instant::now();
    let mut jobs = 0;
    while began.elapsed() < limit {
        utils.add_job(Noop::new(jobs), JobSpec::default()).await?;
        jobs += 1;
    }
    Ok(throughput("enqueue_single", jobs, began.elapsed()))
}

pub async fn drain(database_url: &str, jobs: usize) -> anyhow::Result<Value> {
    let arrivals = Arrivals::expect(jobs);
    let worker = Arc::new(throughput_worker(database_url, arrivals.clone()).await?);
    let began = Instant::now();
    let running = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run().await }
    });
    arrivals.all(DRAIN_LIMIT).await?;
    // Nobody is asked before the last handler has started, so the question costs the drain nothing.
    let handled = Instant::now();
    while has_pending(&worker).await? {
        anyhow::ensure!(handled.elapsed() < DURABLE_LIMIT, "completed jobs are still in the table");
        sleep(DURABLE_POLL).await;
    }
    let elapsed = began.elapsed();
    worker.request_shutdown();
    running.await??;
    Ok(throughput("drain", jobs, elapsed))
}

pub async fn latency(database_url: &str, jobs: usize) -> anyhow::Result<Value> {
    let arrivals = Arrivals::expect(jobs);
    let worker = Arc::new(prompt_worker(database_url, arrivals.clone()).await?);
    // A pool of its own: enqueuing shares nothing with the worker but the database.
    let utils = client(database_url).await?;
    let running = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run().await }
    });
    sleep(SETTLE).await;

    let mut committed = Vec::with_capacity(jobs);
    let mut gap = interval(LATENCY_GAP);
    gap.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for sequence in 0..jobs {
        gap.tick().await;
        utils.add_job(Noop::new(sequence), JobSpec::default()).await?;
        committed.push(Instant::now());
    }
    arrivals.all(LATENCY_LIMIT).await?;
    worker.request_shutdown();
    running.await??;

    // The worker may start a job before its enqueuer has read the answer: that counts as zero.
    let mut waits: Vec<Duration> = committed
        .iter()
        .enumerate()
        .filter_map(|(sequence, at)| Some(arrivals.started_at(sequence)?.saturating_duration_since(*at)))
        .collect();
    waits.sort_unstable();
    Ok(json!({
        "peer": NAME,
        "scenario": "latency",
        "jobs": jobs,
        "p50_ms": percentile_ms(&waits, 50),
        "p99_ms": percentile_ms(&waits, 99),
    }))
}

fn throughput(scenario: &str, jobs: usize, elapsed: Duration) -> Value {
    let seconds = elapsed.as_secs_f64();
    json!({
        "peer": NAME,
        "scenario": scenario,
        "jobs": jobs,
        "seconds": seconds,
        "per_second": jobs as f64 / seconds,
    })
}

/// Returns the nearest-rank percentile of sorted waits.
fn percentile_ms(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    Some(sorted.get(rank - 1)?.as_secs_f64() * 1_000.0)
}
