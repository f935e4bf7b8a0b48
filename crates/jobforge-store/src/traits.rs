//! The seam: what the rest of the product may ask of a database.
//!
//! One call is one transaction is one step of the life cycle. Batches and plain structs go in and out; each engine
//! answers with all that it has. What a call means is defined by the conformance suite in `testkit`, which runs on
//! every engine. The traits are internal to JobForge and free to change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::alert::history::Labels;
use jobforge_core::alert::kept::{AlertRow, Bench, SampleRow, SilenceRow};
use jobforge_core::alert::route::Told;
use jobforge_core::alert::state::Active;
use jobforge_core::audit::{AuditFilter, By, Deed, Entry};
use jobforge_core::claim::{ClaimAsk, Claimed};
use jobforge_core::dead::DeadGroup;
use jobforge_core::death::{DeathReport, ProcessId};
use jobforge_core::doctor::Pressure;
use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::{Job, JobId, NewJob, WorkerId};
use jobforge_core::operation::{NewOperation, Operation, Progress};
use jobforge_core::rescue::{Rescue, RescuePolicy, SuspectPage};
use jobforge_core::retention::Retention;
use jobforge_core::schedule::{Checked, Declared, RunLine, Schedule, Scheduler, Source};
use jobforge_core::settings::{Change, Stored};
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::standing::Facts;
use jobforge_core::state::Status;
use jobforge_core::tenant::{Fallen, Loads};
use jobforge_core::time::Now;
use jobforge_core::token::TokenRow;
use jobforge_core::verdict::HeldBack;
use jobforge_core::watchdog::{Run, Survey, WatchdogRow};
use jobforge_core::what_if::Record;
use jobforge_core::worker::{LeaseWish, NewWorker, Renewal, WorkerRow};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::error::Result;
use crate::rows::{
    COUNT_CAP, Capabilities, CreatedSchedule, DeadFilter, Deaths, Enqueued, Finding, Fired, Gauges,
    JobDetail, JobFilter, JobPage, LastSign, MAX_PAGE, MigrationInfo, Move, Moved, PartSize, QueueInfo,
    RanSchedule, RescueReport, RestartTold, ScheduleFilter, ScheduleSurvey, WakeEvent,
};

/// Putting jobs in.
#[async_trait]
pub trait Enqueue: Send + Sync {
    /// Enqueues all of the jobs or none, and tells for each whether it was created.
    ///
    /// A job whose (tenant, type, idempotency key) exists with the same payload is answered with the existing job,
    /// also within one batch. A repeated id with the same content is answered as existing.
    ///
    /// # Errors
    /// `IdempotencyConflict` when the payload differs, `DuplicateId` when an id is taken by another job.
    async fn enqueue(&self, jobs: &[NewJob], at: Now) -> Result<Vec<Enqueued>>;
}

/// What workers do.
#[async_trait]
pub trait WorkerSide: Send + Sync {
    /// Makes a new incarnation known, live, with its lease running.
    ///
    /// A worker that holds its slot's lock proves that earlier holders are dead: in the same transaction they are marked
    /// so and their jobs are taken back. Other incarnations of its own process are not touched.
    async fn register(&self, worker: &NewWorker, at: Now) -> Result<Deaths>;

    /// Takes due jobs, most urgent first, for a worker whose lease is valid; a worker whose lease has run out, or that
    /// is draining, gets none.
    ///
    /// Each job is running afterwards, under a lease number one higher than before, with one attempt used.
    async fn claim(&self, ask: &ClaimAsk, at: Now) -> Result<Claimed>;

    /// Renews the worker's lease; `None` if it has none any more. From then on the lease is as long as is wished; without a
    /// wish as long as before.
    ///
    /// A worker whose lease has run out or was taken cannot renew: it must stop its jobs and register anew. A shorter lease
    /// takes nothing from one that was given before: others wait for that one, too.
    async fn renew(
        &self,
        worker: &WorkerId,
        draining: bool,
        wish: Option<LeaseWish>,
        at: Now,
    ) -> Result<Option<Renewal>>;

