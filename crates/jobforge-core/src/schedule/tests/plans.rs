//! What becomes of moments, policy by policy; engines run the same stories in the conformance suite.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::{
    Checked, Definition, Facts, GRACE, LiveRun, ManualRun, Missed, Overlap, Pause, Plan, RunOutcome, plan,
    run_now,
};
use super::{checked, every, moment};
use crate::job::JobId;
use crate::time::since;

const NOON: &str = "2026-03-01T12:00:00Z";

fn live(planned_for: &str) -> LiveRun {
    LiveRun { job_id: JobId::new(), planned_for: moment(planned_for), running: true }
}

fn planned(schedule: &Checked, live: &[LiveRun], next: &str, now: &str) -> Plan {
    let next_at = moment(next);
    let due_at = schedule.due(next_at);
    plan(&Facts { schedule, next_at, due_at, paused: None, live, now: moment(now) })
}

fn words(plan: &Plan) -> Vec<String> {
    plan.lines.iter().map(|line| format!("{} {} {}", line.planned_for, line.outcome, line.ticks)).collect()
}

#[test]
fn what_is_not_due_yet_is_left_where_it_is() {
    let schedule = checked(every("5m"));
    let plan = planned(&schedule, &[], "2026-03-01T12:05:00Z", NOON);
    assert_eq!((plan.lines.len(), plan.armed.next_at), (0, Some(moment("2026-03-01T12:05:00Z"))));
}

#[test]
fn a_short_outage_loses_nothing_whatever_the_policy() {
    for missed in [Missed::Skip, Missed::Once, Missed::All] {
        let schedule = checked(Definition { missed, ..every("1d") });
        let plan = planned(&schedule, &[], "2026-03-01T00:00:00Z", "2026-03-01T00:00:45Z");
        assert_eq!(words(&plan), ["2026-03-01T00:00:00Z late 1"], "{missed:?}");
    }
}

#[test]
fn of_two_jobs_that_may_not_overlap_the_second_is_not_made_in_the_same_step() {
    let schedule = checked(Definition { missed: Missed::All, missed_limit: Some(3), ..every("5m") });
    let plan = planned(&schedule, &[], "2026-03-01T12:00:00Z", "2026-03-01T12:20:00Z");
    assert_eq!(
        words(&plan),
        [
            "2026-03-01T12:00:00Z missed 1",
            "2026-03-01T12:05:00Z late 1",
            "2026-03-01T12:10:00Z skipped 1",
            "2026-03-01T12:15:00Z skipped 1",
            "2026-03-01T12:20:00Z skipped 1"
        ]
    );
}

#[test]
fn with_queue_and_all_every_moment_runs_one_after_the_other() {
    let definition = Definition { missed: Missed::All, overlap: Overlap::Queue, ..every("5m") };
    let schedule = checked(definition);
    let now = moment("2026-03-01T12:20:00Z");
    let (mut next_at, mut due_at) = (moment("2026-03-01T12:00:00Z"), moment("2026-03-01T12:00:00Z"));
    let mut ran = Vec::new();
    for _ in 0..5 {
        let facts = Facts { schedule: &schedule, next_at, due_at, paused: None, live: &[], now };
        let plan = plan(&facts);
        ran.extend(plan.lines.iter().filter(|line| line.runs()).map(|line| line.planned_for.to_string()));
        assert_eq!(plan.lines.len(), 1, "{plan:?}");
        next_at = plan.armed.next_at.expect("next");
        due_at = plan.armed.due_at.expect("due");
    }
    assert_eq!(ran, ["00", "05", "10", "15", "20"].map(|minute| format!("2026-03-01T12:{minute}:00Z")));
    assert_eq!(next_at, moment("2026-03-01T12:25:00Z"));
}

#[test]
fn a_pause_that_ends_in_the_middle_skips_only_what_it_covers() {
    let schedule = checked(Definition { overlap: Overlap::Allow, missed: Missed::All, ..every("5m") });
    let pause = Pause {
        at: moment(NOON),
        by: "ada".to_owned(),
        reason: None,
        until: Some(moment("2026-03-01T12:07:00Z")),
    };
    let next_at = moment("2026-03-01T12:05:00Z");
    let now = moment("2026-03-01T12:15:00Z");
    let plan =
        plan(&Facts { schedule: &schedule, next_at, due_at: next_at, paused: Some(&pause), live: &[], now });
    assert_eq!(
        words(&plan),
        ["2026-03-01T12:05:00Z skipped 1", "2026-03-01T12:10:00Z late 1", "2026-03-01T12:15:00Z ran 1"]
    );
    assert!(plan.resumed);
}

