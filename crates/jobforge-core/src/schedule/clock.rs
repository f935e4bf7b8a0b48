//! When a schedule is due: by a cron pattern in a time zone, or every so often from an anchor.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use sha2::{Digest, Sha256};

use super::cron::{BadCron, CronClock};
use super::words;
use crate::nearest::nearest;
use crate::time::{add, since, sub};

/// The shortest interval.
pub const MIN_EVERY: Duration = Duration::from_secs(1);
/// The longest interval: ten years.
pub(super) const MAX_EVERY: Duration = Duration::from_secs(10 * 366 * 86_400);
/// Moments that are listed one by one when many have passed.
pub const MAX_DUE: usize = 10_000;
/// The zone of patterns that name none.
pub const DEFAULT_ZONE: &str = "UTC";
/// How often the way to the last of many moments is halved.
const MAX_HALVINGS: usize = 64;

/// When a schedule is due.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one is made where a schedule is looked at; none is kept")]
pub enum Clock {
    /// When the wall's clock in a zone shows certain times.
    Cron {
        /// The pattern.
        cron: CronClock,
        /// The zone's name.
        zone: String,
    },
    /// At the anchor, and every so often before and after it.
    Every {
        /// How often.
        every: Duration,
        /// One of the moments.
        anchor: Timestamp,
    },
}

/// Why a name is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no time zone of the IANA database; {advice}")]
pub struct BadZone {
    /// What was written.
    pub name: String,
    /// What may have been meant.
    pub advice: String,
}

/// The zone of this name, from the list that is built in: the same on every machine.
///
/// # Errors
/// When there is none, with the nearest name.
pub fn time_zone(name: &str) -> Result<TimeZone, BadZone> {
    let zones = TimeZoneDatabase::bundled();
    let shown: String = name.chars().take(60).collect();
    zones.get(name).map_err(|_| {
        let known: Vec<String> = zones.available().map(|known| known.to_string()).collect();
        let advice = match nearest(&shown, known.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => "write a name such as Europe/Berlin, America/New_York or UTC".to_owned(),
        };
        BadZone { name: shown.clone(), advice }
    })
}

/// Moments that have passed, and how many more there were before those that are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The last ones, in order.
    pub moments: Vec<Timestamp>,
    /// The first of all, if it is not the first that is listed.
    pub first: Option<Timestamp>,
    /// How many are not listed, at least.
    pub unlisted: u64,
}

impl Clock {
    /// A clock by a pattern.
    ///
    /// # Errors
    /// As [`CronClock::parse`].
    pub fn cron(pattern: &str, zone: &str, tz: TimeZone) -> Result<Self, BadCron> {
        Ok(Self::Cron { cron: CronClock::parse(pattern, tz)?, zone: zone.to_owned() })
    }

    /// Whether it is a pattern that no moment fits. Ask this of a new one before anything else.
    pub fn never_fires(&self, now: Timestamp) -> bool {
        match self {
            Self::Cron { cron, .. } => cron.never_fires(now),
            Self::Every { .. } => false,
        }
    }

