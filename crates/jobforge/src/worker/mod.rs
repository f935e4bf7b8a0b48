//! Running jobs: one process, one claimer, and batches that grow by themselves under load.
//!
//! `claim` asks for as many jobs as there is room for, `run` lets handlers run within their slots, `settle` reports how
//! they ended, `heartbeat` keeps the lease and carries progress. Each of the four sends what has gathered while its last
//! call was in flight.

mod claim;
mod drain;
mod heartbeat;
mod machine;
mod pool;
mod registry;
mod restart;
mod rhythm;
mod run;
mod settle;
mod watch;

use std::any::{Any, TypeId};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jobforge_core::alert::notice::{NOTIFY, Notice};
use jobforge_core::claim::TypeBounds;
use jobforge_core::heartbeat::BeatPolicy;
use jobforge_core::job::WorkerId;
use jobforge_core::poll::PollPolicy;
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::retention::Retention;
use jobforge_core::schedule::{Definition, Source};
use jobforge_core::settings::Settings;
use jobforge_core::settle::RetryPolicy;
use jobforge_core::time::Now;
use jobforge_core::worker::{DEFAULT_WORKER_LEASE, LeaseWish};
use jobforge_store::WorkerStore;
use tokio::task::JoinHandle;

use crate::builtin::{self, BuiltinConfig};
use crate::client::Client;
use crate::context::JobContext;
use crate::error::Error;
use crate::job_error::JobError;
use crate::job_type::JobType;
use crate::live::Live;
use crate::notify::Sender;
use crate::payloads::Payloads;
use crate::process::SlotLock;
use crate::schedule::{ScheduleError, ScheduleSetup};

pub use machine::SimulatedMachine;
use pool::{Pool, Queue};
pub(crate) use registry::{Registry, States};

/// How long a handler that was asked to stop may take before it is stopped by force.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(5);

/// How a worker works.
#[derive(Clone)]
pub(crate) struct WorkerConfig {
    pub(crate) name: Option<String>,
    pub(crate) lease: LeaseWish,
    pub(crate) poll: PollPolicy,
    pub(crate) beat: BeatPolicy,
    /// What jobs without bounds of their own are kept to.
    pub(crate) bounds: TypeBounds,
    pub(crate) stop_grace: Duration,
    /// How long jobs may take to end when the worker is told to restart.
    pub(crate) drain: Duration,
    /// What ends the process when it was told to restart and does not end by itself; without it the worker begins anew
    /// where it is.
    pub(crate) restart_process: Option<Arc<dyn Fn() + Send + Sync>>,
    /// The slot it holds, and by which rules the jobs of earlier holders are taken back.
    pub(crate) slot: Option<(Arc<SlotLock>, RescuePolicy)>,
    /// Settings that change while it works.
    pub(crate) live: Option<Live>,
    /// What ends the process when handlers of a lost lease do not stop.
    pub(crate) last_resort: Option<Arc<dyn Fn() + Send + Sync>>,
    /// What stands for the machine in a simulation.
    pub(crate) machine: Option<SimulatedMachine>,
    /// Where large payloads are kept.
    pub(crate) payloads: Option<Payloads>,
}

impl std::fmt::Debug for WorkerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerConfig")
            .field("name", &self.name)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// Sets up a worker.
#[must_use = "nothing runs until it is started"]
pub struct WorkerBuilder {
    store: Arc<dyn WorkerStore>,
    registry: Registry,
    states: States,
    queues: Vec<(String, usize)>,
    /// What makes jobs by itself, and who can say so.
    schedules: Vec<ScheduleSetup<()>>,
    client: Option<Client>,
    config: WorkerConfig,
}

