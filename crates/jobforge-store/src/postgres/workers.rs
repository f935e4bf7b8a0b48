//! The worker's side of the seam: registering, renewing, leaving; claim, heartbeat and settle have files of their own.

use std::sync::Arc;

use async_trait::async_trait;
use jobforge_core::claim::{ClaimAsk, Claimed};
use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::WorkerId;
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::time::Now;
use jobforge_core::worker::{LeaseWish, NewWorker, Renewal};
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::death::Event;
use super::rows::millis;
use super::session::{Sql, sql};
use crate::error::Result;
use crate::meter;
use crate::rows::Deaths;
use crate::traits::{Attendance, WorkerSide};

pub(super) static REGISTER: Sql = sql!(
    "worker_register",
    TEXT,
    TEXT,
    TEXT,
    INT8,
    TEXT_ARRAY,
    TEXT_ARRAY,
    INT4,
    INT8,
    TEXT,
    TEXT,
    INT8,
    INT8,
    TEXT,
    TEXT,
    BOOL,
    TEXT,
);
static LEAVE: Sql = sql!("worker_leave", TEXT, TEXT);

#[async_trait]
impl WorkerSide for PostgresStore {
    async fn register(&self, worker: &NewWorker, at: Now) -> Result<Deaths> {
        meter::registered(worker);
        self.bury(&Event::Registered(worker), at).await
    }

    async fn claim(&self, ask: &ClaimAsk, at: Now) -> Result<Claimed> {
        let watch = self.slow.watch("claim");
        let claimed = self.claim_jobs(ask, at).await?;
        meter::claimed(&claimed, watch.took());
        Ok(claimed)
    }

    async fn renew(
        &self,
        worker: &WorkerId,
        draining: bool,
        wish: Option<LeaseWish>,
        at: Now,
    ) -> Result<Option<Renewal>> {
        self.renew_lease(worker, draining, wish, at).await
    }

    async fn heartbeat(&self, worker: &WorkerId, beats: &[Beat], at: Now) -> Result<Vec<BeatReply>> {
        if beats.is_empty() {
            return Ok(Vec::new());
        }
        let replies = self.heartbeat_jobs(worker, beats, at).await?;
        meter::beaten(&replies);
        Ok(replies)
    }

    async fn settle(&self, worker: &WorkerId, settlements: &[Settlement], at: Now) -> Result<Vec<Settled>> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.settle_jobs(worker, settlements, at).await?;
        meter::settled(&answers);
        Ok(answers)
    }

    fn lane(&self) -> Option<Arc<dyn WorkerSide>> {
        Some(Arc::new(self.apart()?))
    }

    fn attend(&self, worker: &WorkerId) -> Option<Attendance> {
        self.hold_connection(worker)
    }

    async fn leave(&self, worker: &WorkerId, reason: &str, at: Now) -> Result<()> {
        self.forget_cursors(worker);
        self.query(at, &LEAVE, &[&worker.as_str(), &reason]).await?;
        Ok(())
    }
}

/// A new worker as the parameters of `worker_register.sql`.
pub(super) struct Columns<'a> {
    id: &'a str,
    worker: &'a NewWorker,
    pid: i64,
    slots: i32,
    lease_ms: i64,
    machine_id: Option<&'a str>,
    boot_id: Option<&'a str>,
    pid_namespace: Option<i64>,
    process_start: Option<i64>,
    slot: Option<&'a str>,
    slot_id: Option<&'a str>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(worker: &'a NewWorker) -> Self {
        let process = worker.place.as_ref().map(|place| &place.process);
        let slot = worker.place.as_ref().and_then(|place| place.slot.as_ref());
        Self {
            id: worker.id.as_str(),
            worker,
            pid: i64::from(worker.pid),
            slots: i32::try_from(worker.slots).unwrap_or(i32::MAX),
            lease_ms: millis(worker.lease),
            machine_id: process.map(|process| process.machine_id.as_str()),
            boot_id: process.map(|process| process.boot_id.as_str()),
            pid_namespace: process.map(|process| process.pid_namespace.cast_signed()),
            process_start: process.map(|process| process.started.cast_signed()),
            slot: slot.map(|slot| slot.name.as_str()),
            slot_id: slot.map(|slot| slot.id.as_str()),
        }
    }

    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 16] {
        let NewWorker { name, hostname, queues, types, lease_scales, registered_by, .. } = self.worker;
        let Self { id, pid, slots, lease_ms, machine_id, boot_id, pid_namespace, .. } = self;
        let Self { process_start, slot, slot_id, .. } = self;
        [
            id,
            name,
            hostname,
            pid,
            queues,
            types,
            slots,
            lease_ms,
            machine_id,
            boot_id,
            pid_namespace,
            process_start,
            slot,
            slot_id,
            lease_scales,
            registered_by,
        ]
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&REGISTER, &LEAVE]
}
