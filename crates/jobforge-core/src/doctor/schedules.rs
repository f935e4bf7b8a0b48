//! Schedules: whether they are fired, and whether their jobs succeed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::facts::{Database, Queue};
use super::platform::{END_THE_OLDEST, OLD_TRANSACTION};
use super::queues::stands;
use super::{Area, Finding, MANY, Severity};
use crate::counted::counted;
use crate::enqueue::DEFAULT_QUEUE;
use crate::job::Job;
use crate::role::SCHEDULER_SILENT;
use crate::schedule::{ScheduleState, ScheduleView};
use crate::time::{since, words};

/// Schedules that are named in one finding.
const NAMED: usize = 5;

/// Schedules that nobody fires, and whose jobs fail or do not end. What is told of with their jobs, or with the queue in which
/// those wait, is left out.
pub(super) fn schedules(database: &Database, told: &BTreeSet<String>) -> Area {
    let facts = &database.schedules;
    let own = |view: &&ScheduleView| !told.contains(&view.name) && !waits(database, view);
    let of =
        |state| facts.suspects.iter().filter(own).filter(move |view| view.state == state).collect::<Vec<_>>();
    let mut findings = Vec::new();
    findings.extend(stale(database, &of(ScheduleState::Stale)));
    findings.extend(late(database, &of(ScheduleState::Late)));
    findings.extend(failing(&of(ScheduleState::Failing)));
    let summary = format!("{}, {} paused", counted(facts.total, "schedule"), facts.paused);
    Area::new("schedules", summary, findings)
}

/// Whether its jobs only wait, in a queue from which nothing is taken.
fn waits(database: &Database, view: &ScheduleView) -> bool {
    let name = view.schedule.definition.queue.as_deref().unwrap_or(DEFAULT_QUEUE);
    let stands = || database.queues.iter().any(|queue| queue.name == name && stands(database, queue));
    view.state == ScheduleState::Stale && view.schedule.consecutive_failures == 0 && stands()
}

/// Schedules that have no success because nothing is taken from this queue, in words.
pub(super) fn waiting_in(database: &Database, queue: &Queue) -> Vec<String> {
    let here = |view: &&ScheduleView| {
        let name = view.schedule.definition.queue.as_deref().unwrap_or(DEFAULT_QUEUE);
        name == queue.name && waits(database, view)
    };
    database.schedules.suspects.iter().filter(here).map(|view| without_success(database, view)).collect()
}

/// Adds the schedules that made these jobs and are in trouble for it, which are then told of.
pub(super) fn of_jobs(
    mut finding: Finding,
    jobs: &[&Job],
    database: &Database,
    told: &mut BTreeSet<String>,
) -> Finding {
    let made = |view: &&ScheduleView| {
        let maker = format!("schedule:{}", view.name);
        jobs.iter().any(|job| job.created_by.as_ref() == Some(&maker))
    };
    let ill = database.schedules.suspects.iter().filter(|view| is_stale(view) || fails(view)).filter(made);
    let mut lines = Vec::new();
    for view in ill.take(NAMED) {
        if is_stale(view) {
            finding.severity = Severity::Error;
            lines.push(without_success(database, view));
        } else {
            lines.push(format!("schedule {}", in_a_row(view)));
        }
        finding.mend.push(format!("jobforge schedule history {}", view.name));
        told.insert(view.name.clone());
    }
    // They are few, and evidence has a bound.
    finding.evidence.splice(0..0, lines);
    finding
}

fn is_stale(view: &ScheduleView) -> bool {
    view.state == ScheduleState::Stale
}

fn fails(view: &ScheduleView) -> bool {
    view.state == ScheduleState::Failing && view.schedule.consecutive_failures as usize >= MANY
}

fn in_a_row(view: &ScheduleView) -> String {
    format!("{} has failed {} times in a row", view.name, view.schedule.consecutive_failures)
}

fn without_success(database: &Database, view: &ScheduleView) -> String {
    let fresh = view.schedule.fresh_since(database.as_of);
    let may = Duration::from_millis(view.schedule.stale_after_ms.unwrap_or_default());
    let failures = match view.schedule.consecutive_failures {
        0 => String::new(),
        count => format!("; {} since", counted(count, "failure")),
    };
    format!(
        "schedule {} has had no success for {}, and may be without for {}{failures}",
        view.name,
        words(since(database.as_of, fresh)),
        words(may)
    )
}

