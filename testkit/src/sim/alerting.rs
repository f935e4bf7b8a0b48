//! Alerts of the simulated database; nobody of the simulation judges them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::alert::history::Labels;
use jobforge_core::alert::kept::{AlertRow, Bench, SampleRow, SilenceRow};
use jobforge_core::alert::route::Told;
use jobforge_core::alert::state::Active;
use jobforge_core::audit::By;
use jobforge_core::time::Now;
use jobforge_store::Result;
use jobforge_store::traits::{Alerts, Samples};
use uuid::Uuid;

use super::store::SimStore;
use super::world::wait;

#[async_trait]
impl Samples for SimStore {
    async fn put_sample(&self, process: &str, series: &str, _: Now) -> Result<()> {
        let (process, series) = (process.to_owned(), series.to_owned());
        self.call("put_sample", move |world| wait(world.store().put_sample(&process, &series, world.at())))
            .await
    }
}

#[async_trait]
impl Alerts for SimStore {
    async fn samples(&self, after: (Timestamp, &str)) -> Result<Vec<SampleRow>> {
        let (after, process) = (after.0, after.1.to_owned());
        self.call("samples", move |world| wait(world.store().samples((after, &process)))).await
    }

    async fn forget_samples(&self, _: Now) -> Result<u64> {
        self.call("forget_samples", move |world| wait(world.store().forget_samples(world.at()))).await
    }

    async fn take_alert_turn(&self, judge: &str, turn: Duration, _: Now) -> Result<bool> {
        let judge = judge.to_owned();
        let take = move |world: &mut super::world::World| {
            wait(world.store().take_alert_turn(&judge, turn, world.at()))
        };
        self.call("take_alert_turn", take).await
    }

    async fn alert_bench(&self) -> Result<Bench> {
        self.call("alert_bench", move |world| wait(world.store().alert_bench())).await
    }

    async fn alerts(&self, resolved: bool, most: usize) -> Result<Vec<AlertRow>> {
        self.call("alerts", move |world| wait(world.store().alerts(resolved, most))).await
    }

    async fn keep_alerts(&self, judge: &str, active: &[Active], _: Now) -> Result<bool> {
        let (judge, active) = (judge.to_owned(), active.to_vec());
        self.call("keep_alerts", move |world| wait(world.store().keep_alerts(&judge, &active, world.at())))
            .await
    }

    async fn told(&self) -> Result<Vec<Told>> {
        self.call("told", move |world| wait(world.store().told())).await
    }

    async fn tell(&self, told: &[Told]) -> Result<()> {
        let told = told.to_vec();
        self.call("tell", move |world| wait(world.store().tell(&told))).await
    }

    async fn untell(&self, told: &[Told]) -> Result<()> {
        let told = told.to_vec();
        self.call("untell", move |world| wait(world.store().untell(&told))).await
    }

    async fn silences(&self, _: Now) -> Result<Vec<SilenceRow>> {
        self.call("silences", move |world| wait(world.store().silences(world.at()))).await
    }

    async fn put_silence(
        &self,
        id: Uuid,
        rule: &str,
        labels: &Labels,
        lasts: Duration,
        by: &By,
        _: Now,
    ) -> Result<Option<SilenceRow>> {
        let (rule, labels, by) = (rule.to_owned(), labels.clone(), by.clone());
        self.call("put_silence", move |world| {
            wait(world.store().put_silence(id, &rule, &labels, lasts, &by, world.at()))
        })
        .await
    }

    async fn end_silence(&self, id: Uuid, by: &By, _: Now) -> Result<bool> {
        let by = by.clone();
        self.call("end_silence", move |world| wait(world.store().end_silence(id, &by, world.at()))).await
    }
}
