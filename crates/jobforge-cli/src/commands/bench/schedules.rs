//! Firing schedules: how late a thousand firings a minute among ten thousand schedules are, and what they cost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jobforge::core::audit::By;
use jobforge::core::job::JobId;
use jobforge::core::schedule::{Checked, Definition, Overlap, Source, check};
use jobforge::core::time::{Now, add, since};
use jobforge::process::cpu_time_with_children;
use jobforge::services::Scheduler;
use jobforge::store::Store;
use jobforge::store::rows::{FIRE_STEP, Fired, FiredLine, JobFilter, MAX_PAGE, Move};
use jobforge::{JobType, clock};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Bench, BenchJob, percentile, positive, round, wait};
use crate::cli::SchedulesArgs;
use crate::failure::Failure;
use crate::output;

/// Schedules of one tenant of the benchmark.
const PER_TENANT: usize = 500;
/// Every so many schedules one is due in each minute that is measured.
const DUE_ONE_IN: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    schedules: usize,
    at_once: bool,
    live: Option<Live>,
    played: Option<Played>,
    idle_look_ms: f64,
}

/// A scheduler at work for some minutes.
#[derive(Debug, Serialize)]
struct Live {
    minutes: u64,
    fired: usize,
    fired_per_minute: f64,
    /// From each moment to the end of the step that fired it, on the database's clock.
    late_p50_ms: f64,
    late_p99_ms: f64,
    late_max_ms: f64,
    /// Absent without a server that counts them.
    transactions_per_firing: Option<f64>,
    /// Of this process, which on SQLite is all there is.
    cpu_us_per_firing: Option<f64>,
    postgres_cpu_us_per_firing: Option<f64>,
}

/// Minutes played on a clock of their own, as fast as they go.
#[derive(Debug, Serialize)]
struct Played {
    minutes: u64,
    fired: u64,
    fired_per_second: f64,
    step_ms: f64,
    slowest_step_ms: f64,
}

/// Adds schedules of which a tenth is due each minute, lets a scheduler fire them, then plays further minutes.
pub(super) async fn run(bench: &Bench, args: &SchedulesArgs, json: bool) -> Result<(), Failure> {
    let count = positive("--schedules", args.schedules)?;
    let store = &bench.store;
    let by = By::named("bench");
    // Later than the last of them is added.
    let begin = add(store.now().await?, Duration::from_secs(10 + count as u64 / 200));
    let all = (0..count).map(|number| definition(number, args, begin)).collect::<Result<Vec<_>, _>>()?;
    let bar = output::progress(count as u64, "adding schedules");
    for page in all.chunks(PER_TENANT) {
        store.declare_schedules(page, Source::Cli, &by, Now::Database).await?;
        bar.inc(page.len() as u64);
    }
    bar.finish_and_clear();
    let measured = async {
        let live = if args.minutes == 0 { None } else { Some(live(bench, args.minutes, begin).await?) };
        let from = add(begin, MINUTE * u32::try_from(args.minutes).unwrap_or(u32::MAX));
        let played = if args.played == 0 { None } else { Some(played(store, args.played, from).await?) };
        Ok((live, played, idle(store).await?))
    };
    let measured: Result<_, Failure> = measured.await;
    remove(store, &all, &by).await?;
    let (live, played, idle) = measured?;
    let report = Report {
        scenario: "schedules",
        engine: store.capabilities().engine,
        schedules: count,
        at_once: args.at_once,
        live,
        played,
        idle_look_ms: round(idle.as_secs_f64() * 1000.0),
    };
    if json { output::json(&report) } else { tell(&report) }
}

fn tell(report: &Report) -> Result<(), Failure> {
    output::say(&format!("{} schedules on {}", report.schedules, report.engine));
    if let Some(live) = &report.live {
        let share = if report.at_once { "all of a minute at once" } else { "spread over each minute" };
        output::say(&format!(
            "  {} firings in {} min, {share}: {:.0} a minute",
            live.fired, live.minutes, live.fired_per_minute
        ));
        output::say(&format!(
            "  late by {:.1} ms at the median, {:.1} ms at p99, {:.1} ms at most",
            live.late_p50_ms, live.late_p99_ms, live.late_max_ms
        ));
        let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        output::say(&format!(
            "  a firing takes {} transactions, {} us of CPU here and {} us of the server's",
            figure(live.transactions_per_firing),
            figure(live.cpu_us_per_firing),
            figure(live.postgres_cpu_us_per_firing)
        ));
    }
    if let Some(played) = &report.played {
        output::say(&format!(
            "  as fast as it goes: {:.0} firings a second, in steps of up to {FIRE_STEP} that take {:.1} ms, {:.1} ms at most",
            played.fired_per_second, played.step_ms, played.slowest_step_ms
        ));
    }
    output::say(&format!("  a look at which nothing is due takes {:.2} ms", report.idle_look_ms));
    Ok(())
}

fn definition(number: usize, args: &SchedulesArgs, begin: Timestamp) -> Result<Checked, Failure> {
    let round = MINUTE * DUE_ONE_IN as u32;
    let into = if args.at_once {
        MINUTE * (number % DUE_ONE_IN) as u32
    } else {
        round.mul_f64(number as f64 / args.schedules as f64)
    };
    let definition = Definition {
        tenant_id: Some(format!("bench-{}", number / PER_TENANT)),
        queue: Some(super::QUEUE.to_owned()),
        every: Some(format!("{DUE_ONE_IN}m")),
        anchor: Some(add(begin, into).to_string()),
        overlap: Overlap::Allow,
        ..Definition::new(format!("bench-{number:06}"), BenchJob::TYPE)
    };
    check(definition, begin).map_err(|invalid| Failure::usage(invalid.to_string()))
}

