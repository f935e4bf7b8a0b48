//! Signs of life of running jobs, one statement for all of a worker's.

use std::collections::HashSet;

use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::{JobId, Lease, WorkerId};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{Json, millis};
use super::session::{Sql, sql};
use super::settle::{checkpoint, clean};
use crate::error::Result;

static HEARTBEAT: Sql = sql!(
    "heartbeat",
    TEXT,
    UUID_ARRAY,
    INT8_ARRAY,
    INT8_ARRAY,
    INT2_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    INT8_ARRAY,
    INT8_ARRAY,
    INT8_ARRAY,
    JSONB_ARRAY,
    TEXT_ARRAY,
    INT8_ARRAY,
);

static LATE: Sql = sql!("attempt_late", TEXT, UUID_ARRAY, INT8_ARRAY, BOOL_ARRAY, BOOL_ARRAY);

impl PostgresStore {
    pub(super) async fn heartbeat_jobs(
        &self,
        worker: &WorkerId,
        beats: &[Beat],
        at: Now,
    ) -> Result<Vec<BeatReply>> {
        let ids: Vec<Uuid> = beats.iter().map(|beat| beat.id.0).collect();
        let leases: Vec<i64> = beats.iter().map(|beat| beat.lease.0).collect();
        let due: Vec<i64> = beats.iter().map(|beat| millis(beat.due_in)).collect();
        let progress: Vec<Option<i16>> =
            beats.iter().map(|beat| beat.report.progress.map(i16::from)).collect();
        let messages: Vec<Option<String>> =
            beats.iter().map(|beat| beat.report.message.as_deref().map(clean)).collect();
        let phases: Vec<Option<String>> =
            beats.iter().map(|beat| beat.report.phase.as_deref().map(clean)).collect();
        let processed: Vec<Option<i64>> =
            beats.iter().map(|beat| beat.report.items.map(|items| items.processed)).collect();
        let failed: Vec<Option<i64>> =
            beats.iter().map(|beat| beat.report.items.map(|items| items.failed)).collect();
        let skipped: Vec<Option<i64>> =
            beats.iter().map(|beat| beat.report.items.map(|items| items.skipped)).collect();
        let checkpoints: Vec<Option<Json>> =
            beats.iter().map(|beat| beat.report.checkpoint.as_ref().map(checkpoint)).collect();
        let logs: Vec<Option<String>> =
            beats.iter().map(|beat| beat.report.log_tail.as_deref().map(clean)).collect();
        let intervals: Vec<Option<i64>> = beats.iter().map(|beat| beat.interval.map(millis)).collect();
        let rows = self
            .query(
                at,
                &HEARTBEAT,
                &[
                    &worker.as_str(),
                    &ids,
                    &leases,
                    &due,
                    &progress,
                    &messages,
                    &phases,
                    &processed,
                    &failed,
                    &skipped,
                    &checkpoints,
                    &logs,
                    &intervals,
                ],
            )
            .await?;
        let kept: HashSet<(Uuid, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let lost: Vec<Uuid> =
            beats.iter().filter(|b| !kept.contains(&(b.id.0, b.lease.0))).map(|b| b.id.0).collect();
        let found = if lost.is_empty() { Default::default() } else { self.unmatched(lost, at).await? };
        let ignoring = beats.iter().filter(|b| b.report.ignores_stop && !kept.contains(&(b.id.0, b.lease.0)));
        self.tell_late(worker, ignoring.map(|b| (b.id, b.lease, Late::Ignoring)).collect(), at).await?;
        let reply = |b: &Beat| match found.get(&b.id.0) {
            _ if kept.contains(&(b.id.0, b.lease.0)) => BeatReply::Kept,
            None => BeatReply::Gone,
            Some(job) if job.status == Status::Canceled => BeatReply::Canceled,
            Some(job) => BeatReply::Lost { status: job.status },
        };
        Ok(beats.iter().map(reply).collect())
    }
}

/// What a worker still says of an attempt that was ended by another hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// How it ended.
    End,
    /// That its handler does not stop.
    Ignoring,
}

impl PostgresStore {
    /// Notes it with the attempts.
    pub(super) async fn tell_late(
        &self,
        worker: &WorkerId,
        said: Vec<(JobId, Lease, Late)>,
        at: Now,
    ) -> Result<()> {
        if said.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = said.iter().map(|(id, ..)| id.0).collect();
        let leases: Vec<i64> = said.iter().map(|(_, lease, _)| lease.0).collect();
        let refused: Vec<bool> = said.iter().map(|(.., what)| *what == Late::End).collect();
        let ignoring: Vec<bool> = said.iter().map(|(.., what)| *what == Late::Ignoring).collect();
        self.query(at, &LATE, &[&worker.as_str(), &ids, &leases, &refused, &ignoring]).await?;
        Ok(())
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&HEARTBEAT, &LATE]
}
