//! A store of which every call fails as the test says; without a fault only its schema is fine.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge::core::alert::history::Labels;
use jobforge::core::alert::kept::{AlertRow, Bench, SampleRow, SilenceRow};
use jobforge::core::alert::route::Told;
use jobforge::core::alert::state::Active;
use jobforge::core::audit::{AuditFilter, By, Deed, Entry};
use jobforge::core::claim::{ClaimAsk, Claimed};
use jobforge::core::dead::DeadGroup;
use jobforge::core::death::{DeathReport, ProcessId};
use jobforge::core::doctor::Pressure;
use jobforge::core::heartbeat::{Beat, BeatReply};
use jobforge::core::job::{Job, JobId, NewJob, WorkerId};
use jobforge::core::operation::{NewOperation, Operation, Progress};
use jobforge::core::rescue::{Rescue, RescuePolicy, SuspectPage};
use jobforge::core::retention::Retention;
use jobforge::core::schedule::{Checked, Declared, RunLine, Schedule, Scheduler, Source};
use jobforge::core::settings::{Change, Stored};
use jobforge::core::settle::{Settled, Settlement};
use jobforge::core::standing::Facts;
use jobforge::core::state::Status;
use jobforge::core::tenant::{Fallen, Loads};
use jobforge::core::time::Now;
use jobforge::core::token::TokenRow;
use jobforge::core::verdict::HeldBack;
use jobforge::core::watchdog::{Run, Survey, WatchdogRow};
use jobforge::core::what_if::Record;
use jobforge::core::worker::{LeaseWish, NewWorker, Renewal, WorkerRow};
use jobforge::store::rows::{
    Capabilities, CreatedSchedule, DeadFilter, Deaths, Enqueued, Finding, Fired, Gauges, JobDetail,
    JobFilter, JobPage, LastSign, MigrationInfo, Move, Moved, PartSize, QueueInfo, RanSchedule, RescueReport,
    RestartTold, ScheduleFilter, ScheduleSurvey, WakeEvent,
};
use jobforge::store::traits::{
    Admin, Alerts, Audit, ChangeSettings, DeadLetters, Enqueue, Inspect, Operate, Operations, Purge, Samples,
    Schedules, StoredSettings, TellPart, Tenants, Tokens, Upkeep, Wake, Watchdog, WorkerSide,
};
use jobforge::store::{Result, StoreError};
use tokio::sync::broadcast;
use uuid::Uuid;

const LOCATION: &str = "postgres://db.internal/jobs";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Unreachable,
    Interrupted,
    ReadOnly,
    Full,
    SchemaTooOld,
    Failed,
}

pub(crate) struct FailingStore {
    fault: Mutex<Fault>,
    calls: AtomicUsize,
}

impl FailingStore {
    pub(crate) fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self { fault: Mutex::new(fault), calls: AtomicUsize::new(0) })
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().expect("no test panics with it") = fault;
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn fail<T>(&self) -> Result<T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (location, call, source) = (LOCATION.to_owned(), "a call", "the driver's own words".into());
        Err(match *self.fault.lock().expect("no test panics with it") {
            Fault::Unreachable => StoreError::Unreachable { location, source },
            Fault::Interrupted => StoreError::Interrupted { location, call, source },
            Fault::ReadOnly => StoreError::ReadOnly { location, source },
            Fault::Full => StoreError::Full { location, source },
            Fault::SchemaTooOld => StoreError::SchemaTooOld { location, found: 0, needed: 1 },
            Fault::Failed | Fault::None => StoreError::Failed { location, call, source },
        })
    }
}

#[async_trait]
impl Enqueue for FailingStore {
    async fn enqueue(&self, _: &[NewJob], _: Now) -> Result<Vec<Enqueued>> {
        self.fail()
    }
}

