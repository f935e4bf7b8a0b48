//! What a server may do. One does everything unless it is told otherwise; a fleet needs each at least once.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::nearest::advice;

/// A housekeeper that gave no sign for so long is gone; it gives one every minute.
pub const HOUSEKEEPER_SILENT: Duration = Duration::from_secs(180);
/// A scheduler looks every few seconds; after so long without it nobody fires.
pub const SCHEDULER_SILENT: Duration = Duration::from_secs(30);

/// One thing that a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Answers over HTTP, and goes on with operations on many jobs.
    Api,
    /// Takes lost jobs back.
    Watchdog,
    /// Fires schedules.
    Scheduler,
    /// Keeps the queue and the audit log right, and runs clean-ups that no worker takes.
    Housekeeper,
    /// Judges alerts and tells of them.
    Alerts,
}

/// A word that names no role, or no word at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoles {
    /// No role has this name.
    #[error("{word:?} is no role; {advice}")]
    Unknown {
        /// What was written.
        word: String,
        /// What may have been meant.
        advice: String,
    },
    /// Nothing is named.
    #[error("no role is named; allowed are {}", Role::WORDS.join(", "))]
    Empty,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Api, Self::Watchdog, Self::Scheduler, Self::Housekeeper, Self::Alerts];
    /// Their words.
    pub const WORDS: [&'static str; 5] = ["api", "watchdog", "scheduler", "housekeeper", "alerts"];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Watchdog => "watchdog",
            Self::Scheduler => "scheduler",
            Self::Housekeeper => "housekeeper",
            Self::Alerts => "alerts",
        }
    }

    /// The roles of a list of words.
    ///
    /// # Errors
    /// For the first word that names none, and when there is no word.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<Self>, BadRoles> {
        let read = |word: &str| {
            Self::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(word)).ok_or_else(|| {
                BadRoles::Unknown { word: word.to_owned(), advice: advice(word, &Self::WORDS) }
            })
        };
        let roles = words.into_iter().map(read).collect::<Result<BTreeSet<_>, _>>()?;
        if roles.is_empty() { Err(BadRoles::Empty) } else { Ok(roles) }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_in_any_order_and_case_and_once() {
        assert_eq!(Role::of(["watchdog", "API", "api"]), Ok([Role::Api, Role::Watchdog].into()));
        assert_eq!(Role::of(Role::WORDS), Ok(Role::ALL.into()));
    }

    #[test]
    fn a_word_that_is_no_role_is_refused_with_what_was_meant() {
        let refused = |words: &[&str]| Role::of(words.iter().copied()).expect_err("refused").to_string();
        assert_eq!(refused(&["api", "shceduler"]), "\"shceduler\" is no role; did you mean \"scheduler\"?");
        assert!(
            refused(&["ui"]).contains("api, watchdog, scheduler, housekeeper, alerts"),
            "{}",
            refused(&["ui"])
        );
        assert!(refused(&[]).starts_with("no role is named"));
    }
}
