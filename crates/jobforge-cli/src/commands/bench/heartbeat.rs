//! What it costs the database to know that running jobs are alive: of their workers' leases alone, and with the heartbeat
//! of every job on top.

use std::time::Duration;

use jobforge::core::heartbeat::BeatPolicy;
use jobforge::core::job::JobId;
use jobforge::{JobContext, JobError, Worker, clock};
use serde::Serialize;

use super::raw::{Counts, Raw};
use super::{Bench, BenchJob, QUEUE, length, positive, round, wait};
use crate::cli::HeartbeatArgs;
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

/// Until all jobs run.
const AT_MOST: Duration = Duration::from_secs(120);
/// After the claims, until the server has counted what idle connections did.
const CALM: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    jobs: usize,
    workers: usize,
    lease_ms: u128,
    seconds: f64,
    leases: PerMinute,
    leases_and_heartbeats: PerMinute,
}

/// What the server counted, all of it: its own upkeep is included.
#[derive(Debug, Serialize)]
struct PerMinute {
    statements: f64,
    wal_bytes: f64,
    /// Pages that were written whole, because they were changed for the first time after a checkpoint.
    full_pages: f64,
    dead_rows: f64,
    /// Of those, the ones that touched no index and that the next look at their page removes.
    of_them_hot: f64,
}

pub(super) async fn run(context: &Context, bench: &Bench, args: &HeartbeatArgs) -> Result<(), Failure> {
    positive("--jobs", args.jobs)?;
    positive("--workers", args.workers)?;
    let length = length(args.seconds)?;
    let Some(raw) = &bench.raw else {
        return Err(Failure::usage("`bench heartbeat` measures PostgreSQL")
            .hint("add --database-url postgres://…; on SQLite one process owns the file and `bench idle` tells what that costs"));
    };
    let batch: Vec<_> = (0..args.jobs)
        .map(|seq| Ok::<_, Failure>(bench.client.enqueue(BenchJob::new(seq as u64)).into_job()?))
        .collect::<Result<_, _>>()?;
    let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
    bench.client.enqueue_jobs(&batch).await?;
    let on = BeatPolicy { enabled: true, ..context.settings.beat_policy() };
    let off = BeatPolicy { enabled: false, ..on };
    let measured = async {
        Ok((
            phase(context, bench, raw, args, off, length).await?,
            phase(context, bench, raw, args, on, length).await?,
        ))
    };
    let measured: Result<_, Failure> = measured.await;
    bench.remove(&ids).await?;
    let (leases, leases_and_heartbeats) = measured?;
    let report = Report {
        scenario: "heartbeat",
        engine: bench.store.capabilities().engine,
        jobs: args.jobs,
        workers: args.workers,
        lease_ms: context.settings.millis("worker_lease_ms").as_millis(),
        seconds: length.as_secs_f64(),
        leases,
        leases_and_heartbeats,
    };
    if context.json {
        return output::json(&report);
    }
    let row = |name: &str, cost: &PerMinute| {
        vec![
            name.to_owned(),
            format!("{:.0}", cost.statements),
            format!("{:.3} MB", cost.wal_bytes / 1e6),
            format!("{:.0}", cost.full_pages),
            format!("{:.0}", cost.dead_rows),
            format!("{:.0}", cost.of_them_hot),
        ]
    };
    output::table(
        &["a minute", "statements", "wal", "full pages", "dead rows", "of them hot"],
        &[1, 2, 3, 4, 5],
        vec![row("leases", &report.leases), row("with job heartbeats", &report.leases_and_heartbeats)],
    );
    Ok(())
}

/// Has all jobs run for as long as is measured, with or without heartbeats of their own.
async fn phase(
    context: &Context,
    bench: &Bench,
    raw: &Raw,
    args: &HeartbeatArgs,
    beat: BeatPolicy,
    length: Duration,
) -> Result<PerMinute, Failure> {
    let slots = args.jobs.div_ceil(args.workers);
    let mut workers = Vec::new();
    for _ in 0..args.workers {
        let worker = Worker::builder(&bench.client).settings(&context.settings).heartbeat(beat);
        workers.push(worker.register(run_on).queue(QUEUE, slots).start().await?);
    }
    let outcome = measure(raw, args, &workers, beat, length).await;
    for worker in workers {
        worker.stop_gracefully(Duration::ZERO).await;
    }
    outcome
}

async fn measure(
    raw: &Raw,
    args: &HeartbeatArgs,
    workers: &[Worker],
    beat: BeatPolicy,
    length: Duration,
) -> Result<PerMinute, Failure> {
    let began = clock::monotonic();
    while workers.iter().map(|worker| worker.stats().claimed).sum::<u64>() < args.jobs as u64 {
        if clock::monotonic().duration_since(began) > AT_MOST {
            return Err(Failure::new(failure::TIMED_OUT, format!("the {} jobs do not all run", args.jobs)));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Heartbeats begin often and become rarer; what counts is how it goes on.
    let begin = if beat.enabled { beat.interval.saturating_mul(2) } else { Duration::ZERO } + CALM;
    let name = if beat.enabled { "leases and heartbeats" } else { "leases" };
    let bar = output::progress((begin + length).as_secs(), name);
    wait(begin, &bar).await;
    // What the claims left behind is not to be cleared away while it is measured. After a checkpoint every page is written
    // whole when it is first changed, so in five minutes that happens as often as it does with the server's defaults.
    raw.run("VACUUM ANALYZE").await?;
    raw.run("CHECKPOINT").await?;
    let (began, before) = (clock::monotonic(), raw.counts().await?);
    wait(length, &bar).await;
    let after = raw.counts().await?;
    bar.finish_and_clear();
    Ok(PerMinute::between(&before, &after, clock::monotonic().duration_since(began)))
}

impl PerMinute {
    fn between(before: &Counts, after: &Counts, took: Duration) -> Self {
        let minutes = took.as_secs_f64() / 60.0;
        let rate = |count: fn(&Counts) -> i64| round((count(after) - count(before)).max(0) as f64 / minutes);
        Self {
            statements: rate(|counts| counts.transactions),
            wal_bytes: rate(|counts| counts.wal_bytes),
            full_pages: rate(|counts| counts.full_pages),
            dead_rows: rate(|counts| counts.dead_rows),
            of_them_hot: rate(|counts| counts.hot),
        }
    }
}

async fn run_on(_: BenchJob, context: JobContext) -> Result<(), JobError> {
    context.stopped().await;
    Err(JobError::retry("stopped", "the measurement is over"))
}
