//! The database as one simulated process reaches it: the traits of the seam, each call sent over the process's link.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::claim::{ClaimAsk, Claimed};
use jobforge_core::dead::DeadGroup;
use jobforge_core::death::Place;
use jobforge_core::doctor::Pressure;
use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::{Job, JobId, NewJob, WorkerId};
use jobforge_core::retention::Retention;
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::standing::Facts;
use jobforge_core::state::Status;
use jobforge_core::tenant::{Fallen, Loads};
use jobforge_core::time::Now;
use jobforge_core::watchdog::{Run, WatchdogRow};
use jobforge_core::what_if::Record;
use jobforge_core::worker::{LeaseWish, NewWorker, Renewal, WorkerRow};
use jobforge_store::Result;
use jobforge_store::rows::{
    Capabilities, DeadFilter, Deaths, Enqueued, Finding, Gauges, JobDetail, JobFilter, JobPage, LastSign,
    MigrationInfo, Move, Moved, PartSize, QueueInfo, RestartTold, WakeEvent,
};
use jobforge_store::traits::{
    Admin, DeadLetters, Enqueue, Inspect, Operate, Purge, TellPart, Tenants, Upkeep, Wake, WorkerSide,
};
use tokio::sync::broadcast;

use super::broken;
use super::event::{ProcessId, What};
use super::world::{Reply, Shared, World, wait};

/// The store of one process.
pub(super) struct SimStore {
    world: Shared,
    pub(super) process: ProcessId,
    /// What the process says of where it runs.
    pub(super) host: String,
    place: Option<Place>,
    /// Set when the process has ended in the middle of what it was doing.
    ended: Arc<AtomicBool>,
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStore").field("process", &self.process).finish_non_exhaustive()
    }
}

impl SimStore {
    pub(super) fn new(
        world: Shared,
        process: ProcessId,
        place: Option<Place>,
        ended: Arc<AtomicBool>,
    ) -> Self {
        let machine = place.as_ref().map(|place| place.process.machine_id.clone());
        let host = machine.unwrap_or_else(|| "elsewhere".to_owned());
        Self { world, process, host, place, ended }
    }

