//! The traits of the seam, each call handed to its verb.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::claim::{ClaimAsk, Claimed};
use jobforge_core::dead::DeadGroup;
use jobforge_core::death::{DeathReport, ProcessId};
use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::{Job, JobId, NewJob, WorkerId};
use jobforge_core::metric::DeadSource;
use jobforge_core::rescue::{Rescue, RescuePolicy, SuspectPage};
use jobforge_core::retention::{PURGE_BATCH, Retention};
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::standing::Facts;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::verdict::HeldBack;
use jobforge_core::watchdog::{Run, Survey, WatchdogRow};
use jobforge_core::what_if::Record;
use jobforge_core::worker::{LeaseWish, NewWorker, Renewal, WorkerRow};
use tokio::sync::broadcast;

use super::tx::Tx;
use super::{
    SqliteStore, check, claim, dead, death, enqueue, gauges, heartbeat, inspect, list, migrate, operate,
    queues, rescue, retention,
};
use super::{settle, silences, tx, upkeep, watchdog, workers};
use crate::error::Result;
use crate::meter;
use crate::rows::{
    Capabilities, DeadFilter, Deaths, Enqueued, Finding, Gauges, JobDetail, JobFilter, JobPage, LastSign,
    MigrationInfo, Move, Moved, PartSize, QueueInfo, RescueReport, RestartTold, TIDY_BATCH, WakeEvent,
};
use crate::traits::{
    Admin, DeadLetters, Enqueue, Inspect, Operate, Purge, TellPart, Upkeep, Wake, Watchdog, WorkerSide,
};

#[async_trait]
impl Enqueue for SqliteStore {
    async fn enqueue(&self, jobs: &[NewJob], at: Now) -> Result<Vec<Enqueued>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let batch = jobs.to_vec();
        let answers = self.write("enqueue", batch.len(), move |tx| enqueue::enqueue(tx, &batch, at)).await?;
        meter::enqueued(jobs, &answers);
        Ok(answers)
    }
}

#[async_trait]
impl WorkerSide for SqliteStore {
    async fn register(&self, worker: &NewWorker, at: Now) -> Result<Deaths> {
        meter::registered(worker);
        let worker = worker.clone();
        self.write("register", 1, move |tx| workers::register(tx, &worker, at)).await
    }

    async fn claim(&self, ask: &ClaimAsk, at: Now) -> Result<Claimed> {
        let ask = ask.clone();
        let rows = ask.queues.iter().map(|queue| queue.limit).sum();
        let watch = self.home.slow.watch("claim");
        let claimed = self.write("claim", rows, move |tx| claim::claim(tx, &ask, at)).await?;
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
        let worker = worker.clone();
        self.write("renew", 1, move |tx| workers::renew(tx, &worker, draining, wish, at)).await
    }

    async fn heartbeat(&self, worker: &WorkerId, beats: &[Beat], at: Now) -> Result<Vec<BeatReply>> {
        if beats.is_empty() {
            return Ok(Vec::new());
        }
        let (worker, beats, rows) = (worker.clone(), beats.to_vec(), beats.len());
        let beat = move |tx: &Tx<'_>| heartbeat::heartbeat(tx, &worker, &beats, at);
        let replies = self.write("heartbeat", rows, beat).await?;
        meter::beaten(&replies);
        Ok(replies)
    }

    async fn settle(&self, worker: &WorkerId, settlements: &[Settlement], at: Now) -> Result<Vec<Settled>> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let (worker, settlements, rows) = (worker.clone(), settlements.to_vec(), settlements.len());
        let settle = move |tx: &Tx<'_>| settle::settle(tx, &worker, &settlements, at);
        let answers = self.write("settle", rows, settle).await?;
        meter::settled(&answers);
        Ok(answers)
    }

    async fn leave(&self, worker: &WorkerId, reason: &str, at: Now) -> Result<()> {
        let (worker, reason) = (worker.clone(), reason.to_owned());
        self.write("leave", 1, move |tx| workers::leave(tx, &worker, &reason, at)).await
    }
}

#[async_trait]
impl Watchdog for SqliteStore {
    async fn suspects(&self, fast: &[String], limit: usize, at: Now) -> Result<SuspectPage> {
        let fast = fast.to_vec();
        self.read("suspects", move |tx| rescue::suspects(tx, &fast, limit, at)).await
    }

    async fn apply_rescues(&self, plan: &[Rescue], at: Now) -> Result<RescueReport> {
        if plan.is_empty() {
            return Ok(RescueReport::default());
        }
        let plan = plan.to_vec();
        self.write("apply_rescues", plan.len(), move |tx| rescue::apply(tx, &plan, DeadSource::Watchdog, at))
            .await
    }

    async fn survey(&self, at: Now) -> Result<Survey> {
        self.read("survey", move |tx| watchdog::survey(tx, at)).await
    }

    async fn watchdog_sign(
        &self,
        watchdog: &str,
        check_interval: Duration,
        held: Option<HeldBack>,
        at: Now,
    ) -> Result<()> {
        let watchdog = watchdog.to_owned();
        let sign = move |tx: &Tx<'_>| watchdog::sign(tx, &watchdog, check_interval, held, at);
        self.write("watchdog_sign", 1, sign).await
    }

