//! What is kept of a schedule and of each of its moments.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use crate::job::JobId;
use crate::state::Status;
use crate::time::since;

/// How many lines are kept of each schedule.
pub const HISTORY_KEPT: u64 = 500;
/// Without a sign of its leader for so long, another server fires what is due.
pub const TAKEN_OVER_AFTER: Duration = Duration::from_secs(2);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$word_doc])* $variant,)* }

        impl $name {
            /// The word for it, as it is stored.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord(word.to_owned())),
                }
            }
        }
    };
}

/// A stored word that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no word that is known here")]
pub struct UnknownWord(String);

words! {
    /// Where a definition comes from.
    Source {
        /// A request over HTTP.
        Api = "api",
        /// The command line.
        Cli = "cli",
        /// The configuration file of a server.
        Config = "config",
        /// A program that embeds JobForge.
        Code = "code",
        /// JobForge itself.
        Builtin = "builtin",
    }
}

words! {
    /// What became of a moment.
    RunOutcome {
        /// Its job was made in time.
        Ran = "ran",
        /// Its job was made, but late.
        Late = "late",
        /// Nobody was there, and it was not caught up on.
        Missed = "missed",
        /// It was left out on purpose.
        Skipped = "skipped",
    }
}

words! {
    /// How a schedule is, in a word.
    ScheduleState {
        /// As it should be.
        Ok = "ok",
        /// No moment of it has come yet.
        New = "new",
        /// Somebody paused it.
        Paused = "paused",
        /// Its last runs failed.
        Failing = "failing",
        /// It has not succeeded for too long.
        Stale = "stale",
        /// Its time has passed and nobody fires it.
        Late = "late",
        /// Its pattern has no more moments.
        Over = "over",
    }
}

/// That a schedule is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pause {
    /// Since when.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Until when; for good if not said.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Whether it holds at a moment.
    pub fn holds(&self, moment: Timestamp) -> bool {
        self.until.is_none_or(|until| moment < until)
    }
}

/// How the last run that has ended did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastEnd {
    /// How; none if the job was deleted before anybody looked.
    pub status: Option<Status>,
    /// When.
    pub at: Timestamp,
    /// How long its last attempt took.
    pub duration_ms: Option<i64>,
}

/// A schedule as it is kept.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Schedule {
    /// What is to run when.
    pub definition: Definition,
    /// Where the definition comes from.
    pub source: Source,
    /// That it is paused.
    pub paused: Option<Pause>,
    /// The next moment; none if there will be none.
    pub next_at: Option<Timestamp>,
    /// When the job of that moment is made.
    pub due_at: Option<Timestamp>,
    /// The last moment for which a job was made.
    pub last_planned_for: Option<Timestamp>,
    /// When that was.
    pub last_fired_at: Option<Timestamp>,
    /// The job.
    pub last_job_id: Option<JobId>,
    /// How the last run that has ended did.
    pub last_end: Option<LastEnd>,
    /// When a job of it last succeeded.
    pub last_success_at: Option<Timestamp>,
    /// From when on it may be without a success: its last one; or when it was made, changed, resumed or its pause ended, if that
    /// was later.
    pub fresh_at: Timestamp,
    /// The longest time from one moment to the next.
    pub interval_ms: Option<u64>,
    /// Without a success for so long it is stale.
    pub stale_after_ms: Option<u64>,
    /// Runs that have failed since.
    pub consecutive_failures: u32,
    /// Moments that were missed, ever.
    pub missed_runs: u64,
    /// Grows with every change by a person or a file.
    pub version: u64,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
}

impl Schedule {
    /// How it is, in a word: the worst that is true of it.
    pub fn state(&self, now: Timestamp) -> ScheduleState {
        let stale_after = self.stale_after_ms.map(Duration::from_millis);
        if self.paused.as_ref().is_some_and(|pause| pause.holds(now)) {
            ScheduleState::Paused
        } else if self.is_late(now) {
            ScheduleState::Late
        } else if stale_after.is_some_and(|most| since(now, self.fresh_since(now)) > most) {
            ScheduleState::Stale
        } else if self.consecutive_failures > 0 {
            ScheduleState::Failing
        } else if self.next_at.is_none() {
            ScheduleState::Over
        } else if self.last_fired_at.is_none() {
            ScheduleState::New
        } else {
            ScheduleState::Ok
        }
    }

    /// From when on it may be without a success; a pause that is over counts from its end, whether noted or not.
    pub fn fresh_since(&self, now: Timestamp) -> Timestamp {
        let over = self.paused.as_ref().and_then(|pause| pause.until).filter(|until| *until <= now);
        over.map_or(self.fresh_at, |until| until.max(self.fresh_at))
    }

    /// Whether its time has passed without anybody doing anything about it.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.due_at.is_some_and(|due| since(now, due) > super::GRACE)
    }
}

/// One line of what became of a schedule's moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunLine {
    /// The moment.
    pub planned_for: Timestamp,
    /// What became of it.
    pub outcome: RunOutcome,
    /// Why, if it did not simply run.
    pub why: Option<String>,
    /// When that was decided.
    pub recorded_at: Timestamp,
    /// For how many moments the line stands.
    pub ticks: u64,
    /// The last of them, if they are several.
    pub planned_until: Option<Timestamp>,
    /// Who asked for it, if a person did.
    pub triggered_by: Option<String>,
    /// The job.
    pub job_id: Option<JobId>,
    /// How the job ended.
    pub status: Option<Status>,
    /// When.
    pub finished_at: Option<Timestamp>,
    /// How long its last attempt took.
    pub duration_ms: Option<i64>,
}

/// Who fires schedules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduler {
    /// Who does it now.
    pub leader: String,
    /// Until when it need not say so again.
    pub lease_until: Timestamp,
    /// When it last looked.
    pub last_tick_at: Timestamp,
    /// The database's clock.
    pub as_of: Timestamp,
}

/// What a file or a program said of a schedule, and what that did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Declared {
    /// There was none.
    Created,
    /// It says something else than before.
    Changed,
    /// It says what it said before; what a person has changed since stays.
    Kept,
}
