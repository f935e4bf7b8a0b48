//! A simulation: the real loops of workers and servers over a real database in memory, on a clock that is simulated.
//!
//! A seed decides everything: the fleet and its settings, what clients ask for, what goes wrong, and the order in which
//! what happens at the same time is done. The same seed tells the same story again. Processes are killed, frozen, suspended
//! and cut off; calls are refused, late, lost, or done and answered with an error; the database goes down and its clock
//! steps. [`check`] holds the rules that must survive all this. After some minutes everything is mended, and then all jobs
//! must end.
//!
//! What is real: `jobforge::Worker` with all its loops, `services::Watchdog` and `Housekeeper`, and the SQLite engine. What
//! is not: threads, sockets, and the supervisor of a worker process, of whom only the reports are played.
//!
//! Read in this order: [`weather`] (what a seed decides), `driver` (how it is played), `process` (how the real loops are run
//! step by step), `world` and `link` (the database and the ways to it), then the checkers.

mod administering;
mod alerting;
mod broken;
mod check;
mod clients;
mod driver;
mod event;
mod fleet;
mod link;
mod process;
mod scheduling;
mod store;
mod tally;
mod watching;
mod weather;
mod work;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use broken::Broken;
pub use check::Violation;
pub use tally::Mark;

use driver::Driver;
use weather::Weather;

/// How to run a simulation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether to keep what happened in words.
    pub narrate: bool,
    /// What is broken on purpose.
    pub broken: Option<Broken>,
}

/// How a simulation went.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The simulated time that it took.
    pub lasted: Duration,
    /// From the last trouble to the end of the last job.
    pub settled_after: Duration,
    /// Things that happened.
    pub events: u64,
    /// Jobs that there were.
    pub jobs: usize,
    /// What it has come upon, and how often.
    pub marks: BTreeMap<Mark, u64>,
    /// What happened, line by line, if that was asked for.
    pub narration: Vec<String>,
    /// The first rule that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Runs one simulation.
///
/// # Errors
/// When the simulation itself cannot be run; a broken rule is a report.
pub fn run(seed: u64, options: &Options) -> anyhow::Result<Report> {
    Driver::new(seed, Weather::of(seed), options)?.run()
}

/// Runs the simulations of these seeds and panics with the first rule that is broken, and how to see it again.
pub fn check_seeds(seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let report = run(seed, &Options::default());
        let report = report.unwrap_or_else(|error| panic!("seed {seed} could not be run: {error:#}"));
        if let Some(violation) = report.violation {
            panic!("{violation}\n  to see it again: cargo xtask sim --seed {seed} --narrate");
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:.3} s \"{}\" is broken: {}", self.at.as_secs_f64(), self.checker, self.saw)
    }
}
