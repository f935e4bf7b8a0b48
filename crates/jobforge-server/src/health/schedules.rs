//! Whether anybody fires schedules, and which of them do not succeed as they should.

use std::time::Duration;

use jobforge::ScheduleView;
use jobforge::core::counted::counted;
use jobforge::core::role::{Role, SCHEDULER_SILENT};
use jobforge::core::schedule::ScheduleState;
use jobforge::core::time::{since, words};
use jobforge::overview::Facts;
use jobforge_api::runbook::ServiceHealth;
use serde_json::{Value, json};

use super::{service, start};

/// Schedules that are told of one by one.
const TOLD: usize = 20;
/// Of those, the ones that a sentence names.
const NAMED: usize = 3;

fn are(facts: &Facts, state: ScheduleState) -> impl Iterator<Item = &ScheduleView> {
    facts.schedules.ill.iter().filter(move |view| view.state == state)
}

/// The part `scheduler`.
pub(crate) fn scheduler(facts: &Facts, sees_all: bool) -> ServiceHealth {
    let (total, paused) = (facts.schedules.total, facts.schedules.paused);
    let tick = facts.scheduler.as_ref().map(|scheduler| scheduler.last_tick_at);
    let age = facts.tick_age();
    let count = |state| are(facts, state).count();
    let (late, stale) = (count(ScheduleState::Late), count(ScheduleState::Stale));
    let (status, message) = match (total, age) {
        (0, _) => ("not_configured", Some("no schedule is defined".to_owned())),
        (_, None) => {
            let what = "no scheduler has ever been here; nothing is fired";
            ("error", Some(format!("{what}; {}", start(Role::Scheduler))))
        }
        (_, Some(age)) if age > SCHEDULER_SILENT => {
            let what = format!("no scheduler has looked for {}; nothing is fired", words(age));
            ("error", Some(format!("{what}; {}", start(Role::Scheduler))))
        }
        (_, Some(_)) if stale > 0 => ("warning", Some(stale_words(facts, stale, sees_all))),
        (_, Some(_)) if late > 0 => ("warning", Some(late_words(facts, late, sees_all))),
        (_, Some(_)) => ("ok", None),
    };
    let mut details = json!({
        "last_tick": tick.map(|tick| tick.to_string()),
        "age_s": age.map(|age| age.as_secs_f64()),
        "schedules": total,
        "paused": paused,
        "late": late,
        "stale": stale,
        "failing": count(ScheduleState::Failing),
    });
    if sees_all {
        let names = |state| are(facts, state).take(TOLD).map(|view| &view.name).collect::<Vec<_>>();
        details["leader"] = json!(facts.scheduler.as_ref().map(|scheduler| &scheduler.leader));
        details["late_schedules"] = json!(names(ScheduleState::Late));
        details["failing_schedules"] = json!(names(ScheduleState::Failing));
        let stale = are(facts, ScheduleState::Stale).take(TOLD);
        details["stale_schedules"] = stale.map(|view| stale_details(facts, view)).collect();
    }
    service("scheduler", status, message, details)
}

fn stale_details(facts: &Facts, view: &ScheduleView) -> Value {
    json!({
        "name": view.name,
        "stale_since": view.stale_at.map(|at| at.to_string()),
        "last_success_at": view.schedule.last_success_at.map(|at| at.to_string()),
        "without_success_for_s": since(facts.as_of, view.schedule.fresh_since(facts.as_of)).as_secs(),
        "stale_after_ms": view.schedule.stale_after_ms,
        "consecutive_failures": view.schedule.consecutive_failures,
    })
}

/// Which, since when, how long each may be without, and what to do about it.
fn stale_words(facts: &Facts, count: usize, sees_all: bool) -> String {
    if !sees_all {
        return format!("{} without a success for longer than allowed", counted(count, "schedule"));
    }
    let one = |view: &ScheduleView| {
        let since_when = view.schedule.fresh_since(facts.as_of);
        let limit = Duration::from_millis(view.schedule.stale_after_ms.unwrap_or_default());
        format!(
            "schedule {} has had no success since {since_when:.0}, {} ago (it may be without for {})",
            view.name,
            words(since(facts.as_of, since_when)),
            words(limit)
        )
    };
    let mut stale = are(facts, ScheduleState::Stale);
    let named: Vec<String> = stale.by_ref().take(NAMED).map(one).collect();
    let first = are(facts, ScheduleState::Stale).next().map_or("", |view| view.name.as_str());
    format!(
        "{}{}; see why with `jobforge schedule history {first}`, then mend its jobs and `jobforge schedule run {first}`, or \
         pause it",
        named.join("; "),
        and_more(count)
    )
}

fn late_words(facts: &Facts, count: usize, sees_all: bool) -> String {
    if !sees_all {
        return format!("{} late", counted(count, "schedule"));
    }
    let named = are(facts, ScheduleState::Late).take(NAMED).map(|view| view.name.as_str());
    let named: Vec<&str> = named.collect();
    let does = "the scheduler does not keep up or cannot read them; its log tells why";
    format!("late: {}{}; {does}", named.join(", "), and_more(count))
}

fn and_more(count: usize) -> String {
    match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    }
}