    /// Stores reports and signs of life, each only under its lease; answers in the order of the beats.
    async fn heartbeat(&self, worker: &WorkerId, beats: &[Beat], at: Now) -> Result<Vec<BeatReply>>;

    /// Ends attempts, each only under its lease; answers in the order of the settlements.
    async fn settle(&self, worker: &WorkerId, settlements: &[Settlement], at: Now) -> Result<Vec<Settled>>;

    /// The same database on a connection of its own, made by and for the thread that asks first; `None` where calls from
    /// one thread never wait for another's.
    fn lane(&self) -> Option<Arc<dyn WorkerSide>> {
        None
    }

    /// Holds a connection for the worker by which watchdogs see that it is there, for as long as the answer is kept; made
    /// on the runtime of the caller. `None` where there is nothing of that kind: then its lease alone tells.
    fn attend(&self, _worker: &WorkerId) -> Option<Attendance> {
        None
    }

    /// Marks the worker as gone in good order. What it still holds is found by the next sweep at once.
    async fn leave(&self, worker: &WorkerId, reason: &str, at: Now) -> Result<()>;
}

/// A connection that is held for a worker; dropping it lets it go.
#[derive(Debug)]
pub struct Attendance(JoinHandle<()>);

impl Attendance {
    /// What this task holds, for as long as it runs.
    pub(crate) fn of(task: JoinHandle<()>) -> Self {
        Self(task)
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the watchdog does.
#[async_trait]
pub trait Watchdog: Send + Sync {
    /// Returns running jobs that [`jobforge_core::rescue::cause`] may find fault with, at most `limit`, worst first.
    /// `fast` are the types that need not wait for the lease of a suspect worker.
    async fn suspects(&self, fast: &[String], limit: usize, at: Now) -> Result<SuspectPage>;

    /// Applies a plan, each line only if lease and heartbeat deadline are as the plan saw them.
    async fn apply_rescues(&self, plan: &[Rescue], at: Now) -> Result<RescueReport>;

    /// What a tick goes by: the clock, the last sign of life of any watchdog, how many workers are overdue.
    ///
    /// Whoever first looks after a standby has taken over extends all leases and holds claims back for the longest of them.
    async fn survey(&self, at: Now) -> Result<Survey>;

    /// Stores a sign of life of a watchdog (`host:pid`) that sweeps at least so often, and what holds its verdicts back.
    async fn watchdog_sign(
        &self,
        watchdog: &str,
        check_interval: Duration,
        held: Option<HeldBack>,
        at: Now,
    ) -> Result<()>;

    /// Gives every active worker a whole lease from now, never a shorter one than it has; returns how many were given one.
    async fn extend_leases(&self, at: Now) -> Result<u64>;

    /// After a step of the clock: gives every active worker a whole lease, and every running job its whole time-out and time
    /// to its next heartbeat, all from now and neither more nor less. Who keeps house, fires schedules or judges alerts is
    /// taken to have given a sign just now: how long ago the last one was, nobody can tell.
    async fn renew_all_times(&self, at: Now) -> Result<()>;

    /// Marks workers as lost whose lease has run out, the longest overdue first, at most so many, and returns them.
    async fn expire_workers(&self, at_most: u32, at: Now) -> Result<Vec<WorkerId>>;

    /// Records a run, and forgets a batch of what ended long ago: see [`Upkeep::tidy`].
    async fn record_run(&self, run: &Run, at: Now) -> Result<()>;

    /// Marks all that a dead process was as dead, and takes the jobs that it held back by the plan of
    /// [`jobforge_core::rescue`], in one transaction: they may be claimed at once.
    ///
    /// A report may be sent again; a claim that was still on its way when the process died is found by a later one.
    async fn report_death(&self, report: &DeathReport, policy: &RescuePolicy, at: Now) -> Result<Deaths>;

    /// The workers whose connection is held now (see [`WorkerSide::attend`]); `None` where nobody holds any.
    async fn attending(&self) -> Result<Option<BTreeSet<WorkerId>>>;

    /// Notes that active workers have lost their connection, until they renew; returns those of whom it was not known.
    async fn mark_suspect(&self, workers: &[WorkerId], at: Now) -> Result<Vec<WorkerId>>;

    /// Sets the shortest lease of workers that let it grow with the fleet.
    async fn set_least_lease(&self, lease: Duration, at: Now) -> Result<()>;

    /// Notes that a process is stopped (frozen, or in a debugger), or that it goes on; returns its workers.
    ///
    /// Takes nothing from anybody: only the lease or a death does. A worker that renews is not stopped.
    async fn report_stopped(&self, process: &ProcessId, stopped: bool, at: Now) -> Result<Vec<WorkerId>>;

    /// Mends what raw SQL or a restored dump may have left behind: ready rows that are missing or stale. Returns how many.
    async fn reconcile(&self, at: Now) -> Result<u64>;
}

/// Looking.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// The database's clock.
    async fn now(&self) -> Result<Timestamp>;
    /// One job.
    async fn job(&self, id: JobId) -> Result<Option<Job>>;
    /// One job with its attempts, result and log.
    async fn job_detail(&self, id: JobId) -> Result<Option<JobDetail>>;
    /// Which of these jobs there are, whatever their status.
    async fn known_jobs(&self, ids: &[JobId]) -> Result<BTreeSet<JobId>>;
    /// What [`jobforge_core::standing::assess`] needs to know about a job.
    async fn job_facts(&self, id: JobId, at: Now) -> Result<Option<Facts>>;
    /// One page of the jobs that match, newest first, from a bounded search: a page may hold fewer than asked for, or none,
    /// and still have a next one.
    async fn job_page(&self, filter: &JobFilter) -> Result<JobPage>;
    /// Jobs that match, newest first: as many as asked for, however long the search takes.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>> {
        let most = filter.limit.min(MAX_PAGE);
        let mut page = self.job_page(filter).await?;
        let mut found = page.jobs;
        // Ends because each page begins further down than the last.
        while let Some(before) = page.next.filter(|_| found.len() < most) {
            let rest = JobFilter { before: Some(before), limit: most - found.len(), ..filter.clone() };
            page = self.job_page(&rest).await?;
            found.append(&mut page.jobs);
        }
        Ok(found)
    }
    /// How many jobs of a tenant, or of all, wait, run, or ended since a moment, by status. Counts stop at
    /// [`crate::rows::COUNT_CAP`].
    async fn status_counts(&self, tenant_id: Option<&str>, since: Timestamp) -> Result<Vec<(Status, u64)>> {
        self.status_counts_to(COUNT_CAP, tenant_id, since).await
    }
    /// The same with counts that stop sooner, for those who look often.
    async fn status_counts_to(
        &self,
        cap: u64,
        tenant_id: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<(Status, u64)>>;
    /// Numbers of the whole as metrics tell them.
    async fn gauges(&self, at: Now) -> Result<Gauges>;
    /// Every queue that has jobs, is paused or is served.
    async fn queues(&self, at: Now) -> Result<Vec<QueueInfo>> {
        self.queues_to(COUNT_CAP, at).await
    }
    /// The same with counts that stop sooner, for those who look often.
    async fn queues_to(&self, cap: u64, at: Now) -> Result<Vec<QueueInfo>>;
    /// One worker, however it ended, as long as it is kept.
    async fn worker(&self, id: &WorkerId) -> Result<Option<WorkerRow>>;
    /// Every worker that is active or ended within the last day.
    async fn workers(&self, at: Now) -> Result<Vec<WorkerRow>>;
    /// Every watchdog that gave a sign of life within the last day, the last first.
    async fn watchdogs(&self, at: Now) -> Result<Vec<WatchdogRow>>;
    /// The last runs of all watchdogs, newest first, at most `limit`.
    async fn watchdog_runs(&self, limit: usize) -> Result<Vec<Run>>;
    /// Attempts that a heartbeat threshold bears on: ended since a moment and taken for hung, or heard again after a silence of
    /// more than two of their intervals; and running ones that were or are silent for so long. Of each kind at most `most`, the
    /// last ended.
    async fn silent_attempts(&self, since: Timestamp, most: usize, at: Now) -> Result<Record>;
}

/// The tenants. No call looks at more of a big table than its bound.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// What all of them have waiting and running: at most [`LOOK`](jobforge_core::tenant::LOOK) jobs of each are looked at.
    async fn tenant_loads(&self, at: Now) -> Result<Loads>;
    /// Those that ever had a job and whose name begins like this, at most
    /// [`MOST_NAMES`](jobforge_core::tenant::MOST_NAMES).
    async fn tenant_names(&self, prefix: &str) -> Result<Vec<String>>;
    /// What fell of the jobs of each.
    async fn tenants_fallen(&self, tenants: &[String], at: Now) -> Result<Vec<Fallen>>;
    /// Types and queues that jobs of one had, at most [`MOST_KINDS`](jobforge_core::tenant::MOST_KINDS).
    async fn tenant_kinds(&self, tenant: &str) -> Result<Vec<(String, String)>>;
    /// Types that jobs of any ever had, at most [`MOST_NAMES`](jobforge_core::tenant::MOST_NAMES).
    async fn job_types(&self) -> Result<Vec<String>>;
}

