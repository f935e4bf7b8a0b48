//! The states of a job and the only moves between them.
//!
//! ```text
//!                   ┌──────────── retry · snooze · release · rescue · operator ───────────┐
//!                   ▼                                                                     │
//!  (new) ───────► queued ─────────────────── claim ──────────────────────────────────► running
//!                   │ ▲                                                                   │
//!          cancel   │ │ requeue by an operator                                            │
//!                   ▼ │                                                                   ▼
//!            canceled · failed · dead ◄───────── settle, cancel, rescue ─────────── succeeded
//! ```
//!
//! `succeeded` never changes again except by an operator's explicit re-run; the other terminal states go back to
//! `queued` only by an operator's requeue. [`is_legal`] is the table; the databases' checks refuse what it refuses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job stands in its life, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting to be claimed.
    Queued,
    /// Claimed by a worker.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended for good without using up its attempts: a non-retryable error, or policy `fail`.
    Failed,
    /// Attempts used up, or dead-lettered. The dead-letter queue is the set of dead jobs.
    Dead,
    /// Ended by a person or program.
    Canceled,
}

impl Status {
    /// Every status, in the order of a job's life.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Dead, Self::Canceled];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Canceled => "canceled",
        }
    }

    /// Whether the job has ended.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Dead | Self::Canceled => true,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is none of the six statuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a status; use queued, running, succeeded, failed, dead or canceled")]
pub struct UnknownStatus(pub String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownStatus(word.to_owned()))
    }
}

/// What moves a job from one status to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker takes it.
    Claim,
    /// Its attempt ended well.
    Succeed,
    /// Its attempt failed and another will follow.
    Retry,
    /// Its attempt ended it for good.
    Fail,
    /// Its last attempt failed.
    Die,
    /// Its handler asked to run later.
    Snooze,
    /// Its worker gave it back.
    Release,
    /// The watchdog took it back for another run.
    Rescue,
    /// A person or program ended it.
    Cancel,
    /// A person asked for it to run again.
    Requeue,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 10] = [
        Self::Claim,
        Self::Succeed,
        Self::Retry,
        Self::Fail,
        Self::Die,
        Self::Snooze,
        Self::Release,
        Self::Rescue,
        Self::Cancel,
        Self::Requeue,
    ];
}

/// The transition table: the status after `event`, or `None` when the move is illegal.
pub fn next(from: Status, event: Event) -> Option<Status> {
    use Status::{Canceled, Dead, Failed, Queued, Running, Succeeded};
    match (from, event) {
        (Queued, Event::Claim) => Some(Running),
        (Running, Event::Succeed) => Some(Succeeded),
        (Running, Event::Retry | Event::Snooze | Event::Release | Event::Rescue) => Some(Queued),
        (Running, Event::Fail) => Some(Failed),
        (Running, Event::Die) => Some(Dead),
        (Queued | Running, Event::Cancel) => Some(Canceled),
        // An operator may also pull forward a waiting job and reset a running one.
        (Queued | Running | Succeeded | Failed | Dead | Canceled, Event::Requeue) => Some(Queued),
        (Queued, Event::Succeed | Event::Retry | Event::Fail | Event::Die)
        | (Queued, Event::Snooze | Event::Release | Event::Rescue)
        | (Running, Event::Claim) => None,
        (Succeeded | Failed | Dead | Canceled, _) => None,
    }
}

/// Whether some event leads from one status to another.
pub fn is_legal(from: Status, to: Status) -> bool {
    Event::ALL.into_iter().any(|event| next(from, event) == Some(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("cancelled".parse::<Status>().is_err(), "one l, as the runbooks store it");
    }

    #[test]
    fn a_terminal_job_leaves_only_by_an_operators_hand() {
        for from in Status::ALL.into_iter().filter(|status| status.is_terminal()) {
            for event in Event::ALL.into_iter().filter(|event| *event != Event::Requeue) {
                assert_eq!(next(from, event), None, "{from} must ignore {event:?}");
            }
        }
    }

    #[test]
    fn only_a_claim_leads_to_running() {
        for from in Status::ALL {
            for event in Event::ALL {
                if next(from, event) == Some(Status::Running) {
                    assert_eq!((from, event), (Status::Queued, Event::Claim));
                }
            }
        }
    }
}
