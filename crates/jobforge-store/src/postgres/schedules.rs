//! Schedules as they are kept, and changing them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::job::JobId;
use jobforge_core::schedule::{
    Checked, Declared, Definition, GRACE, LastEnd, LiveRun, MAX_PER_TENANT, Pause, Rhythm, RunLine,
    RunOutcome, Schedule, Scheduler, Source,
};
use jobforge_core::time::Now;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{Json, millis, status};
use super::session::{Attempted, Params, Sql, fix_clock, run, sql};
use crate::error::{Result, StoreError};
use crate::meter::Tally;
use crate::rows::{CreatedSchedule, Fired, MAX_PAGE, RanSchedule, ScheduleFilter, ScheduleSurvey};
use crate::traits::Schedules;

static GET: Sql = sql!("schedule_get", TEXT);
static LIST: Sql = sql!("schedules", TEXT, TEXT, INT8);
pub(super) static RUNS: Sql = sql!("schedule_runs", TEXT, TIMESTAMPTZ, INT8);
pub(super) static LOCK: Sql = sql!("schedule_lock", TEXT);
static QUOTA: Sql = sql!("schedule_quota", TEXT, INT8);
static PUT: Sql =
    sql!("schedule_put", TEXT, TEXT, JSONB, TEXT, JSONB, BOOL, TIMESTAMPTZ, TIMESTAMPTZ, JSONB, INT8, INT8);
static CHANGE: Sql =
    sql!("schedule_change", TEXT, INT8, TEXT, JSONB, JSONB, TIMESTAMPTZ, TIMESTAMPTZ, JSONB, INT8, INT8);
static DECLARE: Sql = sql!("schedule_declare", TEXT, JSONB, TEXT);
static REMOVE: Sql = sql!("schedule_remove", TEXT, JSONB);
static PAUSE: Sql = sql!("schedule_pause", TEXT, TIMESTAMPTZ, JSONB);
static RESUME: Sql = sql!("schedule_resume", TEXT, TIMESTAMPTZ, TIMESTAMPTZ, JSONB);
static END: Sql = sql!("schedule_end", INT8);
static SUSPECT: Sql = sql!("schedules_suspect", INT8, INT8);
static COUNT: Sql = sql!("schedules_count");
static LEAD: Sql = sql!("scheduler_lead", TEXT, INT8);
static SCHEDULER: Sql = sql!("scheduler");

/// Tries again what lost to a concurrent transaction; returns from the function.
macro_rules! again {
    ($once:block) => {{
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome: std::result::Result<_, $crate::postgres::session::Attempted> = async { $once }.await;
            match outcome {
                Err(Attempted::Conflict(_)) if tries < $crate::postgres::session::CONFLICT_TRIES => {}
                Err(Attempted::Conflict(error) | Attempted::Final(error)) => break Err(error),
                Ok(done) => break Ok(done),
            }
        }
    }};
}
pub(super) use again;

#[async_trait]
impl Schedules for PostgresStore {
    async fn schedules(&self, filter: &ScheduleFilter) -> Result<Vec<Schedule>> {
        let limit = i64::try_from(filter.limit.min(MAX_PAGE)).unwrap_or(1);
        let rows = self.query(Now::Database, &LIST, &[&filter.tenant_id, &filter.after, &limit]).await?;
        rows.iter().map(|row| self.read_schedule("schedules", row)).collect()
    }

    async fn schedule(&self, name: &str) -> Result<Option<Schedule>> {
        let rows = self.query(Now::Database, &GET, &[&name]).await?;
        rows.first().map(|row| self.read_schedule("schedule", row)).transpose()
    }

    async fn survey_schedules(&self, limit: usize, at: Now) -> Result<ScheduleSurvey> {
        let limit = i64::try_from(limit.min(MAX_PAGE)).unwrap_or(1);
        let suspects = self.query(at, &SUSPECT, &[&limit, &millis(GRACE)]).await?;
        let counts = self.query(at, &COUNT, &[]).await?;
        let counts = counts.first().ok_or_else(|| self.unreadable("schedules_count"))?;
        Ok(ScheduleSurvey {
            as_of: counts.get(0),
            total: counts.get::<_, i64>(1).unsigned_abs(),
            paused: counts.get::<_, i64>(2).unsigned_abs(),
            suspects: suspects
                .iter()
                .map(|row| self.read_schedule("survey_schedules", row))
                .collect::<Result<_>>()?,
        })
    }

