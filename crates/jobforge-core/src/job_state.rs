//! What a job that has not ended is in a word, as lists are asked for it: more than its status says. Reckoned from its row,
//! its worker and the clock, by the same rules that `explain` and the watchdog go by; never stored.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{Job, QueuedBecause};
use crate::rescue::{RescuePolicy, cause};
use crate::state::Status;
use crate::worker::WorkerRow;

/// One of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Queued, and its time has come.
    Ready,
    /// Queued, and its time has not come, whatever it waits for.
    Scheduled,
    /// Scheduled, because it waits for another attempt.
    Retrying,
    /// Running, and its next sign of life is overdue.
    Quiet,
    /// Running, and in trouble: the watchdog takes it back, or would if it believed what it sees.
    Stuck,
}

impl JobState {
    /// Every word.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Scheduled, Self::Retrying, Self::Quiet, Self::Stuck];
    /// The same as they are written.
    pub const WORDS: &'static [&'static str] = &["ready", "scheduled", "retrying", "quiet", "stuck"];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Retrying => "retrying",
            Self::Quiet => "quiet",
            Self::Stuck => "stuck",
        }
    }

    /// The status of every job that is so.
    pub fn status(self) -> Status {
        match self {
            Self::Ready | Self::Scheduled | Self::Retrying => Status::Queued,
            Self::Quiet | Self::Stuck => Status::Running,
        }
    }

    /// Whether a job is so.
    pub fn holds(self, job: &Job, worker: Option<&WorkerRow>, now: Timestamp, policy: &RescuePolicy) -> bool {
        let retries = matches!(job.queued_because, QueuedBecause::Retry | QueuedBecause::Rescue);
        job.status == self.status()
            && match self {
                Self::Ready => job.run_at <= now,
                Self::Scheduled => job.run_at > now,
                Self::Retrying => job.run_at > now && retries,
                Self::Quiet => job.heartbeat_due_at.is_some_and(|due| due < now),
                Self::Stuck => cause(job, worker, now, policy).is_some(),
            }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a state of a job that has not ended; use ready, scheduled, retrying, quiet or stuck")]
pub struct UnknownJobState(pub String);

impl FromStr for JobState {
    type Err = UnknownJobState;

    fn from_str(word: &str) -> Result<Self, UnknownJobState> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| UnknownJobState(word.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        assert_eq!(JobState::ALL.map(JobState::as_str), JobState::WORDS);
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        let told = "asleep".parse::<JobState>().expect_err("no state").to_string();
        assert!(told.contains("use ready, scheduled"), "{told}");
    }
}
