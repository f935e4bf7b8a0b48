//! When the watchdog may believe what it sees, and what it tells of each run.
//!
//! An expired lease is believed only if the watchdog itself was there to see it expire. The guards below hold its verdicts
//! back while its own view is in doubt: after a gap in which nobody watched, when the database's clock stepped, and when a
//! large part of the fleet seems lost at once without proof. Giving a whole lease anew is always safe: a worker counts from
//! its own last acknowledged renewal and stops its jobs no later than before.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{JobId, WorkerId};
use crate::rescue::Cause;
use crate::time::{add, since, words};
use crate::verdict::HeldBack;
use crate::worker::DEFAULT_WORKER_LEASE;

/// Nobody watched for longer than this: half a default lease.
pub const GAP: Duration = Duration::from_secs(10);
/// Between two signs of life of one watchdog, while it ticks.
pub const SIGN_EVERY: Duration = Duration::from_secs(5);
/// The two clocks may drift apart by this between two ticks, or by a tenth of the time between them.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);
/// Workers that may be lost at once whatever the size of the fleet.
const ALWAYS_BELIEVED: u32 = 3;
/// The share of the fleet, in percent, that may be lost at once.
const BELIEVED_PERCENT: u32 = 30;
/// After a mass loss was confirmed, one part in this many of the lost workers is taken at each tick.
const RELEASE_PARTS: u32 = 10;
/// Verdicts kept of one run.
pub const MAX_VERDICTS: usize = 100;

/// What one tick sees, before anything is decided.
#[derive(Debug, Clone, Copy)]
pub struct Survey {
    /// The database's clock.
    pub as_of: Timestamp,
    /// The last sign of life of any watchdog of this database.
    pub last_sign_at: Option<Timestamp>,
    /// Workers that are live or draining, those whose lease has run out included.
    pub active: u32,
    /// Active workers whose lease has run out.
    pub overdue: u32,
    /// Those, and active workers that have not renewed for half their lease: the second renewal is missing, or the first of a
    /// worker that holds nothing. Workers by SQL count only when their lease has run out: they need not say that they leave.
    pub silent: u32,
    /// The shortest lease that workers get which let it grow ([`crate::worker::least_lease`]), as stored.
    pub least_lease: Duration,
    /// Until when nothing may be claimed, because a standby has taken over and may not know of the last claims.
    pub claims_from: Option<Timestamp>,
}

/// Why verdicts are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nobody watched, for this long or ever.
    Gap {
        /// How long, when any watchdog was there before.
        silent: Option<Duration>,
    },
    /// Others watched, but not this watchdog, for this long or ever: it cannot know whether heartbeats could come.
    Blind {
        /// How long, when it was there before.
        silent: Option<Duration>,
    },
    /// The database's clock and this process's clock disagree about the time between two ticks.
    ClockStep {
        /// By how much.
        by: Duration,
    },
    /// A standby has taken over from the database that workers knew.
    Failover,
    /// A large part of the fleet seems lost at once.
    MassLoss {
        /// Workers whose lease has run out or that have missed renewals.
        silent: u32,
        /// Of so many.
        active: u32,
    },
}

impl Guard {
    /// Which guard it is, without its figures.
    pub fn kind(&self) -> GuardKind {
        match self {
            Self::Gap { .. } => GuardKind::Gap,
            Self::Blind { .. } => GuardKind::Blind,
            Self::ClockStep { .. } => GuardKind::ClockStep,
            Self::Failover => GuardKind::Failover,
            Self::MassLoss { .. } => GuardKind::MassLoss,
        }
    }
}

/// Which guard holds verdicts back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    /// Nobody watched.
    Gap,
    /// This watchdog did not, though others did.
    Blind,
    /// Two clocks went apart.
    ClockStep,
    /// A standby has taken over.
    Failover,
    /// A large part of the fleet seems lost at once.
    MassLoss,
}