impl std::fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("queues", &self.queues)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl WorkerBuilder {
    /// Runs jobs of a type with a handler: `async fn(job, ctx) -> Result<Output, JobError>`.
    pub fn register<J, F, Fut>(mut self, handler: F) -> Self
    where
        J: JobType,
        F: Fn(J, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<J::Output, JobError>> + Send + 'static,
    {
        self.registry.add(handler);
        self
    }

    /// Has jobs made by themselves, declared beside the handler that runs them.
    ///
    /// The schedule is declared whenever a worker starts. It replaces what was there only when it says something new: what
    /// people have changed since, and a pause, stay. One that is taken out of the program stays until it is removed.
    ///
    /// Somebody must fire it: a server with the role `scheduler`, or a [`Scheduler`] in the program itself.
    ///
    /// ```
    /// use jobforge::services::Scheduler;
    /// use jobforge::{Client, JobContext, JobError, JobType, Worker};
    /// use serde::{Deserialize, Serialize};
    /// use tokio_util::sync::CancellationToken;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct RefreshScores { top: u32 }
    ///
    /// impl JobType for RefreshScores {
    ///     const TYPE: &'static str = "scores.refresh";
    ///     type Output = ();
    /// }
    ///
    /// async fn refresh(job: RefreshScores, ctx: JobContext) -> Result<(), JobError> {
    ///     ctx.progress(10, format!("the best {}", job.top));
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("jobs.db").display());
    /// let client = Client::open(&url).await?;
    /// let worker = Worker::builder(&client)
    ///     .register(refresh)
    ///     .schedule("hot_score_refresh", RefreshScores { top: 100 }, |when| when.every("5m"))
    ///     .start()
    ///     .await?;
    /// let stop = CancellationToken::new();
    /// let firing = tokio::spawn(Scheduler::new(client.store().clone()).run(stop.clone()));
    ///
    /// let known = client.find_schedule("hot_score_refresh").await?;
    /// assert_eq!(known.when, "every 5 minutes");
    /// # client.run_schedule("hot_score_refresh", false).await?;
    /// # stop.cancel();
    /// # firing.await?;
    /// # worker.stop_gracefully(std::time::Duration::from_secs(5)).await;
    /// # Ok(()) }
    /// ```
    ///
    /// [`Scheduler`]: crate::services::Scheduler
    #[expect(clippy::needless_pass_by_value, reason = "a job is handed over, also in how the call reads")]
    pub fn schedule<J: JobType>(
        mut self,
        name: impl Into<String>,
        job: J,
        when: impl FnOnce(ScheduleSetup<()>) -> ScheduleSetup<()>,
    ) -> Self {
        self.schedules.push(when(ScheduleSetup::begin((), name, &job)));
        self
    }

    /// Adds the handlers that come with JobForge: `exec`, `connector.http.request`, `connector.webhook.deliver` and
    /// `system.cleanup.old_jobs`.
    ///
    /// # Errors
    /// When an entry of the operator's lists cannot be read, naming it.
    pub fn builtins(mut self, config: BuiltinConfig) -> Result<Self, Error> {
        builtin::register(&mut self.registry, config, &self.store)?;
        Ok(self)
    }

    /// Adds the handlers of what JobForge does for itself, `system.cleanup.old_jobs`, and no other.
    pub fn system_jobs(mut self, retention: Retention) -> Self {
        builtin::register_system(&mut self.registry, &self.store, retention);
        self
    }

    /// Sends messages about alerts, and does nothing else.
    pub(crate) fn notifications(mut self, sender: Arc<Sender>) -> Self {
        let run = move |notice: Notice, ctx: JobContext| {
            let sender = Arc::clone(&sender);
            async move { sender.run(notice, &ctx).await }
        };
        self.registry.add_named(NOTIFY, None, RetryPolicy::default(), run);
        self
    }

