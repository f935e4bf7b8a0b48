//! Runs a list of stages until the first that fails, and tells how long each took.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::postgres::Cluster;

/// One step of a run.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Run) -> Result<Outcome>,
}

/// What a stage did when it did not fail.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// It had nothing to do, for this reason.
    LeftOut(&'static str),
}

/// What the stages of one run share.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// The PostgreSQL that all tests of the run use.
    pub(crate) cluster: Option<Cluster>,
}

/// Runs the stages in order. The table of durations is printed after a failure too.
pub(crate) fn run(stages: &[Stage]) -> Result<()> {
    let mut run = Run::default();
    let mut summary = Vec::new();
    let mut result = Ok(());
    let started = now();
    for stage in stages {
        println!("\n=== {} ===", stage.name);
        let stage_started = now();
        let outcome = (stage.run)(&mut run);
        let took = stage_started.elapsed();
        summary.push(row(stage.name, &describe(&outcome), took));
        println!("=== {}: {} in {} ===", stage.name, describe(&outcome), seconds(took));
        if let Err(error) = outcome {
            result = Err(error).context(format!("stage {} failed", stage.name));
            break;
        }
    }
    let not_reached =
        stages.iter().skip(summary.len()).map(|stage| format!("{:<12} {:>9}  not reached", stage.name, ""));
    summary.extend(not_reached.collect::<Vec<_>>());
    summary.push(row("total", if result.is_ok() { "passed" } else { "FAILED" }, started.elapsed()));
    println!("\n{}", summary.join("\n"));
    result
}

fn row(name: &str, outcome: &str, took: Duration) -> String {
    format!("{name:<12} {:>9}  {outcome}", seconds(took))
}

fn describe(outcome: &Result<Outcome>) -> String {
    match outcome {
        Ok(Outcome::Passed) => "passed".to_owned(),
        Ok(Outcome::LeftOut(reason)) => format!("left out: {reason}"),
        Err(_) => "FAILED".to_owned(),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures how long a chore takes; nothing of the product depends on it"
)]
fn now() -> Instant {
    Instant::now()
}
