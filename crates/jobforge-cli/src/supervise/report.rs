//! Telling the database how a worker process ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobforge::core::death::DeathReport;
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::time::Now;
use jobforge::services;
use jobforge::store::Store;
use jobforge::store::rows::Deaths;
use tokio::task::JoinSet;

use super::child::Ended;

/// First and longest wait after a report that failed.
const FAILED: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Reports that fail so often, for about a quarter of an hour, are given up: the lease has run out long before.
const TRIES: u32 = 200;
/// After this time a report is sent again: a claim that was on its way when the worker died has landed by then.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a stopping supervisor waits for its reports.
const LAST: Duration = Duration::from_secs(5);

/// Reports deaths beside whatever else happens.
pub(crate) struct Reporter {
    store: Arc<dyn Store>,
    policy: RescuePolicy,
    reports: Mutex<JoinSet<()>>,
}

impl Reporter {
    /// A reporter on a connection of its own.
    pub(crate) fn new(store: Arc<dyn Store>, policy: RescuePolicy) -> Self {
        Self { store, policy, reports: Mutex::default() }
    }

    /// Begins to report an end.
    pub(super) fn report(&self, ended: Ended) {
        let Some(process) = ended.process else {
            tracing::warn!(
                worker.pid = ended.pid,
                "this system does not identify processes; the jobs of worker process {} wait for its lease",
                ended.pid
            );
            return;
        };
        let report = DeathReport { process, death: ended.death };
        let (store, policy) = (Arc::clone(&self.store), self.policy.clone());
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        while reports.try_join_next().is_some() {}
        reports.spawn(async move {
            if send(&*store, &report, &policy).await {
                tokio::time::sleep(AGAIN).await;
                send(&*store, &report, &policy).await;
            }
        });
    }

    /// Waits until every report has arrived, though not for long.
    pub(super) async fn finish(&self) {
        let mut reports = std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = tokio::time::timeout(LAST, async { while reports.join_next().await.is_some() {} }).await;
    }
}

async fn send(store: &dyn Store, report: &DeathReport, policy: &RescuePolicy) -> bool {
    let pid = report.process.pid;
    let mut wait = FAILED.0;
    for _ in 0..TRIES {
        match store.report_death(report, policy, Now::Database).await {
            Ok(deaths) => {
                tell(report, &deaths);
                return true;
            }
            Err(error) => {
                tracing::warn!(
                    worker.pid = pid,
                    error = error.chain(),
                    "failed to report the end of worker process {pid}; trying again"
                );
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(FAILED.1);
    }
    tracing::error!(
        worker.pid = pid,
        "gave up reporting the end of worker process {pid}; its lease brings its jobs back"
    );
    false
}

fn tell(report: &DeathReport, deaths: &Deaths) {
    for line in &deaths.moved {
        services::tell(line);
    }
    if deaths.workers.is_empty() {
        tracing::info!(
            worker.pid = report.process.pid,
            "worker process {} ended before it had registered",
            report.process.pid
        );
    }
}
