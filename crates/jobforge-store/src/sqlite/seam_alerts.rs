//! The traits of alerts, each call handed to its verb.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::alert::history::Labels;
use jobforge_core::alert::kept::{AlertRow, Bench, SampleRow, SilenceRow};
use jobforge_core::alert::route::Told;
use jobforge_core::alert::state::Active;
use jobforge_core::audit::By;
use jobforge_core::time::Now;
use uuid::Uuid;

use super::tx::Tx;
use super::{SqliteStore, alerts};
use crate::error::Result;
use crate::traits::{Alerts, Samples};

#[async_trait]
impl Samples for SqliteStore {
    async fn put_sample(&self, process: &str, series: &str, at: Now) -> Result<()> {
        let (process, series) = (process.to_owned(), series.to_owned());
        self.write("put_sample", 1, move |tx| alerts::put_sample(tx, &process, &series, at)).await
    }
}

#[async_trait]
impl Alerts for SqliteStore {
    async fn samples(&self, after: (Timestamp, &str)) -> Result<Vec<SampleRow>> {
        let (after, process) = (after.0, after.1.to_owned());
        self.read("samples", move |tx| alerts::samples(tx, after, &process)).await
    }

    async fn forget_samples(&self, at: Now) -> Result<u64> {
        self.write("forget_samples", 1, move |tx| alerts::forget_samples(tx, at)).await
    }

    async fn take_alert_turn(&self, judge: &str, turn: Duration, at: Now) -> Result<bool> {
        let judge = judge.to_owned();
        self.write("take_alert_turn", 1, move |tx| alerts::take_turn(tx, &judge, turn, at)).await
    }

    async fn alert_bench(&self) -> Result<Bench> {
        self.read("alert_bench", alerts::bench).await
    }

    async fn alerts(&self, resolved: bool, most: usize) -> Result<Vec<AlertRow>> {
        self.read("alerts", move |tx| alerts::list(tx, resolved, most)).await
    }

    async fn keep_alerts(&self, judge: &str, active: &[Active], at: Now) -> Result<bool> {
        let (judge, active) = (judge.to_owned(), active.to_vec());
        let keep = move |tx: &Tx<'_>| alerts::keep(tx, &judge, &active, at);
        self.write("keep_alerts", 1, keep).await
    }

    async fn told(&self) -> Result<Vec<Told>> {
        self.read("told", alerts::told).await
    }

    async fn tell(&self, told: &[Told]) -> Result<()> {
        let told = told.to_vec();
        self.write("tell", told.len(), move |tx| alerts::tell(tx, &told)).await
    }

    async fn untell(&self, told: &[Told]) -> Result<()> {
        let told = told.to_vec();
        self.write("untell", told.len(), move |tx| alerts::untell(tx, &told)).await
    }

    async fn silences(&self, at: Now) -> Result<Vec<SilenceRow>> {
        self.read("silences", move |tx| alerts::silences(tx, at)).await
    }

    async fn put_silence(
        &self,
        id: Uuid,
        rule: &str,
        labels: &Labels,
        lasts: Duration,
        by: &By,
        at: Now,
    ) -> Result<Option<SilenceRow>> {
        let (rule, labels, by) = (rule.to_owned(), labels.clone(), by.clone());
        let put = move |tx: &Tx<'_>| alerts::put_silence(tx, id, (&rule, &labels), lasts, &by, at);
        self.write("put_silence", 1, put).await
    }

    async fn end_silence(&self, id: Uuid, by: &By, at: Now) -> Result<bool> {
        let by = by.clone();
        self.write("end_silence", 1, move |tx| alerts::end_silence(tx, id, &by, at)).await
    }
}
