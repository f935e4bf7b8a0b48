//! Firing: what becomes of the moments that have passed is written down, and the jobs are made, in one transaction.
//!
//! Two servers never fire the same moment: the schedule's row is locked, and a moment has one line.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::job::{JobId, NewJob};
use jobforge_core::schedule::{
    Armed, Booking, Facts, HISTORY_KEPT, ManualRun, NewLine, Plan, RunOutcome, Schedule, book, plan, run_now,
};
use jobforge_core::time::{Now, add, sub};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::enqueue::{Fault, insert_chunk};
use super::operate::{MOVE, moved};
use super::rows::{Json, millis};
use super::schedules::{Step, again};
use super::session::{Attempted, Sql, sql};
use crate::error::{Result, StoreError};
use crate::meter::{self, Tally};
use crate::rows::{FIRE_STEP, Fired, FiredLine, Move, RanSchedule, UNREADABLE_WAITS};

pub(super) static NEXT: Sql = sql!("schedule_next");
static DUE: Sql = sql!("schedule_due", INT8, INT8);
static AHEAD: Sql = sql!("schedule_ahead", INT8);
pub(super) static LIVE: Sql = sql!("schedule_live", TEXT_ARRAY);
static BOOK: Sql = sql!(
    "schedule_book",
    TEXT_ARRAY,
    TIMESTAMPTZ_ARRAY,
    INT8_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    INT8_ARRAY,
    TIMESTAMPTZ_ARRAY,
    UUID_ARRAY,
    TEXT,
);
static REBOOK: Sql = sql!("schedule_rebook", TEXT, TIMESTAMPTZ, TEXT, TEXT, UUID);
static ADVANCE: Sql = sql!(
    "schedule_advance",
    TEXT_ARRAY,
    TIMESTAMPTZ_ARRAY,
    TIMESTAMPTZ_ARRAY,
    TIMESTAMPTZ_ARRAY,
    UUID_ARRAY,
    INT8_ARRAY,
    INT8_ARRAY,
    BOOL_ARRAY,
);
static FORGET: Sql = sql!("schedule_forget", TEXT_ARRAY, INT8_ARRAY);

/// A schedule that is due, and how many lines it has had.
struct DueRow {
    schedule: Schedule,
    lines: i64,
}

impl PostgresStore {
    pub(super) async fn fire(&self, overdue_by: Duration, limit: usize, at: Now) -> Result<Fired> {
        // Mostly nothing is due, which one question tells.
        let (now, next_due) = self.next_due(at).await?;
        if next_due.is_none_or(|due| due > sub(now, overdue_by)) {
            return Ok(Fired { as_of: now, lines: Vec::new(), next_due });
        }
        let lines: Result<Vec<FiredLine>> = again!({ self.fire_once(overdue_by, limit, at).await });
        let lines = lines?;
        let (as_of, next_due) = self.next_due(at).await?;
        Ok(Fired { as_of, lines, next_due })
    }

    async fn next_due(&self, at: Now) -> Result<(Timestamp, Option<Timestamp>)> {
        let rows = self.query(at, &NEXT, &[]).await?;
        let row = rows.first().ok_or_else(|| self.unreadable("schedule_next"))?;
        Ok((row.get(0), row.get(1)))
    }

    async fn fire_once(
        &self,
        overdue_by: Duration,
        limit: usize,
        at: Now,
    ) -> std::result::Result<Vec<FiredLine>, Attempted> {
        let limit = i64::try_from(limit.min(FIRE_STEP)).unwrap_or(1);
        let mut client = self.client("fire_schedules").await.map_err(Attempted::Final)?;
        let step = Step::begin(self, &mut client, "fire_schedules", at).await?;
        let (due, now) = self.due_rows(&step.run(&DUE, &[&millis(overdue_by), &limit]).await?)?;
        let Some(now) = now else { return Ok(Vec::new()) };
        let names: Vec<&str> = due.iter().map(|row| row.schedule.definition.name.as_str()).collect();
        let live = step.live(&names).await?;
        let decide = |row: &DueRow| {
            let schedule = &row.schedule;
            let name = &schedule.definition.name;
            let live = live.get(name).map(Vec::as_slice).unwrap_or_default();
            self.decide(schedule, live, now)
        };
        let bookings: Vec<Booking> = due.iter().map(decide).collect();
        let lines: HashMap<String, i64> =
            due.into_iter().map(|row| (row.schedule.definition.name, row.lines)).collect();
        let fired = step.book(bookings, &lines, None).await?;
        step.commit().await?;
        Ok(fired)
    }

