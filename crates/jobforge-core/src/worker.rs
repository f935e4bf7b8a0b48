//! What is known of a worker process.

use std::time::Duration;

use jiff::Timestamp;

use crate::death::{Death, Place, ProcessId};
use crate::job::WorkerId;

/// How long a worker's lease lasts after each renewal (`STALE_THRESHOLD_MINUTES` replaces it).
pub const DEFAULT_WORKER_LEASE: Duration = Duration::from_secs(20);
/// Renewals come four times per lease.
pub const RENEWALS_PER_LEASE: u32 = 4;
/// The share of its lease that a worker keeps as a margin: it stops its jobs that much before others may start them.
pub const MARGIN_SHARE: u32 = 5;

/// What a worker says of itself when it registers.
#[derive(Debug, Clone)]
pub struct NewWorker {
    /// Its incarnation, fresh at every process start.
    pub id: WorkerId,
    /// A free label (`WORKER_NAME`).
    pub name: Option<String>,
    /// The machine it runs on.
    pub hostname: String,
    /// Its process on that machine.
    pub pid: u32,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// The types it can run; `None` is every type.
    pub types: Option<Vec<String>>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// How long its lease lasts after a renewal.
    pub lease: Duration,
    /// Where it runs, if that can be told: what proofs of death go by.
    pub place: Option<Place>,
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Takes jobs and renews.
    Live,
    /// Renews, finishes what it has, takes nothing new.
    Draining,
    /// Left in good order.
    Gone,
    /// Its lease ran out.
    Lost,
    /// Somebody proved that its process has ended.
    Dead,
}

impl WorkerState {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Gone => "gone",
            Self::Lost => "lost",
            Self::Dead => "dead",
        }
    }

    /// Reads a stored word; anything unknown counts as lost, which is the safe side.
    pub fn from_stored(word: &str) -> Self {
        [Self::Live, Self::Draining, Self::Gone, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == word)
            .unwrap_or(Self::Lost)
    }

    /// Whether it may still hold jobs.
    pub fn is_active(self) -> bool {
        match self {
            Self::Live | Self::Draining => true,
            Self::Gone | Self::Lost | Self::Dead => false,
        }
    }
}

/// A worker as stored: one row per incarnation.
#[derive(Debug, Clone)]
pub struct WorkerRow {
    /// Its incarnation.
    pub id: WorkerId,
    /// A free label.
    pub name: Option<String>,
    /// The machine.
    pub hostname: String,
    /// The process.
    pub pid: u32,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// The types it can run; `None` is every type.
    pub types: Option<Vec<String>>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Where it stood when the row was written.
    pub state: WorkerState,
    /// When it registered.
    pub started_at: Timestamp,
    /// Its last renewal.
    pub last_heartbeat_at: Timestamp,
    /// Until when it may act.
    pub lease_expires_at: Timestamp,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// How it ended, if it did.
    pub end_reason: Option<String>,
    /// Since when its supervisor sees its process stopped, if it does.
    pub stopped_at: Option<Timestamp>,
    /// Since when its connection is lost, if it held one and it is.
    pub suspect_at: Option<Timestamp>,
    /// Its process, if it could tell.
    pub process: Option<ProcessId>,
    /// The slot that it held.
    pub slot: Option<String>,
    /// The proof of its death, if there is one.
    pub death: Option<Death>,
    /// How many jobs its process was running then.
    pub died_with: Option<u32>,
}