#[async_trait]
impl WorkerSide for FailingStore {
    async fn register(&self, _: &NewWorker, _: Now) -> Result<Deaths> {
        self.fail()
    }
    async fn claim(&self, _: &ClaimAsk, _: Now) -> Result<Claimed> {
        self.fail()
    }
    async fn renew(&self, _: &WorkerId, _: bool, _: Option<LeaseWish>, _: Now) -> Result<Option<Renewal>> {
        self.fail()
    }
    async fn heartbeat(&self, _: &WorkerId, _: &[Beat], _: Now) -> Result<Vec<BeatReply>> {
        self.fail()
    }
    async fn settle(&self, _: &WorkerId, _: &[Settlement], _: Now) -> Result<Vec<Settled>> {
        self.fail()
    }
    async fn leave(&self, _: &WorkerId, _: &str, _: Now) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl Watchdog for FailingStore {
    async fn suspects(&self, _: &[String], _: usize, _: Now) -> Result<SuspectPage> {
        self.fail()
    }
    async fn apply_rescues(&self, _: &[Rescue], _: Now) -> Result<RescueReport> {
        self.fail()
    }
    async fn survey(&self, _: Now) -> Result<Survey> {
        self.fail()
    }
    async fn watchdog_sign(&self, _: &str, _: Duration, _: Option<HeldBack>, _: Now) -> Result<()> {
        self.fail()
    }
    async fn extend_leases(&self, _: Now) -> Result<u64> {
        self.fail()
    }
    async fn renew_all_times(&self, _: Now) -> Result<()> {
        self.fail()
    }
    async fn record_run(&self, _: &Run, _: Now) -> Result<()> {
        self.fail()
    }
    async fn expire_workers(&self, _: u32, _: Now) -> Result<Vec<WorkerId>> {
        self.fail()
    }
    async fn report_death(&self, _: &DeathReport, _: &RescuePolicy, _: Now) -> Result<Deaths> {
        self.fail()
    }
    async fn attending(&self) -> Result<Option<BTreeSet<WorkerId>>> {
        self.fail()
    }
    async fn mark_suspect(&self, _: &[WorkerId], _: Now) -> Result<Vec<WorkerId>> {
        self.fail()
    }
    async fn set_least_lease(&self, _: Duration, _: Now) -> Result<()> {
        self.fail()
    }
    async fn report_stopped(&self, _: &ProcessId, _: bool, _: Now) -> Result<Vec<WorkerId>> {
        self.fail()
    }
    async fn reconcile(&self, _: Now) -> Result<u64> {
        self.fail()
    }
}

#[async_trait]
impl Inspect for FailingStore {
    async fn now(&self) -> Result<Timestamp> {
        self.fail()
    }
    async fn job(&self, _: JobId) -> Result<Option<Job>> {
        self.fail()
    }
    async fn job_detail(&self, _: JobId) -> Result<Option<JobDetail>> {
        self.fail()
    }
    async fn known_jobs(&self, _: &[JobId]) -> Result<BTreeSet<JobId>> {
        self.fail()
    }
    async fn job_facts(&self, _: JobId, _: Now) -> Result<Option<Facts>> {
        self.fail()
    }
    async fn job_page(&self, _: &JobFilter) -> Result<JobPage> {
        self.fail()
    }
    async fn status_counts_to(&self, _: u64, _: Option<&str>, _: Timestamp) -> Result<Vec<(Status, u64)>> {
        self.fail()
    }
    async fn gauges(&self, _: Now) -> Result<Gauges> {
        self.fail()
    }
    async fn queues_to(&self, _: u64, _: Now) -> Result<Vec<QueueInfo>> {
        self.fail()
    }
    async fn watchdogs(&self, _: Now) -> Result<Vec<WatchdogRow>> {
        self.fail()
    }
    async fn watchdog_runs(&self, _: usize) -> Result<Vec<Run>> {
        self.fail()
    }
    async fn silent_attempts(&self, _: Timestamp, _: usize, _: Now) -> Result<Record> {
        self.fail()
    }
    async fn worker(&self, _: &WorkerId) -> Result<Option<WorkerRow>> {
        self.fail()
    }
    async fn workers(&self, _: Now) -> Result<Vec<WorkerRow>> {
        self.fail()
    }
}

#[async_trait]
impl Operate for FailingStore {
    async fn move_jobs(&self, _: &[JobId], _: Move, _: &By, _: Now) -> Result<Vec<Moved>> {
        self.fail()
    }
    async fn pause_queue(&self, _: &str, _: bool, _: &By, _: Now) -> Result<bool> {
        self.fail()
    }

    async fn restart_workers(&self, _: &[WorkerId], _: &By, _: Now) -> Result<Vec<RestartTold>> {
        self.fail()
    }
}

#[async_trait]
impl Tenants for FailingStore {
    async fn tenant_loads(&self, _: Now) -> Result<Loads> {
        self.fail()
    }
    async fn tenant_names(&self, _: &str) -> Result<Vec<String>> {
        self.fail()
    }
    async fn tenants_fallen(&self, _: &[String], _: Now) -> Result<Vec<Fallen>> {
        self.fail()
    }
    async fn tenant_kinds(&self, _: &str) -> Result<Vec<(String, String)>> {
        self.fail()
    }
    async fn job_types(&self) -> Result<Vec<String>> {
        self.fail()
    }
}

#[async_trait]
impl DeadLetters for FailingStore {
    async fn name_causes(&self) -> Result<u64> {
        self.fail()
    }