    fn due_rows(&self, rows: &[Row]) -> std::result::Result<(Vec<DueRow>, Option<Timestamp>), Attempted> {
        let fault = |error| self.attempted("fire_schedules", error);
        let now = rows.first().map(|row| row.try_get("as_of")).transpose().map_err(fault)?;
        let read = |row: &Row| {
            let schedule = self.read_schedule("fire_schedules", row).map_err(Attempted::Final)?;
            Ok(DueRow { schedule, lines: row.try_get("lines").map_err(fault)? })
        };
        Ok((rows.iter().map(read).collect::<std::result::Result<_, _>>()?, now))
    }

    /// What becomes of a schedule that is due. One whose definition this program cannot read is left for another.
    fn decide(
        &self,
        schedule: &Schedule,
        live: &[jobforge_core::schedule::LiveRun],
        now: Timestamp,
    ) -> Booking {
        let name = schedule.definition.name.clone();
        let left = |armed: Armed| Plan { lines: Vec::new(), cancel: Vec::new(), armed, resumed: false };
        match (self.checked(&schedule.definition, now), schedule.next_at, schedule.due_at) {
            (Ok(checked), Some(next_at), Some(due_at)) => {
                let paused = schedule.paused.as_ref();
                book(&checked, plan(&Facts { schedule: &checked, next_at, due_at, paused, live, now }))
            }
            (Ok(_), _, _) => unread(name, left(Armed::default())),
            (Err(error), next_at, _) => {
                tracing::error!(job_name = %name, error = error.chain(), "cannot fire schedule {name}");
                let due_at = next_at.map(|_| add(now, UNREADABLE_WAITS));
                unread(name, left(Armed { next_at, due_at }))
            }
        }
    }

    pub(super) async fn rearm_once(&self, at: Now) -> std::result::Result<u64, Attempted> {
        let limit = i64::try_from(FIRE_STEP).unwrap_or(1);
        let mut client = self.client("rearm_schedules").await.map_err(Attempted::Final)?;
        let step = Step::begin(self, &mut client, "rearm_schedules", at).await?;
        let (ahead, now) = self.due_rows(&step.run(&AHEAD, &[&limit]).await?)?;
        let Some(now) = now else { return Ok(0) };
        let rearm = |row: &DueRow| {
            let schedule = &row.schedule;
            let armed = match self.checked(&schedule.definition, now) {
                Ok(checked) => checked.arm(now),
                Err(_) => Armed { next_at: schedule.next_at, due_at: schedule.due_at },
            };
            let plan = Plan { lines: Vec::new(), cancel: Vec::new(), armed, resumed: false };
            unread(schedule.definition.name.clone(), plan)
        };
        let bookings: Vec<Booking> = ahead.iter().map(rearm).collect();
        let count = bookings.len() as u64;
        step.book(bookings, &HashMap::new(), None).await?;
        step.commit().await?;
        Ok(count)
    }

    pub(super) async fn run_schedule_once(
        &self,
        name: &str,
        insists: bool,
        by: &By,
        at: Now,
    ) -> std::result::Result<RanSchedule, Attempted> {
        let mut client = self.client("run_schedule").await.map_err(Attempted::Final)?;
        let step = Step::begin(self, &mut client, "run_schedule", at).await?;
        let rows = step.run(&super::schedules::LOCK, &[&name]).await?;
        let (mut held, now) = self.due_rows(&rows)?;
        let (Some(row), Some(now)) = (held.pop(), now) else { return Ok(RanSchedule::Missing) };
        let live = step.live(&[name]).await?.remove(name).unwrap_or_default();
        let checked = self.checked(&row.schedule.definition, now).map_err(Attempted::Final)?;
        let (line, job, cancel) = match run_now(&checked, &live, insists, now) {
            ManualRun::Busy(run) => return Ok(RanSchedule::Busy(run)),
            ManualRun::Runs { line, job, cancel } => (line, job, cancel),
        };
        // The row is locked, so that of two in the same microsecond the second finds the first.
        let line = NewLine { planned_for: step.free_moment(name, line.planned_for).await?, ..line };
        let id = job.id;
        let booking = Booking {
            schedule: name.to_owned(),
            lines: vec![(line, Some(*job))],
            cancel,
            armed: Armed { next_at: row.schedule.next_at, due_at: row.schedule.due_at },
            resumed: false,
            missed: 0,
        };
        let lines = HashMap::from([(name.to_owned(), row.lines)]);
        step.book(vec![booking], &lines, Some(by)).await?;
        step.commit().await?;
        Ok(RanSchedule::Ran(id))
    }
}