    async fn schedule_runs(
        &self,
        name: &str,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<RunLine>> {
        let limit = i64::try_from(limit.min(MAX_PAGE)).unwrap_or(1);
        let rows = self.query(Now::Database, &RUNS, &[&name, &before, &limit]).await?;
        let read = |row: &Row| {
            run_line(row)
                .map_err(|error| self.fault("schedule_runs", error))?
                .ok_or_else(|| self.unreadable("schedule_runs"))
        };
        rows.iter().map(read).collect()
    }

    async fn create_schedule(
        &self,
        new: &Checked,
        source: Source,
        by: &By,
        at: Now,
    ) -> Result<CreatedSchedule> {
        again!({
            let mut client = self.client("create_schedule").await.map_err(Attempted::Final)?;
            let step = Step::begin(self, &mut client, "create_schedule", at).await?;
            let created = step.create(new, source, None, by).await?;
            step.commit().await?;
            Ok(created)
        })
    }

    async fn change_schedule(&self, new: &Checked, expected: u64, by: &By, at: Now) -> Result<bool> {
        again!({
            let mut client = self.client("change_schedule").await.map_err(Attempted::Final)?;
            let step = Step::begin(self, &mut client, "change_schedule", at).await?;
            let changed = step.change(new, expected, None, by).await?;
            step.commit().await?;
            Ok(changed)
        })
    }

    async fn declare_schedules(
        &self,
        all: &[Checked],
        source: Source,
        by: &By,
        at: Now,
    ) -> Result<Vec<Declared>> {
        again!({
            let mut client = self.client("declare_schedules").await.map_err(Attempted::Final)?;
            let step = Step::begin(self, &mut client, "declare_schedules", at).await?;
            let mut done = Vec::with_capacity(all.len());
            for one in all {
                done.push(step.declare(one, source, by).await?);
            }
            step.commit().await?;
            Ok(done)
        })
    }

    async fn remove_schedule(&self, name: &str, by: &By, at: Now) -> Result<bool> {
        Ok(!self.query(at, &REMOVE, &[&name, &Json::of(by)]).await?.is_empty())
    }

    async fn pause_schedule(
        &self,
        name: &str,
        until: Option<Timestamp>,
        by: &By,
        at: Now,
    ) -> Result<Option<bool>> {
        let paused = !self.query(at, &PAUSE, &[&name, &until, &Json::of(by)]).await?.is_empty();
        if paused {
            return Ok(Some(true));
        }
        Ok(self.schedule(name).await?.map(|_| false))
    }

    async fn resume_schedule(&self, name: &str, by: &By, at: Now) -> Result<Option<bool>> {
        again!({
            let mut client = self.client("resume_schedule").await.map_err(Attempted::Final)?;
            let step = Step::begin(self, &mut client, "resume_schedule", at).await?;
            let Some((schedule, now)) = step.lock(name).await? else { return Ok(None) };
            if schedule.paused.is_none() {
                return Ok(Some(false));
            }
            let checked = self.checked(&schedule.definition, now).map_err(Attempted::Final)?;
            let armed = checked.arm(now);
            step.run(&RESUME, &[&name, &armed.next_at, &armed.due_at, &Json::of(by)]).await?;
            step.commit().await?;
            Ok(Some(true))
        })
    }

    async fn run_schedule(&self, name: &str, insists: bool, by: &By, at: Now) -> Result<RanSchedule> {
        again!({ self.run_schedule_once(name, insists, by, at).await })
    }

    async fn fire_schedules(&self, overdue_by: Duration, limit: usize, at: Now) -> Result<Fired> {
        self.fire(overdue_by, limit, at).await
    }

    async fn rearm_schedules(&self, at: Now) -> Result<u64> {
        again!({ self.rearm_once(at).await })
    }

    async fn end_schedule_runs(&self, at: Now) -> Result<u64> {
        let step = i64::try_from(crate::rows::END_STEP).unwrap_or(i64::MAX);
        let rows = self.query(at, &END, &[&step]).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }

    async fn lead_schedules(&self, who: &str, turn: Duration, at: Now) -> Result<bool> {
        Ok(!self.query(at, &LEAD, &[&who, &millis(turn)]).await?.is_empty())
    }

    async fn scheduler(&self, at: Now) -> Result<Option<Scheduler>> {
        let rows = self.query(at, &SCHEDULER, &[]).await?;
        Ok(rows.first().map(|row| Scheduler {
            leader: row.get(0),
            lease_until: row.get(1),
            last_tick_at: row.get(2),
            as_of: row.get(3),
        }))
    }
}

/// One transaction about schedules. Its statements go unnamed: they are rare, and several to a transaction.
pub(super) struct Step<'a> {
    pub(super) store: &'a PostgresStore,
    pub(super) transaction: Transaction<'a>,
    call: &'static str,
    /// What counts once it is committed.
    tallies: Mutex<Vec<Tally>>,
}

