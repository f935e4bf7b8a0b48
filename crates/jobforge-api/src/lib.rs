//! The wire types of JobForge: what the HTTP API answers and what the command line prints with `--json`.
//!
//! Keys are snake_case, times RFC 3339 in UTC, durations whole milliseconds in keys that end in `_ms`.

#![forbid(unsafe_code)]

pub mod alerts;
mod answers;
mod job;
mod problem;
pub mod requests;
pub mod runbook;
mod schedules;
#[cfg(feature = "schema")]
mod schema;
pub mod worker;

use std::time::Duration;

pub use answers::{
    AuditPage, AuditVerdict, DeadGroupList, FlagList, FlagView, OperationList, PayloadLimits, ReceiptList,
    ResolvedView, SettingChanged, SettingHistory, SettingList, SettingView, SettingsChanged, TimelineEvent,
    TimelineView, TokenList, TokenView, WatchdogList,
};
pub use job::{
    AttemptView, ItemsView, JobDetailView, JobList, JobView, LogList, LogView, ProgressView, QueueList,
    QueuePauseView, QueueView, ReceiptView, RestartAnswer, WorkerList, WorkerPlace, WorkerTold, WorkerView,
};
pub use problem::{FieldProblem, Problem};
pub use schedules::{
    PauseScheduleRequest, RunScheduleRequest, ScheduleDetail, ScheduleHistory, ScheduleList, ScheduleNext,
    SchedulePauseView, ScheduleRan, ScheduleRemoved,
};

/// A duration in whole milliseconds, as every key in `_ms` holds it.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
