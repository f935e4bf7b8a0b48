//! The trait of schedules, each call handed to its verb.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::schedule::{Checked, Declared, RunLine, Schedule, Scheduler, Source};
use jobforge_core::time::Now;

use super::tx::Tx;
use super::{SqliteStore, schedule_fire, schedules};
use crate::error::Result;
use crate::rows::{CreatedSchedule, Fired, RanSchedule, ScheduleFilter, ScheduleSurvey};
use crate::traits::Schedules;

#[async_trait]
impl Schedules for SqliteStore {
    async fn schedules(&self, filter: &ScheduleFilter) -> Result<Vec<Schedule>> {
        let filter = filter.clone();
        self.read("schedules", move |tx| schedules::list(tx, &filter)).await
    }

    async fn schedule(&self, name: &str) -> Result<Option<Schedule>> {
        let name = name.to_owned();
        self.read("schedule", move |tx| schedules::get(tx, &name)).await
    }

    async fn survey_schedules(&self, limit: usize, at: Now) -> Result<ScheduleSurvey> {
        self.read("survey_schedules", move |tx| schedules::survey(tx, limit, at)).await
    }

    async fn schedule_runs(
        &self,
        name: &str,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<RunLine>> {
        let name = name.to_owned();
        self.read("schedule_runs", move |tx| schedules::runs(tx, &name, before, limit)).await
    }

    async fn create_schedule(
        &self,
        new: &Checked,
        source: Source,
        by: &By,
        at: Now,
    ) -> Result<CreatedSchedule> {
        let (new, by) = (new.clone(), by.clone());
        let create = move |tx: &Tx<'_>| schedules::create(tx, &new, source, None, &by, at);
        self.write("create_schedule", 1, create).await
    }

    async fn change_schedule(&self, new: &Checked, expected: u64, by: &By, at: Now) -> Result<bool> {
        let (new, by) = (new.clone(), by.clone());
        let change = move |tx: &Tx<'_>| schedules::change(tx, &new, expected, None, &by, at);
        self.write("change_schedule", 1, change).await
    }

    async fn declare_schedules(
        &self,
        all: &[Checked],
        source: Source,
        by: &By,
        at: Now,
    ) -> Result<Vec<Declared>> {
        let (all, by) = (all.to_vec(), by.clone());
        let declare =
            move |tx: &Tx<'_>| all.iter().map(|one| schedules::declare(tx, one, source, &by, at)).collect();
        self.write("declare_schedules", 1, declare).await
    }

    async fn remove_schedule(&self, name: &str, by: &By, at: Now) -> Result<bool> {
        let (name, by) = (name.to_owned(), by.clone());
        self.write("remove_schedule", 1, move |tx| schedules::remove(tx, &name, &by, at)).await
    }

    async fn pause_schedule(
        &self,
        name: &str,
        until: Option<Timestamp>,
        by: &By,
        at: Now,
    ) -> Result<Option<bool>> {
        let (name, by) = (name.to_owned(), by.clone());
        self.write("pause_schedule", 1, move |tx| schedules::pause(tx, &name, until, &by, at)).await
    }

    async fn resume_schedule(&self, name: &str, by: &By, at: Now) -> Result<Option<bool>> {
        let (name, by) = (name.to_owned(), by.clone());
        self.write("resume_schedule", 1, move |tx| schedules::resume(tx, &name, &by, at)).await
    }

    async fn run_schedule(&self, name: &str, insists: bool, by: &By, at: Now) -> Result<RanSchedule> {
        let (name, by) = (name.to_owned(), by.clone());
        self.write("run_schedule", 1, move |tx| schedule_fire::run(tx, &name, insists, &by, at)).await
    }

    async fn fire_schedules(&self, overdue_by: Duration, limit: usize, at: Now) -> Result<Fired> {
        // Looked for beside the writer: mostly nothing is due.
        let seen = self.read("fire_schedules", move |tx| schedule_fire::look(tx, at)).await?;
        if !schedule_fire::is_due(&seen, overdue_by) {
            return Ok(seen);
        }
        let fire = move |tx: &Tx<'_>| schedule_fire::fire(tx, overdue_by, limit, at);
        self.write("fire_schedules", limit, fire).await
    }

    async fn rearm_schedules(&self, at: Now) -> Result<u64> {
        self.write("rearm_schedules", 1, move |tx| schedule_fire::rearm(tx, at)).await
    }

    async fn end_schedule_runs(&self, at: Now) -> Result<u64> {
        // Looked for beside the writer: mostly nothing has ended.
        if !self.read("end_schedule_runs", schedules::is_ended).await? {
            return Ok(0);
        }
        self.write("end_schedule_runs", 1, move |tx| schedules::end(tx, at)).await
    }

    async fn lead_schedules(&self, who: &str, turn: Duration, at: Now) -> Result<bool> {
        let who = who.to_owned();
        self.write("lead_schedules", 1, move |tx| schedules::lead(tx, &who, turn, at)).await
    }

    async fn scheduler(&self, at: Now) -> Result<Option<Scheduler>> {
        self.read("scheduler", move |tx| schedules::scheduler(tx, at)).await
    }
}