    /// Gives handlers a value of the application's own, which they find with `ctx.state::<T>()`.
    pub fn state<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.states.insert(TypeId::of::<T>(), Arc::new(value));
        self
    }

    /// Takes jobs from a queue and runs at most `slots` of them at once. Without any queue: `default` with 10 slots.
    pub fn queue(mut self, name: impl Into<String>, slots: usize) -> Self {
        self.queues.push((name.into(), slots));
        self
    }

    /// A label for people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = Some(name.into());
        self
    }

    /// Time-out of attempts whose job and type do not say.
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.config.bounds.timeout.other = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// How long a handler that was asked to stop may take before it is dropped; 5 s unless set.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.config.stop_grace = grace;
        self
    }

    /// How an idle worker polls.
    pub fn poll(mut self, poll: PollPolicy) -> Self {
        self.config.poll = poll;
        self
    }

    /// How running jobs give signs of life.
    pub fn heartbeat(mut self, beat: BeatPolicy) -> Self {
        self.config.beat = beat;
        self
    }

    /// How long the worker may be silent before its jobs are taken back; it renews four times as often. Unless it is set, it
    /// grows in large fleets.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.config.lease = LeaseWish { lease, scales: false };
        self
    }

    /// Works in a slot of this machine: whoever held it before is proven dead, and its jobs are taken back by `policy`
    /// when this worker registers.
    pub fn slot(mut self, lock: SlotLock, policy: RescuePolicy) -> Self {
        self.config.slot = Some((Arc::new(lock), policy));
        self
    }

    /// Does this when the worker has lost its lease and handlers have not stopped when others may have their jobs.
    ///
    /// For a process that nothing but the worker lives in: it should end itself. Without it such handlers go on beside the
    /// next attempts until they notice, and only the fence keeps what they report out.
    pub fn last_resort(mut self, end: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.last_resort = Some(Arc::new(end));
        self
    }

    /// How long jobs may take to end when the worker is told to restart; 30 s unless set.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.config.drain = drain;
        self
    }

    /// When the worker is told to restart, its process is to end, and whoever started it starts another.
    ///
    /// Then [`Worker::restart_asked`] resolves, and the process should stop the worker and end. If it has not after the time
    /// that this may take, as when its handlers block every thread, `end` is called, which must end it. Without this the
    /// worker begins anew as another incarnation in the same process.
    pub fn restarts_process(mut self, end: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.restart_process = Some(Arc::new(end));
        self
    }

    /// Works on a machine that is simulated.
    #[doc(hidden)]
    pub fn machine(mut self, machine: SimulatedMachine) -> Self {
        self.config.machine = Some(machine);
        self
    }

    /// Takes rhythm, lease, name and time-outs from the settings.
    pub fn settings(mut self, settings: &Settings) -> Self {
        let name = settings.text("worker_name");
        self.config = WorkerConfig {
            name: (!name.is_empty()).then(|| name.to_owned()),
            lease: LeaseWish { lease: settings.millis("worker_lease_ms"), scales: settings.lease_scales() },
            poll: settings.poll_policy(),
            beat: settings.beat_policy(),
            bounds: settings.bounds(),
            stop_grace: self.config.stop_grace,
            drain: settings.millis("shutdown_grace_ms"),
            restart_process: self.config.restart_process,
            slot: self.config.slot,
            live: self.config.live,
            last_resort: self.config.last_resort,
            machine: self.config.machine,
            payloads: self.config.payloads,
        };
        self
    }

    /// Where the payloads of jobs are that are too large for the database. A worker on a [`Client`] has the client's.
    pub fn payloads(mut self, payloads: impl Into<Option<Payloads>>) -> Self {
        self.config.payloads = payloads.into();
        self
    }

    /// Follows rhythm and time-outs as they change in the settings.
    pub fn live(mut self, live: Live) -> Self {
        self.config.live = Some(live);
        self
    }

    /// Registers the worker and begins to take jobs.
    ///
    /// # Errors
    /// When there is no handler, a queue has a bad name, no slot or is named twice, a schedule makes no sense, or the database
    /// fails.
    pub async fn start(mut self) -> Result<Worker, Error> {
        if self.queues.is_empty() {
            self.queues.push((jobforge_core::enqueue::DEFAULT_QUEUE.to_owned(), 10));
        }
        if self.registry.types().is_empty() {
            return Err(Error::BadWorker("it has no handler; call register before start".to_owned()));
        }
        for (queue, slots) in &self.queues {
            jobforge_core::enqueue::check_name(queue)
                .map_err(|fault| Error::BadWorker(format!("queue {fault}")))?;
            if *slots == 0 {
                return Err(Error::BadWorker(format!("queue {queue} has no slot; give it at least 1")));
            }
            if self.queues.iter().filter(|(other, _)| other == queue).count() > 1 {
                let advice = "give it all its slots at once";
                return Err(Error::BadWorker(format!("queue {queue} is named twice; {advice}")));
            }
        }
        declare(self.client, self.schedules).await?;
        self.config.bounds = self.registry.bounds(self.config.bounds);
        let queues = self.queues.into_iter().map(|(name, slots)| Queue::new(name, slots)).collect();
        let pool = Arc::new(Pool::new(self.store, self.registry, self.states, queues, self.config));
        // Subscribed before the first claim, so that no move of a claimed job is missed.
        let moves = pool.store.subscribe();
        pool.register(&*pool.store).await?;
        let settled = settle::channel();
        let runner = run::Runner::new(Arc::clone(&pool), settled.sender);
        let claimer = tokio::spawn(claim::claim_loop(Arc::clone(&pool), runner));
        let mut tasks = vec![
            tokio::spawn(heartbeat::beat_loop(Arc::clone(&pool))),
            heartbeat::renew_apart(Arc::clone(&pool)).map_err(|error| {
                Error::BadWorker(format!("no thread can be started for its renewals: {error}"))
            })?,
            tokio::spawn(watch::watch_loop(Arc::clone(&pool), moves)),
        ];
        if let Some(live) = pool.config.live.clone() {
            tasks.push(tokio::spawn(rhythm::follow(Arc::clone(&pool), live)));
        }
        let settler = tokio::spawn(settle::settle_loop(Arc::clone(&pool), settled.receiver));
        Ok(Worker { pool, claimer, tasks, settler })
    }
}

/// Makes schedules known as a file's are; see [`Client::declare_schedules`].
async fn declare(client: Option<Client>, schedules: Vec<ScheduleSetup<()>>) -> Result<(), Error> {
    if schedules.is_empty() {
        return Ok(());
    }
    let Some(client) = client else {
        let advice = "it has no database of its own; declare its schedules with a client of the database";
        return Err(Error::BadWorker(advice.to_owned()));
    };
    let definitions: Vec<Definition> =
        schedules.into_iter().map(ScheduleSetup::definition).collect::<Result<_, _>>()?;
    for (number, one) in definitions.iter().enumerate() {
        if definitions[..number].iter().any(|other| other.name == one.name) {
            return Err(Error::BadWorker(format!("schedule {} is declared twice", one.name)));
        }
    }
    match client.declare_schedules(definitions, Source::Code).await {
        Ok(_) => Ok(()),
        Err(ScheduleError::Store(error)) => Err(error.into()),
        Err(refused) => Err(Error::BadWorker(refused.to_string())),
    }
}

