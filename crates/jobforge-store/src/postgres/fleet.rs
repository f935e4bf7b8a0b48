//! Renewals, and what goes for all workers: how long leases are, and which history of the server they belong to.
//!
//! A standby that takes over may lack the last commits. Claims wait until every worker has been heard there or has given up
//! (`jobforge_notice_failover` in the schema), workers that renew are told and ask for all their jobs, and lease numbers go on above all that
//! may be lost. Whoever first comes upon the new history takes note of it.

use std::time::Duration;

use jobforge_core::job::WorkerId;
use jobforge_core::time::Now;
use jobforge_core::worker::{LeaseWish, Renewal};

use super::PostgresStore;
use super::rows::{duration, millis};
use super::session::{Sql, sql};
use crate::error::Result;

static RENEW: Sql = sql!("worker_renew", TEXT, BOOL, INT8, BOOL);
static FAILOVER: Sql = sql!("fleet_failover");
static LEAST_LEASE: Sql = sql!("least_lease", INT8);

impl PostgresStore {
    pub(super) async fn renew_lease(
        &self,
        worker: &WorkerId,
        draining: bool,
        wish: Option<LeaseWish>,
        at: Now,
    ) -> Result<Option<Renewal>> {
        let (renewal, failed_over) = self.renew_once(worker, draining, wish, at).await?;
        if !failed_over {
            return Ok(renewal);
        }
        self.notice_failover(at).await?;
        Ok(self.renew_once(worker, draining, wish, at).await?.0)
    }

    async fn renew_once(
        &self,
        worker: &WorkerId,
        draining: bool,
        wish: Option<LeaseWish>,
        at: Now,
    ) -> Result<(Option<Renewal>, bool)> {
        let fault = |error| self.fault("worker_renew", error);
        let (lease_ms, scales) = (wish.map(|wish| millis(wish.lease)), wish.map(|wish| wish.scales));
        let rows = self.query(at, &RENEW, &[&worker.as_str(), &draining, &lease_ms, &scales]).await?;
        let Some(row) = rows.first() else { return Ok((None, false)) };
        let epoch = row.try_get(0).map_err(fault)?;
        let lease = duration(row, 2).map_err(fault)?;
        let restart = row.try_get(3).map_err(fault)?;
        Ok((lease.map(|lease| Renewal { lease, epoch, restart }), row.try_get(1).map_err(fault)?))
    }

    pub(super) async fn notice_failover(&self, at: Now) -> Result<()> {
        let location = &self.location;
        tracing::warn!(%location, "a standby has taken over as the database; nothing is claimed for one lease");
        self.query(at, &FAILOVER, &[]).await?;
        Ok(())
    }

    pub(super) async fn put_least_lease(&self, lease: Duration, at: Now) -> Result<()> {
        self.query(at, &LEAST_LEASE, &[&millis(lease)]).await?;
        Ok(())
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&RENEW, &FAILOVER, &LEAST_LEASE]
}