impl GuardKind {
    const ALL: [Self; 5] = [Self::Gap, Self::Blind, Self::ClockStep, Self::Failover, Self::MassLoss];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Blind => "blind",
            Self::ClockStep => "clock_step",
            Self::Failover => "failover",
            Self::MassLoss => "mass_loss",
        }
    }

    /// Reads a stored word; `None` for one that is not known.
    pub fn from_stored(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Why silence is not believed, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Gap => "for a while nobody was there to hear workers",
            Self::Blind => "the watchdog has not watched for long enough",
            Self::ClockStep => "the database's clock was set",
            Self::Failover => "a standby has taken over, which may not have heard the last word of workers",
            Self::MassLoss => "a large part of the fleet fell silent at once",
        }
    }

    /// Whether a cause may be acted upon. What is proven always may; silence only if nothing explains it otherwise, and a
    /// time-out as well: a worker that could not reach the database has had no chance to say how the attempt ended.
    pub fn believes(self, cause: &Cause) -> bool {
        match (self, cause) {
            (_, Cause::WorkerUnknown | Cause::WorkerEnded { .. }) => true,
            (Self::MassLoss, Cause::LeaseExpired { .. } | Cause::PresenceLost { .. }) => false,
            (
                Self::MassLoss,
                Cause::HeartbeatLate { .. } | Cause::DeadlinePassed { .. } | Cause::NoProgress { .. },
            ) => true,
            (Self::Failover, Cause::LeaseExpired { .. }) => false,
            // The leases were given anew, so one that runs out now is believed.
            (Self::Gap | Self::Blind | Self::ClockStep, Cause::LeaseExpired { .. }) => true,
            (
                Self::Gap | Self::Blind | Self::ClockStep | Self::Failover,
                Cause::PresenceLost { .. }
                | Cause::HeartbeatLate { .. }
                | Cause::DeadlinePassed { .. }
                | Cause::NoProgress { .. },
            ) => false,
        }
    }
}

impl std::fmt::Display for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gap { silent: None } => write!(f, "no watchdog has run before"),
            Self::Gap { silent: Some(silent) } => write!(f, "no watchdog ran for {}", words(*silent)),
            Self::Blind { silent: None } => write!(f, "this watchdog has just begun"),
            Self::Blind { silent: Some(silent) } => {
                write!(f, "this watchdog saw nothing for {}", words(*silent))
            }
            Self::ClockStep { by } => {
                write!(f, "the database's clock and this machine's went apart by {}", words(*by))
            }
            Self::Failover => write!(f, "a standby has taken over as the database"),
            Self::MassLoss { silent, active } => {
                write!(f, "{silent} of {active} workers seem lost at once without proof")
            }
        }
    }
}

/// What is given anew before anything is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Nothing.
    Nothing,
    /// Every active worker a whole lease from now: nobody was there to see it renew.
    Leases,
    /// And every running job its whole time-out and time to its next heartbeat: by a clock that has stepped, what was
    /// stored before means nothing.
    AllTimes,
}

/// What a tick may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// What to give first.
    pub grant: Grant,
    /// How many workers may be declared lost.
    pub expire: u32,
    /// Which guard holds the rest back, and until when.
    pub held: Option<(Guard, Timestamp)>,
}

impl Leave {
    /// No guard holds anything back.
    pub const FREE: Self = Self { grant: Grant::Nothing, expire: u32::MAX, held: None };

    /// Whether a cause may be acted upon.
    pub fn believes(&self, cause: &Cause) -> bool {
        self.held.as_ref().is_none_or(|(guard, _)| guard.kind().believes(cause))
    }
}

/// The memory of one watchdog from tick to tick.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    last: Option<(Timestamp, Duration)>,
    held: Option<(Guard, Timestamp)>,
    mass_since: Option<Timestamp>,
}

impl Guards {
    /// Decides what this tick may do. `local` is this process's own clock since any fixed moment.
    pub fn judge(&mut self, seen: &Survey, local: Duration) -> Leave {
        let before = self.last.replace((seen.as_of, local));
        let stepped = clock_step(before, seen.as_of, local).or_else(|| set_back(seen));
        if let Some(guard) = stepped.or_else(|| gap(seen)) {
            let until = add(seen.as_of, DEFAULT_WORKER_LEASE);
            self.held = Some((guard, until));
            self.mass_since = None;
            let grant = if stepped.is_some() { Grant::AllTimes } else { Grant::Leases };
            return Leave { grant, expire: 0, held: self.held };
        }
        // Whoever noticed the failover has given all leases anew; until the barrier falls workers make themselves heard.
        if let Some(until) = seen.claims_from.filter(|until| seen.as_of < *until) {
            self.held = Some((Guard::Failover, until));
            self.mass_since = None;
            return Leave { grant: Grant::Nothing, expire: 0, held: self.held };
        }
        // Whoever watched meanwhile has seen to the leases. Heartbeats it may have held back as well, and cannot tell.
        if let Some(guard) = blind(before, local) {
            self.held = Some((guard, add(seen.as_of, DEFAULT_WORKER_LEASE)));
        }
        // The leases were given anew, so one that runs out now is believed; reports of jobs need the time to come again.
        self.held = self.held.filter(|(_, until)| seen.as_of < *until);
        let leave = self.brake(seen);
        Leave { held: leave.held.or(self.held), ..leave }
    }