/// Numbers of a worker since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Jobs taken.
    pub claimed: u64,
    /// Attempts ended by this worker's word.
    pub settled: u64,
    /// Attempts whose end came too late: the job had been moved by another hand.
    pub fenced: u64,
    /// Jobs held now.
    pub held: u64,
}

/// A running worker. Dropping it stops it without a word to the database: its handlers are asked to stop, and its jobs
/// are found and run elsewhere.
#[derive(Debug)]
pub struct Worker {
    pool: Arc<Pool>,
    claimer: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    settler: JoinHandle<()>,
}

impl Worker {
    /// Begins to set up a worker on the client's database.
    pub fn builder(client: &Client) -> WorkerBuilder {
        let store = Arc::clone(client.store()) as Arc<dyn WorkerStore>;
        let builder = Self::on(store).payloads(client.payload_store().cloned());
        WorkerBuilder { client: Some(client.clone()), ..builder }
    }

    /// Begins to set up a worker on whatever keeps its jobs: a store, or a server that speaks for one, such as
    /// [`crate::remote::RemoteStore`].
    pub fn on(store: Arc<dyn WorkerStore>) -> WorkerBuilder {
        let defaults = Settings::defaults();
        WorkerBuilder {
            store,
            registry: Registry::default(),
            states: States::new(),
            queues: Vec::new(),
            schedules: Vec::new(),
            client: None,
            config: WorkerConfig {
                name: None,
                lease: LeaseWish { lease: DEFAULT_WORKER_LEASE, scales: true },
                poll: defaults.poll_policy(),
                beat: defaults.beat_policy(),
                bounds: TypeBounds::default(),
                stop_grace: STOP_GRACE,
                drain: defaults.millis("shutdown_grace_ms"),
                restart_process: None,
                slot: None,
                live: None,
                last_resort: None,
                machine: None,
                payloads: None,
            },
        }
    }

    /// The identity of this incarnation; it changes when the worker loses its lease and starts anew.
    pub fn id(&self) -> WorkerId {
        self.pool.id()
    }

    /// Resolves when the worker was told to restart and its process is to end for that; never unless
    /// [`WorkerBuilder::restarts_process`] was called.
    pub async fn restart_asked(&self) {
        self.pool.restart_asked.cancelled().await;
    }

    /// What it has done so far.
    pub fn stats(&self) -> WorkerStats {
        WorkerStats {
            claimed: self.pool.counters.claimed.load(Ordering::Relaxed),
            settled: self.pool.counters.settled.load(Ordering::Relaxed),
            fenced: self.pool.counters.fenced.load(Ordering::Relaxed),
            held: self.pool.held() as u64,
        }
    }

    /// Stops in good order: takes no more jobs, waits up to `grace` for those it has, then asks the rest to stop and
    /// gives them back without using an attempt. Returns how many were given back.
    ///
    /// A database that cannot be reached holds it up for one lease at most: then the jobs are not its own any more.
    pub async fn stop_gracefully(mut self, grace: Duration) -> usize {
        let pool = Arc::clone(&self.pool);
        pool.draining.cancel();
        // Tell at once, so that nobody counts on this worker any more.
        let worker = pool.id();
        let lease = pool.lease();
        let told = pool.store.renew(&worker, true, None, Now::Database);
        let _ = tokio::time::timeout(lease, told).await;
        // A claim in flight may still bring jobs, which are waited for like the others.
        let _ = tokio::time::timeout(lease, &mut self.claimer).await;
        let rest = pool.drain(grace).await;
        pool.closing.cancel();
        let goodbye = async {
            for task in &mut self.tasks {
                let _ = task.await;
            }
            // The claim loop held the last sender: the settler ends when it has sent what is left.
            let _ = (&mut self.settler).await;
            pool.store.leave(&pool.id(), "it stopped in good order", Now::Database).await
        };
        match tokio::time::timeout(lease, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(worker.id = %pool.id(), error = error.chain(), "could not say goodbye; the lease will run out");
            }
            Err(_) => {
                tracing::warn!(worker.id = %pool.id(), "could not say goodbye in time; the lease has run out");
            }
        }
        rest
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        for task in self.tasks.iter().chain([&self.claimer, &self.settler]) {
            task.abort();
        }
        self.pool.closing.cancel();
        // Nobody renews the lease any more, so what is held must end before others may start it.
        self.pool.ask_all_to_stop(crate::StopReason::LeaseLost);
    }
}
