//! What a database keeps of alerts, for whoever judges next and for people who ask.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::route::Silence;
use super::state::Active;
use crate::time::since;

/// The longest turn of a judge: one that ends later was taken on a clock that has been set back since.
pub const LONGEST_TURN: Duration = Duration::from_secs(3600);
/// The longest time between two judgements that may be set, in milliseconds.
pub const LONGEST_INTERVAL_MS: u64 = 60_000;
/// Judgements that a judge may leave out before another takes its turn.
pub const TURN_ROUNDS: u32 = 3;
/// The longest turn that a judge is given. After a step of the clock it keeps its own for so long: how much was left of it,
/// nobody can tell.
pub const WHOLE_TURN: Duration = Duration::from_millis(LONGEST_INTERVAL_MS * TURN_ROUNDS as u64);
/// How long an alert or a silence that is over is kept.
pub const RESOLVED_FOR: Duration = Duration::from_secs(7 * 86_400);
/// How long samples are kept: the longest look back of a rule, and a quarter of an hour.
pub const SAMPLES_FOR: Duration = Duration::from_secs(75 * 60);
/// For how long another channel stands in for one that could not be told: later it is no news.
pub const STANDS_IN_FOR: Duration = Duration::from_secs(3600);
/// Bytes of one sample at most.
pub const SAMPLE_BYTES: usize = 256 * 1024;
/// Samples that one call reads or forgets at most.
pub const SAMPLES_STEP: usize = 500;
/// A judge that has not judged for so long is gone.
pub const JUDGE_SILENT: Duration = Duration::from_secs(600);
/// Alerts that are held at once at most.
pub const MOST_ALERTS: usize = 5000;

/// What one process told of itself at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRow {
    /// The process.
    pub process: String,
    /// When.
    pub at: Timestamp,
    /// The lines of its metrics that rules look at, as they are scraped.
    pub series: String,
}

/// An alert with its end.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRow {
    /// What holds, or held.
    pub alert: Active,
    /// When it ceased to.
    pub resolved_at: Option<Timestamp>,
}

/// A silence with its story.
#[derive(Debug, Clone, PartialEq)]
pub struct SilenceRow {
    /// Its identity.
    pub id: Uuid,
    /// What it covers, and until when.
    pub silence: Silence,
    /// When it was begun.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Why.
    pub reason: Option<String>,
}

/// Who judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bench {
    /// The name that was drawn for this database when it was made; incidents are told apart by it.
    pub fleet: String,
    /// The server whose turn it is, or was last.
    pub judge: Option<String>,
    /// When it judged last.
    pub judged_at: Option<Timestamp>,
    /// Until when the turn lasts.
    pub turn_until: Option<Timestamp>,
}

impl Bench {
    /// Whether the first judge of this fleet has the turn and still listens, as it does before it judges for the first time.
    pub fn begins(&self, now: Timestamp) -> bool {
        self.judged_at.is_none() && self.turn_until.is_some_and(|until| now < until)
    }

    /// Whether nobody judges any more, or nobody ever has.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        self.judged_at.is_none_or(|at| since(now, at) >= JUDGE_SILENT)
    }
}