    fn brake(&mut self, seen: &Survey) -> Leave {
        // Who is cut off at one moment last renewed at different ones: when the first lease runs out, the others are silent
        // for most of theirs. Counting only what has run out would believe these one by one.
        let believed = ALWAYS_BELIEVED.max(seen.active.saturating_mul(BELIEVED_PERCENT) / 100);
        let until = |began| add(began, DEFAULT_WORKER_LEASE);
        let releases = self.mass_since.is_some_and(|began| seen.as_of >= until(began));
        // When the others are heard again, those that are not are lost by themselves; what is being released stays in parts.
        if seen.overdue == 0 || (seen.silent <= believed && !releases) {
            self.mass_since = None;
            return Leave::FREE;
        }
        let began = *self.mass_since.get_or_insert(seen.as_of);
        let guard = Guard::MassLoss { silent: seen.silent, active: seen.active };
        let expire = if releases { seen.overdue.div_ceil(RELEASE_PARTS) } else { 0 };
        Leave { grant: Grant::Nothing, expire, held: Some((guard, until(began))) }
    }
}

fn gap(seen: &Survey) -> Option<Guard> {
    match seen.last_sign_at {
        None => Some(Guard::Gap { silent: None }),
        Some(sign) => Some(since(seen.as_of, sign))
            .filter(|silent| *silent > GAP)
            .map(|silent| Guard::Gap { silent: Some(silent) }),
    }
}

fn blind(before: Option<(Timestamp, Duration)>, local: Duration) -> Option<Guard> {
    match before {
        None => Some(Guard::Blind { silent: None }),
        Some((_, then)) => Some(local.saturating_sub(then))
            .filter(|silent| *silent > GAP)
            .map(|silent| Guard::Blind { silent: Some(silent) }),
    }
}

/// A sign of life from the future was given before the clock was set back, with or without a watchdog to see it.
fn set_back(seen: &Survey) -> Option<Guard> {
    let by = since(seen.last_sign_at?, seen.as_of);
    (by > CLOCK_TOLERANCE).then_some(Guard::ClockStep { by })
}

fn clock_step(before: Option<(Timestamp, Duration)>, as_of: Timestamp, local: Duration) -> Option<Guard> {
    let (then, local_then) = before?;
    let passed = local.saturating_sub(local_then);
    let expected = add(then, passed);
    let by = since(as_of, expected).max(since(expected, as_of));
    (by > CLOCK_TOLERANCE.max(passed / 10)).then_some(Guard::ClockStep { by })
}

/// Who watches: one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WatchdogRow {
    /// `host:pid`.
    pub id: String,
    /// When it began, on the database's clock.
    pub started_at: Timestamp,
    /// Its last sign of life; it gives one every [`SIGN_EVERY`].
    pub last_sign_at: Timestamp,
    /// How often it sweeps at least.
    pub check_interval_ms: u64,
    /// What holds its verdicts back, and until when.
    pub held: Option<HeldBack>,
}

impl WatchdogRow {
    /// Whether it has been silent for too long to be called running.
    pub fn is_silent(&self, as_of: Timestamp) -> bool {
        since(as_of, self.last_sign_at) > GAP
    }
}

/// What one run did with one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunVerdict {
    /// The job.
    pub job: JobId,
    /// The worker that held it.
    pub worker: Option<WorkerId>,
    /// What was wrong: the kind of the stored error.
    pub cause: String,
    /// Where the job went, or `lost_race` if somebody else was faster.
    pub outcome: String,
    /// The evidence in a sentence.
    pub why: String,
}

