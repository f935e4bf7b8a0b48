//! Enqueue in bulk, then drain with one worker process.

use std::time::Duration;

use jobforge::clock;
use jobforge::core::job::{JobId, NewJob};
use serde::Serialize;

use super::{Bench, BenchJob, median, per_second, positive};
use crate::cli::ThroughputArgs;
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

/// Jobs per enqueue call.
const CHUNK: usize = 10_000;
/// Jobs of the warm-up round.
const WARM_UP: usize = 5_000;
/// A drain that takes longer has failed.
const AT_MOST: Duration = Duration::from_secs(600);

#[derive(Debug, Serialize)]
struct Round {
    enqueue_per_second: f64,
    drain_per_second: f64,
    /// Of the drain; absent without a server on this machine that tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres_cpu_us_per_job: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    jobs: usize,
    slots: usize,
    backlog: usize,
    dead_rows: usize,
    cold: bool,
    rounds: Vec<Round>,
    median: Round,
}

pub(super) async fn run(context: &Context, bench: &Bench, args: &ThroughputArgs) -> Result<(), Failure> {
    positive("--jobs", args.jobs)?;
    positive("--rounds", args.rounds)?;
    positive("--slots", args.slots)?;
    if bench.raw.is_none() && (args.dead_rows > 0 || args.cold) {
        return Err(
            Failure::usage("--dead-rows and --cold need PostgreSQL").hint("add --database-url postgres://…")
        );
    }
    let mut leftovers = Vec::new();
    if !args.cold {
        round(context, bench, args, WARM_UP, &mut leftovers).await?;
    }
    if args.dead_rows > 0 {
        pin(context, bench, args, &mut leftovers).await?;
    }
    if args.backlog > 0 {
        // The backlog stands behind the measured jobs: they are more urgent by nothing but their age, so it is made of
        // younger jobs after each round's own.
        output::note(&format!("a backlog of {} jobs follows each round's jobs", args.backlog));
    }
    let bar = output::progress(args.rounds as u64, "rounds");
    let mut rounds = Vec::with_capacity(args.rounds);
    for _ in 0..args.rounds {
        rounds.push(round(context, bench, args, args.jobs, &mut leftovers).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(raw) = bench.raw.as_ref().filter(|_| args.dead_rows > 0) {
        raw.run("COMMIT").await?;
    }
    bench.remove(&leftovers).await?;
    let of = |value: fn(&Round) -> f64| median(&rounds.iter().map(value).collect::<Vec<_>>());
    let cpu: Vec<f64> = rounds.iter().filter_map(|r| r.postgres_cpu_us_per_job).collect();
    let report = Report {
        scenario: "throughput",
        engine: bench.store.capabilities().engine,
        jobs: args.jobs,
        slots: args.slots,
        backlog: args.backlog,
        dead_rows: args.dead_rows,
        cold: args.cold,
        median: Round {
            enqueue_per_second: of(|r| r.enqueue_per_second),
            drain_per_second: of(|r| r.drain_per_second),
            postgres_cpu_us_per_job: (!cpu.is_empty()).then(|| median(&cpu)),
        },
        rounds,
    };
    if context.json {
        return output::json(&report);
    }
    let rows = report.rounds.iter().enumerate().map(|(index, round)| (format!("{}", index + 1), round));
    let rows = rows.chain([("median".to_owned(), &report.median)]);
    let rows = rows.map(|(name, r)| {
        let cpu = r.postgres_cpu_us_per_job.map_or_else(|| "-".to_owned(), |us| format!("{us:.1}"));
        vec![name, format!("{:.0}", r.enqueue_per_second), format!("{:.0}", r.drain_per_second), cpu]
    });
    output::table(&["round", "enqueued/s", "drained/s", "server cpu us/job"], &[1, 2, 3], rows.collect());
    Ok(())
}

/// Holds a snapshot open and drains jobs under it, so that their dead rows cannot be removed.
async fn pin(
    context: &Context,
    bench: &Bench,
    args: &ThroughputArgs,
    leftovers: &mut Vec<JobId>,
) -> Result<(), Failure> {
    if let Some(raw) = &bench.raw {
        raw.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobforge_queues").await?;
    }
    round(context, bench, args, args.dead_rows, leftovers).await?;
    Ok(())
}

async fn round(
    context: &Context,
    bench: &Bench,
    args: &ThroughputArgs,
    jobs: usize,
    leftovers: &mut Vec<JobId>,
) -> Result<Round, Failure> {
    let batch = make(bench, jobs)?;
    let began = clock::monotonic();
    for chunk in batch.chunks(CHUNK) {
        bench.client.enqueue_jobs(chunk).await?;
    }
    let enqueue_per_second = per_second(jobs, clock::monotonic().duration_since(began));
    let backlog = make(bench, args.backlog)?;
    for chunk in backlog.chunks(CHUNK) {
        bench.client.enqueue_jobs(chunk).await?;
    }
    if let Some(raw) = bench.raw.as_ref().filter(|_| !args.cold && args.dead_rows == 0) {
        raw.run("VACUUM ANALYZE").await?;
        raw.run("CHECKPOINT").await?;
    }
    let cpu_before = cpu_time(bench).await;
    let took = drain(context, bench, args.slots, jobs).await?;
    let cpu = cpu_time(bench).await.zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    let mut ids: Vec<JobId> = batch.iter().chain(&backlog).map(|job| job.id).collect();
    if args.backlog > 0 {
        // The next round starts clean.
        bench.remove(&ids).await?;
        ids.clear();
    }
    leftovers.append(&mut ids);
    Ok(Round {
        enqueue_per_second,
        drain_per_second: per_second(jobs, took),
        postgres_cpu_us_per_job: cpu.map(|spent| super::round(spent.as_secs_f64() * 1e6 / jobs as f64)),
    })
}

async fn cpu_time(bench: &Bench) -> Option<Duration> {
    match &bench.raw {
        Some(raw) => raw.cpu_time().await,
        None => None,
    }
}

fn make(bench: &Bench, count: usize) -> Result<Vec<NewJob>, Failure> {
    (0..count).map(|seq| Ok(bench.client.enqueue(BenchJob::new(seq as u64)).into_job()?)).collect()
}

/// From the start of a connected worker to the last settlement that is on disk.
async fn drain(context: &Context, bench: &Bench, slots: usize, jobs: usize) -> Result<Duration, Failure> {
    let began = clock::monotonic();
    let worker = bench.worker(context, slots).start().await?;
    let wanted = jobs as u64;
    loop {
        let took = clock::monotonic().duration_since(began);
        if worker.stats().settled >= wanted {
            worker.stop_gracefully(Duration::from_secs(10)).await;
            return Ok(took);
        }
        if took > AT_MOST {
            let settled = worker.stats().settled;
            return Err(Failure::new(
                failure::TIMED_OUT,
                format!("only {settled} of {jobs} jobs were drained in {} s", took.as_secs()),
            ));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
