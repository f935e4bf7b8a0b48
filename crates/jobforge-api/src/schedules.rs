//! What the API reads and answers about schedules, beside a definition itself
//! ([`jobforge_core::schedule::Definition`]).

use jiff::Timestamp;
use jobforge_core::job::JobId;
use jobforge_core::schedule::{RunLine, ScheduleView};
use jobforge_core::whole;
use serde::{Deserialize, Serialize};

/// Schedules by name.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleList {
    /// At most a page of them.
    pub schedules: Vec<ScheduleView>,
    /// What `after` must be for the next page, if there may be one.
    pub next_after: Option<String>,
}

/// A schedule with its next moments.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleDetail {
    /// The schedule.
    #[serde(flatten)]
    pub view: ScheduleView,
    /// When it runs next, for its author to see whether that is meant.
    pub next: Vec<Timestamp>,
}

/// A schedule that was removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleRemoved {
    /// Its name.
    pub name: String,
    /// Always true.
    pub removed: bool,
}

/// A schedule that was run by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleRan {
    /// Always true.
    pub triggered: bool,
    /// Its name.
    pub job_name: String,
    /// The job that was made.
    pub job_id: JobId,
}

/// Whether a schedule is paused now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SchedulePauseView {
    /// Its name.
    pub name: String,
    /// Whether it is.
    pub paused: bool,
    /// Until when; for good if nothing is said.
    pub until: Option<Timestamp>,
    /// Whether the call changed anything.
    pub changed: bool,
}

/// What became of a schedule's moments.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleHistory {
    /// Its name.
    pub name: String,
    /// Newest first.
    pub runs: Vec<RunLine>,
}

/// When a schedule runs next.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleNext {
    /// Its name.
    pub name: String,
    /// The next moments.
    pub next: Vec<Timestamp>,
}

/// A schedule to be run now.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunScheduleRequest {
    /// Whether it runs beside a job of it that has not ended.
    #[serde(default)]
    pub force: bool,
}

/// How long a schedule is paused: until a moment, or for a while, or for good.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::pause))]
#[serde(deny_unknown_fields)]
pub struct PauseScheduleRequest {
    /// Until this moment.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// For this time.
    #[serde(default, deserialize_with = "whole::maybe")]
    pub for_ms: Option<u64>,
}