/// One recorded run of a watchdog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// Who ran.
    pub watchdog: String,
    /// When, on the database's clock.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// What made it run: `interval`, `lease`, `presence` or `operator`.
    pub trigger: String,
    /// The guard that held verdicts back.
    pub guard: Option<String>,
    /// Running jobs looked at because something might be wrong with them.
    pub suspects: u64,
    /// Workers declared lost.
    pub workers_lost: u64,
    /// Jobs that went back to the queue.
    pub requeued: u64,
    /// Jobs that ended as failed or dead.
    pub ended: u64,
    /// Jobs that somebody else changed first.
    pub lost_races: u64,
    /// What was decided, job by job: the first [`MAX_VERDICTS`].
    pub verdicts: Vec<RunVerdict>,
    /// Why the run broke off, if it did.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: i64, sign: Option<i64>, active: u32, overdue: u32) -> Survey {
        let at = |second| Timestamp::from_second(second).expect("in range");
        Survey {
            as_of: at(second),
            last_sign_at: sign.map(at),
            active,
            overdue,
            silent: overdue,
            least_lease: Duration::ZERO,
            claims_from: None,
        }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn late() -> Cause {
        Cause::HeartbeatLate { due_at: Timestamp::from_second(90).expect("in range") }
    }

    fn overrun() -> Cause {
        Cause::DeadlinePassed { at: Timestamp::from_second(90).expect("in range") }
    }

    fn still() -> Cause {
        Cause::NoProgress { since: Timestamp::from_second(60).expect("in range"), limit: s(30) }
    }

    /// A watchdog that has ticked beside another until second 100, so that nothing is in doubt.
    fn settled() -> Guards {
        let mut guards = Guards::default();
        watch(&mut guards, 79..100, 10, 0);
        assert_eq!(guards.judge(&seen(100, Some(99), 10, 0), s(100)), Leave::FREE);
        guards
    }

    /// Ticks at each of these seconds of both clocks.
    fn watch(guards: &mut Guards, seconds: std::ops::Range<u32>, active: u32, overdue: u32) {
        for second in seconds.map(i64::from) {
            guards.judge(&seen(second, Some(second - 1), active, overdue), s(second.unsigned_abs()));
        }
    }

    #[test]
    fn a_steady_watchdog_believes_what_it_sees() {
        let mut guards = settled();
        assert_eq!(guards.judge(&seen(101, Some(99), 10, 3), s(101)), Leave::FREE);
    }

    #[test]
    fn the_first_watchdog_ever_extends_first_and_believes_late_heartbeats_after_a_lease() {
        let mut guards = Guards::default();
        let leave = guards.judge(&seen(100, None, 2, 2), s(100));
        assert_eq!((leave.grant, leave.expire), (Grant::Leases, 0));
        assert!(!leave.believes(&late()) && !leave.believes(&overrun()) && !leave.believes(&still()));
        watch(&mut guards, 101..119, 2, 0);
        let leave = guards.judge(&seen(119, Some(118), 2, 1), s(119));
        assert!(leave.grant == Grant::Nothing && !leave.believes(&late()));
        assert_eq!(leave.expire, u32::MAX, "a lease that runs out after it was extended is believed");
        assert_eq!(guards.judge(&seen(120, Some(118), 2, 2), s(120)), Leave::FREE);
    }

    #[test]
    fn proof_is_believed_whatever_holds() {
        let mut guards = Guards::default();
        let leave = guards.judge(&seen(100, None, 2, 2), s(5));
        assert!(leave.believes(&Cause::WorkerEnded { reason: "signal 9".to_owned() }));
    }

    #[test]
    fn after_a_gap_in_which_nobody_watched_leases_are_extended_first() {
        let mut guards = settled();
        let leave = guards.judge(&seen(160, Some(100), 10, 10), s(160));
        assert_eq!((leave.grant, leave.expire), (Grant::Leases, 0));
        assert_eq!(
            leave.held.map(|(guard, _)| guard.to_string()).as_deref(),
            Some("no watchdog ran for 60 s")
        );
    }

    #[test]
    fn after_a_failover_nothing_is_taken_for_silence_until_the_barrier_falls() {
        let mut guards = settled();
        let claims_from = Some(Timestamp::from_second(121).expect("in range"));
        let leave = guards.judge(&Survey { claims_from, ..seen(101, Some(99), 10, 2) }, s(101));
        assert!(leave.grant == Grant::Nothing && leave.expire == 0);
        assert!(!leave.believes(&Cause::LeaseExpired { at: Timestamp::from_second(90).expect("in range") }));
        for second in 102..121 {
            let seen = Survey { claims_from, ..seen(second, Some(second - 1), 10, 2) };
            assert_eq!(guards.judge(&seen, s(second.unsigned_abs())).expire, 0, "at second {second}");
        }
        assert_eq!(guards.judge(&Survey { claims_from, ..seen(121, Some(120), 10, 2) }, s(121)), Leave::FREE);
    }

    #[test]
    fn a_second_watchdog_that_starts_beside_a_running_one_believes_leases_at_once() {
        let mut guards = Guards::default();
        let leave = guards.judge(&seen(100, Some(96), 10, 1), s(0));
        assert_eq!((leave.grant, leave.expire), (Grant::Nothing, u32::MAX));
        assert!(!leave.believes(&late()), "the database may have been away until a moment ago");
    }

    #[test]
    fn a_watchdog_that_saw_nothing_while_another_watched_gives_heartbeats_the_time_to_come_again() {
        let mut guards = settled();
        let leave = guards.judge(&seen(160, Some(159), 10, 1), s(160));
        assert_eq!((leave.grant, leave.expire), (Grant::Nothing, u32::MAX));
        assert!(!leave.believes(&late()));
        assert_eq!(
            leave.held.map(|(guard, _)| guard.to_string()).as_deref(),
            Some("this watchdog saw nothing for 60 s")
        );
    }

    #[test]
    fn a_step_of_the_databases_clock_in_either_direction_is_no_silence_of_workers() {
        for second in [701, -499] {
            let mut guards = settled();
            let leave = guards.judge(&seen(second, Some(second - 1), 10, 10), s(101));
            assert_eq!(leave.grant, Grant::AllTimes, "{leave:?}");
            assert_eq!(leave.held.map(|(guard, _)| guard.kind()), Some(GuardKind::ClockStep));
        }
    }

    #[test]
    fn a_clock_that_was_set_back_while_nobody_watched_is_seen_by_the_last_sign() {
        let leave = Guards::default().judge(&seen(100, Some(160), 10, 0), s(0));
        assert_eq!((leave.grant, leave.expire), (Grant::AllTimes, 0));
        assert_eq!(leave.held.map(|(guard, _)| guard), Some(Guard::ClockStep { by: s(60) }));
    }

    #[test]
    fn a_mass_loss_is_held_for_a_lease_and_then_released_in_parts() {
        let mut guards = settled();
        let leave = guards.judge(&seen(101, Some(99), 100, 31), s(101));
        assert_eq!((leave.grant, leave.expire), (Grant::Nothing, 0));
        assert_eq!(
            leave.held.map(|(guard, _)| guard.to_string()).as_deref(),
            Some("31 of 100 workers seem lost at once without proof")
        );
        watch(&mut guards, 102..120, 100, 31);
        assert_eq!(guards.judge(&seen(120, Some(118), 100, 31), s(120)).expire, 0);
        assert_eq!(guards.judge(&seen(121, Some(118), 100, 31), s(121)).expire, 4);
        assert_eq!(guards.judge(&seen(122, Some(118), 96, 27), s(122)).expire, 3);
        assert_eq!(guards.judge(&seen(123, Some(118), 70, 0), s(123)), Leave::FREE);
    }

    #[test]
    fn workers_that_are_cut_off_at_one_moment_are_held_before_the_first_of_them_is_believed() {
        let mut guards = settled();
        // They renewed at different moments, so that one lease a second runs out, and none is silent for less than half.
        let cut = |second: u32, overdue| {
            let (at, sign) = (i64::from(second), Some(i64::from(second) - 1));
            Survey { silent: 5, ..seen(at, sign, 10, overdue) }
        };
        assert_eq!(guards.judge(&cut(101, 0), s(101)), Leave::FREE, "nothing is to be believed yet");
        for second in 102..122 {
            let leave = guards.judge(&cut(second, (second - 101).min(5)), s(second.into()));
            assert_eq!(leave.expire, 0, "at second {second}");
            assert_eq!(leave.held.map(|(guard, _)| guard), Some(Guard::MassLoss { silent: 5, active: 10 }));
        }
        assert_eq!(guards.judge(&cut(122, 5), s(122)).expire, 1);
    }

    #[test]
    fn who_stays_silent_while_the_others_are_heard_again_is_believed_lost_at_once() {
        let mut guards = settled();
        let silent = |second, silent| Survey { silent, ..seen(second, Some(second - 1), 10, 1) };
        assert_eq!(guards.judge(&silent(101, 4), s(101)).expire, 0);
        assert_eq!(guards.judge(&silent(102, 1), s(102)), Leave::FREE);
    }

    #[test]
    fn of_three_workers_all_may_be_lost_at_once() {
        let mut guards = settled();
        assert_eq!(guards.judge(&seen(101, Some(99), 3, 3), s(101)), Leave::FREE);
    }
}
