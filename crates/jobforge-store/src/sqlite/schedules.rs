//! Schedules as they are kept, and changing them.

use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::audit::{By, Deed};
use jobforge_core::schedule::{
    Checked, Declared, Definition, GRACE, LastEnd, LiveRun, MAX_PER_TENANT, Pause, RunLine, Schedule,
    Scheduler, Source,
};
use jobforge_core::time::Now;
use rusqlite::{Row, params};
use serde_json::{Value, json};

use super::rows::{self, Json, Word, count, earlier, later, limit, maybe_at, micros, millis, moment};
use super::tx::{Tx, as_of};
use super::{audit, statements};
use crate::error::{Result, StoreError};
use crate::rows::{CreatedSchedule, END_STEP, MAX_PAGE, ScheduleFilter, ScheduleSurvey, WakeEvent};

/// A lease of the scheduler that ends so far ahead was taken on another clock.
const LEASE_TOO_LONG: Duration = Duration::from_secs(60);

pub(super) fn get(tx: &Tx<'_>, name: &str) -> Result<Option<Schedule>> {
    tx.prepare(&statements::SCHEDULE_GET)?.one([name], schedule)
}

pub(super) fn list(tx: &Tx<'_>, filter: &ScheduleFilter) -> Result<Vec<Schedule>> {
    let ScheduleFilter { tenant_id, after, limit: most } = filter;
    let (after, most) = (after.as_deref().unwrap_or_default(), limit((*most).min(MAX_PAGE)));
    match tenant_id {
        Some(tenant) => {
            tx.prepare(&statements::SCHEDULES_OF_TENANT)?.all(params![after, most, tenant], schedule)
        }
        None => tx.prepare(&statements::SCHEDULES)?.all(params![after, most], schedule),
    }
}

pub(super) fn survey(tx: &Tx<'_>, most: usize, at: Now) -> Result<ScheduleSurvey> {
    let now = tx.now(at)?;
    let most = limit(most.min(MAX_PAGE));
    let suspects =
        tx.prepare(&statements::SCHEDULES_SUSPECT)?.all(params![now, earlier(now, GRACE), most], schedule)?;
    let counts = tx
        .prepare(&statements::SCHEDULES_COUNT)?
        .one([now], |row| Ok((count(row.get(0)?), count(row.get(1)?))))?;
    let (total, paused) = counts.unwrap_or_default();
    Ok(ScheduleSurvey { as_of: moment(now), total, paused, suspects })
}

pub(super) fn runs(tx: &Tx<'_>, name: &str, before: Option<Timestamp>, most: usize) -> Result<Vec<RunLine>> {
    let before = before.map_or(i64::MAX, micros);
    tx.prepare(&statements::SCHEDULE_RUNS)?.all(params![name, before, limit(most.min(MAX_PAGE))], run_line)
}

/// A stored definition, ready to be asked.
pub(super) fn checked(tx: &Tx<'_>, definition: &Definition, now: Timestamp) -> Result<Checked> {
    jobforge_core::schedule::check(definition.clone(), now).map_err(|invalid| {
        tx.failed(format!("the stored definition of {} no longer holds: {invalid}", definition.name))
    })
}

pub(super) fn create(
    tx: &Tx<'_>,
    new: &Checked,
    source: Source,
    declared: Option<&Value>,
    by: &By,
    at: Now,
) -> Result<CreatedSchedule> {
    let paused = new.definition.paused;
    let now = tx.now(at)?;
    let definition = &new.definition;
    let most = i64::try_from(MAX_PER_TENANT).unwrap_or(i64::MAX);
    let has = tx
        .prepare(&statements::SCHEDULE_QUOTA)?
        .one(params![definition.tenant(), most], |row| row.get::<_, i64>(0))?;
    if has.is_some_and(|has| has >= most) {
        return Ok(CreatedSchedule::QuotaFull);
    }
    let (armed, rhythm) = (new.arm(moment(now)), new.rhythm(moment(now)));
    let made = tx.prepare(&statements::SCHEDULE_PUT)?.execute(params![
        definition.name,
        definition.tenant(),
        rows::json(definition),
        source.as_str(),
        declared.map(Value::to_string),
        paused.then_some(now),
        paused.then_some(&by.actor),
        by.reason.as_ref().filter(|_| paused),
        armed.next_at.map(micros),
        armed.due_at.map(micros),
        now,
        by.actor,
        rhythm.stale_after.map(millis),
        rhythm.longest.map(millis)
    ])?;
    if made == 0 {
        return Ok(CreatedSchedule::NameTaken);
    }
    let deed = Deed::new("schedule.create", definition.name.as_str()).of(definition.tenant());
    audit::add(tx, by, &deed.changing(&Value::Null, &definition.to_value()), now)?;
    tx.wake(WakeEvent::Everything);
    Ok(CreatedSchedule::Created)
}

