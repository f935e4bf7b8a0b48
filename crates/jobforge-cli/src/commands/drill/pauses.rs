//! `jobforge drill pauses`: workers that stand still for less than their lease must not be taken for dead.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use jobforge::clock;
use jobforge::core::job::{JobId, Lease};
use jobforge::core::state::Status;
use jobforge::core::time::{Now, parse_duration, words};
use jobforge::store::Store;
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::canary::{Canary, Frozen, Place, failed};
use super::{BEGIN, JOBS, Stage, until};
use crate::cli::PausesArgs;
use crate::failure::{self, Failure};
use crate::output;

/// Shortest pause, and shortest time between two.
const SHORTEST: Duration = Duration::from_millis(500);
/// How long the first sign of a watchdog is waited for, and how often it is looked for.
const FIRST_SIGN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longest time between two pauses.
const REST: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize)]
struct Report {
    passed: bool,
    seconds: f64,
    workers: usize,
    lease_ms: u128,
    longest_pause_ms: u128,
    pauses: usize,
    frozen_seconds: f64,
    /// Workers that were taken for dead, or that gave themselves up.
    workers_lost: usize,
    /// Jobs that were taken from their worker.
    jobs_lost: usize,
}

/// Whether a watchdog runs; one of a server that has just begun has not given its first sign yet.
async fn somebody_watches(store: &dyn Store) -> Result<bool, Failure> {
    let begun = clock::monotonic();
    loop {
        let (seen, watchdogs) = (store.survey(Now::Database).await?, store.watchdogs(Now::Database).await?);
        if watchdogs.iter().any(|watchdog| !watchdog.is_silent(seen.as_of)) {
            return Ok(true);
        }
        if clock::monotonic().duration_since(begun) >= FIRST_SIGN {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(super) async fn run(stage: &Stage<'_>, args: &PausesArgs) -> Result<(), Failure> {
    let length =
        parse_duration(&args.length).map_err(|error| Failure::usage(format!("--length: {error}")))?;
    let store = stage.client.store();
    if !somebody_watches(&**store).await? {
        return Err(Failure::new(
            failure::FAILED,
            "no watchdog is running, so nobody would take a worker for dead",
        )
        .hint("start `jobforge serve`, `up` or `cleanup-daemon` first"));
    }
    let report = stage.on(false, async |place| play(stage, place, args, length).await).await?;
    if stage.context.json {
        output::json(&serde_json::json!({ "drill": "pauses", "result": report }))?;
    } else {
        report.print();
    }
    if report.passed { Ok(()) } else { Err(Failure::new(failure::FAILED, "")) }
}

async fn play(
    stage: &Stage<'_>,
    place: &Place,
    args: &PausesArgs,
    length: Duration,
) -> Result<Report, Failure> {
    let client = stage.client;
    let count = usize::try_from(args.workers).unwrap_or(usize::MAX);
    let mut canaries = Vec::new();
    for _ in 0..count {
        canaries.push(Canary::start(stage.global, stage.context, place, None)?);
    }
    let ids = place.enqueue(client, JOBS * count).await?;
    until(BEGIN, "all workers run their jobs", || async { Ok(place.starts().len() >= ids.len()) }).await?;
    let before = place.workers(client).await?;
    let lease = stage.context.settings.millis("worker_lease_ms");
    // Renewals come every quarter of it, and a worker gives up a fifth before its end.
    let longest = lease / 2;
    let busy: Vec<Child> = (0..args.busy).map(|_| waste_time()).collect::<Result<_, _>>()?;
    let bar = output::progress(length.as_secs(), "pausing workers");
    let mut pausing = JoinSet::new();
    for (index, worker) in before.iter().enumerate() {
        pausing.spawn(pause_again_and_again(worker.pid, index, longest, length));
    }
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bar.inc(1);
        }
    };
    let paused = tokio::select! {
        paused = pausing.join_all() => paused,
        () = ticking => Vec::new(),
    };
    bar.finish_and_clear();
    drop(busy);
    let paused = paused.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    // A verdict that was on its way is spoken by now.
    tokio::time::sleep(lease / 2).await;
    let lives: BTreeSet<_> = place.workers(client).await?.into_iter().map(|worker| worker.id).collect();
    let jobs_lost = lost(stage, &ids).await?;
    let workers_lost = before.iter().filter(|worker| !lives.contains(&worker.id)).count();
    for canary in canaries {
        canary.stop().await;
    }
    Ok(Report {
        passed: jobs_lost == 0 && workers_lost == 0,
        seconds: length.as_secs_f64(),
        workers: count,
        lease_ms: lease.as_millis(),
        longest_pause_ms: longest.as_millis(),
        pauses: paused.iter().map(|(times, _)| times).sum(),
        frozen_seconds: paused.iter().map(|(_, frozen)| frozen.as_secs_f64()).sum(),
        workers_lost,
        jobs_lost,
    })
}

/// How many jobs do not run under their first lease any more.
async fn lost(stage: &Stage<'_>, ids: &[JobId]) -> Result<usize, Failure> {
    let mut lost = 0;
    for id in ids {
        let job = stage.client.job(*id).await?;
        lost += usize::from(job.status != Status::Running || job.lease != Lease(1));
    }
    Ok(lost)
}

/// A program that keeps a processor busy until it is dropped.
fn waste_time() -> Result<Child, Failure> {
    let mut command = Command::new("sh");
    command.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().map_err(|error| failed("start a busy program", &error))
}

/// Freezes one process for this long in all; says how often and for how long.
async fn pause_again_and_again(
    pid: u32,
    index: usize,
    longest: Duration,
    length: Duration,
) -> Result<(usize, Duration), Failure> {
    let began = clock::monotonic();
    let (mut times, mut frozen) = (0, Duration::ZERO);
    let mut share = (index as f64 * SPREAD).fract();
    while clock::monotonic().duration_since(began) < length {
        share = (share + SPREAD).fract();
        let pause = Frozen::freeze(pid)?;
        let at = clock::monotonic();
        tokio::time::sleep(SHORTEST + longest.saturating_sub(SHORTEST).mul_f64(share)).await;
        drop(pause);
        frozen += clock::monotonic().duration_since(at);
        times += 1;
        tokio::time::sleep(SHORTEST + REST.mul_f64((share * 7.0).fract())).await;
    }
    Ok((times, frozen))
}

/// Multiples of the golden ratio fall evenly between 0 and 1 and never into step: random enough, and the same each time.
const SPREAD: f64 = 0.618_033_988_749_895;

impl Report {
    fn print(&self) {
        let rows = [
            ("ran for", words(Duration::from_secs_f64(self.seconds))),
            ("workers", self.workers.to_string()),
            ("lease", format!("{} ms", self.lease_ms)),
            ("longest pause", format!("{} ms", self.longest_pause_ms)),
            ("pauses", self.pauses.to_string()),
            ("frozen in all", words(Duration::from_secs_f64(self.frozen_seconds))),
            ("workers taken for dead", self.workers_lost.to_string()),
            ("jobs taken from them", self.jobs_lost.to_string()),
        ];
        let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        output::table(&["drill", "pauses"], &[1], rows);
        output::say(&output::bold(if self.passed { "passed" } else { "failed" }));
    }
}
