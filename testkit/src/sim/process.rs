//! One simulated process: the real loops on runtimes whose clocks stand still unless the simulation moves them.
//!
//! A worker has two runtimes, as in the product: one for everything, one for its renewals. They are stepped one after the
//! other, so everything in a simulation happens on one thread and in an order that the seed decides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

use super::event::{ProcessId, Role, Stop};
use crate::history::Random;

/// A process.
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) role: Role,
    pub(super) supervised: bool,
    /// How it has stopped, and until when.
    pub(super) stopped: Option<(Stop, Duration)>,
    /// Set by the process itself when it has ended, with the reason.
    pub(super) exit: Arc<Exit>,
    lanes: Vec<Lane>,
    clock: Arc<BootClock>,
    /// Its own monotonic clock.
    local: Duration,
    /// By how many millionths its clock is fast.
    drift_ppm: i64,
}

/// How a process ends by itself.
#[derive(Debug, Default)]
pub(super) struct Exit {
    /// Whether it has.
    pub(super) flag: Arc<AtomicBool>,
    why: Mutex<Option<&'static str>>,
}

impl Exit {
    /// Ends the process: from here on it does nothing that anybody could see.
    pub(super) fn now(&self, why: &'static str) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Why it has ended, if it has.
    pub(super) fn why(&self) -> Option<&'static str> {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread of a process.
struct Lane {
    runtime: Runtime,
    start: Instant,
    /// What its clock shows since the start, in whole milliseconds.
    shows: Duration,
}

/// The clock of a machine that also runs in suspend.
#[derive(Debug)]
pub(super) struct BootClock {
    /// The start of the lane that runs, by that lane's clock.
    start: Mutex<Instant>,
    /// How long the machine was up before the process began, and was suspended since.
    beside: Mutex<Duration>,
    /// Whether suspends count.
    pub(super) counts_suspend: bool,
}

impl BootClock {
    /// What it shows; only for the lane that runs.
    pub(super) fn shows(&self) -> Duration {
        let start = *self.start.lock().unwrap_or_else(PoisonError::into_inner);
        *self.beside.lock().unwrap_or_else(PoisonError::into_inner) + (Instant::now() - start)
    }
}

impl Process {
    /// A process without anything to do yet.
    pub(super) fn new(
        id: ProcessId,
        role: Role,
        supervised: bool,
        drift_ppm: i64,
        up_for: Duration,
        counts_suspend: bool,
    ) -> Result<Self> {
        let threads = if role == Role::Worker { 2 } else { 1 };
        let lanes = (0..threads).map(|_| Lane::new()).collect::<Result<Vec<_>>>()?;
        let clock =
            BootClock { start: Mutex::new(lanes[0].start), beside: Mutex::new(up_for), counts_suspend };
        Ok(Self {
            id,
            role,
            supervised,
            stopped: None,
            exit: Arc::default(),
            lanes,
            clock: Arc::new(clock),
            local: Duration::ZERO,
            drift_ppm,
        })
    }

    /// Where its work is spawned.
    pub(super) fn main(&self) -> &Handle {
        self.lanes[0].runtime.handle()
    }

    /// Where its renewals are spawned.
    pub(super) fn renewals(&self) -> &Handle {
        self.lanes[self.lanes.len() - 1].runtime.handle()
    }

    pub(super) fn clock(&self) -> Arc<BootClock> {
        Arc::clone(&self.clock)
    }

    /// Lets the process live for so long, or only its clocks, as far as it has stopped.
    pub(super) fn step(&mut self, passed: Duration, random: &mut Random) {
        let passed = drifted(passed, self.drift_ppm);
        let stopped = self.stopped.map(|(how, _)| how);
        if stopped == Some(Stop::Suspended) {
            if self.clock.counts_suspend {
                *self.clock.beside.lock().unwrap_or_else(PoisonError::into_inner) += passed;
            }
            return;
        }
        let from = self.local;
        self.local += passed;
        let first = usize::from(random.percent(50));
        for turn in 0..self.lanes.len() {
            let index = (turn + first) % self.lanes.len();
            let runs = match stopped {
                None => true,
                Some(Stop::Stalled) => index > 0,
                Some(Stop::Frozen | Stop::Suspended) => false,
            };
            // What ended the process may have happened on the other thread.
            if runs && self.exit.why().is_none() {
                let lane = &mut self.lanes[index];
                *self.clock.start.lock().unwrap_or_else(PoisonError::into_inner) = lane.start;
                lane.run(from, self.local);
            }
        }
    }
}

impl Drop for Process {
    /// Killed: nothing of it is polled again, and nothing that it was doing is ever heard of.
    fn drop(&mut self) {
        self.exit.now("killed");
    }
}

impl Lane {
    fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let start = runtime.block_on(async { Instant::now() });
        Ok(Self { runtime, start, shows: Duration::ZERO })
    }

    /// Runs from one moment of the process's clock to another. A lane that was held up until `from` jumps there first, and
    /// finds all its timers overdue.
    fn run(&mut self, from: Duration, until: Duration) {
        let (from, until) = (whole_ms(from), whole_ms(until));
        let behind = from.saturating_sub(self.shows);
        let target = self.start + until;
        self.runtime.block_on(async {
            if !behind.is_zero() {
                tokio::time::advance(behind).await;
            }
            tokio::time::sleep_until(target).await;
        });
        self.shows = self.shows.max(until);
    }
}

fn whole_ms(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn drifted(passed: Duration, ppm: i64) -> Duration {
    let part = passed.mul_f64(ppm.unsigned_abs() as f64 / 1e6);
    if ppm < 0 { passed.saturating_sub(part) } else { passed + part }
}
