//! From the commit of an enqueue to the start of the handler, on an idle system.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jobforge::clock;
use jobforge::core::job::JobId;
use jobforge::{JobContext, Worker};
use serde::Serialize;

use super::{Bench, BenchJob, QUEUE, percentile, positive, round};
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

/// Between two jobs, so that the worker is idle again.
const PACE: Duration = Duration::from_millis(5);
/// Jobs that are not counted, first.
const WARM_UP: usize = 50;
/// Longest wait for the last start.
const AT_MOST: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    jobs: usize,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

type Starts = Arc<Mutex<HashMap<JobId, Instant>>>;

pub(super) async fn run(context: &Context, bench: &Bench, jobs: usize) -> Result<(), Failure> {
    positive("--jobs", jobs)?;
    let starts = Starts::default();
    let seen = Arc::clone(&starts);
    let note = move |_: BenchJob, ctx: JobContext| {
        seen.lock().unwrap_or_else(PoisonError::into_inner).insert(ctx.id(), clock::monotonic());
        std::future::ready(Ok(()))
    };
    let worker = Worker::builder(&bench.client)
        .settings(&context.settings)
        .register(note)
        .queue(QUEUE, 10)
        .start()
        .await?;
    let mut committed = Vec::with_capacity(jobs);
    for seq in 0..WARM_UP + jobs {
        let id = bench.client.enqueue(BenchJob::new(seq as u64)).await?.id;
        committed.push((id, clock::monotonic()));
        tokio::time::sleep(PACE).await;
    }
    let deadline = clock::monotonic() + AT_MOST;
    while starts.lock().unwrap_or_else(PoisonError::into_inner).len() < committed.len() {
        if clock::monotonic() > deadline {
            return Err(Failure::new(failure::TIMED_OUT, "not every job was started"));
        }
        tokio::time::sleep(PACE).await;
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    let starts = starts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let waits: Vec<f64> = committed
        .iter()
        .skip(WARM_UP)
        // A handler may start before the enqueuer has seen its own commit: that is no wait.
        .filter_map(|(id, at)| {
            starts.get(id).map(|start| start.saturating_duration_since(*at).as_secs_f64() * 1000.0)
        })
        .collect();
    let at = |share: f64| round(percentile(&waits, share));
    let report = Report {
        scenario: "latency",
        engine: bench.store.capabilities().engine,
        jobs,
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        max_ms: at(1.0),
    };
    bench.remove(&committed.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
    if context.json {
        return output::json(&report);
    }
    output::say(&format!(
        "median {} ms, p90 {} ms, p99 {} ms, worst {} ms from enqueue to the start of the handler ({jobs} jobs)",
        report.p50_ms, report.p90_ms, report.p99_ms, report.max_ms
    ));
    Ok(())
}
