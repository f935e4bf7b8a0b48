//! What many trials of one drill have shown together.

use serde::Serialize;

use super::Fault;
use super::verdict::Measured;
use crate::commands::bench::percentile;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Serialize)]
struct Summary {
    passed: usize,
    trials: usize,
    detected: Spread,
    running_again: Spread,
    lost: usize,
    run_twice: usize,
    overlapping: usize,
}

/// Milliseconds, of the slowest job of each trial; trials in which it never came about count as endless.
#[derive(Debug, Serialize)]
struct Spread {
    median_ms: Option<u64>,
    p99_ms: Option<u64>,
    slowest_ms: Option<u64>,
}

impl Spread {
    fn of(times: impl Iterator<Item = Option<u128>>) -> Self {
        let times: Vec<f64> = times.map(|ms| ms.map_or(f64::INFINITY, |ms| ms as f64)).collect();
        let at = |share| Some(percentile(&times, share)).filter(|ms| ms.is_finite()).map(|ms| ms as u64);
        Self { median_ms: at(0.5), p99_ms: at(0.99), slowest_ms: at(1.0) }
    }

    fn words(&self) -> String {
        let ms = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms"));
        format!("median {}, p99 {}, slowest {}", ms(self.median_ms), ms(self.p99_ms), ms(self.slowest_ms))
    }
}

impl Summary {
    fn of(trials: &[Measured]) -> Self {
        Self {
            passed: trials.iter().filter(|trial| trial.passed()).count(),
            trials: trials.len(),
            detected: Spread::of(trials.iter().map(|trial| trial.detected_ms)),
            running_again: Spread::of(trials.iter().map(|trial| trial.running_again_ms)),
            lost: trials.iter().map(|trial| trial.lost).sum(),
            run_twice: trials.iter().map(|trial| trial.run_twice).sum(),
            overlapping: trials.iter().map(|trial| trial.overlapping).sum(),
        }
    }
}

pub(super) fn print(fault: Fault, trials: &[Measured], json: bool) -> Result<(), Failure> {
    let summary = Summary::of(trials);
    if json {
        return output::json(
            &serde_json::json!({ "drill": fault.name(), "summary": summary, "trials": trials }),
        );
    }
    let rows = [
        ("trials", summary.trials.to_string()),
        ("passed", summary.passed.to_string()),
        ("detected after", summary.detected.words()),
        ("running again after", summary.running_again.words()),
        ("lost", summary.lost.to_string()),
        ("run twice", summary.run_twice.to_string()),
        ("beside their old program", summary.overlapping.to_string()),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::table(&["drill", fault.name()], &[], rows);
    output::say(&output::bold(if summary.passed == summary.trials { "passed" } else { "failed" }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_that_never_came_back_is_the_slowest() {
        let spread = Spread::of([Some(30), None, Some(10)].into_iter());
        assert_eq!((spread.median_ms, spread.p99_ms, spread.slowest_ms), (Some(30), None, None));
        assert_eq!(spread.words(), "median 30 ms, p99 never, slowest never");
    }
}
