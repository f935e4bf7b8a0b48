//! Whole days on a simulated clock: daylight saving, restarts, and clocks that are set.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Checked, Definition, Facts, Overlap, RunOutcome, plan};
use super::{checked, moment};
use crate::time::add;

/// A server with its database: what it wrote down of each moment, as the primary key keeps it.
struct World {
    schedule: Checked,
    armed: super::super::Armed,
    ledger: BTreeMap<Timestamp, RunOutcome>,
}

impl World {
    fn new(definition: Definition, now: Timestamp) -> Self {
        let schedule = checked(Definition { overlap: Overlap::Allow, ..definition });
        let armed = schedule.arm(now);
        Self { schedule, armed, ledger: BTreeMap::new() }
    }

    fn look(&mut self, now: Timestamp) {
        let (Some(next_at), Some(due_at)) = (self.armed.next_at, self.armed.due_at) else { return };
        if due_at > now {
            return;
        }
        let plan = plan(&Facts { schedule: &self.schedule, next_at, due_at, paused: None, live: &[], now });
        for line in plan.lines {
            self.ledger.entry(line.planned_for).or_insert(line.outcome);
        }
        self.armed = plan.armed;
    }

    /// Looks every second of a span of real time.
    fn live(&mut self, from: Timestamp, until: Timestamp) {
        let mut now = from;
        while now <= until {
            self.look(now);
            now = add(now, Duration::from_secs(1));
        }
    }

    fn ran(&self) -> usize {
        self.ledger.values().filter(|outcome| matches!(outcome, RunOutcome::Ran | RunOutcome::Late)).count()
    }
}

fn by_cron(pattern: &str) -> Definition {
    Definition {
        cron: Some(pattern.to_owned()),
        time_zone: Some("Europe/Berlin".to_owned()),
        ..Definition::new("tick", "tick")
    }
}

/// The day that has 25 hours, and the one that has 23, second by second.
#[test]
fn days_of_25_and_of_23_hours_run_what_they_should() {
    for (pattern, midnight, hours, runs) in [
        ("*/15 * * * *", "2026-10-24T22:00:00Z", 25, 100),
        ("*/15 * * * *", "2026-03-28T23:00:00Z", 23, 92),
        ("30 2 * * *", "2026-10-24T22:00:00Z", 25, 1),
        ("30 2 * * *", "2026-03-28T23:00:00Z", 23, 1),
        ("0 * * * *", "2026-10-24T22:00:00Z", 25, 25),
        ("0 3 * * *", "2026-03-28T23:00:00Z", 23, 1),
    ] {
        let begin = moment(midnight) - Duration::from_secs(1);
        let mut world = World::new(by_cron(pattern), begin);
        world.live(begin, add(begin, Duration::from_secs(hours * 3600)));
        assert_eq!(world.ran(), runs, "{pattern} on a day of {hours} hours");
        assert!(world.ledger.values().all(|outcome| *outcome == RunOutcome::Ran));
    }
}

#[test]
fn a_clock_that_is_set_back_runs_no_moment_twice_and_one_that_is_set_forward_tells_of_each() {
    let begin = moment("2026-03-01T12:00:00Z");
    let minutes = |count: u64| add(begin, Duration::from_secs(count * 60));
    let mut world =
        World::new(Definition { every: Some("1m".to_owned()), ..Definition::new("t", "t") }, begin);
    world.live(begin, minutes(10));
    assert_eq!(world.ran(), 10);
    // Back by five minutes: the next moment is reckoned anew, and those that have had their line get no other.
    world.armed = world.schedule.arm(minutes(5));
    world.live(minutes(5), minutes(12));
    assert_eq!(world.ran(), 12);
    // Forward by an hour: one run stands for all that were jumped over.
    world.live(minutes(72), minutes(75));
    assert_eq!(world.ran(), 16, "72, 73, 74 and 75");
    assert_eq!(world.ledger.get(&minutes(13)), Some(&RunOutcome::Missed));
}

#[test]
fn restarts_of_every_length_leave_each_moment_with_one_line() {
    let begin = moment("2026-03-01T12:00:00Z");
    for outage in [0, 1, 9, 30, 61, 119, 600, 86_400] {
        let mut world =
            World::new(Definition { every: Some("1m".to_owned()), ..Definition::new("t", "t") }, begin);
        let stopped = add(begin, Duration::from_secs(90));
        world.live(begin, stopped);
        let back = add(stopped, Duration::from_secs(outage));
        world.live(back, add(back, Duration::from_secs(120)));
        let last = world.ledger.keys().next_back().copied().expect("moments");
        assert!(last >= add(back, Duration::from_secs(60)), "{outage}: it goes on");
        let before: Vec<_> = world.ledger.range(..back).map(|(_, outcome)| *outcome).collect();
        assert!(before.contains(&RunOutcome::Ran), "{outage}");
    }
}

#[test]
fn a_leap_day_comes_every_four_years_but_not_in_2100() {
    let schedule = checked(by_cron("0 12 29 2 *"));
    let years: Vec<i16> = schedule
        .clock
        .next_moments(moment("2088-03-01T00:00:00Z"), 4)
        .iter()
        .map(|moment| moment.to_zoned(jiff::tz::TimeZone::UTC).year())
        .collect();
    assert_eq!(years, [2092, 2096, 2104, 2108]);
}