impl<'a> Step<'a> {
    pub(super) async fn begin(
        store: &'a PostgresStore,
        client: &'a mut deadpool_postgres::Client,
        call: &'static str,
        at: Now,
    ) -> std::result::Result<Self, Attempted> {
        let fault = |error| store.attempted(call, error);
        // The driver's own transaction, which other parts of the engine take as well.
        let client: &mut tokio_postgres::Client = client;
        let transaction = client.transaction().await.map_err(fault)?;
        fix_clock(&transaction, at).await.map_err(fault)?;
        Ok(Self { store, transaction, call, tallies: Mutex::default() })
    }

    pub(super) async fn run(
        &self,
        sql: &'static Sql,
        params: Params<'_>,
    ) -> std::result::Result<Vec<Row>, Attempted> {
        let watch = self.store.slow.watch(sql.name);
        let rows = run(&self.transaction, None, sql, params).await;
        watch.done();
        rows.map_err(|error| self.store.attempted(self.call, error))
    }

    pub(super) async fn commit(self) -> std::result::Result<(), Attempted> {
        let Self { store, transaction, call, tallies } = self;
        transaction.commit().await.map_err(|error| store.attempted(call, error))?;
        let tallies = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
        tallies.into_iter().for_each(Tally::count);
        Ok(())
    }

