//! The worker's side of the seam: registering, renewing, leaving; claim, heartbeat and settle have files of their own.

use async_trait::async_trait;
use jobforge_core::claim::{ClaimAsk, Claimed};
use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::WorkerId;
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::time::Now;
use jobforge_core::worker::NewWorker;

use super::PostgresStore;
use super::rows::millis;
use super::session::{Sql, sql};
use crate::error::Result;
use crate::traits::WorkerSide;

static REGISTER: Sql = sql!("worker_register", TEXT, TEXT, TEXT, INT8, TEXT_ARRAY, TEXT_ARRAY, INT4, INT8);
static RENEW: Sql = sql!("worker_renew", TEXT, BOOL);
static LEAVE: Sql = sql!("worker_leave", TEXT, TEXT);

#[async_trait]
impl WorkerSide for PostgresStore {
    async fn register(&self, worker: &NewWorker, at: Now) -> Result<()> {
        let slots = i32::try_from(worker.slots).unwrap_or(i32::MAX);
        let (pid, lease) = (i64::from(worker.pid), millis(worker.lease));
        self.query(
            at,
            &REGISTER,
            &[
                &worker.id.as_str(),
                &worker.name,
                &worker.hostname,
                &pid,
                &worker.queues,
                &worker.types,
                &slots,
                &lease,
            ],
        )
        .await?;
        Ok(())
    }

    async fn claim(&self, ask: &ClaimAsk, at: Now) -> Result<Claimed> {
        self.claim_jobs(ask, at).await
    }

    async fn renew(&self, worker: &WorkerId, draining: bool, at: Now) -> Result<bool> {
        Ok(!self.query(at, &RENEW, &[&worker.as_str(), &draining]).await?.is_empty())
    }

    async fn heartbeat(&self, worker: &WorkerId, beats: &[Beat], at: Now) -> Result<Vec<BeatReply>> {
        if beats.is_empty() {
            return Ok(Vec::new());
        }
        self.heartbeat_jobs(worker, beats, at).await
    }

    async fn settle(&self, worker: &WorkerId, settlements: &[Settlement], at: Now) -> Result<Vec<Settled>> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        self.settle_jobs(worker, settlements, at).await
    }

    async fn leave(&self, worker: &WorkerId, reason: &str, at: Now) -> Result<()> {
        self.forget_cursors(worker);
        self.query(at, &LEAVE, &[&worker.as_str(), &reason]).await?;
        Ok(())
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&REGISTER, &RENEW, &LEAVE]
}
