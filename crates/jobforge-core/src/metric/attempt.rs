//! What an ended attempt counts as.

use std::time::Duration;

use super::registry::Registry;
use super::table::{
    ATTEMPTS, CANCELLED, DEAD, EXECUTION_SECONDS, EXECUTIONS, ITEMS, JOBS, JOBS_FAILED, RECOVERED, RETRIED,
};
use crate::job::QueuedBecause;
use crate::rescue::Rescue;
use crate::settle::Settlement;
use crate::state::Status;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its handler returned.
    Succeeded,
    /// Its handler failed or took too long; the job runs again or has failed.
    Failed {
        /// Whether the job is queued again.
        again: bool,
    },
    /// It was the last.
    Dead(DeadSource),
    /// A person ended it.
    Cancelled,
    /// Its handler asked to run later.
    Snoozed,
    /// Its worker was lost.
    Lost {
        /// Whether the job is queued again.
        again: bool,
        /// Who made the job dead, if somebody did.
        dead: Option<DeadSource>,
    },
}

/// Who made a job dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadSource {
    /// The end of its last attempt.
    Worker,
    /// The watchdog.
    Watchdog,
    /// The proof that its worker is dead.
    Cleanup,
    /// A time-out.
    Timeout,
    /// A person.
    Operator,
}

impl DeadSource {
    fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Watchdog => "watchdog",
            Self::Cleanup => "cleanup",
            Self::Timeout => "timeout",
            Self::Operator => "operator",
        }
    }
}

impl End {
    /// How a settlement ends its attempt; nothing for one that was given back, which never took place.
    pub fn settled(plan: &Settlement) -> Option<Self> {
        let timed_out = plan
            .error
            .as_ref()
            .is_some_and(|error| ["timeout", "no_progress"].contains(&error.kind.as_str()));
        Some(match (plan.to, plan.because) {
            (Status::Succeeded, _) => Self::Succeeded,
            (Status::Failed, _) => Self::Failed { again: false },
            (Status::Dead, _) => Self::Dead(if timed_out { DeadSource::Timeout } else { DeadSource::Worker }),
            (Status::Canceled, _) => Self::Cancelled,
            (Status::Queued, QueuedBecause::Snooze) => Self::Snoozed,
            (Status::Queued, QueuedBecause::Release) => return None,
            (
                Status::Queued,
                QueuedBecause::Retry
                | QueuedBecause::Enqueued
                | QueuedBecause::Rescue
                | QueuedBecause::Operator,
            ) => Self::Failed { again: true },
            (Status::Running, _) => return None,
        })
    }

    /// How a rescue ends its attempt, if `by` decided.
    pub fn rescued(line: &Rescue, by: DeadSource) -> Self {
        let again = line.to == Status::Queued;
        let dead = line.to == Status::Dead;
        match line.because {
            // Its handler took too long.
            QueuedBecause::Retry if dead => Self::Dead(DeadSource::Timeout),
            QueuedBecause::Retry => Self::Failed { again },
            QueuedBecause::Rescue
            | QueuedBecause::Enqueued
            | QueuedBecause::Snooze
            | QueuedBecause::Release
            | QueuedBecause::Operator => Self::Lost { again, dead: dead.then_some(by) },
        }
    }

    fn outcome(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Dead(_) => "dead",
            Self::Cancelled => "cancelled",
            Self::Snoozed => "snoozed",
            Self::Lost { .. } => "lost",
        }
    }
}

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Its queue.
    pub queue: String,
    /// The schedule that fired its job, else the job's type.
    pub job_name: String,
    /// How it ended.
    pub end: End,
    /// How long it ran.
    pub took: Duration,
    /// Items processed, failed and skipped.
    pub items: [u64; 3],
}

impl Registry {
    /// Counts an attempt that has ended.
    pub fn attempt_ended(&self, attempt: &Attempt) {
        let (queue, job) = (attempt.queue.as_str(), attempt.job_name.as_str());
        self.know_queue(queue);
        self.know_job(job);
        self.add(&JOBS, &[queue], 1);
        self.add(&ATTEMPTS, &[queue, attempt.end.outcome()], 1);
        let finished = match attempt.end {
            End::Succeeded => Some("success"),
            End::Failed { .. } | End::Dead(_) => Some("failed"),
            End::Cancelled | End::Snoozed | End::Lost { .. } => None,
        };
        if let Some(status) = finished {
            self.add(&EXECUTIONS, &[job, status], 1);
            self.observe(&EXECUTION_SECONDS, &[job], attempt.took);
        }
        match attempt.end {
            End::Failed { again } => {
                self.add(&JOBS_FAILED, &[queue], 1);
                self.add(&RETRIED, &[queue], u64::from(again));
            }
            End::Dead(source) => {
                self.add(&JOBS_FAILED, &[queue], 1);
                self.add(&DEAD, &[queue, source.as_str()], 1);
            }
            End::Lost { again, dead } => {
                self.add(&JOBS_FAILED, &[queue], 1);
                self.add(&RECOVERED, &[queue], u64::from(again));
                if let Some(source) = dead {
                    self.add(&DEAD, &[queue, source.as_str()], 1);
                }
            }
            End::Cancelled => self.add(&CANCELLED, &[queue], 1),
            End::Succeeded | End::Snoozed => {}
        }
        for (status, items) in ["success", "failed", "skipped"].into_iter().zip(attempt.items) {
            self.add(&ITEMS, &[job, status], items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(end: End) -> Registry {
        let registry = Registry::new();
        let attempt = Attempt {
            queue: "q".to_owned(),
            job_name: "j".to_owned(),
            end,
            took: Duration::from_secs(3),
            items: [5, 2, 1],
        };
        registry.attempt_ended(&attempt);
        registry
    }

    #[track_caller]
    fn check(
        end: End,
        failed: u64,
        executions: [u64; 2],
        extra: &[(&'static super::super::Metric, &[&str])],
    ) {
        let seen = counted(end);
        assert_eq!(seen.count(&JOBS, &["q"]), 1);
        assert_eq!(seen.count(&JOBS_FAILED, &["q"]), failed);
        assert_eq!(seen.count(&EXECUTIONS, &["j", "success"]), executions[0]);
        assert_eq!(seen.count(&EXECUTIONS, &["j", "failed"]), executions[1]);
        assert_eq!(seen.count(&EXECUTION_SECONDS, &["j"]), executions[0] + executions[1]);
        assert_eq!(seen.count(&ATTEMPTS, &["q", end.outcome()]), 1);
        assert_eq!(seen.count(&ITEMS, &["j", "success"]), 5);
        for (metric, labels) in extra {
            assert_eq!(seen.count(metric, labels), 1, "{}", metric.name);
        }
    }

    #[test]
    fn every_end_counts_where_alerts_look_for_it() {
        check(End::Succeeded, 0, [1, 0], &[]);
        check(End::Failed { again: true }, 1, [0, 1], &[(&RETRIED, &["q"])]);
        check(End::Failed { again: false }, 1, [0, 1], &[]);
        check(End::Dead(DeadSource::Timeout), 1, [0, 1], &[(&DEAD, &["q", "timeout"])]);
        check(End::Cancelled, 0, [0, 0], &[(&CANCELLED, &["q"])]);
        check(End::Snoozed, 0, [0, 0], &[]);
        check(End::Lost { again: true, dead: None }, 1, [0, 0], &[(&RECOVERED, &["q"])]);
        let dead = Some(DeadSource::Watchdog);
        check(End::Lost { again: false, dead }, 1, [0, 0], &[(&DEAD, &["q", "watchdog"])]);
    }
}