pub(super) fn change(
    tx: &Tx<'_>,
    new: &Checked,
    expected: u64,
    declared: Option<&Value>,
    by: &By,
    at: Now,
) -> Result<bool> {
    let now = tx.now(at)?;
    let definition = &new.definition;
    let Some(before) = get(tx, &definition.name)? else { return Ok(false) };
    let (armed, rhythm) = (new.arm(moment(now)), new.rhythm(moment(now)));
    let changed = tx.prepare(&statements::SCHEDULE_CHANGE)?.execute(params![
        definition.name,
        expected.cast_signed(),
        definition.tenant(),
        rows::json(definition),
        declared.map(Value::to_string),
        armed.next_at.map(micros),
        armed.due_at.map(micros),
        now,
        by.actor,
        rhythm.stale_after.map(millis),
        rhythm.longest.map(millis)
    ])?;
    if changed == 0 {
        return Ok(false);
    }
    let deed = Deed::new("schedule.change", definition.name.as_str()).of(definition.tenant());
    audit::add(tx, by, &deed.changing(&before.definition.to_value(), &definition.to_value()), now)?;
    tx.wake(WakeEvent::Everything);
    Ok(true)
}

pub(super) fn declare(tx: &Tx<'_>, new: &Checked, source: Source, by: &By, at: Now) -> Result<Declared> {
    let (name, wanted) = (&new.definition.name, new.definition.to_value());
    let note = |tx: &Tx<'_>| {
        let declared = wanted.to_string();
        tx.prepare(&statements::SCHEDULE_DECLARE)?.execute(params![name, declared, source.as_str()])
    };
    let known = tx
        .prepare(&statements::SCHEDULE_GET)?
        .one([name], |row| Ok((schedule(row)?, rows::maybe_json::<Value, _>(row, "declared")?)))?;
    let Some((known, declared)) = known else {
        return match create(tx, new, source, Some(&wanted), by, at)? {
            CreatedSchedule::Created | CreatedSchedule::NameTaken => Ok(Declared::Created),
            CreatedSchedule::QuotaFull => Err(quota_full(tx, new.definition.tenant())),
        };
    };
    if declared.as_ref() == Some(&wanted) {
        return Ok(Declared::Kept);
    }
    if known.definition.to_value() == wanted {
        note(tx)?;
        return Ok(Declared::Kept);
    }
    change(tx, new, known.version, Some(&wanted), by, at)?;
    note(tx)?;
    Ok(Declared::Changed)
}

fn quota_full(tx: &Tx<'_>, tenant: &str) -> StoreError {
    tx.failed(format!("tenant {tenant} has {MAX_PER_TENANT} schedules already"))
}

pub(super) fn remove(tx: &Tx<'_>, name: &str, by: &By, at: Now) -> Result<bool> {
    let now = tx.now(at)?;
    let Some(before) = get(tx, name)? else { return Ok(false) };
    tx.prepare(&statements::SCHEDULE_REMOVE)?.execute([name])?;
    let deed = Deed::new("schedule.remove", name).of(before.definition.tenant());
    audit::add(tx, by, &deed.changing(&before.definition.to_value(), &Value::Null), now)?;
    Ok(true)
}

pub(super) fn pause(
    tx: &Tx<'_>,
    name: &str,
    until: Option<Timestamp>,
    by: &By,
    at: Now,
) -> Result<Option<bool>> {
    let now = tx.now(at)?;
    let Some(before) = get(tx, name)? else { return Ok(None) };
    let was = before.paused.as_ref();
    if was.is_some_and(|pause| pause.until == until) {
        return Ok(Some(false));
    }
    tx.prepare(&statements::SCHEDULE_PAUSE)?.execute(params![
        name,
        was.map_or(now, |pause| micros(pause.at)),
        by.actor,
        by.reason,
        until.map(micros),
        before.next_at.map(micros),
        before.due_at.map(micros),
        now,
        by.actor
    ])?;
    let deed = Deed::new("schedule.pause", name).of(before.definition.tenant());
    let old = json!({ "paused": was.is_some(), "until": was.and_then(|pause| pause.until) });
    audit::add(tx, by, &deed.changing(&old, &json!({ "paused": true, "until": until })), now)?;
    Ok(Some(true))
}

pub(super) fn resume(tx: &Tx<'_>, name: &str, by: &By, at: Now) -> Result<Option<bool>> {
    let now = tx.now(at)?;
    let Some(before) = get(tx, name)? else { return Ok(None) };
    let Some(was) = &before.paused else { return Ok(Some(false)) };
    let armed = checked(tx, &before.definition, moment(now))?.arm(moment(now));
    let none: Option<i64> = None;
    tx.prepare(&statements::SCHEDULE_PAUSE)?.execute(params![
        name,
        none,
        none,
        none,
        none,
        armed.next_at.map(micros),
        armed.due_at.map(micros),
        now,
        by.actor
    ])?;
    let deed = Deed::new("schedule.resume", name).of(before.definition.tenant());
    let old = json!({ "paused": true, "until": was.until });
    audit::add(tx, by, &deed.changing(&old, &json!({ "paused": false })), now)?;
    tx.wake(WakeEvent::Everything);
    Ok(Some(true))
}

