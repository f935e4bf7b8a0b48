//! How long ended jobs are kept.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;
use crate::state::Status;
use crate::time::{add, sub};

/// Rows deleted per statement, so that a purge never holds a long lock.
pub const PURGE_BATCH: usize = 1000;
/// Longest horizon, in days: a hundred years.
pub const MAX_DAYS: i64 = 36_500;

/// Days that ended jobs are kept, per status. Idempotency keys live as long as their jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days a succeeded job is kept.
    pub succeeded_days: i64,
    /// Days a failed job is kept.
    pub failed_days: i64,
    /// Days a dead job is kept.
    pub dead_days: i64,
    /// Days a canceled job is kept.
    pub canceled_days: i64,
}

impl Default for Retention {
    /// 30 days for success, 90 for everything that may have to be looked into.
    fn default() -> Self {
        Self { succeeded_days: 30, failed_days: 90, dead_days: 90, canceled_days: 90 }
    }
}

impl Retention {
    /// What the settings say.
    pub fn from_settings(settings: &Settings) -> Self {
        let days = |key| i64::try_from(settings.integer(key)).unwrap_or(MAX_DAYS);
        Self {
            succeeded_days: days("retention_succeeded_days"),
            failed_days: days("retention_failed_days"),
            dead_days: days("retention_dead_days"),
            canceled_days: days("retention_canceled_days"),
        }
    }

    /// The same for some statuses; the others are kept for as long as anything can be.
    #[must_use]
    pub fn only(self, statuses: &[Status]) -> Self {
        let days = |status, days| if statuses.contains(&status) { days } else { MAX_DAYS };
        Self {
            succeeded_days: days(Status::Succeeded, self.succeeded_days),
            failed_days: days(Status::Failed, self.failed_days),
            dead_days: days(Status::Dead, self.dead_days),
            canceled_days: days(Status::Canceled, self.canceled_days),
        }
    }

    /// So many days for every status.
    pub fn all(days: i64) -> Self {
        Self { succeeded_days: days, failed_days: days, dead_days: days, canceled_days: days }
    }

    /// Checks the ranges; zero days would delete what has just ended and is refused.
    ///
    /// # Errors
    /// One sentence naming the field, its value and the range.
    pub fn validate(&self) -> Result<(), String> {
        for (field, days) in [
            ("succeeded_days", self.succeeded_days),
            ("failed_days", self.failed_days),
            ("dead_days", self.dead_days),
            ("canceled_days", self.canceled_days),
        ] {
            if !(1..=MAX_DAYS).contains(&days) {
                return Err(format!("{field} is {days}; allowed is 1 to {MAX_DAYS}"));
            }
        }
        Ok(())
    }

    /// Until when a job is kept that ended so at this moment.
    pub fn kept_until(&self, status: Status, finished_at: Timestamp) -> Timestamp {
        let days = match status {
            Status::Succeeded => self.succeeded_days,
            Status::Failed => self.failed_days,
            Status::Dead => self.dead_days,
            Status::Canceled => self.canceled_days,
            Status::Queued | Status::Running => MAX_DAYS,
        };
        add(finished_at, Duration::from_secs(days.unsigned_abs() * 86_400))
    }

    /// The moments before which jobs of each terminal status may go.
    pub fn horizons(&self, as_of: Timestamp) -> [(Status, Timestamp); 4] {
        let before = |days: i64| sub(as_of, Duration::from_secs(days.unsigned_abs() * 86_400));
        [
            (Status::Succeeded, before(self.succeeded_days)),
            (Status::Failed, before(self.failed_days)),
            (Status::Dead, before(self.dead_days)),
            (Status::Canceled, before(self.canceled_days)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizons_lie_the_given_days_back() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("time");
        let horizons = Retention::default().horizons(now);
        assert_eq!(horizons[0].1.to_string(), "2026-10-23T12:00:00Z");
        assert_eq!(horizons[2].1.to_string(), "2026-08-24T12:00:00Z");
        assert_eq!(Retention::default().kept_until(Status::Dead, horizons[2].1), now);
    }

    #[test]
    fn the_defaults_of_the_settings_are_the_defaults_here() {
        assert_eq!(Retention::from_settings(&Settings::defaults()), Retention::default());
    }

    #[test]
    fn statuses_that_are_left_out_are_kept_for_a_hundred_years() {
        let only = Retention::all(7).only(&[Status::Failed, Status::Dead]);
        let expected = Retention { failed_days: 7, dead_days: 7, ..Retention::all(MAX_DAYS) };
        assert_eq!(only, expected);
        assert_eq!(only.validate(), Ok(()));
    }

    #[test]
    fn absurd_horizons_are_refused() {
        for days in [0, -5, 1_000_000_000_000] {
            assert!(Retention { succeeded_days: days, ..Retention::default() }.validate().is_err());
        }
    }
}