#[test]
fn the_old_job_makes_room_once() {
    let schedule = checked(Definition { overlap: Overlap::CancelOld, ..every("5m") });
    let old = live(NOON);
    let plan = planned(&schedule, std::slice::from_ref(&old), "2026-03-01T12:05:00Z", "2026-03-01T12:05:00Z");
    assert_eq!((plan.cancel, plan.lines.len()), (vec![old.job_id], 1));
}

#[test]
fn who_insists_runs_a_busy_schedule() {
    let now = moment(NOON);
    for (overlap, insists, runs, cancels) in [
        (Overlap::Skip, false, false, 0),
        (Overlap::Skip, true, true, 0),
        (Overlap::Queue, false, false, 0),
        (Overlap::Allow, false, true, 0),
        (Overlap::CancelOld, false, true, 1),
    ] {
        let schedule = checked(Definition { overlap, ..every("5m") });
        match run_now(&schedule, &[live(NOON)], insists, now) {
            ManualRun::Runs { cancel, .. } => assert!(runs && cancel.len() == cancels, "{overlap:?}"),
            ManualRun::Busy(_) => assert!(!runs, "{overlap:?}"),
        }
    }
}

fn definitions() -> impl Strategy<Value = Definition> {
    let times = prop_oneof![
        prop::sample::select(vec!["1s", "7s", "1m", "5m", "1h"]).prop_map(|text| (Some(text), None)),
        prop::sample::select(vec!["*/10 * * * *", "30 2 * * *", "* * * * * *"])
            .prop_map(|text| (None, Some(text))),
    ];
    let overlaps =
        prop::sample::select(vec![Overlap::Skip, Overlap::Queue, Overlap::CancelOld, Overlap::Allow]);
    let misses = prop::sample::select(vec![Missed::Skip, Missed::Once, Missed::All]);
    (times, overlaps, misses, prop::option::of(1000_i64..100_000), 0_i64..900, prop::option::of(1_i64..20))
        .prop_map(|((every, cron), overlap, missed, catch_up_ms, jitter_ms, missed_limit)| Definition {
            every: every.map(str::to_owned),
            cron: cron.map(str::to_owned),
            overlap,
            missed,
            missed_limit,
            catch_up_ms,
            jitter_ms: Some(jitter_ms),
            ..Definition::new("tick", "tick")
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Whatever happens between two looks, each moment gets exactly one line, in order, and the plan is ever ahead.
    #[test]
    fn every_moment_has_one_fate(
        definition in definitions(),
        looks in prop::collection::vec((1_u64..700, any::<bool>(), any::<bool>()), 1..16),
    ) {
        let schedule = checked(definition);
        let begin = moment(NOON);
        let mut armed = schedule.arm(begin);
        let mut now = begin;
        let mut told: Vec<Timestamp> = Vec::new();
        let mut pause = None;
        for (seconds, is_busy, toggles) in looks {
            now += Duration::from_secs(seconds);
            if toggles {
                pause = match pause {
                    None => Some(Pause { at: now, by: "x".to_owned(), reason: None, until: None }),
                    Some(_) => None,
                };
            }
            let (Some(next_at), Some(due_at)) = (armed.next_at, armed.due_at) else { break };
            if due_at > now {
                continue;
            }
            let run = live(NOON);
            let live = if is_busy { std::slice::from_ref(&run) } else { &[] };
            let facts = Facts { schedule: &schedule, next_at, due_at, paused: pause.as_ref(), live, now };
            let plan = plan(&facts);
            prop_assert_eq!(&plan, &super::super::plan(&facts), "the same facts, the same plan");
            let runs = plan.lines.iter().filter(|line| line.runs()).count();
            if schedule.definition.overlap != Overlap::Allow {
                prop_assert!(runs <= 1, "{:?}", plan);
            }
            if is_busy && matches!(schedule.definition.overlap, Overlap::Skip | Overlap::Queue) {
                prop_assert_eq!(runs, 0);
            }
            if pause.is_some() {
                prop_assert_eq!(runs, 0);
            }
            for line in &plan.lines {
                if line.outcome == RunOutcome::Ran {
                    prop_assert!(since(now, schedule.due(line.planned_for)) < GRACE);
                }
                // A line that stands for several tells the first and the last of them.
                let until = line.planned_until.unwrap_or(line.planned_for);
                prop_assert!(until >= line.planned_for && until <= now);
                prop_assert!(told.last().is_none_or(|last| line.planned_for > *last), "{:?}", plan);
                told.push(until);
            }
            armed = plan.armed;
            let next = armed.next_at.expect("these patterns never end");
            prop_assert!(told.last().is_none_or(|last| next > *last));
            prop_assert!(armed.due_at.expect("due") > now, "what is planned is not due at once again");
        }
    }
}