    pub(super) fn tally(&self, tallies: impl IntoIterator<Item = Tally>) {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).extend(tallies);
    }

    /// The clock that the transaction goes by.
    async fn now(&self) -> std::result::Result<Timestamp, Attempted> {
        let rows = self.run(&super::schedule_fire::NEXT, &[]).await?;
        let now = rows.first().map(|row| row.try_get(0)).transpose();
        now.map_err(|error| self.store.attempted(self.call, error))
            .map(|now| now.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// One schedule, held until the transaction ends, with the clock.
    pub(super) async fn lock(
        &self,
        name: &str,
    ) -> std::result::Result<Option<(Schedule, Timestamp)>, Attempted> {
        let rows = self.run(&LOCK, &[&name]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let schedule = self.store.read_schedule(self.call, row).map_err(Attempted::Final)?;
        let now = row.try_get("as_of").map_err(|error| self.store.attempted(self.call, error))?;
        Ok(Some((schedule, now)))
    }

    async fn create(
        &self,
        new: &Checked,
        source: Source,
        declared: Option<&Json>,
        by: &By,
    ) -> std::result::Result<CreatedSchedule, Attempted> {
        let tenant = new.definition.tenant();
        let most = i64::try_from(MAX_PER_TENANT).unwrap_or(i64::MAX);
        let has = self.run(&QUOTA, &[&tenant, &most]).await?;
        if has.first().is_some_and(|row| row.get::<_, i64>(0) >= most) {
            return Ok(CreatedSchedule::QuotaFull);
        }
        let now = self.now().await?;
        let armed = new.arm(now);
        let Rhythm { longest, stale_after } = new.rhythm(now);
        let (longest, stale_after) = (longest.map(millis), stale_after.map(millis));
        let (name, definition) = (&new.definition.name, Json::of(&new.definition));
        let put = self
            .run(
                &PUT,
                &[
                    name,
                    &tenant,
                    &definition,
                    &source.as_str(),
                    &declared,
                    &new.definition.paused,
                    &armed.next_at,
                    &armed.due_at,
                    &Json::of(by),
                    &stale_after,
                    &longest,
                ],
            )
            .await?;
        Ok(if put.is_empty() { CreatedSchedule::NameTaken } else { CreatedSchedule::Created })
    }

    async fn change(
        &self,
        new: &Checked,
        expected: u64,
        declared: Option<&Json>,
        by: &By,
    ) -> std::result::Result<bool, Attempted> {
        let now = self.now().await?;
        let armed = new.arm(now);
        let Rhythm { longest, stale_after } = new.rhythm(now);
        let (longest, stale_after) = (longest.map(millis), stale_after.map(millis));
        let (name, tenant) = (&new.definition.name, new.definition.tenant());
        let definition = Json::of(&new.definition);
        let changed = self
            .run(
                &CHANGE,
                &[
                    name,
                    &expected.cast_signed(),
                    &tenant,
                    &definition,
                    &declared,
                    &armed.next_at,
                    &armed.due_at,
                    &Json::of(by),
                    &stale_after,
                    &longest,
                ],
            )
            .await?;
        Ok(!changed.is_empty())
    }

    async fn declare(
        &self,
        new: &Checked,
        source: Source,
        by: &By,
    ) -> std::result::Result<Declared, Attempted> {
        let (name, wanted) = (&new.definition.name, new.definition.to_value());
        let declared = Json::of(&wanted);
        // Of two servers that start at once, one adds it and the other finds it.
        let rows = match self.run(&LOCK, &[name]).await? {
            rows if rows.is_empty() => match self.create(new, source, Some(&declared), by).await? {
                CreatedSchedule::Created => return Ok(Declared::Created),
                CreatedSchedule::NameTaken => self.run(&LOCK, &[name]).await?,
                CreatedSchedule::QuotaFull => {
                    return Err(Attempted::Final(self.store.quota_full(new.definition.tenant())));
                }
            },
            rows => rows,
        };
        let Some(row) = rows.first() else { return Ok(Declared::Kept) };
        let fault = |error| self.store.attempted(self.call, error);
        let before: Option<Json> = row.try_get("declared").map_err(fault)?;
        let before: Option<serde_json::Value> = before.and_then(|json| json.decode());
        if before.as_ref() == Some(&wanted) {
            return Ok(Declared::Kept);
        }
        let schedule = self.store.read_schedule(self.call, row).map_err(Attempted::Final)?;
        if schedule.definition.to_value() == wanted {
            self.run(&DECLARE, &[name, &declared, &source.as_str()]).await?;
            return Ok(Declared::Kept);
        }
        self.change(new, schedule.version, Some(&declared), by).await?;
        self.run(&DECLARE, &[name, &declared, &source.as_str()]).await?;
        Ok(Declared::Changed)
    }

    /// Jobs of these schedules that have not ended.
    pub(super) async fn live(
        &self,
        names: &[&str],
    ) -> std::result::Result<HashMap<String, Vec<LiveRun>>, Attempted> {
        let mut live: HashMap<String, Vec<LiveRun>> = HashMap::new();
        for row in self.run(&super::schedule_fire::LIVE, &[&names]).await? {
            let run = LiveRun { job_id: JobId(row.get(1)), planned_for: row.get(2), running: row.get(3) };
            live.entry(row.get(0)).or_default().push(run);
        }
        Ok(live)
    }
}

impl PostgresStore {
    pub(super) fn unreadable(&self, call: &'static str) -> StoreError {
        let source = "a stored schedule cannot be read".into();
        StoreError::Failed { location: self.location.clone(), call, source }
    }

    fn quota_full(&self, tenant: &str) -> StoreError {
        let source = format!("tenant {tenant} has {MAX_PER_TENANT} schedules already").into();
        StoreError::Failed { location: self.location.clone(), call: "declare_schedules", source }
    }

    /// A stored definition, ready to be asked.
    pub(super) fn checked(&self, definition: &Definition, now: Timestamp) -> Result<Checked> {
        jobforge_core::schedule::check(definition.clone(), now).map_err(|invalid| StoreError::Failed {
            location: self.location.clone(),
            call: "schedule",
            source: format!("the stored definition of {} no longer holds: {invalid}", definition.name).into(),
        })
    }

    pub(super) fn read_schedule(&self, call: &'static str, row: &Row) -> Result<Schedule> {
        read_schedule(row).map_err(|error| self.fault(call, error))?.ok_or_else(|| self.unreadable(call))
    }
}

fn read_schedule(row: &Row) -> std::result::Result<Option<Schedule>, tokio_postgres::Error> {
    let Some(definition) = row.try_get::<_, Json>("definition")?.decode() else { return Ok(None) };
    let Ok(source) = row.try_get::<_, &str>("source")?.parse() else { return Ok(None) };
    let paused_at: Option<Timestamp> = row.try_get("paused_at")?;
    let paused = match paused_at {
        Some(at) => Some(Pause {
            at,
            by: row.try_get::<_, Option<String>>("paused_by")?.unwrap_or_default(),
            reason: row.try_get("pause_reason")?,
            until: row.try_get("paused_until")?,
        }),
        None => None,
    };
    let finished_at: Option<Timestamp> = row.try_get("last_finished_at")?;
    let last_end = match finished_at {
        Some(at) => Some(LastEnd {
            status: row.try_get::<_, Option<&str>>("last_status")?.map(status),
            at,
            duration_ms: row.try_get("last_duration_ms")?,
        }),
        None => None,
    };
    Ok(Some(Schedule {
        definition,
        source,
        paused,
        next_at: row.try_get("next_at")?,
        due_at: row.try_get("due_at")?,
        last_planned_for: row.try_get("last_planned_for")?,
        last_fired_at: row.try_get("last_fired_at")?,
        last_job_id: row.try_get::<_, Option<Uuid>>("last_job_id")?.map(JobId),
        last_end,
        last_success_at: row.try_get("last_success_at")?,
        fresh_at: row.try_get("fresh_at")?,
        interval_ms: row.try_get::<_, Option<i64>>("interval_ms")?.map(i64::unsigned_abs),
        stale_after_ms: row.try_get::<_, Option<i64>>("stale_after_ms")?.map(i64::unsigned_abs),
        consecutive_failures: row.try_get::<_, i32>("consecutive_failures")?.unsigned_abs(),
        missed_runs: row.try_get::<_, i64>("missed_runs")?.unsigned_abs(),
        version: row.try_get::<_, i64>("version")?.unsigned_abs(),
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: row.try_get("updated_at")?,
        updated_by: row.try_get("updated_by")?,
    }))
}

fn run_line(row: &Row) -> std::result::Result<Option<RunLine>, tokio_postgres::Error> {
    let Ok(outcome) = row.try_get::<_, &str>(1)?.parse::<RunOutcome>() else { return Ok(None) };
    Ok(Some(RunLine {
        planned_for: row.try_get(0)?,
        outcome,
        why: row.try_get(2)?,
        recorded_at: row.try_get(3)?,
        ticks: row.try_get::<_, i64>(4)?.unsigned_abs(),
        planned_until: row.try_get(5)?,
        triggered_by: row.try_get(6)?,
        job_id: row.try_get::<_, Option<Uuid>>(7)?.map(JobId),
        status: row.try_get::<_, Option<&str>>(8)?.map(status),
        finished_at: row.try_get(9)?,
        duration_ms: row.try_get(10)?,
    }))
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![
        &GET, &LIST, &RUNS, &LOCK, &QUOTA, &PUT, &CHANGE, &DECLARE, &REMOVE, &PAUSE, &RESUME, &END, &SUSPECT,
        &COUNT, &LEAD, &SCHEDULER,
    ]
}
