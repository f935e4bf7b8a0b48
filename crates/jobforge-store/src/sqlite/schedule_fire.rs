//! Firing: what becomes of the moments that have passed is written down, and the jobs are made, in one transaction.

use std::time::Duration;

use jobforge_core::audit::{By, Deed};
use jobforge_core::job::{JobId, NewJob};
use jobforge_core::schedule::{
    Armed, Booking, Facts, HISTORY_KEPT, ManualRun, NewLine, Plan, RunOutcome, Schedule, book, plan, run_now,
};
use jobforge_core::time::{Now, add, sub};
use rusqlite::params;
use serde_json::{Value, json};

use super::rows::{self, limit, micros, moment};
use super::schedules::{checked, live, schedule};
use super::tx::{Tx, as_of};
use super::{audit, enqueue, operate, statements};
use crate::error::{Result, StoreError};
use crate::meter::{self, Tally};
use crate::rows::{FIRE_STEP, Fired, FiredLine, Move, RanSchedule, UNREADABLE_WAITS};

/// The clock, and when the next schedule is due.
pub(super) fn look(tx: &Tx<'_>, at: Now) -> Result<Fired> {
    let next = tx.prepare(&statements::SCHEDULE_NEXT)?.one([], |row| rows::at(row, 0))?;
    Ok(Fired { as_of: as_of(tx.now(at)?), lines: Vec::new(), next_due: next })
}

pub(super) fn is_due(seen: &Fired, overdue_by: Duration) -> bool {
    seen.next_due.is_some_and(|due| due <= sub(seen.as_of, overdue_by))
}

pub(super) fn fire(tx: &Tx<'_>, overdue_by: Duration, most: usize, at: Now) -> Result<Fired> {
    let now = tx.now(at)?;
    // All of the step goes by one reading of the clock.
    let at = Now::Fixed(moment(now));
    let due_by = micros(sub(moment(now), overdue_by));
    let most = limit(most.min(FIRE_STEP));
    let due = tx
        .prepare(&statements::SCHEDULE_DUE)?
        .all(params![due_by, most], |row| Ok((schedule(row)?, row.get::<_, i64>("lines")?)))?;
    let mut lines = Vec::new();
    for (schedule, number) in due {
        let booking = decide(tx, &schedule, now)?;
        lines.extend(write(tx, booking, number, None, at)?);
    }
    Ok(Fired { lines, ..look(tx, at)? })
}

/// What becomes of a schedule that is due. One whose definition this program cannot read is left for another.
fn decide(tx: &Tx<'_>, schedule: &Schedule, now: i64) -> Result<Booking> {
    let name = &schedule.definition.name;
    let left = |armed: Armed| {
        let plan = Plan { lines: Vec::new(), cancel: Vec::new(), armed, resumed: false };
        without_lines(name, plan)
    };
    let now = moment(now);
    let checked = match checked(tx, &schedule.definition, now) {
        Ok(checked) => checked,
        Err(error) => {
            tracing::error!(job_name = %name, error = error.chain(), "cannot fire schedule {name}");
            let due_at = schedule.next_at.map(|_| add(now, UNREADABLE_WAITS));
            return Ok(left(Armed { next_at: schedule.next_at, due_at }));
        }
    };
    let (Some(next_at), Some(due_at)) = (schedule.next_at, schedule.due_at) else {
        return Ok(left(Armed::default()));
    };
    let live = live(tx, name)?;
    let paused = schedule.paused.as_ref();
    let facts = Facts { schedule: &checked, next_at, due_at, paused, live: &live, now };
    Ok(book(&checked, plan(&facts)))
}

fn without_lines(name: &str, plan: Plan) -> Booking {
    let Plan { cancel, armed, resumed, .. } = plan;
    Booking { schedule: name.to_owned(), lines: Vec::new(), cancel, armed, resumed, missed: 0 }
}

pub(super) fn rearm(tx: &Tx<'_>, at: Now) -> Result<u64> {
    let now = tx.now(at)?;
    let ahead = tx.prepare(&statements::SCHEDULE_AHEAD)?.all(params![now, limit(FIRE_STEP)], schedule)?;
    for schedule in &ahead {
        let armed = match checked(tx, &schedule.definition, moment(now)) {
            Ok(checked) => checked.arm(moment(now)),
            Err(_) => Armed { next_at: schedule.next_at, due_at: schedule.due_at },
        };
        let plan = Plan { lines: Vec::new(), cancel: Vec::new(), armed, resumed: false };
        write(tx, without_lines(&schedule.definition.name, plan), 0, None, Now::Fixed(moment(now)))?;
    }
    Ok(ahead.len() as u64)
}