    /// Sends a call and waits for its answer.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: &'static str,
        work: impl FnOnce(&mut World) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.ended.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let reply = self.world.lock().send(self.process, call, work);
        match reply {
            Reply::Now(answer) => answer,
            Reply::Later(answer) => match answer.await {
                Ok(answer) => answer,
                // Its letter went with the world.
                Err(_) => std::future::pending().await,
            },
            Reply::Never => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Enqueue for SimStore {
    async fn enqueue(&self, jobs: &[NewJob], _: Now) -> Result<Vec<Enqueued>> {
        let jobs = jobs.to_vec();
        self.call("enqueue", move |world| {
            if let Some(answer) = broken::enqueue(world, &jobs) {
                return Ok(answer);
            }
            let answers = wait(world.store().enqueue(&jobs, world.at()))?;
            for (job, answer) in jobs.iter().zip(&answers) {
                if answer.created {
                    let task = format!("{} {}", job.job_type, job.payload.as_str());
                    world.tell(What::Enqueued { job: job.id, task });
                }
            }
            world.announce();
            Ok(answers)
        })
        .await
    }
}

#[async_trait]
impl WorkerSide for SimStore {
    async fn register(&self, worker: &NewWorker, _: Now) -> Result<Deaths> {
        let process = self.process;
        let worker = NewWorker {
            hostname: self.host.clone(),
            pid: process.0,
            place: self.place.clone(),
            ..worker.clone()
        };
        self.call("register", move |world| {
            let deaths = wait(world.store().register(&worker, world.at()))?;
            world.tell_deaths(&deaths);
            world.tell(What::Registered { worker: worker.id.clone(), process, lease: worker.lease });
            world.announce();
            Ok(deaths)
        })
        .await
    }

    async fn claim(&self, ask: &ClaimAsk, _: Now) -> Result<Claimed> {
        let process = self.process;
        let ask = ask.clone();
        let worker = ask.worker.clone();
        let claimed = self
            .call("claim", move |world| {
                let claimed = broken::claim(world, &ask)?;
                for job in &claimed.jobs {
                    world.tell(What::Claimed {
                        worker: ask.worker.clone(),
                        process,
                        job: job.id,
                        lease: job.lease,
                        alone: job.alone,
                    });
                }
                world.announce();
                Ok(claimed)
            })
            .await?;
        let mut world = self.world.lock();
        for job in &claimed.jobs {
            world.tell(What::Heard { worker: worker.clone(), job: job.id, lease: job.lease });
        }
        Ok(claimed)
    }

    async fn renew(
        &self,
        worker: &WorkerId,
        draining: bool,
        wish: Option<LeaseWish>,
        _: Now,
    ) -> Result<Option<Renewal>> {
        let worker = worker.clone();
        self.call("renew", move |world| {
            let renewal = wait(world.store().renew(&worker, draining, wish, world.at()))?;
            world.tell(What::Renewed { worker, lease: renewal.map(|renewal| renewal.lease) });
            Ok(renewal)
        })
        .await
    }

    async fn heartbeat(&self, worker: &WorkerId, beats: &[Beat], _: Now) -> Result<Vec<BeatReply>> {
        let (worker, beats) = (worker.clone(), beats.to_vec());
        self.call("heartbeat", move |world| {
            let replies = wait(world.store().heartbeat(&worker, &beats, world.at()))?;
            for (beat, reply) in beats.iter().zip(&replies) {
                let (job, lease, reply) = (beat.id, beat.lease, *reply);
                world.tell(What::Beat { worker: worker.clone(), job, lease, reply });
            }
            Ok(replies)
        })
        .await
    }

    async fn settle(&self, worker: &WorkerId, settlements: &[Settlement], _: Now) -> Result<Vec<Settled>> {
        let (worker, settlements) = (worker.clone(), settlements.to_vec());
        self.call("settle", move |world| {
            let answers = broken::settle(world, &worker, &settlements)?;
            for (plan, answer) in settlements.iter().zip(&answers) {
                world.tell(What::Settled {
                    worker: worker.clone(),
                    job: plan.id,
                    lease: plan.lease,
                    to: plan.to,
                    because: plan.because,
                    answer: answer.clone(),
                });
            }
            world.announce();
            broken::after_settle(world, &settlements);
            Ok(answers)
        })
        .await
    }

    async fn leave(&self, worker: &WorkerId, reason: &str, _: Now) -> Result<()> {
        let (worker, reason) = (worker.clone(), reason.to_owned());
        self.call("leave", move |world| {
            wait(world.store().leave(&worker, &reason, world.at()))?;
            world.tell(What::Left { worker });
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Inspect for SimStore {
    async fn now(&self) -> Result<Timestamp> {
        self.call("now", move |world| Ok(world.clock())).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.call("job", move |world| wait(world.store().job(id))).await
    }

    async fn job_detail(&self, id: JobId) -> Result<Option<JobDetail>> {
        self.call("job_detail", move |world| wait(world.store().job_detail(id))).await
    }

    async fn known_jobs(&self, ids: &[JobId]) -> Result<BTreeSet<JobId>> {
        let ids = ids.to_vec();
        self.call("known_jobs", move |world| wait(world.store().known_jobs(&ids))).await
    }

    async fn job_facts(&self, id: JobId, _: Now) -> Result<Option<Facts>> {
        self.call("job_facts", move |world| wait(world.store().job_facts(id, world.at()))).await
    }

    async fn job_page(&self, filter: &JobFilter) -> Result<JobPage> {
        let filter = filter.clone();
        self.call("jobs", move |world| wait(world.store().job_page(&filter))).await
    }

    async fn status_counts_to(
        &self,
        cap: u64,
        tenant: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<(Status, u64)>> {
        let tenant = tenant.map(str::to_owned);
        self.call("status_counts", move |world| {
            wait(world.store().status_counts_to(cap, tenant.as_deref(), since))
        })
        .await
    }

    async fn gauges(&self, _: Now) -> Result<Gauges> {
        self.call("gauges", move |world| wait(world.store().gauges(world.at()))).await
    }

    async fn queues_to(&self, cap: u64, _: Now) -> Result<Vec<QueueInfo>> {
        self.call("queues", move |world| wait(world.store().queues_to(cap, world.at()))).await
    }

    async fn worker(&self, id: &WorkerId) -> Result<Option<WorkerRow>> {
        let id = id.clone();
        self.call("worker", move |world| wait(world.store().worker(&id))).await
    }

    async fn workers(&self, _: Now) -> Result<Vec<WorkerRow>> {
        self.call("workers", move |world| wait(world.store().workers(world.at()))).await
    }

    async fn watchdogs(&self, _: Now) -> Result<Vec<WatchdogRow>> {
        self.call("watchdogs", move |world| wait(world.store().watchdogs(world.at()))).await
    }

    async fn watchdog_runs(&self, limit: usize) -> Result<Vec<Run>> {
        self.call("watchdog_runs", move |world| wait(world.store().watchdog_runs(limit))).await
    }

    async fn silent_attempts(&self, since: Timestamp, most: usize, _: Now) -> Result<Record> {
        self.call("silent_attempts", move |world| {
            wait(world.store().silent_attempts(since, most, world.at()))
        })
        .await
    }
}

#[async_trait]
impl Operate for SimStore {
    async fn move_jobs(&self, ids: &[JobId], step: Move, by: &By, _: Now) -> Result<Vec<Moved>> {
        let (ids, by) = (ids.to_vec(), by.clone());
        self.call("move_jobs", move |world| {
            let answers = wait(world.store().move_jobs(&ids, step, &by, world.at()))?;
            for (job, answer) in ids.iter().zip(&answers) {
                world.tell(What::Moved { job: *job, step, answer: *answer });
            }
            world.announce();
            Ok(answers)
        })
        .await
    }

    async fn pause_queue(&self, queue: &str, paused: bool, by: &By, _: Now) -> Result<bool> {
        let (queue, by) = (queue.to_owned(), by.clone());
        self.call("pause_queue", move |world| {
            let changed = wait(world.store().pause_queue(&queue, paused, &by, world.at()))?;
            world.tell(What::Paused { queue, paused });
            world.announce();
            Ok(changed)
        })
        .await
    }

    async fn restart_workers(&self, workers: &[WorkerId], by: &By, _: Now) -> Result<Vec<RestartTold>> {
        let (workers, by) = (workers.to_vec(), by.clone());
        self.call("restart_workers", move |world| {
            let told = wait(world.store().restart_workers(&workers, &by, world.at()))?;
            world.announce();
            Ok(told)
        })
        .await
    }
}

#[async_trait]
impl Tenants for SimStore {
    async fn tenant_loads(&self, _: Now) -> Result<Loads> {
        self.call("tenant_loads", move |world| wait(world.store().tenant_loads(world.at()))).await
    }

    async fn tenant_names(&self, prefix: &str) -> Result<Vec<String>> {
        let prefix = prefix.to_owned();
        self.call("tenant_names", move |world| wait(world.store().tenant_names(&prefix))).await
    }

    async fn tenants_fallen(&self, tenants: &[String], _: Now) -> Result<Vec<Fallen>> {
        let tenants = tenants.to_vec();
        self.call("tenants_fallen", move |world| wait(world.store().tenants_fallen(&tenants, world.at())))
            .await
    }

    async fn tenant_kinds(&self, tenant: &str) -> Result<Vec<(String, String)>> {
        let tenant = tenant.to_owned();
        self.call("tenant_kinds", move |world| wait(world.store().tenant_kinds(&tenant))).await
    }

    async fn job_types(&self) -> Result<Vec<String>> {
        self.call("job_types", move |world| wait(world.store().job_types())).await
    }
}

#[async_trait]
impl DeadLetters for SimStore {
    async fn name_causes(&self) -> Result<u64> {
        self.call("name_causes", move |world| wait(world.store().name_causes())).await
    }

    async fn dead_groups(&self, filter: &DeadFilter) -> Result<Vec<DeadGroup>> {
        let filter = filter.clone();
        self.call("dead_groups", move |world| wait(world.store().dead_groups(&filter))).await
    }

    async fn dead_jobs(&self, filter: &DeadFilter, before: Option<JobId>, limit: usize) -> Result<Vec<Job>> {
        let filter = filter.clone();
        self.call("dead_jobs", move |world| wait(world.store().dead_jobs(&filter, before, limit))).await
    }

    async fn resolve_dead(&self, ids: &[JobId], by: &By, note: &str, _: Now) -> Result<Vec<JobId>> {
        let (ids, by, note) = (ids.to_vec(), by.clone(), note.to_owned());
        self.call("resolve_dead", move |world| wait(world.store().resolve_dead(&ids, &by, &note, world.at())))
            .await
    }
}

#[async_trait]
impl Purge for SimStore {
    async fn purge(&self, retention: &Retention, _: Now) -> Result<Vec<(Status, u64)>> {
        let retention = *retention;
        self.call("purge", move |world| wait(world.store().purge(&retention, world.at()))).await
    }

    async fn purgeable(&self, retention: &Retention, _: Now) -> Result<Vec<(Status, u64)>> {
        let retention = *retention;
        self.call("purgeable", move |world| wait(world.store().purgeable(&retention, world.at()))).await
    }
}

#[async_trait]
impl Upkeep for SimStore {
    async fn tidy(&self, _: Now) -> Result<u64> {
        self.call("tidy", move |world| wait(world.store().tidy(world.at()))).await
    }

    async fn sign_housekeeper(&self, who: &str, _: Now) -> Result<()> {
        let who = who.to_owned();
        self.call("sign_housekeeper", move |world| wait(world.store().sign_housekeeper(&who, world.at())))
            .await
    }

    async fn housekeeper(&self) -> Result<Option<LastSign>> {
        self.call("housekeeper", move |world| wait(world.store().housekeeper())).await
    }

    async fn sizes(&self) -> Result<Vec<PartSize>> {
        self.call("sizes", move |world| wait(world.store().sizes())).await
    }

    async fn pressure(&self) -> Result<Option<Pressure>> {
        self.call("pressure", move |world| wait(world.store().pressure())).await
    }

    async fn vacuum(&self, _: &TellPart) -> Result<()> {
        self.call("vacuum", move |world| wait(world.store().vacuum(&|_| {}))).await
    }

    async fn epoch(&self) -> Result<i64> {
        self.call("epoch", move |world| wait(world.store().epoch())).await
    }

    async fn begin_anew(&self, replaced: i64, _: Now) -> Result<Vec<WorkerId>> {
        self.call("begin_anew", move |world| wait(world.store().begin_anew(replaced, world.at()))).await
    }
}

#[async_trait]
impl Admin for SimStore {
    async fn migrate(&self) -> Result<Vec<MigrationInfo>> {
        self.call("migrate", move |world| wait(world.store().migrate())).await
    }

    async fn migrations(&self) -> Result<Vec<MigrationInfo>> {
        self.call("migrations", move |world| wait(world.store().migrations())).await
    }

    async fn verify_schema(&self) -> Result<()> {
        self.call("verify_schema", move |world| wait(world.store().verify_schema())).await
    }

    async fn check(&self, _: Now) -> Result<Vec<Finding>> {
        self.call("check", move |world| wait(world.store().check(world.at()))).await
    }

    fn capabilities(&self) -> Capabilities {
        self.world.lock().store().capabilities()
    }

    fn location(&self) -> &'static str {
        "simulation"
    }
}

impl Wake for SimStore {
    fn subscribe(&self) -> broadcast::Receiver<WakeEvent> {
        let world = self.world.lock();
        match world.links.get(&self.process) {
            Some(link) => link.mail.subscribe(),
            // A process without a link hears nothing.
            None => broadcast::channel(1).1,
        }
    }
}
