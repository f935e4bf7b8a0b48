//! Ending attempts.

use std::collections::{HashMap, HashSet};

use jobforge_core::job::{Lease, WorkerId};
use jobforge_core::metric::End;
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::gauges::attempt;
use super::heartbeat::Late;
use super::rows::{Json, millis, status};
use super::session::{Sql, sql};
use crate::error::Result;
use crate::meter::Tally;

static PLAIN: Sql = sql!("settle_plain", TEXT, UUID_ARRAY);
static SETTLE: Sql = sql!(
    "settle",
    TEXT,
    UUID_ARRAY,
    INT8_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    INT8_ARRAY,
    BOOL_ARRAY,
    JSONB_ARRAY,
    JSONB_ARRAY,
    UUID_ARRAY,
    INT2_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    INT8_ARRAY,
    INT8_ARRAY,
    INT8_ARRAY,
    JSONB_ARRAY,
    TEXT_ARRAY,
);
static UNMATCHED: Sql = sql!("settle_unmatched", UUID_ARRAY);

/// Where a job stands that a fenced statement did not change.
pub(super) struct Unmatched {
    pub(super) status: Status,
    pub(super) lease: Lease,
    pub(super) last_worker: Option<String>,
}

/// Whether a settlement has nothing to store beyond "succeeded".
fn is_plain(s: &Settlement, attempt_may_have_row: bool) -> bool {
    s.to == Status::Succeeded && s.result.is_none() && !s.report.changed && !attempt_may_have_row
}

impl PostgresStore {
    pub(super) async fn settle_jobs(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        at: Now,
    ) -> Result<Vec<Settled>> {
        // The lease counts the claims of a job, so lease 1 is a first attempt, which needs no row when it succeeds.
        let mut first = HashSet::new();
        let (plain, other): (Vec<&Settlement>, Vec<&Settlement>) = settlements
            .iter()
            .filter(|s| first.insert((s.id, s.lease)))
            .partition(|s| is_plain(s, s.lease.0 != 1));
        let mut applied: HashSet<(Uuid, i64)> = HashSet::with_capacity(settlements.len());
        if !plain.is_empty() {
            let ids: Vec<Uuid> = plain.iter().map(|s| s.id.0).collect();
            let rows = self.query(at, &PLAIN, &[&worker.as_str(), &ids]).await?;
            for row in &rows {
                Tally::Ended(attempt(row, 2, End::Succeeded)).count();
            }
            applied.extend(rows.iter().map(key));
        }
        if !other.is_empty() {
            applied.extend(self.settle_any(worker, &other, at).await?);
        }
        let unmatched: Vec<Uuid> =
            settlements.iter().filter(|s| !applied.contains(&(s.id.0, s.lease.0))).map(|s| s.id.0).collect();
        let found = if unmatched.is_empty() && applied.len() == settlements.len() {
            HashMap::new()
        } else {
            self.unmatched(settlements.iter().map(|s| s.id.0).collect(), at).await?
        };
        // `remove`, so that a settlement that stands twice in one batch is applied once and replayed once.
        let answers: Vec<Settled> = settlements
            .iter()
            .map(|s| {
                if applied.remove(&(s.id.0, s.lease.0)) {
                    Settled::Applied
                } else {
                    classify(worker, s, found.get(&s.id.0))
                }
            })
            .collect();
        let late = settlements.iter().zip(&answers).filter(|(_, a)| matches!(a, Settled::Fenced { .. }));
        self.tell_late(worker, late.map(|(s, _)| (s.id, s.lease, Late::End)).collect(), at).await?;
        Ok(answers)
    }