/// Changing things by a person's hand. What changes is told of in the audit log, in the same transaction.
#[async_trait]
pub trait Operate: Send + Sync {
    /// Moves each job, fencing its worker if it has one; answers in the order of the ids.
    async fn move_jobs(&self, ids: &[JobId], step: Move, by: &By, at: Now) -> Result<Vec<Moved>>;
    /// Pauses or resumes a queue; says whether that changed anything.
    async fn pause_queue(&self, queue: &str, paused: bool, by: &By, at: Now) -> Result<bool>;
    /// Tells active workers to restart: they get no job any more, and learn of it with their next renewal. Answers in the
    /// order of the ids.
    async fn restart_workers(&self, workers: &[WorkerId], by: &By, at: Now) -> Result<Vec<RestartTold>>;
}

/// Dead letters: the dead jobs, by what they died of.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Gives dead jobs the fingerprint of their cause that have none yet, at most so many as one step takes; returns how
    /// many. Whoever makes a job dead, raw SQL included, need not know of fingerprints.
    async fn name_causes(&self) -> Result<u64>;

    /// The causes of the dead jobs that match, the most frequent first. The filter's `job_type` does not count: a cause is of
    /// one type. Causes that have no name yet are left out: see [`Self::name_causes`].
    async fn dead_groups(&self, filter: &DeadFilter) -> Result<Vec<DeadGroup>>;

    /// Dead jobs that match, newest first, only those before `before`, at most `limit`.
    async fn dead_jobs(&self, filter: &DeadFilter, before: Option<JobId>, limit: usize) -> Result<Vec<Job>>;

    /// Notes that dead jobs need not run any more, by whom and why; returns those of which nobody had said so yet.
    async fn resolve_dead(&self, ids: &[JobId], by: &By, note: &str, at: Now) -> Result<Vec<JobId>>;
}

