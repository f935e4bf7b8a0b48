//! Random histories: the same steps on two engines must give the same answers and leave the same jobs.
//!
//! A seed gives a list of [`Step`]s, legal and illegal ones mixed. [`run`] applies them to a store on a clock of its
//! own and writes a [`Trace`]: after each step its answer and every job row that changed, at the end everything that
//! is kept of each job. The first line in which two traces differ shows where two engines part.
//!
//! Steps name jobs, workers and claims by numbers that are looked up while the history runs, so a history that was
//! cut short still makes sense.

mod random;
mod rows;
mod runner;

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result};
use jobforge_store::Store;

pub use random::Random;

use runner::Runner;

/// What happens next in a history. The random numbers in a step choose its details when it is run.
#[derive(Debug, Clone)]
pub struct Step {
    verb: Verb,
    luck: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Enqueue,
    Repeat,
    Register,
    Renew,
    Leave,
    Claim,
    Heartbeat,
    Settle,
    Resend,
    Pass,
    PassDays,
    Sweep,
    Scan,
    Apply,
    Expire,
    Cancel,
    Retry,
    Delete,
    Pause,
    Purge,
    Reconcile,
    Look,
}

/// How often each verb comes.
const WEIGHTS: [(Verb, u64); 22] = [
    (Verb::Enqueue, 12),
    (Verb::Repeat, 3),
    (Verb::Register, 5),
    (Verb::Renew, 8),
    (Verb::Leave, 2),
    (Verb::Claim, 20),
    (Verb::Heartbeat, 12),
    (Verb::Settle, 20),
    (Verb::Resend, 4),
    (Verb::Pass, 14),
    (Verb::PassDays, 1),
    (Verb::Sweep, 4),
    (Verb::Scan, 3),
    (Verb::Apply, 3),
    (Verb::Expire, 2),
    (Verb::Cancel, 3),
    (Verb::Retry, 4),
    (Verb::Delete, 2),
    (Verb::Pause, 3),
    (Verb::Purge, 2),
    (Verb::Reconcile, 1),
    (Verb::Look, 5),
];

/// The history of a seed.
pub fn generate(seed: u64, steps: usize) -> Vec<Step> {
    let mut random = Random::new(seed);
    let total = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let draw = |_| {
        let mut left = random.below(total);
        let chosen = WEIGHTS.iter().find(|(_, weight)| {
            let hit = left < *weight;
            left = left.saturating_sub(*weight);
            hit
        });
        Step { verb: chosen.map_or(Verb::Look, |(verb, _)| *verb), luck: random.number() }
    };
    (0..steps).map(draw).collect()
}

/// What a history did to a store, line by line.
#[derive(Debug, Default)]
pub struct Trace {
    /// Answers, changed rows and the final state, in canonical form.
    pub lines: Vec<String>,
}

impl Trace {
    /// Says where two traces part, with the lines before; `None` if they are the same.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let same = self.lines.iter().zip(&other.lines).take_while(|(a, b)| a == b).count();
        let (ours, theirs) = (self.lines.get(same), other.lines.get(same));
        if ours.is_none() && theirs.is_none() {
            return None;
        }
        let mut text = String::new();
        for line in &self.lines[same.saturating_sub(12)..same] {
            let _ = writeln!(text, "    {line}");
        }
        let none = "(nothing)".to_owned();
        let _ = writeln!(text, "  < {}\n  > {}", ours.unwrap_or(&none), theirs.unwrap_or(&none));
        Some(text)
    }
}

/// Applies a history to an empty store and tells what happened; fails when a rule that holds for every engine is broken.
pub async fn run(store: &Arc<dyn Store>, steps: &[Step]) -> Result<Trace> {
    let mut runner = Runner::new(store.clone());
    runner.begin().await?;
    for (number, step) in steps.iter().enumerate() {
        runner.step(number, step).await.with_context(|| format!("at step {number}: {step:?}"))?;
    }
    runner.finish().await?;
    Ok(runner.trace)
}
