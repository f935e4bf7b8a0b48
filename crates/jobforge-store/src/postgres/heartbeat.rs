//! Signs of life of running jobs, one statement for all of a worker's.

use std::collections::HashSet;

use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::WorkerId;
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
);

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
                ],
            )
            .await?;
        let kept: HashSet<(Uuid, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let lost: Vec<Uuid> =
            beats.iter().filter(|b| !kept.contains(&(b.id.0, b.lease.0))).map(|b| b.id.0).collect();
        let found = if lost.is_empty() { Default::default() } else { self.unmatched(lost, at).await? };
        let reply = |b: &Beat| match found.get(&b.id.0) {
            _ if kept.contains(&(b.id.0, b.lease.0)) => BeatReply::Kept,
            None => BeatReply::Gone,
            Some(job) if job.status == Status::Canceled => BeatReply::Canceled,
            Some(job) => BeatReply::Lost { status: job.status },
        };
        Ok(beats.iter().map(reply).collect())
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&HEARTBEAT]
}