/// Forgetting what is past its time.
#[async_trait]
pub trait Purge: Send + Sync {
    /// Deletes at most one batch of ended jobs past their horizon; returns how many of each status. All zero is done.
    async fn purge(&self, retention: &Retention, at: Now) -> Result<Vec<(Status, u64)>>;

    /// How many ended jobs of each status are past their horizon. Counts them all, so it is for people who ask.
    async fn purgeable(&self, retention: &Retention, at: Now) -> Result<Vec<(Status, u64)>>;
}

/// Who did what.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Writes entries about what nothing else of the store does.
    async fn note(&self, by: &By, deeds: &[Deed], at: Now) -> Result<()>;
    /// Gives entries their places in the chain, oldest first, at most so many as one step takes; returns how many.
    async fn seal_audit(&self) -> Result<u64>;
    /// Entries that match, newest first, sealed or not, at most `limit`.
    async fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<Entry>>;
    /// Sealed entries behind a place, in the order of the chain, at most `limit`.
    async fn audit_chain(&self, behind: u64, limit: usize) -> Result<Vec<Entry>>;
}

/// Who may ask.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Keeps a new token, made now by somebody.
    async fn put_token(&self, token: &TokenRow, by: &By, at: Now) -> Result<()>;
    /// One token, and the database's clock.
    async fn token(&self, id: &str, at: Now) -> Result<Option<(TokenRow, Timestamp)>>;
    /// Every token, newest first; those that were taken back last.
    async fn tokens(&self) -> Result<Vec<TokenRow>>;
    /// Takes a token back; false if there is none or it was already.
    async fn revoke_token(&self, id: &str, by: &By, at: Now) -> Result<bool>;
    /// Notes that a token was used, to the minute.
    async fn token_used(&self, id: &str, at: Now) -> Result<()>;
}

