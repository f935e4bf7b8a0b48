//! What watchdogs ask of the simulated database.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jobforge_core::death::{DeathReport, ProcessId};
use jobforge_core::job::WorkerId;
use jobforge_core::rescue::{Rescue, RescuePolicy, SuspectPage};
use jobforge_core::time::Now;
use jobforge_core::verdict::HeldBack;
use jobforge_core::watchdog::{Run, Survey};
use jobforge_store::Result;
use jobforge_store::rows::{Deaths, RescueReport};
use jobforge_store::traits::Watchdog;

use super::broken;
use super::event::What;
use super::store::SimStore;
use super::world::wait;

#[async_trait]
impl Watchdog for SimStore {
    async fn suspects(&self, fast: &[String], limit: usize, at: Now) -> Result<SuspectPage> {
        let fast = fast.to_vec();
        self.call("suspects", move |world| broken::suspects(world, &fast, limit, at)).await
    }

    async fn attending(&self) -> Result<Option<BTreeSet<WorkerId>>> {
        self.call("attending", move |world| wait(world.store().attending())).await
    }

    async fn mark_suspect(&self, workers: &[WorkerId], _: Now) -> Result<Vec<WorkerId>> {
        let workers = workers.to_vec();
        self.call("mark_suspect", move |world| wait(world.store().mark_suspect(&workers, world.at()))).await
    }

    async fn set_least_lease(&self, lease: Duration, _: Now) -> Result<()> {
        self.call("set_least_lease", move |world| wait(world.store().set_least_lease(lease, world.at())))
            .await
    }

    async fn apply_rescues(&self, plan: &[Rescue], _: Now) -> Result<RescueReport> {
        let plan = plan.to_vec();
        self.call("apply_rescues", move |world| {
            let report = wait(world.store().apply_rescues(&plan, world.at()))?;
            for line in plan.iter().filter(|line| report.moved.contains(&line.id)) {
                let (job, lease, to) = (line.id, line.lease, line.to);
                world.tell(What::Rescued { job, lease, to, cause: line.error.kind.clone() });
            }
            world.announce();
            Ok(report)
        })
        .await
    }

    async fn survey(&self, _: Now) -> Result<Survey> {
        self.call("survey", move |world| wait(world.store().survey(world.at()))).await
    }

    async fn watchdog_sign(
        &self,
        _: &str,
        check_interval: Duration,
        held: Option<HeldBack>,
        _: Now,
    ) -> Result<()> {
        let name = format!("{}:{}", self.host, self.process);
        self.call("watchdog_sign", move |world| {
            wait(world.store().watchdog_sign(&name, check_interval, held, world.at()))
        })
        .await
    }

    async fn extend_leases(&self, _: Now) -> Result<u64> {
        let by = self.process;
        self.call("extend_leases", move |world| {
            let workers = wait(world.store().extend_leases(world.at()))?;
            world.tell(What::Extended { by, workers });
            Ok(workers)
        })
        .await
    }

    async fn renew_all_times(&self, _: Now) -> Result<()> {
        let by = self.process;
        self.call("renew_all_times", move |world| {
            wait(world.store().renew_all_times(world.at()))?;
            world.tell(What::TimesRenewed { by });
            Ok(())
        })
        .await
    }

    async fn expire_workers(&self, at_most: u32, at: Now) -> Result<Vec<WorkerId>> {
        let by = self.process;
        self.call("expire_workers", move |world| {
            let expired = wait(world.store().expire_workers(at_most, world.at_or(at)))?;
            for worker in &expired {
                world.tell(What::Expired { by, worker: worker.clone() });
            }
            Ok(expired)
        })
        .await
    }

    async fn record_run(&self, run: &Run, _: Now) -> Result<()> {
        let run = Run { watchdog: format!("{}:{}", self.host, self.process), ..run.clone() };
        self.call("record_run", move |world| wait(world.store().record_run(&run, world.at()))).await
    }

    async fn report_death(&self, report: &DeathReport, policy: &RescuePolicy, _: Now) -> Result<Deaths> {
        let (report, policy) = (report.clone(), policy.clone());
        self.call("report_death", move |world| {
            let policy = broken::policy(world, policy);
            let deaths = wait(world.store().report_death(&report, &policy, world.at()))?;
            world.tell_deaths(&deaths);
            world.announce();
            Ok(deaths)
        })
        .await
    }

    async fn report_stopped(&self, process: &ProcessId, stopped: bool, _: Now) -> Result<Vec<WorkerId>> {
        let process = process.clone();
        self.call("report_stopped", move |world| {
            wait(world.store().report_stopped(&process, stopped, world.at()))
        })
        .await
    }

    async fn reconcile(&self, _: Now) -> Result<u64> {
        self.call("reconcile", move |world| wait(world.store().reconcile(world.at()))).await
    }
}