    async fn extend_leases(&self, at: Now) -> Result<u64> {
        self.write("extend_leases", 1, move |tx| workers::extend(tx, at)).await
    }

    async fn renew_all_times(&self, at: Now) -> Result<()> {
        self.write("renew_all_times", 1, move |tx| workers::renew_all_times(tx, at)).await
    }

    async fn expire_workers(&self, at_most: u32, at: Now) -> Result<Vec<WorkerId>> {
        self.write("expire_workers", 1, move |tx| workers::expire(tx, at_most, at)).await
    }

    async fn record_run(&self, run: &Run, at: Now) -> Result<()> {
        let run = run.clone();
        self.write("record_run", 1, move |tx| {
            watchdog::record(tx, &run)?;
            upkeep::tidy(tx, at).map(drop)
        })
        .await
    }

    async fn report_death(&self, report: &DeathReport, policy: &RescuePolicy, at: Now) -> Result<Deaths> {
        let (report, policy) = (report.clone(), policy.clone());
        self.write("report_death", 1, move |tx| death::report(tx, &report, &policy, at)).await
    }

    async fn attending(&self) -> Result<Option<BTreeSet<WorkerId>>> {
        Ok(None)
    }

    async fn mark_suspect(&self, suspects: &[WorkerId], at: Now) -> Result<Vec<WorkerId>> {
        let suspects = suspects.to_vec();
        self.write("mark_suspect", 1, move |tx| workers::mark_suspect(tx, &suspects, at)).await
    }

    async fn set_least_lease(&self, lease: Duration, _: Now) -> Result<()> {
        self.write("set_least_lease", 1, move |tx| workers::set_least_lease(tx, lease)).await
    }

    async fn report_stopped(&self, process: &ProcessId, stopped: bool, at: Now) -> Result<Vec<WorkerId>> {
        let process = process.clone();
        self.write("report_stopped", 1, move |tx| death::stopped(tx, &process, stopped, at)).await
    }

    async fn reconcile(&self, at: Now) -> Result<u64> {
        // Looked for beside the writer, for the search may pass over every queued job.
        let early = self.read("reconcile", move |tx| rescue::find_early(tx, at)).await?;
        if early.is_empty() {
            return Ok(0);
        }
        self.write("reconcile", early.len(), move |tx| rescue::reconcile(tx, &early, at)).await
    }
}

#[async_trait]
impl Inspect for SqliteStore {
    async fn now(&self) -> Result<Timestamp> {
        self.read("now", |tx| tx.now(Now::Database).map(tx::as_of)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.read("job", move |tx| inspect::job(tx, id)).await
    }

    async fn job_detail(&self, id: JobId) -> Result<Option<JobDetail>> {
        self.read("job_detail", move |tx| inspect::detail(tx, id)).await
    }

    async fn known_jobs(&self, ids: &[JobId]) -> Result<BTreeSet<JobId>> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        self.read("known_jobs", move |tx| inspect::known(tx, &ids)).await
    }

    async fn job_facts(&self, id: JobId, at: Now) -> Result<Option<Facts>> {
        self.read("job_facts", move |tx| inspect::facts(tx, id, at)).await
    }

    async fn job_page(&self, filter: &JobFilter) -> Result<JobPage> {
        let filter = filter.clone();
        self.read("jobs", move |tx| list::page(tx, &filter)).await
    }

    async fn status_counts_to(
        &self,
        cap: u64,
        tenant_id: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<(Status, u64)>> {
        let tenant_id = tenant_id.map(str::to_owned);
        self.read("status_counts", move |tx| queues::status_counts(tx, cap, tenant_id.as_deref(), since))
            .await
    }

    async fn gauges(&self, at: Now) -> Result<Gauges> {
        self.read("gauges", move |tx| gauges::gauges(tx, at)).await
    }

    async fn queues_to(&self, cap: u64, at: Now) -> Result<Vec<QueueInfo>> {
        self.read("queues", move |tx| queues::queues(tx, cap, at)).await
    }

    async fn worker(&self, id: &WorkerId) -> Result<Option<WorkerRow>> {
        let id = id.clone();
        self.read("worker", move |tx| inspect::worker(tx, &id)).await
    }

    async fn workers(&self, at: Now) -> Result<Vec<WorkerRow>> {
        self.read("workers", move |tx| inspect::workers(tx, at)).await
    }

    async fn watchdogs(&self, at: Now) -> Result<Vec<WatchdogRow>> {
        self.read("watchdogs", move |tx| watchdog::watchdogs(tx, at)).await
    }

    async fn watchdog_runs(&self, limit: usize) -> Result<Vec<Run>> {
        self.read("watchdog_runs", move |tx| watchdog::runs(tx, limit)).await
    }

    async fn silent_attempts(&self, since: Timestamp, most: usize, at: Now) -> Result<Record> {
        self.read("silent_attempts", move |tx| silences::silent_attempts(tx, since, most, at)).await
    }
}

#[async_trait]
impl Operate for SqliteStore {
    async fn move_jobs(&self, ids: &[JobId], step: Move, by: &By, at: Now) -> Result<Vec<Moved>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (ids, by) = (ids.to_vec(), by.clone());
        self.write("move_jobs", ids.len(), move |tx| operate::move_jobs(tx, &ids, step, &by, at)).await
    }