/// What every process goes by.
#[async_trait]
pub trait StoredSettings: Send + Sync {
    /// Everything that is stored.
    async fn stored_settings(&self, at: Now) -> Result<Stored>;
}

/// Changing that.
#[async_trait]
pub trait ChangeSettings: Send + Sync {
    /// Makes all of the changes, checked before, if the version is still the expected one; returns the new version, or
    /// `None` if somebody else was faster.
    async fn change_settings(
        &self,
        expected: u64,
        changes: &[Change],
        by: &By,
        at: Now,
    ) -> Result<Option<u64>>;
}

/// Operations that go on in the background.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Begins one.
    async fn put_operation(&self, operation: &NewOperation, by: &By, at: Now) -> Result<()>;
    /// One operation.
    async fn operation(&self, id: Uuid) -> Result<Option<Operation>>;
    /// Operations about jobs of a tenant, or all, newest first, at most `limit`.
    async fn operations(&self, tenant_id: Option<&str>, limit: usize) -> Result<Vec<Operation>>;
    /// Gives somebody the turn on the oldest operation that nobody goes on with.
    async fn take_operation(&self, runner: &str, turn: Duration, at: Now) -> Result<Option<Operation>>;
    /// Notes a step, and prolongs the turn; false if the turn was lost or somebody ended the operation.
    async fn step_operation(
        &self,
        id: Uuid,
        runner: &str,
        progress: &Progress,
        turn: Duration,
        at: Now,
    ) -> Result<bool>;
    /// Ends one; false if there is none or it has ended.
    async fn cancel_operation(&self, id: Uuid, by: &By, at: Now) -> Result<bool>;
}

/// Jobs that are made by themselves. What a person changes is told of in the audit log, in the same transaction.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Schedules that match, by name. One question, also for those who measure.
    async fn schedules(&self, filter: &ScheduleFilter) -> Result<Vec<Schedule>>;
    /// One schedule.
    async fn schedule(&self, name: &str) -> Result<Option<Schedule>>;
    /// How all are: how many, and at most `limit` of those that may be late, failing or stale.
    async fn survey_schedules(&self, limit: usize, at: Now) -> Result<ScheduleSurvey>;
    /// What became of its moments, newest first, only those before `before`, at most `limit`.
    async fn schedule_runs(
        &self,
        name: &str,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<RunLine>>;
    /// Adds one; it runs from its next moment on.
    async fn create_schedule(
        &self,
        new: &Checked,
        source: Source,
        by: &By,
        at: Now,
    ) -> Result<CreatedSchedule>;
    /// Changes what one says, if it is still at the expected version; says whether it was.
    async fn change_schedule(&self, new: &Checked, expected: u64, by: &By, at: Now) -> Result<bool>;
    /// Makes schedules what a file or a program says, unless it said the same before: then what people have changed since
    /// stays. Answers in the order of the definitions.
    async fn declare_schedules(
        &self,
        all: &[Checked],
        source: Source,
        by: &By,
        at: Now,
    ) -> Result<Vec<Declared>>;
    /// Removes one with its history; its jobs stay. False if there is none.
    async fn remove_schedule(&self, name: &str, by: &By, at: Now) -> Result<bool>;
    /// Pauses one, for good or until a moment; says whether that changed anything, and nothing if there is none.
    async fn pause_schedule(
        &self,
        name: &str,
        until: Option<Timestamp>,
        by: &By,
        at: Now,
    ) -> Result<Option<bool>>;
    /// Lets one run again from its next moment on; says whether it was paused, and nothing if there is none.
    async fn resume_schedule(&self, name: &str, by: &By, at: Now) -> Result<Option<bool>>;
    /// Runs one now, paused or not, by the rule of [`jobforge_core::schedule::run_now`].
    async fn run_schedule(&self, name: &str, insists: bool, by: &By, at: Now) -> Result<RanSchedule>;

    /// Decides by [`jobforge_core::schedule::plan`] what becomes of schedules that have been due for at least so long, at
    /// most `limit` of them, and makes their jobs in the same transaction.
    ///
    /// Any number of servers may do so at once: each moment has one line and at most one job.
    async fn fire_schedules(&self, overdue_by: Duration, limit: usize, at: Now) -> Result<Fired>;
    /// After the clock was set back: reckons the next moment anew where it was reckoned ahead of the clock. Moments that
    /// have had their line get no other. Returns how many schedules that changed.
    async fn rearm_schedules(&self, at: Now) -> Result<u64>;
    /// Notes how jobs of schedules have ended, at most so many as one step takes; returns how many.
    async fn end_schedule_runs(&self, at: Now) -> Result<u64>;
    /// Makes somebody the one who fires schedules, for so long, unless somebody else is; says whether it is.
    async fn lead_schedules(&self, who: &str, turn: Duration, at: Now) -> Result<bool>;
    /// Who fires schedules; nobody has yet if none.
    async fn scheduler(&self, at: Now) -> Result<Option<Scheduler>>;
}

