//! `cargo xtask sim`: one simulation told line by line, or as many as there is time for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::sim::{self, Mark, Report};

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Options {
    /// Run the simulation of this seed
    #[arg(long, conflicts_with_all = ["minutes", "from"])]
    seed: Option<u64>,
    /// Tell everything that happens in it
    #[arg(long, requires = "seed")]
    narrate: bool,
    /// Run one seed after the other for so long, on every core
    #[arg(long)]
    minutes: Option<f64>,
    /// The first of these seeds; drawn by the clock unless given
    #[arg(long, requires = "minutes")]
    from: Option<u64>,
}

/// Between two lines that say how far a long run has come.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Fails at the first rule that is broken, and says how to see it again.
pub(crate) fn run(options: &Options) -> Result<()> {
    match (options.seed, options.minutes) {
        (Some(seed), _) => one(seed, options.narrate),
        (None, Some(minutes)) => {
            let length = Duration::try_from_secs_f64(minutes * 60.0).context("failed to read --minutes")?;
            many(options.from.unwrap_or_else(seed_by_clock), length)
        }
        (None, None) => bail!("failed to see what to do: give --seed or --minutes"),
    }
}

fn one(seed: u64, narrate: bool) -> Result<()> {
    let report = sim::run(seed, &sim::Options { narrate, ..sim::Options::default() })?;
    for line in &report.narration {
        println!("{line}");
    }
    check(&report)?;
    println!(
        "seed {seed}: {} jobs, {} events in {:.0} simulated seconds; everything had ended {:.0} s after the last trouble",
        report.jobs,
        report.events,
        report.lasted.as_secs_f64(),
        report.settled_after.as_secs_f64()
    );
    Ok(())
}

fn check(report: &Report) -> Result<()> {
    match &report.violation {
        None => Ok(()),
        Some(violation) => bail!(
            "seed {seed}: {violation}\nhint: cargo xtask sim --seed {seed} --narrate",
            seed = report.seed
        ),
    }
}

fn many(from: u64, length: Duration) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("seeds from {from} on, {threads} at a time");
    let (next, done, broken) = (AtomicU64::new(from), AtomicU64::new(0), AtomicBool::new(false));
    let marks: Mutex<BTreeMap<Mark, u64>> = Mutex::default();
    let (failure, told, began) = (Mutex::new(None), Mutex::new(now()), now());
    let worker = || {
        while began.elapsed() < length && !broken.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let outcome = sim::run(seed, &sim::Options::default());
            if let Ok(report) = &outcome {
                let mut marks = lock(&marks);
                for (mark, count) in &report.marks {
                    *marks.entry(*mark).or_default() += count;
                }
            }
            if let Err(error) = outcome.and_then(|report| check(&report)) {
                broken.store(true, Ordering::Relaxed);
                lock(&failure).get_or_insert(error);
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            let mut told = lock(&told);
            if told.elapsed() >= TELL_EVERY {
                *told = now();
                println!("{done} simulations in {:.0} s, up to seed {seed}", began.elapsed().as_secs_f64());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(worker);
        }
    });
    if let Some(error) = lock(&failure).take() {
        return Err(error);
    }
    println!("{} simulations, and no rule was broken", done.load(Ordering::Relaxed));
    for (mark, count) in &*lock(&marks) {
        println!("{count:>9}  {mark:?}");
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "a long run ends after so much real time")]
fn now() -> Instant {
    Instant::now()
}

/// Another one at every call.
fn seed_by_clock() -> u64 {
    jobforge::clock::wall().as_second().unsigned_abs() * 1000
}
