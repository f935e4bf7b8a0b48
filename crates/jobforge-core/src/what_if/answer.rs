//! What is answered, as it is told everywhere.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{JobId, WorkerId};

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhatIf {
    /// The database's clock.
    pub as_of: Timestamp,
    /// From when on is looked at.
    pub since: Timestamp,
    /// The threshold that was asked about.
    pub heartbeat_threshold_ms: u64,
    /// The threshold that goes now.
    pub present_threshold_ms: u64,
    /// How often the watchdog sweeps.
    pub check_interval_ms: u64,
    /// What follows, in a few sentences.
    pub conclusion: String,
    /// How long hung attempts went unnoticed and would have; absent if none is recorded.
    pub detection: Option<Detection>,
    /// Attempts that were taken for hung, the greatest gain first.
    pub caught: Vec<Caught>,
    /// Healthy attempts that would have been taken from their workers, the longest silence first.
    pub hit: Vec<Hit>,
    /// Running attempts that are silent now for longer than they might be; nobody knows yet how they end.
    pub silent_now: Vec<SilentNow>,
    /// The smallest threshold under which nothing healthy would have been hit.
    pub recommended: Recommended,
    /// What this does not see.
    pub limits: Vec<String>,
}

/// How long hung attempts went unnoticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Detection {
    /// The median.
    pub was_ms: u64,
    /// The longest.
    pub longest_was_ms: u64,
    /// The median under the proposal.
    pub would_be_ms: u64,
    /// The longest under the proposal.
    pub longest_would_be_ms: u64,
}

/// An attempt that was taken for hung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Caught {
    /// Which.
    #[serde(flatten)]
    pub of: Which,
    /// Its last sign of life.
    pub heartbeat_at: Timestamp,
    /// When it was taken back.
    pub found_at: Timestamp,
    /// How long it was silent then.
    pub was_ms: u64,
    /// How long it would have been.
    pub would_be_ms: u64,
    /// By how much sooner that is; negative is later.
    pub sooner_ms: i64,
    /// Whether its worker reported back afterwards: it was healthy, and the threshold of then hit it.
    pub came_back: bool,
}

/// A healthy attempt that would have been taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hit {
    /// Which.
    #[serde(flatten)]
    pub of: Which,
    /// How it ended, or `running`.
    pub outcome: String,
    /// From when it was silent.
    pub silent_from: Timestamp,
    /// Until when.
    pub silent_until: Timestamp,
    /// How long.
    pub silence_ms: u64,
    /// How long it might have been.
    pub allowed_ms: u64,
    /// How many of its silences were too long.
    pub silences: usize,
    /// Whether the longest is too long by the present threshold as well, and no sweep came in time.
    pub also_now: bool,
}

/// A running attempt that is silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilentNow {
    /// Which.
    #[serde(flatten)]
    pub of: Which,
    /// Since when.
    pub silent_from: Timestamp,
    /// For how long so far.
    pub silence_ms: u64,
    /// How long it might be.
    pub allowed_ms: u64,
}

/// Which attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Which {
    /// The job.
    pub job: JobId,
    /// Whose it is.
    pub tenant_id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// Its queue.
    pub queue: String,
    /// The attempt.
    pub attempt: u32,
    /// Its fence.
    pub lease: i64,
    /// Who ran it.
    pub worker: Option<WorkerId>,
}

/// The smallest threshold under which nothing healthy would have been hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recommended {
    /// It.
    pub heartbeat_threshold_ms: u64,
    /// Why.
    pub why: String,
    /// How to set it; absent if it goes already.
    pub command: Option<String>,
}