/// What a process tells of itself, for whoever judges the alerts.
#[async_trait]
pub trait Samples: Send + Sync {
    /// Keeps the lines of its metrics that rules look at, as they are now.
    async fn put_sample(&self, process: &str, series: &str, at: Now) -> Result<()>;
}

/// Alerts that are judged here.
#[async_trait]
pub trait Alerts: Send + Sync {
    /// What processes told behind a moment and a process, oldest first, at most
    /// [`SAMPLES_STEP`](jobforge_core::alert::kept::SAMPLES_STEP).
    async fn samples(&self, after: (Timestamp, &str)) -> Result<Vec<SampleRow>>;
    /// Forgets a batch of samples past their time; returns how many.
    async fn forget_samples(&self, at: Now) -> Result<u64>;
    /// Gives somebody the turn to judge for so long, unless somebody else has it; says whether it has it.
    async fn take_alert_turn(&self, judge: &str, turn: Duration, at: Now) -> Result<bool>;
    /// Who judges.
    async fn alert_bench(&self) -> Result<Bench>;
    /// What holds, or what is over, the last first, at most `most`.
    async fn alerts(&self, resolved: bool, most: usize) -> Result<Vec<AlertRow>>;
    /// Keeps what holds now; what fired and is not among it is resolved. False, and nothing is kept, if it is not the
    /// judge's turn.
    async fn keep_alerts(&self, judge: &str, active: &[Active], at: Now) -> Result<bool>;
    /// Which channel was told of which alert.
    async fn told(&self) -> Result<Vec<Told>>;
    /// Notes that channels were told.
    async fn tell(&self, told: &[Told]) -> Result<()>;
    /// Forgets that channels were told.
    async fn untell(&self, told: &[Told]) -> Result<()>;
    /// What is silenced now, the newest first.
    async fn silences(&self, at: Now) -> Result<Vec<SilenceRow>>;
    /// Begins a silence.
    async fn put_silence(
        &self,
        id: Uuid,
        rule: &str,
        labels: &Labels,
        lasts: Duration,
        by: &By,
        at: Now,
    ) -> Result<Option<SilenceRow>>;
    /// Ends a silence; false if there is none or it has ended.
    async fn end_silence(&self, id: Uuid, by: &By, at: Now) -> Result<bool>;
}

