//! The wire types of JobForge: what the HTTP API answers and what the command line prints with `--json`.
//!
//! Keys are snake_case, times RFC 3339 in UTC, durations whole milliseconds in keys that end in `_ms`.

#![forbid(unsafe_code)]

pub mod alerts;
mod job;
mod problem;
pub mod worker;

use std::time::Duration;

pub use job::{
    AttemptView, ItemsView, JobDetailView, JobList, JobView, LogList, LogView, ProgressView, QueueList,
    QueuePauseView, QueueView, ReceiptView, WorkerList, WorkerView,
};
pub use problem::{FieldProblem, Problem};

/// A duration in whole milliseconds, as every key in `_ms` holds it.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
