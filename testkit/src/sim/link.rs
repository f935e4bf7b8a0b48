//! The way from a process to the database, and what it does to a call.

use std::time::Duration;

use jobforge_store::rows::WakeEvent;
use tokio::sync::broadcast;

use super::event::Cut;
use crate::history::Random;

/// Announcements kept for a process that does not look.
const MAIL: usize = 256;
/// A call that takes longer is told of.
const SLOW: Duration = Duration::from_secs(1);

/// The link of one process.
pub(super) struct Link {
    /// What does not get through.
    pub(super) cut: Option<Cut>,
    /// Whether an announcement was missed while it was cut.
    pub(super) missed: bool,
    /// Where announcements go.
    pub(super) mail: broadcast::Sender<WakeEvent>,
    /// The longest way in one direction, in ms; none is a database in the next room, which answers at once.
    latency_ms: Option<u64>,
    /// Whether calls are safe from everything but the database's own troubles.
    safe: bool,
}

impl Link {
    pub(super) fn new(latency_ms: Option<u64>, safe: bool) -> Self {
        let (mail, _) = broadcast::channel(MAIL);
        Self { cut: None, missed: false, mail, latency_ms, safe }
    }
}

/// How often calls go wrong by themselves, of a thousand each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CallWeather {
    /// Refused at once.
    pub(super) refused: u64,
    /// Done, and answered with an error.
    pub(super) unknown: u64,
    /// Late on the way there or back, by up to some seconds.
    pub(super) late: u64,
    /// Never arrived, or never answered, and an error only after many seconds.
    pub(super) lost: u64,
    /// Announcements that do not arrive.
    pub(super) lost_wakes: u64,
}

/// What becomes of one call.
pub(super) struct Fate {
    /// How long it is on its way; none is that it does not arrive.
    pub(super) there: Option<Duration>,
    /// How long the answer is; none is that it does not.
    pub(super) back: Option<Duration>,
    /// After what time the caller is told that it failed.
    pub(super) error_after: Duration,
}

impl Fate {
    /// There is no way.
    pub(super) const NOT_SENT: Self = Self { there: None, back: None, error_after: Duration::ZERO };

    pub(super) fn draw(link: &Link, weather: &CallWeather, random: &mut Random) -> Self {
        let mut way = || Duration::from_millis(link.latency_ms.map_or(0, |most| random.below(most + 1)));
        let mut fate = Self { there: Some(way()), back: Some(way()), error_after: Duration::ZERO };
        if let Some(cut) = link.cut {
            match cut {
                Cut::Both | Cut::Requests => fate.there = None,
                Cut::Answers => fate.back = None,
            }
            // The other side says at once that nobody is there, or says nothing.
            let silent = random.percent(60);
            fate.error_after =
                Duration::from_millis(if silent { 500 + random.below(14_500) } else { random.below(50) });
            return fate;
        }
        if link.safe {
            return fate;
        }
        let CallWeather { refused, unknown, late, lost, lost_wakes: _ } = *weather;
        let luck = random.below(1000);
        if luck < refused {
            fate.there = None;
        } else if luck < refused + unknown {
            fate.back = None;
            fate.error_after = Duration::from_millis(random.below(100));
        } else if luck < refused + unknown + late {
            let most_ms = if random.percent(80) { 1500 } else { 8000 };
            let by = Duration::from_millis(100 + random.below(most_ms));
            let leg = if random.percent(50) { &mut fate.there } else { &mut fate.back };
            *leg = leg.map(|way| way + by);
        } else if luck < refused + unknown + late + lost {
            if random.percent(50) {
                fate.there = None;
            } else {
                fate.back = None;
            }
            fate.error_after = Duration::from_millis(1000 + random.below(19_000));
        }
        fate
    }

    /// Until when the caller waits, if that is long.
    pub(super) fn slow_until(&self, now: Duration) -> Option<Duration> {
        let takes = match (self.there, self.back) {
            (Some(there), Some(back)) => there + back,
            (Some(there), None) => there + self.error_after,
            (None, _) => self.error_after,
        };
        (takes > SLOW).then_some(now + takes)
    }
}