pub(super) fn run(tx: &Tx<'_>, name: &str, insists: bool, by: &By, at: Now) -> Result<RanSchedule> {
    let now = tx.now(at)?;
    let found = tx
        .prepare(&statements::SCHEDULE_GET)?
        .one([name], |row| Ok((schedule(row)?, row.get::<_, i64>("lines")?)))?;
    let Some((schedule, number)) = found else { return Ok(RanSchedule::Missing) };
    let checked = checked(tx, &schedule.definition, moment(now))?;
    let (mut line, job, cancel) = match run_now(&checked, &live(tx, name)?, insists, moment(now)) {
        ManualRun::Busy(run) => return Ok(RanSchedule::Busy(run)),
        ManualRun::Runs { line, job, cancel } => (line, job, cancel),
    };
    // SQLite's clock knows milliseconds only, and two people may ask within one.
    while is_taken(tx, name, micros(line.planned_for))? {
        line.planned_for = moment(micros(line.planned_for) + 1);
    }
    let id = job.id;
    let booking = Booking {
        schedule: name.to_owned(),
        lines: vec![(line, Some(*job))],
        cancel,
        armed: Armed { next_at: schedule.next_at, due_at: schedule.due_at },
        resumed: false,
        missed: 0,
    };
    write(tx, booking, number, Some(by), Now::Fixed(moment(now)))?;
    let deed = Deed::new("schedule.run", name).of(schedule.definition.tenant());
    audit::add(tx, by, &deed.changing(&Value::Null, &json!({ "job_id": id })), now)?;
    Ok(RanSchedule::Ran(id))
}

fn is_taken(tx: &Tx<'_>, name: &str, planned_for: i64) -> Result<bool> {
    let last = tx
        .prepare(&statements::SCHEDULE_RUNS)?
        .one(params![name, planned_for + 1, 1], |row| row.get::<_, i64>(0))?;
    Ok(last == Some(planned_for))
}

/// Writes a booking down: lines, jobs, cancellations, and where the schedule stands now.
fn write(tx: &Tx<'_>, booking: Booking, number: i64, by: Option<&By>, at: Now) -> Result<Vec<FiredLine>> {
    let now = tx.now(at)?;
    let Booking { schedule, lines, cancel, armed, resumed, missed } = booking;
    if !cancel.is_empty() {
        let reason = "a job for the next moment takes its place";
        let actor = By::named(format!("schedule:{schedule}")).because(Some(reason));
        operate::move_jobs(tx, &cancel, Move::Cancel, &actor, at)?;
    }
    let count = i64::try_from(lines.len()).unwrap_or(0);
    let mut fired = Vec::new();
    let mut ran: Option<(i64, JobId)> = None;
    for ((line, job), number) in lines.into_iter().zip(number + 1..) {
        let planned_for = micros(line.planned_for);
        let written = tx.prepare(&statements::SCHEDULE_BOOK)?.execute(params![
            schedule,
            planned_for,
            number,
            line.outcome.as_str(),
            line.why,
            line.ticks.cast_signed(),
            line.planned_until.map(micros),
            job.as_ref().map(|job| job.id.to_string()),
            by.map(|by| &by.actor),
            now
        ])?;
        if written == 0 {
            continue;
        }
        let (line, job_id) = match job {
            Some(job) => make(tx, &schedule, line, &job, at)?,
            None => (line, None),
        };
        ran = job_id.map(|id| (planned_for, id)).or(ran);
        let line = FiredLine { schedule: schedule.clone(), line, job_id };
        tx.tally(meter::fired(&line));
        fired.push(line);
    }
    tx.prepare(&statements::SCHEDULE_ADVANCE)?.execute(params![
        schedule,
        armed.next_at.map(micros),
        armed.due_at.map(micros),
        ran.map(|(planned_for, _)| planned_for),
        ran.map(|(_, id)| id.to_string()),
        missed.cast_signed(),
        count,
        resumed,
        now
    ])?;
    let oldest = number + count - HISTORY_KEPT.cast_signed();
    if oldest > 0 {
        tx.prepare(&statements::SCHEDULE_FORGET)?.execute(params![schedule, oldest])?;
    }
    Ok(fired)
}

/// Makes a job. One that has its key already stands for the moment; one with another payload keeps it out.
fn make(
    tx: &Tx<'_>,
    schedule: &str,
    line: NewLine,
    job: &NewJob,
    at: Now,
) -> Result<(NewLine, Option<JobId>)> {
    let key = job.idempotency_key.as_deref().unwrap_or_default();
    let tally = |created| tx.tally(Tally::Enqueued { queue: job.queue.clone(), created });
    let (line, job_id) = match enqueue::enqueue(tx, std::slice::from_ref(job), at) {
        Ok(answers) => match answers.first() {
            Some(answer) if !answer.created => {
                tally(false);
                let why = format!("job {} has the key {key} already and stands for it", answer.id);
                (NewLine { why: Some(why), ..line }, Some(answer.id))
            }
            _ => {
                tally(true);
                return Ok((line, Some(job.id)));
            }
        },
        Err(StoreError::IdempotencyConflict { existing, .. }) => {
            let why = format!("job {existing} has the key {key} already, with another payload");
            (NewLine { why: Some(why), outcome: RunOutcome::Skipped, ..line }, None)
        }
        Err(error) => return Err(error),
    };
    tx.prepare(&statements::SCHEDULE_REBOOK)?.execute(params![
        schedule,
        micros(line.planned_for),
        line.outcome.as_str(),
        line.why,
        job_id.map(|id| id.to_string())
    ])?;
    Ok((line, job_id))
}