/// Whether a job of a schedule has ended of which nobody has taken note.
pub(super) fn is_ended(tx: &Tx<'_>) -> Result<bool> {
    Ok(tx.prepare(&statements::SCHEDULE_ENDED)?.one([1], |_| Ok(()))?.is_some())
}

pub(super) fn end(tx: &Tx<'_>, at: Now) -> Result<u64> {
    type Ended = (String, i64, Option<String>, Option<i64>, Option<i64>);
    let now = tx.now(at)?;
    let ended: Vec<Ended> = tx.prepare(&statements::SCHEDULE_ENDED)?.all([limit(END_STEP)], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    for (name, planned_for, status, finished_at, duration_ms) in &ended {
        let finished_at = finished_at.unwrap_or(now);
        tx.prepare(&statements::SCHEDULE_END_RUN)?.execute(params![
            name,
            planned_for,
            status,
            finished_at,
            duration_ms
        ])?;
        tx.prepare(&statements::SCHEDULE_END)?.execute(params![name, status, finished_at, duration_ms])?;
    }
    Ok(ended.len() as u64)
}

pub(super) fn lead(tx: &Tx<'_>, who: &str, turn: Duration, at: Now) -> Result<bool> {
    let now = tx.now(at)?;
    let leads = tx.prepare(&statements::SCHEDULER_LEAD)?.execute(params![
        who,
        later(now, turn),
        now,
        later(now, LEASE_TOO_LONG)
    ])?;
    Ok(leads == 1)
}

pub(super) fn scheduler(tx: &Tx<'_>, at: Now) -> Result<Option<Scheduler>> {
    let now = as_of(tx.now(at)?);
    tx.prepare(&statements::SCHEDULER)?.one([], |row| {
        Ok(Scheduler {
            leader: row.get(0)?,
            lease_until: rows::at(row, 1)?,
            last_tick_at: rows::at(row, 2)?,
            as_of: now,
        })
    })
}

/// Jobs of a schedule that have not ended.
pub(super) fn live(tx: &Tx<'_>, name: &str) -> Result<Vec<LiveRun>> {
    tx.prepare(&statements::SCHEDULE_LIVE)?.all([name], |row| {
        Ok(LiveRun { job_id: rows::id(row, 0)?, planned_for: rows::at(row, 1)?, running: row.get(2)? })
    })
}

/// A whole row of `jobforge_schedules`.
pub(super) fn schedule(row: &Row<'_>) -> rusqlite::Result<Schedule> {
    let maybe_status = |row: &Row<'_>| {
        row.get::<_, Option<Word<_>>>("last_status").map(|status| status.map(|status| status.0))
    };
    let paused = match maybe_at(row, "paused_at")? {
        Some(at) => Some(Pause {
            at,
            by: row.get::<_, Option<String>>("paused_by")?.unwrap_or_default(),
            reason: row.get("pause_reason")?,
            until: maybe_at(row, "paused_until")?,
        }),
        None => None,
    };
    let last_end = match maybe_at(row, "last_finished_at")? {
        Some(at) => {
            Some(LastEnd { status: maybe_status(row)?, at, duration_ms: row.get("last_duration_ms")? })
        }
        None => None,
    };
    Ok(Schedule {
        definition: row.get::<_, Json<Definition>>("definition")?.0,
        source: row.get::<_, Word<Source>>("source")?.0,
        paused,
        next_at: maybe_at(row, "next_at")?,
        due_at: maybe_at(row, "due_at")?,
        last_planned_for: maybe_at(row, "last_planned_for")?,
        last_fired_at: maybe_at(row, "last_fired_at")?,
        last_job_id: row.get::<_, Option<Word<_>>>("last_job_id")?.map(|id| id.0),
        last_end,
        last_success_at: maybe_at(row, "last_success_at")?,
        fresh_at: rows::at(row, "fresh_at")?,
        interval_ms: row.get::<_, Option<i64>>("interval_ms")?.map(i64::unsigned_abs),
        stale_after_ms: row.get::<_, Option<i64>>("stale_after_ms")?.map(i64::unsigned_abs),
        consecutive_failures: row.get("consecutive_failures")?,
        missed_runs: count(row.get("missed_runs")?),
        version: count(row.get("version")?),
        created_at: rows::at(row, "created_at")?,
        created_by: row.get("created_by")?,
        updated_at: rows::at(row, "updated_at")?,
        updated_by: row.get("updated_by")?,
    })
}

fn run_line(row: &Row<'_>) -> rusqlite::Result<RunLine> {
    Ok(RunLine {
        planned_for: rows::at(row, 0)?,
        outcome: row.get::<_, Word<_>>(1)?.0,
        why: row.get(2)?,
        recorded_at: rows::at(row, 3)?,
        ticks: count(row.get(4)?),
        planned_until: maybe_at(row, 5)?,
        triggered_by: row.get(6)?,
        job_id: row.get::<_, Option<Word<_>>>(7)?.map(|id| id.0),
        status: row.get::<_, Option<Word<_>>>(8)?.map(|status| status.0),
        finished_at: maybe_at(row, 9)?,
        duration_ms: row.get(10)?,
    })
}