    async fn settle_any(
        &self,
        worker: &WorkerId,
        batch: &[&Settlement],
        at: Now,
    ) -> Result<HashSet<(Uuid, i64)>> {
        // A job twice in one statement would be changed by an arbitrary one of the two: only the first goes.
        let mut seen = HashSet::new();
        let batch: Vec<&Settlement> =
            batch.iter().copied().filter(|s| seen.insert((s.id, s.lease))).collect();
        let ids: Vec<Uuid> = batch.iter().map(|s| s.id.0).collect();
        let leases: Vec<i64> = batch.iter().map(|s| s.lease.0).collect();
        let to: Vec<&str> = batch.iter().map(|s| s.to.as_str()).collect();
        let because: Vec<&str> = batch.iter().map(|s| s.because.as_str()).collect();
        let delays: Vec<i64> = batch.iter().map(|s| millis(s.delay)).collect();
        let burns: Vec<bool> = batch.iter().map(|s| s.burns_attempt).collect();
        let errors: Vec<Option<Json>> = batch.iter().map(|s| s.error.as_ref().map(Json::of)).collect();
        let results: Vec<Option<Json>> =
            batch.iter().map(|s| s.result.as_ref().map(|result| Json(result.as_str().to_owned()))).collect();
        let result_ids: Vec<Option<Uuid>> =
            batch.iter().map(|s| s.result.as_ref().map(|_| Uuid::now_v7())).collect();
        let progress: Vec<Option<i16>> = batch.iter().map(|s| s.report.progress.map(i16::from)).collect();
        let messages: Vec<Option<String>> =
            batch.iter().map(|s| s.report.message.as_deref().map(clean)).collect();
        let phases: Vec<Option<String>> =
            batch.iter().map(|s| s.report.phase.as_deref().map(clean)).collect();
        let processed: Vec<Option<i64>> =
            batch.iter().map(|s| s.report.items.map(|items| items.processed)).collect();
        let failed: Vec<Option<i64>> =
            batch.iter().map(|s| s.report.items.map(|items| items.failed)).collect();
        let skipped: Vec<Option<i64>> =
            batch.iter().map(|s| s.report.items.map(|items| items.skipped)).collect();
        let checkpoints: Vec<Option<Json>> =
            batch.iter().map(|s| s.report.checkpoint.as_ref().map(checkpoint)).collect();
        let logs: Vec<Option<String>> =
            batch.iter().map(|s| s.report.log_tail.as_deref().map(clean)).collect();
        let rows = self
            .query(
                at,
                &SETTLE,
                &[
                    &worker.as_str(),
                    &ids,
                    &leases,
                    &to,
                    &because,
                    &delays,
                    &burns,
                    &errors,
                    &results,
                    &result_ids,
                    &progress,
                    &messages,
                    &phases,
                    &processed,
                    &failed,
                    &skipped,
                    &checkpoints,
                    &logs,
                ],
            )
            .await?;
        let plans: HashMap<(Uuid, i64), &Settlement> =
            batch.iter().map(|plan| ((plan.id.0, plan.lease.0), *plan)).collect();
        for row in &rows {
            if let Some(end) = plans.get(&key(row)).and_then(|plan| End::settled(plan)) {
                Tally::Ended(attempt(row, 2, end)).count();
            }
        }
        Ok(rows.iter().map(key).collect())
    }

    pub(super) async fn unmatched(&self, ids: Vec<Uuid>, at: Now) -> Result<HashMap<Uuid, Unmatched>> {
        let rows = self.query(at, &UNMATCHED, &[&ids]).await?;
        let found = rows.iter().map(|row| {
            let unmatched =
                Unmatched { status: status(row.get(1)), lease: Lease(row.get(2)), last_worker: row.get(3) };
            (row.get(0), unmatched)
        });
        Ok(found.collect())
    }
}

/// Job and lease that a row tells of.
fn key(row: &Row) -> (Uuid, i64) {
    (row.get(0), row.get(1))
}

fn classify(worker: &WorkerId, s: &Settlement, found: Option<&Unmatched>) -> Settled {
    match found {
        None => Settled::Gone,
        Some(job)
            if job.lease == s.lease
                && job.status == s.to
                && job.last_worker.as_deref() == Some(worker.as_str()) =>
        {
            Settled::Replayed
        }
        Some(job) => Settled::Fenced { status: job.status, lease: job.lease },
    }
}

/// A handler's words as PostgreSQL can store them.
pub(super) fn clean(text: &str) -> String {
    jobforge_core::payload::sanitize_text(text)
}

pub(super) fn checkpoint(value: &serde_json::Value) -> Json {
    Json::of(&jobforge_core::payload::sanitize_value(value.clone()))
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&PLAIN, &SETTLE, &UNMATCHED]
}