fn stale(database: &Database, stale: &[&ScheduleView]) -> Option<Finding> {
    let first = stale.first()?;
    let line = |view: &&ScheduleView| without_success(database, view);
    let fails = first.schedule.consecutive_failures > 0;
    let (cause, because) = match fails {
        true => ("its jobs fail", "they ran, and none succeeded since"),
        false => ("its jobs were not run, or have not ended", "none failed, and none succeeded"),
    };
    let may = if stale.len() == 1 { "it may" } else { "they may" };
    let what = format!("{} not succeeded for longer than {may}", of_schedules(stale));
    let finding = Finding::new("schedules.stale", Severity::Error, what)
        .seen(stale.iter().take(NAMED).map(line))
        .comes_from(cause, because)
        .mended_by([
            format!("jobforge schedule history {}", first.name).as_str(),
            format!("jobforge schedule run {}", first.name).as_str(),
        ])
        .read_more("schedules-alerts#a-schedule-does-not-run");
    Some(finding)
}

fn of_schedules(views: &[&ScheduleView]) -> String {
    match views {
        [one] => format!("schedule {} has", one.name),
        many => format!("{} schedules have", many.len()),
    }
}

/// Nobody fires; without any scheduler, that is what is told.
fn late(database: &Database, late: &[&ScheduleView]) -> Option<Finding> {
    let scheduler = database.scheduler.as_ref()?;
    if since(database.as_of, scheduler.last_tick_at) > SCHEDULER_SILENT {
        return None;
    }
    let first = late.first()?;
    let open = open_meanwhile(database, first);
    if open.is_some_and(|open| open > OLD_TRANSACTION) {
        return None;
    }
    let finding =
        Finding::new("schedules.late", Severity::Warning, format!("{} not been fired", of_schedules(late)))
            .seen(late.iter().take(NAMED).map(|view| overdue(database, view)));
    let show = format!("jobforge schedule show {}", first.name);
    let finding = match open {
        Some(open) => finding
            .seen([format!("the oldest transaction of another session has been open for {}", words(open))])
            .comes_from(
                "a session has changed or locked them and has not ended its transaction",
                "it was open when they came due, and the scheduler passes over what is locked",
            )
            .mended_by([show.as_str()])
            .mended_by(END_THE_OLDEST),
        None => finding
            .comes_from(
                format!("the scheduler {} is slower than its schedules come due", scheduler.leader),
                "it looks, and what is due stays",
            )
            .mended_by([show.as_str(), "jobforge db status"]),
    };
    Some(finding.read_more("schedules-alerts#a-schedule-does-not-run"))
}

fn overdue(database: &Database, view: &ScheduleView) -> String {
    let due = view.schedule.due_at.map_or(Duration::ZERO, |at| since(database.as_of, at));
    format!("{} has been due for {}", view.name, words(due))
}

/// For how long the oldest transaction has been open, if it was when the schedule came due.
fn open_meanwhile(database: &Database, view: &ScheduleView) -> Option<Duration> {
    let due = since(database.as_of, view.schedule.due_at?);
    database.pressure.map(|pressure| pressure.oldest_transaction).filter(|open| *open >= due)
}

/// Schedules that are late because a transaction has been open for so long that it is told of itself, in words.
pub(super) fn held_by_a_session(database: &Database) -> Vec<String> {
    let is_held = |view: &&ScheduleView| {
        view.state == ScheduleState::Late
            && open_meanwhile(database, view).is_some_and(|open| open > OLD_TRANSACTION)
    };
    let held = database.schedules.suspects.iter().filter(is_held).take(NAMED);
    held.map(|view| format!("schedule {}, which it may hold", overdue(database, view))).collect()
}

fn failing(failing: &[&ScheduleView]) -> Option<Finding> {
    let repeatedly: Vec<&&ScheduleView> = failing.iter().filter(|view| fails(view)).collect();
    let first = repeatedly.first()?;
    let what = format!("{} fail again and again", counted(repeatedly.len(), "schedule"));
    let finding = Finding::new("schedules.failing", Severity::Warning, what)
        .seen(repeatedly.iter().take(NAMED).map(|view| in_a_row(view)))
        .comes_from("its jobs fail", "each run is kept with how it ended")
        .mended_by([format!("jobforge schedule history {}", first.name).as_str()])
        .read_more("schedules-alerts#a-schedule-does-not-run");
    Some(finding)
}
