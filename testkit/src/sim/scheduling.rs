//! Schedules as one simulated process reaches them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::schedule::{Checked, Declared, RunLine, Schedule, Scheduler, Source};
use jobforge_core::time::Now;
use jobforge_store::Result;
use jobforge_store::rows::{CreatedSchedule, Fired, RanSchedule, ScheduleFilter, ScheduleSurvey};
use jobforge_store::traits::Schedules;

use super::store::SimStore;
use super::world::wait;

#[async_trait]
impl Schedules for SimStore {
    async fn schedules(&self, filter: &ScheduleFilter) -> Result<Vec<Schedule>> {
        let filter = filter.clone();
        self.call("schedules", move |world| wait(world.store().schedules(&filter))).await
    }

    async fn schedule(&self, name: &str) -> Result<Option<Schedule>> {
        let name = name.to_owned();
        self.call("schedule", move |world| wait(world.store().schedule(&name))).await
    }

    async fn survey_schedules(&self, limit: usize, _: Now) -> Result<ScheduleSurvey> {
        self.call("survey_schedules", move |world| wait(world.store().survey_schedules(limit, world.at())))
            .await
    }

    async fn schedule_runs(
        &self,
        name: &str,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<RunLine>> {
        let name = name.to_owned();
        self.call("schedule_runs", move |world| wait(world.store().schedule_runs(&name, before, limit))).await
    }

    async fn create_schedule(
        &self,
        new: &Checked,
        source: Source,
        by: &By,
        _: Now,
    ) -> Result<CreatedSchedule> {
        let (new, by) = (new.clone(), by.clone());
        self.call("create_schedule", move |world| {
            wait(world.store().create_schedule(&new, source, &by, world.at()))
        })
        .await
    }

    async fn change_schedule(&self, new: &Checked, expected: u64, by: &By, _: Now) -> Result<bool> {
        let (new, by) = (new.clone(), by.clone());
        self.call("change_schedule", move |world| {
            wait(world.store().change_schedule(&new, expected, &by, world.at()))
        })
        .await
    }

    async fn declare_schedules(
        &self,
        all: &[Checked],
        source: Source,
        by: &By,
        _: Now,
    ) -> Result<Vec<Declared>> {
        let (all, by) = (all.to_vec(), by.clone());
        self.call("declare_schedules", move |world| {
            wait(world.store().declare_schedules(&all, source, &by, world.at()))
        })
        .await
    }

    async fn remove_schedule(&self, name: &str, by: &By, _: Now) -> Result<bool> {
        let (name, by) = (name.to_owned(), by.clone());
        self.call("remove_schedule", move |world| wait(world.store().remove_schedule(&name, &by, world.at())))
            .await
    }

    async fn pause_schedule(
        &self,
        name: &str,
        until: Option<Timestamp>,
        by: &By,
        _: Now,
    ) -> Result<Option<bool>> {
        let (name, by) = (name.to_owned(), by.clone());
        self.call("pause_schedule", move |world| {
            wait(world.store().pause_schedule(&name, until, &by, world.at()))
        })
        .await
    }

    async fn resume_schedule(&self, name: &str, by: &By, _: Now) -> Result<Option<bool>> {
        let (name, by) = (name.to_owned(), by.clone());
        self.call("resume_schedule", move |world| wait(world.store().resume_schedule(&name, &by, world.at())))
            .await
    }

    async fn run_schedule(&self, name: &str, insists: bool, by: &By, _: Now) -> Result<RanSchedule> {
        let (name, by) = (name.to_owned(), by.clone());
        self.call("run_schedule", move |world| {
            wait(world.store().run_schedule(&name, insists, &by, world.at()))
        })
        .await
    }

    async fn fire_schedules(&self, overdue_by: Duration, limit: usize, _: Now) -> Result<Fired> {
        self.call("fire_schedules", move |world| {
            wait(world.store().fire_schedules(overdue_by, limit, world.at()))
        })
        .await
    }

    async fn rearm_schedules(&self, _: Now) -> Result<u64> {
        self.call("rearm_schedules", move |world| wait(world.store().rearm_schedules(world.at()))).await
    }

    async fn end_schedule_runs(&self, _: Now) -> Result<u64> {
        self.call("end_schedule_runs", move |world| wait(world.store().end_schedule_runs(world.at()))).await
    }

    async fn lead_schedules(&self, who: &str, turn: Duration, _: Now) -> Result<bool> {
        let who = who.to_owned();
        self.call("lead_schedules", move |world| wait(world.store().lead_schedules(&who, turn, world.at())))
            .await
    }

    async fn scheduler(&self, _: Now) -> Result<Option<Scheduler>> {
        self.call("scheduler", move |world| wait(world.store().scheduler(world.at()))).await
    }
}