    async fn pause_queue(&self, queue: &str, paused: bool, by: &By, at: Now) -> Result<bool> {
        let (queue, by) = (queue.to_owned(), by.clone());
        self.write("pause_queue", 1, move |tx| operate::pause(tx, &queue, paused, &by, at)).await
    }

    async fn restart_workers(&self, workers: &[WorkerId], by: &By, at: Now) -> Result<Vec<RestartTold>> {
        let (workers, by) = (workers.to_vec(), by.clone());
        self.write("restart_workers", workers.len(), move |tx| workers::restart(tx, &workers, &by, at)).await
    }
}

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn name_causes(&self) -> Result<u64> {
        // Looked for beside the writer: mostly there is nothing to write.
        let named = self.read("name_causes", dead::find_unnamed).await?;
        if named.is_empty() {
            return Ok(0);
        }
        self.write("name_causes", named.len(), move |tx| dead::name(tx, &named)).await
    }

    async fn dead_groups(&self, filter: &DeadFilter) -> Result<Vec<DeadGroup>> {
        let filter = filter.clone();
        self.read("dead_groups", move |tx| dead::groups(tx, &filter)).await
    }

    async fn dead_jobs(&self, filter: &DeadFilter, before: Option<JobId>, limit: usize) -> Result<Vec<Job>> {
        let filter = filter.clone();
        self.read("dead_jobs", move |tx| dead::jobs(tx, &filter, before, limit)).await
    }

    async fn resolve_dead(&self, ids: &[JobId], by: &By, note: &str, at: Now) -> Result<Vec<JobId>> {
        let (ids, by, note) = (ids.to_vec(), by.clone(), note.to_owned());
        self.write("resolve_dead", ids.len(), move |tx| dead::resolve(tx, &ids, &by, &note, at)).await
    }
}

#[async_trait]
impl Purge for SqliteStore {
    async fn purge(&self, retention: &Retention, at: Now) -> Result<Vec<(Status, u64)>> {
        let retention = *retention;
        self.write("purge", PURGE_BATCH, move |tx| retention::purge(tx, &retention, at)).await
    }

    async fn purgeable(&self, retention: &Retention, at: Now) -> Result<Vec<(Status, u64)>> {
        let retention = *retention;
        self.read("purgeable", move |tx| retention::purgeable(tx, &retention, at)).await
    }
}

#[async_trait]
impl Admin for SqliteStore {
    async fn migrate(&self) -> Result<Vec<MigrationInfo>> {
        let mut applied = Vec::new();
        while let Some(step) = self.write("migrate", 1, |tx| migrate::migrate_one(tx, Now::Database)).await? {
            applied.push(step);
        }
        Ok(applied)
    }

    async fn migrations(&self) -> Result<Vec<MigrationInfo>> {
        self.read("migrations", migrate::migrations).await
    }

    async fn verify_schema(&self) -> Result<()> {
        self.read("verify_schema", migrate::verify_schema).await
    }

    async fn check(&self, at: Now) -> Result<Vec<Finding>> {
        self.read("check", move |tx| check::check(tx, at)).await
    }

    fn capabilities(&self) -> Capabilities {
        // Others on the same file are noticed within a tenth of a second.
        Capabilities { engine: "sqlite", wake_across_processes: true, operator_sql: false, pooled: false }
    }

    fn location(&self) -> &str {
        &self.home.location
    }
}

#[async_trait]
impl Upkeep for SqliteStore {
    async fn tidy(&self, at: Now) -> Result<u64> {
        self.write("tidy", TIDY_BATCH, move |tx| upkeep::tidy(tx, at)).await
    }

    async fn sign_housekeeper(&self, who: &str, at: Now) -> Result<()> {
        let who = who.to_owned();
        self.write("sign_housekeeper", 1, move |tx| upkeep::sign_housekeeper(tx, &who, at)).await
    }

    async fn housekeeper(&self) -> Result<Option<LastSign>> {
        self.read("housekeeper", upkeep::housekeeper).await
    }

    async fn sizes(&self) -> Result<Vec<PartSize>> {
        self.read("sizes", upkeep::sizes).await
    }

    async fn vacuum(&self, told: &TellPart) -> Result<()> {
        told("the file");
        self.vacuum_file().await
    }

    async fn epoch(&self) -> Result<i64> {
        self.read("epoch", upkeep::epoch).await
    }

    async fn begin_anew(&self, replaced: i64, at: Now) -> Result<Vec<WorkerId>> {
        self.write("begin_anew", 1, move |tx| upkeep::begin_anew(tx, replaced, at)).await
    }
}

impl Wake for SqliteStore {
    fn subscribe(&self) -> broadcast::Receiver<WakeEvent> {
        let events = self.wake.subscribe();
        self.writer.nudge();
        events
    }
}
