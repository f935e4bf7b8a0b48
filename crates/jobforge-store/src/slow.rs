//! Tells of statements that take too long, in the words runbook 4 greps for.

use std::time::{Duration, Instant};

/// Above which time a statement is worth a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlowLog {
    pub(crate) threshold: Duration,
}

/// Measures from its making to [`Watch::done`].
#[derive(Debug)]
pub(crate) struct Watch {
    name: &'static str,
    threshold: Duration,
    started: Instant,
}

impl SlowLog {
    pub(crate) fn watch(self, name: &'static str) -> Watch {
        #[expect(
            clippy::disallowed_methods,
            reason = "an interval on the monotonic clock, which decides nothing"
        )]
        let started = Instant::now();
        Watch { name, threshold: self.threshold, started }
    }
}

impl Watch {
    /// Logs if it took too long; returns how long it took.
    pub(crate) fn done(self) -> Duration {
        let took = self.started.elapsed();
        if took >= self.threshold {
            let (statement, took_ms) = (self.name, took.as_millis());
            tracing::warn!(statement, took_ms, "slow query {statement} took {took_ms} ms");
        }
        took
    }
}
