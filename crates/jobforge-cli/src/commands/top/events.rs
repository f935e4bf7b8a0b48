//! What happened lately, newest first: deeds of people, ends of workers and of jobs, sweeps that did something, alerts.

use std::cmp::Reverse;

use jiff::Timestamp;
use jobforge::core::audit::Entry;
use jobforge::core::counted::counted;
use jobforge::core::dead::DeadGroup;
use jobforge::core::job::WorkerId;
use jobforge::core::time::{since, words};
use jobforge::core::watchdog::Run;
use jobforge_api::alerts::AlertView;

use super::pane::{Line, Target, Tone, counted_dead, dead_target};
use super::seen::{Seen, Working};
use crate::output::printable;

/// Lines that are shown.
const MOST: usize = 100;

/// Something that happened.
struct Event {
    at: Timestamp,
    tone: Tone,
    who: String,
    did: String,
    to: String,
    why: String,
    target: Target,
}

/// All of it, newest first.
pub(super) fn lines(seen: &Seen) -> Vec<Line> {
    let mut events: Vec<Event> = seen.events.iter().map(deed).collect();
    events.extend(seen.workers.iter().filter_map(worker));
    events.extend(seen.dead.iter().map(dead));
    events.extend(seen.sweeps.iter().filter_map(sweep));
    events.extend(seen.alerts.iter().map(alert));
    events.sort_by_key(|event| Reverse(event.at));
    let line = |event: Event| Line {
        cells: vec![
            format!("{} ago", words(since(seen.as_of, event.at))),
            printable(&event.who),
            event.did,
            printable(&event.to),
            printable(&event.why),
        ],
        tone: event.tone,
        target: event.target,
    };
    events.into_iter().take(MOST).map(line).collect()
}

fn deed(entry: &Entry) -> Event {
    let to = entry.target.clone().unwrap_or_default();
    let target = match entry.action.split('.').next() {
        Some("job") => to.parse().map_or(Target::Nothing, Target::Job),
        Some("worker") if !to.is_empty() => Target::Worker(WorkerId(to.clone())),
        _ => Target::Nothing,
    };
    Event {
        at: entry.at,
        tone: Tone::Plain,
        who: entry.by.actor.clone(),
        did: entry.action.clone(),
        to,
        why: entry.by.reason.clone().unwrap_or_default(),
        target,
    }
}

/// A worker that did not end by itself.
fn worker(worker: &Working) -> Option<Event> {
    let did = match worker.state.as_str() {
        "dead" => "worker died",
        "lost" => "worker lost",
        _ => return None,
    };
    Some(Event {
        at: worker.ended_at?,
        tone: Tone::Bad,
        who: "watchdog".to_owned(),
        did: did.to_owned(),
        to: worker.id.to_string(),
        why: worker.end_reason.clone().unwrap_or_default(),
        target: Target::Worker(worker.id.clone()),
    })
}

/// The last job that died of a cause, for all that did.
fn dead(group: &DeadGroup) -> Event {
    Event {
        at: group.last_at,
        tone: Tone::Bad,
        who: group.job_type.clone(),
        did: "died".to_owned(),
        to: format!("{} of group {}", counted_dead(group.count), group.group),
        why: group.pattern.clone(),
        target: dead_target(group),
    }
}

/// A sweep that did something, was told to, or could not; the others are too many.
fn sweep(run: &Run) -> Option<Event> {
    let did = [(run.requeued, "requeued"), (run.ended, "ended"), (run.workers_lost, "workers lost")];
    let did: Vec<String> =
        did.into_iter().filter(|(many, _)| *many > 0).map(|(many, what)| format!("{many} {what}")).collect();
    let held = run.guard.as_ref().map(|guard| format!("held back: {guard}"));
    let why = run.error.clone().or(held).or_else(|| run.verdicts.first().map(|verdict| verdict.why.clone()));
    if did.is_empty() && run.error.is_none() && run.guard.is_none() && run.trigger != "operator" {
        return None;
    }
    let nothing = || counted(run.suspects, "suspect");
    Some(Event {
        at: run.started_at,
        tone: if run.error.is_some() { Tone::Bad } else { Tone::Warn },
        who: run.watchdog.clone(),
        did: "sweep".to_owned(),
        to: if did.is_empty() { nothing() } else { did.join(", ") },
        why: why.unwrap_or_default(),
        target: run.verdicts.first().map_or(Target::Nothing, |verdict| Target::Job(verdict.job)),
    })
}

fn alert(view: &AlertView) -> Event {
    let (at, tone) = match view.state {
        "firing" => (view.fired_at, Tone::Bad),
        "resolved" => (view.resolved_at, Tone::Plain),
        _ => (view.fired_at, Tone::Warn),
    };
    let labels: Vec<String> = view.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Event {
        at: at.unwrap_or(view.since),
        tone,
        who: "alerts".to_owned(),
        did: format!("alert {}", view.state),
        to: std::iter::once(view.rule.clone()).chain(labels).collect::<Vec<_>>().join(" "),
        why: view.summary.clone(),
        target: Target::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(requeued: u64, trigger: &str) -> Run {
        Run {
            watchdog: "w".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            duration_ms: 1,
            trigger: trigger.to_owned(),
            guard: None,
            suspects: 2,
            workers_lost: 0,
            requeued,
            ended: 0,
            lost_races: 0,
            verdicts: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn a_sweep_is_told_of_only_if_it_did_something_or_was_asked_for() {
        assert!(sweep(&run(0, "interval")).is_none());
        assert_eq!(sweep(&run(3, "interval")).map(|event| event.to).as_deref(), Some("3 requeued"));
        assert_eq!(sweep(&run(0, "operator")).map(|event| event.to).as_deref(), Some("2 suspects"));
        let held = Run { guard: Some("blind".to_owned()), ..run(0, "interval") };
        assert_eq!(sweep(&held).map(|event| event.why).as_deref(), Some("held back: blind"));
    }
}