    async fn dead_groups(&self, _: &DeadFilter) -> Result<Vec<DeadGroup>> {
        self.fail()
    }

    async fn dead_jobs(&self, _: &DeadFilter, _: Option<JobId>, _: usize) -> Result<Vec<Job>> {
        self.fail()
    }

    async fn resolve_dead(&self, _: &[JobId], _: &By, _: &str, _: Now) -> Result<Vec<JobId>> {
        self.fail()
    }
}

#[async_trait]
impl Purge for FailingStore {
    async fn purge(&self, _: &Retention, _: Now) -> Result<Vec<(Status, u64)>> {
        self.fail()
    }
    async fn purgeable(&self, _: &Retention, _: Now) -> Result<Vec<(Status, u64)>> {
        self.fail()
    }
}

#[async_trait]
impl Upkeep for FailingStore {
    async fn tidy(&self, _: Now) -> Result<u64> {
        self.fail()
    }
    async fn sign_housekeeper(&self, _: &str, _: Now) -> Result<()> {
        self.fail()
    }
    async fn housekeeper(&self) -> Result<Option<LastSign>> {
        self.fail()
    }
    async fn sizes(&self) -> Result<Vec<PartSize>> {
        self.fail()
    }
    async fn pressure(&self) -> Result<Option<Pressure>> {
        self.fail()
    }
    async fn vacuum(&self, _: &TellPart) -> Result<()> {
        self.fail()
    }
    async fn epoch(&self) -> Result<i64> {
        self.fail()
    }
    async fn begin_anew(&self, _: i64, _: Now) -> Result<Vec<WorkerId>> {
        self.fail()
    }
}

#[async_trait]
impl Audit for FailingStore {
    async fn note(&self, _: &By, _: &[Deed], _: Now) -> Result<()> {
        self.fail()
    }
    async fn seal_audit(&self) -> Result<u64> {
        self.fail()
    }
    async fn audit(&self, _: &AuditFilter, _: usize) -> Result<Vec<Entry>> {
        self.fail()
    }
    async fn audit_chain(&self, _: u64, _: usize) -> Result<Vec<Entry>> {
        self.fail()
    }
}

#[async_trait]
impl Tokens for FailingStore {
    async fn put_token(&self, _: &TokenRow, _: &By, _: Now) -> Result<()> {
        self.fail()
    }
    async fn token(&self, _: &str, _: Now) -> Result<Option<(TokenRow, Timestamp)>> {
        self.fail()
    }
    async fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.fail()
    }
    async fn revoke_token(&self, _: &str, _: &By, _: Now) -> Result<bool> {
        self.fail()
    }
    async fn token_used(&self, _: &str, _: Now) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl StoredSettings for FailingStore {
    async fn stored_settings(&self, _: Now) -> Result<Stored> {
        self.fail()
    }
}

#[async_trait]
impl ChangeSettings for FailingStore {
    async fn change_settings(&self, _: u64, _: &[Change], _: &By, _: Now) -> Result<Option<u64>> {
        self.fail()
    }
}

#[async_trait]
impl Operations for FailingStore {
    async fn put_operation(&self, _: &NewOperation, _: &By, _: Now) -> Result<()> {
        self.fail()
    }
    async fn operation(&self, _: Uuid) -> Result<Option<Operation>> {
        self.fail()
    }
    async fn operations(&self, _: Option<&str>, _: usize) -> Result<Vec<Operation>> {
        self.fail()
    }
    async fn take_operation(&self, _: &str, _: Duration, _: Now) -> Result<Option<Operation>> {
        self.fail()
    }
    async fn step_operation(&self, _: Uuid, _: &str, _: &Progress, _: Duration, _: Now) -> Result<bool> {
        self.fail()
    }
    async fn cancel_operation(&self, _: Uuid, _: &By, _: Now) -> Result<bool> {
        self.fail()
    }
}

#[async_trait]
impl Schedules for FailingStore {
    async fn schedules(&self, _: &ScheduleFilter) -> Result<Vec<Schedule>> {
        self.fail()
    }
    async fn schedule(&self, _: &str) -> Result<Option<Schedule>> {
        self.fail()
    }
    async fn survey_schedules(&self, _: usize, _: Now) -> Result<ScheduleSurvey> {
        self.fail()
    }
    async fn schedule_runs(&self, _: &str, _: Option<Timestamp>, _: usize) -> Result<Vec<RunLine>> {
        self.fail()
    }
    async fn create_schedule(&self, _: &Checked, _: Source, _: &By, _: Now) -> Result<CreatedSchedule> {
        self.fail()
    }
    async fn change_schedule(&self, _: &Checked, _: u64, _: &By, _: Now) -> Result<bool> {
        self.fail()
    }
    async fn declare_schedules(&self, _: &[Checked], _: Source, _: &By, _: Now) -> Result<Vec<Declared>> {
        self.fail()
    }
    async fn remove_schedule(&self, _: &str, _: &By, _: Now) -> Result<bool> {
        self.fail()
    }
    async fn pause_schedule(&self, _: &str, _: Option<Timestamp>, _: &By, _: Now) -> Result<Option<bool>> {
        self.fail()
    }
    async fn resume_schedule(&self, _: &str, _: &By, _: Now) -> Result<Option<bool>> {
        self.fail()
    }
    async fn run_schedule(&self, _: &str, _: bool, _: &By, _: Now) -> Result<RanSchedule> {
        self.fail()
    }
    async fn fire_schedules(&self, _: Duration, _: usize, _: Now) -> Result<Fired> {
        self.fail()
    }
    async fn rearm_schedules(&self, _: Now) -> Result<u64> {
        self.fail()
    }
    async fn end_schedule_runs(&self, _: Now) -> Result<u64> {
        self.fail()
    }
    async fn lead_schedules(&self, _: &str, _: Duration, _: Now) -> Result<bool> {
        self.fail()
    }
    async fn scheduler(&self, _: Now) -> Result<Option<Scheduler>> {
        self.fail()
    }
}

#[async_trait]
impl Samples for FailingStore {
    async fn put_sample(&self, _: &str, _: &str, _: Now) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl Alerts for FailingStore {
    async fn samples(&self, _: (Timestamp, &str)) -> Result<Vec<SampleRow>> {
        self.fail()
    }
    async fn forget_samples(&self, _: Now) -> Result<u64> {
        self.fail()
    }
    async fn take_alert_turn(&self, _: &str, _: Duration, _: Now) -> Result<bool> {
        self.fail()
    }
    async fn alert_bench(&self) -> Result<Bench> {
        self.fail()
    }
    async fn alerts(&self, _: bool, _: usize) -> Result<Vec<AlertRow>> {
        self.fail()
    }
    async fn keep_alerts(&self, _: &str, _: &[Active], _: Now) -> Result<bool> {
        self.fail()
    }
    async fn told(&self) -> Result<Vec<Told>> {
        self.fail()
    }
    async fn tell(&self, _: &[Told]) -> Result<()> {
        self.fail()
    }
    async fn untell(&self, _: &[Told]) -> Result<()> {
        self.fail()
    }
    async fn silences(&self, _: Now) -> Result<Vec<SilenceRow>> {
        self.fail()
    }
    async fn put_silence(
        &self,
        _: Uuid,
        _: &str,
        _: &Labels,
        _: Duration,
        _: &By,
        _: Now,
    ) -> Result<Option<SilenceRow>> {
        self.fail()
    }
    async fn end_silence(&self, _: Uuid, _: &By, _: Now) -> Result<bool> {
        self.fail()
    }
}

#[async_trait]
impl Admin for FailingStore {
    async fn migrate(&self) -> Result<Vec<MigrationInfo>> {
        self.fail()
    }
    async fn migrations(&self) -> Result<Vec<MigrationInfo>> {
        self.fail()
    }
    async fn verify_schema(&self) -> Result<()> {
        if *self.fault.lock().expect("no test panics with it") == Fault::None { Ok(()) } else { self.fail() }
    }
    async fn check(&self, _: Now) -> Result<Vec<Finding>> {
        self.fail()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { engine: "none", wake_across_processes: false, operator_sql: false, pooled: false }
    }
    fn location(&self) -> &str {
        LOCATION
    }
}

impl Wake for FailingStore {
    fn subscribe(&self) -> broadcast::Receiver<WakeEvent> {
        broadcast::channel(1).1
    }
}