async fn live(bench: &Bench, minutes: u64, begin: Timestamp) -> Result<Live, Failure> {
    let store = &bench.store;
    let length = MINUTE * u32::try_from(minutes).unwrap_or(u32::MAX);
    let end = add(begin, length);
    let late: Arc<Mutex<Vec<f64>>> = Arc::default();
    let noted = Arc::clone(&late);
    let note = move |step: &Fired| {
        let as_of = step.as_of;
        let mut late = noted.lock().unwrap_or_else(PoisonError::into_inner);
        // An interval also goes through moments before its anchor.
        let is_measured = |line: &&FiredLine| {
            line.schedule.starts_with("bench-") && (begin..end).contains(&line.line.planned_for)
        };
        let measured = step.lines.iter().filter(is_measured);
        late.extend(measured.map(|line| since(as_of, line.line.planned_for).as_secs_f64() * 1000.0));
    };
    let stop = CancellationToken::new();
    let firing = tokio::spawn(Scheduler::new(Arc::clone(store)).telling(note).run(stop.clone()));
    let until_begin = since(begin, store.now().await?);
    wait(until_begin, &output::progress(until_begin.as_secs(), "waiting for the first moment")).await;
    let spent = Spent::so_far(bench).await?;
    let bar = output::progress(length.as_secs(), "firing");
    wait(length, &bar).await;
    bar.finish_and_clear();
    stop.cancel();
    let _ = firing.await;
    let spent = spent.until(&Spent::so_far(bench).await?);
    let late = std::mem::take(&mut *late.lock().unwrap_or_else(PoisonError::into_inner));
    let each = late.len().max(1) as f64;
    let us = |time: Duration| round(time.as_secs_f64() * 1e6 / each);
    Ok(Live {
        minutes,
        fired: late.len(),
        fired_per_minute: round(late.len() as f64 / minutes as f64),
        late_p50_ms: round(percentile(&late, 0.5)),
        late_p99_ms: round(percentile(&late, 0.99)),
        late_max_ms: round(percentile(&late, 1.0)),
        transactions_per_firing: spent.transactions.map(|count| round(count as f64 / each)),
        cpu_us_per_firing: spent.here.map(us),
        postgres_cpu_us_per_firing: spent.server.map(us),
    })
}

/// What was used up.
struct Spent {
    transactions: Option<i64>,
    here: Option<Duration>,
    server: Option<Duration>,
}

impl Spent {
    async fn so_far(bench: &Bench) -> Result<Self, Failure> {
        let here = cpu_time_with_children(std::process::id());
        Ok(match &bench.raw {
            Some(raw) => {
                Self { transactions: Some(raw.transactions().await?), here, server: raw.cpu_time().await }
            }
            None => Self { transactions: None, here, server: None },
        })
    }

    fn until(&self, later: &Self) -> Self {
        let between = |from: Option<Duration>, to: Option<Duration>| {
            from.zip(to).map(|(from, to)| to.saturating_sub(from))
        };
        Self {
            transactions: self.transactions.zip(later.transactions).map(|(from, to)| to - from),
            here: between(self.here, later.here),
            server: between(self.server, later.server),
        }
    }
}

async fn played(store: &Arc<dyn Store>, minutes: u64, from: Timestamp) -> Result<Played, Failure> {
    let (mut fired, mut slowest, mut steps, mut worked) = (0_u64, Duration::ZERO, 0_u64, Duration::ZERO);
    for minute in 1..=minutes {
        let now = Now::Fixed(add(from, Duration::from_secs(minute * 60)));
        loop {
            let begun = clock::monotonic();
            let lines = store.fire_schedules(Duration::ZERO, FIRE_STEP, now).await?.lines.len();
            let took = clock::monotonic().duration_since(begun);
            if lines == 0 {
                break;
            }
            (fired, steps, worked, slowest) =
                (fired + lines as u64, steps + 1, worked + took, slowest.max(took));
        }
    }
    Ok(Played {
        minutes,
        fired,
        fired_per_second: round(fired as f64 / worked.as_secs_f64().max(f64::EPSILON)),
        step_ms: round(worked.as_secs_f64() * 1000.0 / steps.max(1) as f64),
        slowest_step_ms: round(slowest.as_secs_f64() * 1000.0),
    })
}

async fn idle(store: &Arc<dyn Store>) -> Result<Duration, Failure> {
    const LOOKS: u32 = 100;
    let begun = clock::monotonic();
    for _ in 0..LOOKS {
        // Far back, where nothing is due.
        store.fire_schedules(Duration::from_secs(86_400 * 365), FIRE_STEP, Now::Database).await?;
    }
    Ok(clock::monotonic().duration_since(begun) / LOOKS)
}

async fn remove(store: &Arc<dyn Store>, all: &[Checked], by: &By) -> Result<(), Failure> {
    let bar = output::progress(all.len() as u64, "removing them");
    for one in all {
        store.remove_schedule(&one.definition.name, by, Now::Database).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    loop {
        let filter =
            JobFilter { queue: Some(super::QUEUE.to_owned()), limit: MAX_PAGE, ..JobFilter::default() };
        let ids: Vec<JobId> = store.jobs(&filter).await?.iter().map(|job| job.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        store.move_jobs(&ids, Move::Delete, by, Now::Database).await?;
    }
}
