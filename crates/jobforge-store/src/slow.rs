//! Measures statements, and tells of those that take too long in the words runbook 4 greps for.

use std::time::{Duration, Instant};

use jobforge_core::metric::{process, table};

use crate::meter;

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
    /// How long it has been.
    pub(crate) fn took(&self) -> Duration {
        self.started.elapsed()
    }

    /// Logs if it took too long; returns how long it took.
    pub(crate) fn done(self) -> Duration {
        let took = self.started.elapsed();
        let op = meter::op(self.name);
        meter::reached(true);
        process().observe(&table::QUERY_SECONDS, &[op], took);
        let is_slow = took >= self.threshold;
        // Zero counts as well: then the first slow one is growth.
        process().add(&table::SLOW_QUERIES, &[op], u64::from(is_slow));
        if is_slow {
            let (statement, took_ms) = (self.name, took.as_millis());
            tracing::warn!(statement, took_ms, "slow query {statement} took {took_ms} ms");
        }
        took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_statement_is_counted_and_a_quick_one_is_only_measured() {
        let counted = || {
            let of = |metric| process().count(metric, &["audit"]);
            (of(&table::SLOW_QUERIES), of(&table::QUERY_SECONDS))
        };
        let before = counted();
        SlowLog { threshold: Duration::ZERO }.watch("audit_seal").done();
        SlowLog { threshold: Duration::MAX }.watch("audit_seal").done();
        let after = counted();
        assert_eq!((after.0 - before.0, after.1 - before.1), (1, 2));
    }
}