/// The schema and its health.
#[async_trait]
pub trait Admin: Send + Sync {
    /// Brings the schema to this program's version, under a lock; returns what was applied.
    async fn migrate(&self) -> Result<Vec<MigrationInfo>>;
    /// Gives other programs' roles their rights on the SQL surface, and makes the runbooks' views if asked to; says in
    /// sentences what was done or could not be. Nothing on an engine whose `operator_sql` is false.
    async fn sql_surface(&self, _runbook_views: bool) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    /// Every known migration, applied or pending.
    async fn migrations(&self) -> Result<Vec<MigrationInfo>>;
    /// Fails unless the schema fits this program.
    async fn verify_schema(&self) -> Result<()>;
    /// The rules of a consistent database that are broken; empty is healthy.
    async fn check(&self, at: Now) -> Result<Vec<Finding>>;
    /// What the engine can do.
    fn capabilities(&self) -> Capabilities;
    /// Where the data is, without credentials.
    fn location(&self) -> &str;
}

/// Is told of each part before it is worked on.
pub type TellPart = dyn Fn(&str) + Send + Sync;

/// Looking after the database as a whole.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Forgets what was kept of workers, watchdogs, operations and tokens that ended long ago, at most [`TIDY_BATCH`] of
    /// each; says how many rows went. Never a worker that a job still runs under, never a token, never an audit entry.
    ///
    /// [`TIDY_BATCH`]: crate::rows::TIDY_BATCH
    async fn tidy(&self, at: Now) -> Result<u64>;

    /// Notes that somebody keeps house.
    async fn sign_housekeeper(&self, who: &str, at: Now) -> Result<()>;

    /// Who kept house last; nobody ever did if none.
    async fn housekeeper(&self) -> Result<Option<LastSign>>;

    /// The bytes that each table with its indexes takes, or the file.
    async fn sizes(&self) -> Result<Vec<PartSize>>;

    /// How busy the server of the database is; `None` where there is no server.
    async fn pressure(&self) -> Result<Option<Pressure>> {
        Ok(None)
    }

    /// Fails with `Full` where a server can write no more; whether a file has room is seen by looking at its disk.
    async fn ask_for_room(&self) -> Result<()> {
        Ok(())
    }

    /// Gives back the space of what was deleted, and counts anew what plans are made by; `told` is called before each part.
    async fn vacuum(&self, told: &TellPart) -> Result<()>;

    /// How often the database was restored, or taken over by a standby: fences are above 2^32 times this.
    async fn epoch(&self) -> Result<i64>;

    /// Makes a database that was restored from a copy begin anew, in one transaction: nobody holds a lease of before any
    /// more, whoever watched or went on with something is forgotten, and all fences from now on are above those that were
    /// given out where the copy was made, or by what it replaces, of which the epoch is given. Returns who held a lease.
    ///
    /// Jobs that ran are taken back by [`crate::restored::take_back`], or by the watchdog.
    async fn begin_anew(&self, replaced: i64, at: Now) -> Result<Vec<WorkerId>>;
}

/// Being told of changes. A hint only: whoever waits must also look from time to time.
pub trait Wake: Send + Sync {
    /// Subscribes to what happens from now on.
    fn subscribe(&self) -> broadcast::Receiver<WakeEvent>;

    /// Whether a subscriber is told at once of everything that other processes change, and to look at all of it when it may
    /// have missed something.
    fn hears_all(&self) -> bool {
        false
    }
}

/// All that a worker needs: a database of its own, or a server that speaks for one.
pub trait WorkerStore: WorkerSide + Purge + Wake + StoredSettings + Samples {}

impl<T: WorkerSide + Purge + Wake + StoredSettings + Samples> WorkerStore for T {}

/// What administrators do.
pub trait Administer: Audit + Tokens + ChangeSettings + Operations + Alerts {}

impl<T: Audit + Tokens + ChangeSettings + Operations + Alerts> Administer for T {}

/// A database that keeps jobs.
pub trait Store:
    WorkerStore
    + Enqueue
    + Watchdog
    + Inspect
    + Tenants
    + Operate
    + DeadLetters
    + Administer
    + Schedules
    + Admin
    + Upkeep
{
}

impl<T> Store for T where
    T: WorkerStore
        + Enqueue
        + Watchdog
        + Inspect
        + Tenants
        + Operate
        + DeadLetters
        + Administer
        + Schedules
        + Admin
        + Upkeep
{
}