    /// The first moment after this one; none if there will be none.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { cron, .. } => cron.next_after(moment),
            Self::Every { every, anchor } => {
                let (every, anchor) = (micros(*every), i128::from(anchor.as_microsecond()));
                let since = i128::from(moment.as_microsecond()) - anchor;
                let next = anchor + (since.div_euclid(every) + 1) * every;
                i64::try_from(next).ok().and_then(|next| Timestamp::from_microsecond(next).ok())
            }
        }
    }

    /// The next moments, at most so many.
    pub fn next_moments(&self, from: Timestamp, count: usize) -> Vec<Timestamp> {
        let step = |moment: &Timestamp| self.next_after(*moment);
        std::iter::successors(self.next_after(from), step).take(count).collect()
    }

    /// All moments from `first`, which is one, up to now.
    ///
    /// After a long outage of a schedule that is often due, only the last are listed and the others counted roughly.
    pub fn due(&self, first: Timestamp, now: Timestamp) -> Due {
        let up_to_now = |from: Timestamp| {
            let step = |moment: &Timestamp| self.next_after(*moment);
            let moments = std::iter::successors(Some(from), step).take_while(|moment| *moment <= now);
            moments.take(MAX_DUE + 1).collect::<Vec<_>>()
        };
        let mut moments = up_to_now(first);
        if moments.len() <= MAX_DUE {
            return Due { moments, first: None, unlisted: 0 };
        }
        // The last of them are looked for by halves, so that few steps are made however long the outage was.
        let (mut low, mut high) = (first, now);
        for _ in 0..MAX_HALVINGS {
            let middle = low.as_microsecond().midpoint(high.as_microsecond());
            let middle = Timestamp::from_microsecond(middle).unwrap_or(now);
            moments = self.next_after(middle).map(up_to_now).unwrap_or_default();
            match moments.len() {
                0 => high = middle,
                1..=MAX_DUE => break,
                _ => low = middle,
            }
        }
        moments.truncate(MAX_DUE);
        let unlisted = match (self, moments.first()) {
            (Self::Every { every, .. }, Some(begin)) => {
                let passed = i128::from(begin.as_microsecond()) - i128::from(first.as_microsecond());
                u64::try_from(passed / micros(*every)).unwrap_or(u64::MAX)
            }
            _ => MAX_DUE as u64,
        };
        Due { moments, first: Some(first), unlisted }
    }

    /// The longest time between two of the next moments: how long silence is no sign of trouble.
    ///
    /// Of a pattern it looks at the next dozen and at a week and a day in steps of an hour, so that nights and weekends are
    /// seen whatever the hour is. What is a little longer within a step may be missed.
    pub fn longest_gap(&self, from: Timestamp) -> Option<Duration> {
        const LOOKED_AT: usize = 12;
        const STEP: Duration = Duration::from_secs(3600);
        const STEPS: u32 = 8 * 24;
        if let Self::Every { every, .. } = self {
            return Some(*every);
        }
        let mut longest = gaps(&self.next_moments(from, LOOKED_AT)).max()?;
        let (mut at, until) = (from, add(from, STEP * STEPS));
        while at < until {
            let Some(next) = self.next_after(at) else { break };
            if since(next, at) >= longest
                && let Some(last) = self.last_until(at, sub(at, STEP))
            {
                longest = longest.max(since(next, last));
            }
            at = next.max(add(at, STEP));
        }
        Some(longest)
    }

    /// The last moment up to `at` but after `begin`, found by halves.
    fn last_until(&self, at: Timestamp, begin: Timestamp) -> Option<Timestamp> {
        let mut last = self.next_after(begin).filter(|moment| *moment <= at)?;
        let mut high = at;
        for _ in 0..MAX_HALVINGS {
            let middle = last.as_microsecond().midpoint(high.as_microsecond());
            let middle = Timestamp::from_microsecond(middle).unwrap_or(at);
            match self.next_after(middle).filter(|moment| *moment <= at) {
                Some(moment) => last = moment,
                None => high = middle,
            }
        }
        Some(last)
    }

    /// The shortest time between two of the next moments.
    pub fn shortest_gap(&self, from: Timestamp) -> Option<Duration> {
        const LOOKED_AT: usize = 64;
        match self {
            Self::Every { every, .. } => Some(*every),
            Self::Cron { .. } => gaps(&self.next_moments(from, LOOKED_AT)).min(),
        }
    }

    /// When it is due, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Cron { cron, zone } => words::cron(cron, zone),
            Self::Every { every, .. } => words::interval(*every),
        }
    }

    /// The date of a moment where the schedule is at home.
    pub fn date(&self, moment: Timestamp) -> String {
        let name = match self {
            Self::Cron { zone, .. } => zone.as_str(),
            Self::Every { .. } => DEFAULT_ZONE,
        };
        let zone = time_zone(name).unwrap_or(TimeZone::UTC);
        zone.to_datetime(moment).date().to_string()
    }
}

fn gaps(moments: &[Timestamp]) -> impl Iterator<Item = Duration> + '_ {
    moments.windows(2).filter_map(|pair| Duration::try_from(pair[1].duration_since(pair[0])).ok())
}

fn micros(duration: Duration) -> i128 {
    i128::try_from(duration.as_micros()).unwrap_or(i128::MAX).max(1)
}

/// How much later than planned a schedule is due, the same for the same moment on every machine.
pub fn jitter(schedule: &str, moment: Timestamp, at_most: Duration) -> Duration {
    let most = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
    if most == 0 {
        return Duration::ZERO;
    }
    let digest = Sha256::digest(format!("{schedule}\n{}", moment.as_microsecond()).as_bytes());
    let drawn = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    Duration::from_millis(drawn % most.saturating_add(1).max(1))
}
