//! Operations on many jobs that go on in the background and tell how far they are.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit::By;
use crate::job::JobId;
use crate::payload_match::PayloadMatch;
use crate::state::Status;

/// Jobs that one step looks at.
pub const STEP: usize = 500;
/// How long who works on an operation may be silent before somebody else goes on with it.
pub const TURN: Duration = Duration::from_secs(15);

/// What is done with each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// End it.
    Cancel,
    /// Run it again with fresh attempts.
    Retry,
    /// Remove it.
    Delete,
}

impl BulkAction {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Delete => "delete",
        }
    }

    /// The statuses of jobs to which it is done when the filter names none.
    ///
    /// A bulk retry never takes a running job from its worker, and never runs a success again, unless it is asked to.
    pub fn usual(self) -> &'static [Status] {
        match self {
            Self::Cancel => &[Status::Queued, Status::Running],
            Self::Retry => &[Status::Failed, Status::Dead, Status::Canceled],
            Self::Delete => &[Status::Succeeded, Status::Failed, Status::Dead, Status::Canceled],
        }
    }
}

impl fmt::Display for BulkAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an action; use cancel, retry or delete")]
pub struct BadAction(pub String);

impl FromStr for BulkAction {
    type Err = BadAction;

    fn from_str(text: &str) -> Result<Self, BadAction> {
        let found =
            [Self::Cancel, Self::Retry, Self::Delete].into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| BadAction(text.chars().take(40).collect()))
    }
}

/// Which jobs an operation is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::bulk_filter))]
#[serde(deny_unknown_fields)]
pub struct BulkFilter {
    /// Only of this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Only in these statuses; empty is what suits the action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<Status>,
    /// Only of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// Only of this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Only with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only with this value at this place of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadMatch>,
    /// Only those whose last error has this in its message or its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl BulkFilter {
    /// Whether nothing narrows it down, so that it would be about every job there is.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It goes on, or waits for a server that goes on with it.
    Running,
    /// It has looked at every job.
    Done,
    /// Somebody ended it.
    Canceled,
    /// It cannot go on.
    Failed,
}

impl OperationState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
        }
    }

    /// Reads a stored word; an unknown one is taken for an operation that cannot go on.
    pub fn from_stored(word: &str) -> Self {
        [Self::Running, Self::Done, Self::Canceled]
            .into_iter()
            .find(|s| s.as_str() == word)
            .unwrap_or(Self::Failed)
    }
}

/// An operation about to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOperation {
    /// Identity.
    pub id: Uuid,
    /// What is done.
    pub action: BulkAction,
    /// To which jobs.
    pub filter: BulkFilter,
    /// Whether it only counts.
    pub dry_run: bool,
}

/// An operation and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Operation {
    /// Identity.
    pub id: Uuid,
    /// What is done.
    pub action: BulkAction,
    /// To which jobs.
    pub filter: BulkFilter,
    /// Whether it only counts.
    pub dry_run: bool,
    /// Where it stands.
    pub state: OperationState,
    /// Jobs that were moved, or would be.
    pub done: u64,
    /// Jobs that could not be moved, because somebody else had moved them before.
    pub passed_over: u64,
    /// The oldest job that was looked at.
    pub cursor: Option<JobId>,
    /// By whom it was begun, and why.
    pub by: By,
    /// What stopped it.
    pub error: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last went on.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What a step of an operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Jobs that were moved in this step.
    pub done: u64,
    /// Jobs that were passed over in this step.
    pub passed_over: u64,
    /// The oldest job that was looked at.
    pub cursor: Option<JobId>,
    /// Where the operation stands now.
    pub state: OperationState,
    /// What stopped it.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for action in [BulkAction::Cancel, BulkAction::Retry, BulkAction::Delete] {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        for state in
            [OperationState::Running, OperationState::Done, OperationState::Canceled, OperationState::Failed]
        {
            assert_eq!(OperationState::from_stored(state.as_str()), state);
        }
    }

    #[test]
    fn an_action_without_statuses_spares_what_was_hardly_meant() {
        assert!(!BulkAction::Retry.usual().contains(&Status::Running));
        assert!(!BulkAction::Retry.usual().contains(&Status::Succeeded));
        assert!(!BulkAction::Delete.usual().contains(&Status::Queued));
    }
}