/// A booking without lines.
fn unread(schedule: String, plan: Plan) -> Booking {
    let Plan { cancel, armed, resumed, .. } = plan;
    Booking { schedule, lines: Vec::new(), cancel, armed, resumed, missed: 0 }
}

/// Lines of several schedules as columns.
#[derive(Default)]
struct Columns<'a> {
    schedules: Vec<&'a str>,
    planned_for: Vec<Timestamp>,
    numbers: Vec<i64>,
    outcomes: Vec<&'static str>,
    whys: Vec<Option<&'a str>>,
    ticks: Vec<i64>,
    until: Vec<Option<Timestamp>>,
    jobs: Vec<Option<Uuid>>,
}

impl Step<'_> {
    /// Writes bookings down: lines, jobs, cancellations, and where the schedules stand now.
    async fn book(
        &self,
        bookings: Vec<Booking>,
        numbers: &HashMap<String, i64>,
        by: Option<&By>,
    ) -> std::result::Result<Vec<FiredLine>, Attempted> {
        let written = self.write_lines(&bookings, numbers, by).await?;
        self.advance(&bookings, &written).await?;
        self.forget(&bookings, numbers).await?;
        for booking in bookings.iter().filter(|booking| !booking.cancel.is_empty()) {
            let ids: Vec<Uuid> = booking.cancel.iter().map(|id| id.0).collect();
            let reason = "a job for the next moment takes its place";
            let actor = By::named(format!("schedule:{}", booking.schedule)).because(Some(reason));
            let rows = self.run(&MOVE, &[&ids, &"cancel", &0_i64, &Json::of(&actor)]).await?;
            self.tally(rows.iter().filter_map(|row| moved(Move::Cancel, row)));
        }
        let mut plain: Vec<NewJob> = Vec::new();
        let mut fired = Vec::new();
        for Booking { schedule, lines, .. } in bookings {
            for (line, job) in lines {
                if !written.contains(&(schedule.clone(), line.planned_for)) {
                    continue;
                }
                let (line, job_id) = match job {
                    Some(job) if job.idempotency_key.is_some() => {
                        self.enqueue_keyed(&schedule, line, job).await?
                    }
                    Some(job) => {
                        let id = job.id;
                        plain.push(job);
                        (line, Some(id))
                    }
                    None => (line, None),
                };
                fired.push(FiredLine { schedule: schedule.clone(), line, job_id });
            }
        }
        if !plain.is_empty() {
            insert_chunk(&self.transaction, None, None, &plain).await.map_err(|f| f.attempted(self.store))?;
            self.tally(plain.into_iter().map(|job| Tally::Enqueued { queue: job.queue, created: true }));
        }
        self.tally(fired.iter().map(meter::fired));
        if let Some(by) = by {
            self.note_runs(&fired, by).await?;
        }
        Ok(fired)
    }

    async fn write_lines(
        &self,
        bookings: &[Booking],
        numbers: &HashMap<String, i64>,
        by: Option<&By>,
    ) -> std::result::Result<HashSet<(String, Timestamp)>, Attempted> {
        let mut columns = Columns::default();
        for booking in bookings {
            let before = numbers.get(&booking.schedule).copied().unwrap_or(0);
            for ((line, job), number) in booking.lines.iter().zip(before + 1..) {
                columns.schedules.push(&booking.schedule);
                columns.planned_for.push(line.planned_for);
                columns.numbers.push(number);
                columns.outcomes.push(line.outcome.as_str());
                columns.whys.push(line.why.as_deref());
                columns.ticks.push(line.ticks.cast_signed());
                columns.until.push(line.planned_until);
                columns.jobs.push(job.as_ref().map(|job| job.id.0));
            }
        }
        if columns.schedules.is_empty() {
            return Ok(HashSet::new());
        }
        let Columns { schedules, planned_for, numbers, outcomes, whys, ticks, until, jobs } = columns;
        let by = by.map(|by| by.actor.as_str());
        let rows = self
            .run(&BOOK, &[&schedules, &planned_for, &numbers, &outcomes, &whys, &ticks, &until, &jobs, &by])
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    async fn advance(
        &self,
        bookings: &[Booking],
        written: &HashSet<(String, Timestamp)>,
    ) -> std::result::Result<(), Attempted> {
        let ran = |booking: &Booking| {
            let is_new = |line: &NewLine| written.contains(&(booking.schedule.clone(), line.planned_for));
            let last = booking.lines.iter().rev().find(|(line, job)| job.is_some() && is_new(line));
            last.and_then(|(line, job)| job.as_ref().map(|job| (line.planned_for, job.id.0)))
        };
        let ran: Vec<Option<(Timestamp, Uuid)>> = bookings.iter().map(ran).collect();
        let names: Vec<&str> = bookings.iter().map(|booking| booking.schedule.as_str()).collect();
        let next: Vec<_> = bookings.iter().map(|booking| booking.armed.next_at).collect();
        let due: Vec<_> = bookings.iter().map(|booking| booking.armed.due_at).collect();
        let moments: Vec<_> = ran.iter().map(|ran| ran.map(|(moment, _)| moment)).collect();
        let jobs: Vec<_> = ran.iter().map(|ran| ran.map(|(_, job)| job)).collect();
        let missed: Vec<i64> = bookings.iter().map(|booking| booking.missed.cast_signed()).collect();
        let lines: Vec<i64> =
            bookings.iter().map(|booking| i64::try_from(booking.lines.len()).unwrap_or(0)).collect();
        let resumed: Vec<bool> = bookings.iter().map(|booking| booking.resumed).collect();
        self.run(&ADVANCE, &[&names, &next, &due, &moments, &jobs, &missed, &lines, &resumed]).await?;
        Ok(())
    }

    /// Keeps each history at its length.
    async fn forget(
        &self,
        bookings: &[Booking],
        numbers: &HashMap<String, i64>,
    ) -> std::result::Result<(), Attempted> {
        let oldest = |booking: &Booking| {
            let before = numbers.get(&booking.schedule).copied().unwrap_or(0);
            before + i64::try_from(booking.lines.len()).unwrap_or(0) - HISTORY_KEPT.cast_signed()
        };
        let (names, lasts): (Vec<&str>, Vec<i64>) = bookings
            .iter()
            .map(|booking| (booking.schedule.as_str(), oldest(booking)))
            .filter(|(_, last)| *last > 0)
            .unzip();
        if !names.is_empty() {
            self.run(&FORGET, &[&names, &lasts]).await?;
        }
        Ok(())
    }

    /// Makes a job with a key. One that has the key already stands for the moment; one with another payload keeps it out.
    async fn enqueue_keyed(
        &self,
        schedule: &str,
        line: NewLine,
        job: NewJob,
    ) -> std::result::Result<(NewLine, Option<JobId>), Attempted> {
        let key = job.idempotency_key.clone().unwrap_or_default();
        let made = insert_chunk(&self.transaction, None, None, std::slice::from_ref(&job)).await;
        let created = |created| [Tally::Enqueued { queue: job.queue.clone(), created }];
        let (line, job_id) = match made {
            Ok(answers) => match answers.first() {
                Some(answer) if !answer.created => {
                    self.tally(created(false));
                    let why = format!("job {} has the key {key} already and stands for it", answer.id);
                    (NewLine { why: Some(why), ..line }, Some(answer.id))
                }
                _ => {
                    self.tally(created(true));
                    return Ok((line, Some(job.id)));
                }
            },
            Err(Fault::Refused(StoreError::IdempotencyConflict { existing, .. })) => {
                let why = format!("job {existing} has the key {key} already, with another payload");
                (NewLine { why: Some(why), outcome: RunOutcome::Skipped, ..line }, None)
            }
            Err(fault) => return Err(fault.attempted(self.store)),
        };
        let id = job_id.map(|id| id.0);
        self.run(&REBOOK, &[&schedule, &line.planned_for, &line.outcome.as_str(), &line.why, &id]).await?;
        Ok((line, job_id))
    }

    /// The first moment from this one on that has no line yet.
    async fn free_moment(
        &self,
        name: &str,
        mut moment: Timestamp,
    ) -> std::result::Result<Timestamp, Attempted> {
        loop {
            let behind = add(moment, Duration::from_micros(1));
            let rows = self.run(&super::schedules::RUNS, &[&name, &Some(behind), &1_i64]).await?;
            if rows.first().is_none_or(|row| row.get::<_, Timestamp>(0) != moment) {
                return Ok(moment);
            }
            moment = behind;
        }
    }

    /// Tells of what a person ran.
    async fn note_runs(&self, fired: &[FiredLine], by: &By) -> std::result::Result<(), Attempted> {
        for line in fired {
            let after = serde_json::json!({ "job_id": line.job_id }).to_string();
            let none: Vec<Option<&str>> = vec![None];
            let (actions, targets) = (vec!["schedule.run"], vec![Some(line.schedule.as_str())]);
            let afters = vec![Some(after.as_str())];
            self.run(&super::audit::NOTE, &[&Json::of(by), &actions, &targets, &none, &none, &afters])
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&NEXT, &DUE, &AHEAD, &LIVE, &BOOK, &REBOOK, &ADVANCE, &FORGET]
}
