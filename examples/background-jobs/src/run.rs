//! One run of a handler: what it counts, what it logs, and how it ends.
//!
//! Every line carries the job's name, so that `grep clip_sync` and `grep job_name` find it, and the last one says how long
//! the run took. "Failed" and "error" stand only in lines about something that went wrong, for that is what people grep.

use std::time::{Duration, Instant};

use jobforge::{JobContext, JobError, clock};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use crate::trouble::Trouble;

/// Failed items that a run tells of one by one; the rest is only counted.
const TOLD: i64 = 20;

/// Items of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Done.
    pub processed: i64,
    /// Given up; the others went on.
    pub failed: i64,
    /// Nothing was to be done.
    pub skipped: i64,
}

impl Tally {
    /// `12 processed, 3 skipped`.
    fn words(self) -> String {
        let counted = [(self.processed, "processed"), (self.failed, "failed"), (self.skipped, "skipped")];
        let words: Vec<String> = counted
            .iter()
            .filter(|(count, word)| *count > 0 || *word == "processed")
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        words.join(", ")
    }

    /// More than half went wrong: then it is hardly the items.
    fn is_mostly_failed(self) -> bool {
        self.failed * 2 > self.processed + self.failed + self.skipped
    }
}

/// A run that is going on.
#[derive(Debug)]
pub struct Run {
    name: &'static str,
    ctx: JobContext,
    began: Instant,
    tally: Tally,
}

impl Run {
    /// Begins to tell of a run.
    pub fn begin(name: &'static str, ctx: JobContext) -> Self {
        info!(job_name = name, job.id = %ctx.id(), attempt = ctx.attempt(), "{name} begins");
        Self { name, ctx, began: clock::monotonic(), tally: Tally::default() }
    }

    /// What JobForge knows of the job.
    pub fn ctx(&self) -> &JobContext {
        &self.ctx
    }

    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Returns an error once the job was asked to stop.
    ///
    /// # Errors
    /// [`Trouble::Stopped`].
    pub fn check(&self) -> Result<(), Trouble> {
        if self.ctx.stop_signal().is_cancelled() { Err(Trouble::Stopped) } else { Ok(()) }
    }

    /// Waits for something, but no longer than until the job is asked to stop.
    ///
    /// # Errors
    /// [`Trouble::Stopped`].
    pub async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Result<T, Trouble> {
        tokio::select! {
            () = self.ctx.stop_signal().cancelled() => Err(Trouble::Stopped),
            output = future => Ok(output),
        }
    }

    /// Waits; progress keeps being reported by the worker's heartbeats.
    ///
    /// # Errors
    /// [`Trouble::Stopped`].
    pub async fn wait(&self, time: Duration) -> Result<(), Trouble> {
        self.unless_stopped(tokio::time::sleep(time)).await
    }

    /// Counts items of which all is well.
    pub fn count(&mut self, processed: i64, skipped: i64) {
        self.tally.processed += processed;
        self.tally.skipped += skipped;
        self.ctx.items(processed, 0, skipped);
    }

    /// Counts an item that went wrong, and tells of it.
    pub fn count_failed(&mut self, item: &str, why: &str) {
        self.tally.failed += 1;
        self.ctx.items(0, 1, 0);
        let name = self.name;
        if self.tally.failed <= TOLD {
            warn!(job_name = name, job.id = %self.ctx.id(), item, "{name}: {item} failed: {why}");
            self.ctx.log(format!("{item} failed: {why}"));
        } else if self.tally.failed == TOLD + 1 {
            warn!(job_name = name, job.id = %self.ctx.id(), "{name}: more items failed; they are only counted");
        }
    }

    /// Says something about the run as a whole.
    pub fn say(&self, text: &str) {
        info!(job_name = self.name, job.id = %self.ctx.id(), "{}: {text}", self.name);
        self.ctx.log(text);
    }

    /// Ends the run, and says how.
    ///
    /// # Errors
    /// What the run ended early for, or that most of its items failed.
    pub fn end(self, outcome: Result<(), Trouble>) -> Result<Tally, JobError> {
        let Self { name, ctx, began, tally } = self;
        let took = clock::monotonic().duration_since(began);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let outcome = match outcome {
            Ok(()) if tally.is_mostly_failed() => Err(Trouble::Never {
                kind: "mostly_failed",
                message: format!(
                    "{} of {} items failed; the log of the job names the first, and the next run tries them all again",
                    tally.failed,
                    tally.processed + tally.failed + tally.skipped
                ),
            }),
            outcome => outcome,
        };
        let words = tally.words();
        match outcome {
            Ok(()) => {
                ctx.progress(100, words.clone());
                info!(job_name = name, job.id = %ctx.id(), took_ms, "{name}: {words}, took {took_ms} ms");
                Ok(tally)
            }
            Err(trouble) => {
                match &trouble {
                    Trouble::Stopped | Trouble::Later { .. } => {
                        info!(job_name = name, job.id = %ctx.id(), took_ms, "{name}: {trouble}; {words} so far, took {took_ms} ms");
                    }
                    Trouble::Again { kind, .. } | Trouble::Never { kind, .. } => {
                        error!(job_name = name, job.id = %ctx.id(), kind, took_ms, "{name} failed: {trouble}; {words}, took {took_ms} ms");
                    }
                }
                Err(trouble.into_job_error())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_which_nothing_failed_does_not_say_failed() {
        let tally = |processed, failed, skipped| Tally { processed, failed, skipped };
        assert_eq!(tally(0, 0, 0).words(), "0 processed");
        assert_eq!(tally(12, 0, 3).words(), "12 processed, 3 skipped");
        assert_eq!(tally(1, 2, 0).words(), "1 processed, 2 failed");
    }

    #[test]
    fn half_is_not_most() {
        assert!(!Tally { processed: 1, failed: 2, skipped: 1 }.is_mostly_failed());
        assert!(Tally { processed: 1, failed: 3, skipped: 1 }.is_mostly_failed());
        assert!(!Tally::default().is_mostly_failed());
    }
}
