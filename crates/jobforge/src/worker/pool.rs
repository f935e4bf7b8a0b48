//! What the loops of one worker share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use jobforge_core::claim::{QUICK, QueueRoom, TypeBounds};
use jobforge_core::death::Place;
use jobforge_core::heartbeat::{Beat, BeatPolicy, Report};
use jobforge_core::job::{JobId, Lease, WorkerId};
use jobforge_core::poll::PollPolicy;
use jobforge_core::time::Now;
use jobforge_core::worker::{LeaseWish, MARGIN_SHARE, NewWorker};
use jobforge_store::WorkerStore;
use jobforge_store::traits::WorkerSide;
use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::WorkerConfig;
use super::registry::{Registry, States};
use super::rhythm::Rhythm;
use crate::clock;
use crate::context::{JobContext, StopReason};
use crate::error::Error;
use crate::{process, services};

/// One queue's share of the worker.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) slots: usize,
    /// A running handler holds one permit.
    pub(crate) permits: Arc<Semaphore>,
    held: AtomicUsize,
    /// Moving average of run times, in microseconds.
    run_us: AtomicU64,
}

impl Queue {
    pub(crate) fn new(name: String, slots: usize) -> Self {
        Self {
            name,
            slots,
            permits: Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS))),
            held: AtomicUsize::new(0),
            // Unknown counts as slow, so that nothing is taken ahead before it is known to be quick.
            run_us: AtomicU64::new(u64::MAX),
        }
    }

    /// Takes note of how long a handler ran.
    pub(crate) fn ran(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let old = self.run_us.load(Ordering::Relaxed);
        let new = if old == u64::MAX { took } else { (old / 8 * 7).saturating_add(took / 8) };
        self.run_us.store(new, Ordering::Relaxed);
    }
}

/// A claimed job until its handler has ended.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) lease: Lease,
    pub(crate) queue: usize,
    pub(crate) ctx: JobContext,
    pub(crate) beat_interval: Duration,
    pub(crate) next_beat: Instant,
    /// It was told that the handler ignores the request to stop.
    pub(crate) told_ignoring: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) claimed: AtomicU64,
    pub(crate) settled: AtomicU64,
    pub(crate) fenced: AtomicU64,
}

/// The shared heart of a worker.
pub(crate) struct Pool {
    pub(crate) store: Arc<dyn WorkerStore>,
    pub(crate) registry: Registry,
    pub(crate) states: Arc<States>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) config: WorkerConfig,
    pub(crate) counters: Counters,
    /// Fires when no more jobs shall be taken.
    pub(crate) draining: CancellationToken,
    /// Fires when the loops shall end.
    pub(crate) closing: CancellationToken,
    /// Notified whenever a handler has ended.
    pub(crate) freed: Notify,
    /// Notified, for the claimer alone, when a new incarnation may claim.
    pub(crate) anew: Notify,
    /// Held from before a claim until its jobs are in the table.
    pub(crate) claiming: AsyncMutex<()>,
    /// Notified when the next renewal shall come at once.
    pub(crate) renew_soon: Notify,
    /// Fires when the worker was told to restart and its process is to end for that.
    pub(crate) restart_asked: CancellationToken,
    /// Whether this incarnation was told to restart: it takes no more jobs.
    restarting: AtomicBool,
    /// Ends of attempts that are on their way to the database.
    pub(super) reporting: AtomicUsize,
    /// Whether the next heartbeat shall come at once and ask for every job.
    beat_all: AtomicBool,
    rhythm: RwLock<Rhythm>,
    id: RwLock<WorkerId>,
    /// The last incarnation that lost its lease.
    given_up: RwLock<Option<WorkerId>>,
    /// When this incarnation must have stopped, unless it renews before.
    acts_until: RwLock<Duration>,
    // In order, so that a simulation of the same seed goes the same way.
    held: Mutex<BTreeMap<JobId, Held>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("id", &self.id()).field("queues", &self.queues).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(
        store: Arc<dyn WorkerStore>,
        registry: Registry,
        states: States,
        queues: Vec<Queue>,
        config: WorkerConfig,
    ) -> Self {
        let id = new_identity(&config);
        let rhythm = Rhythm {
            lease: config.lease,
            poll: config.poll,
            beat: config.beat,
            bounds: config.bounds.clone(),
        };
        Self {
            store,
            registry,
            states: Arc::new(states),
            queues,
            config,
            counters: Counters::default(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            freed: Notify::new(),
            anew: Notify::new(),
            claiming: AsyncMutex::default(),
            renew_soon: Notify::new(),
            restart_asked: CancellationToken::new(),
            restarting: AtomicBool::new(false),
            reporting: AtomicUsize::new(0),
            beat_all: AtomicBool::new(false),
            rhythm: RwLock::new(rhythm),
            id: RwLock::new(id),
            given_up: RwLock::default(),
            acts_until: RwLock::default(),
            held: Mutex::default(),
        }
    }

    fn rhythm(&self) -> RwLockReadGuard<'_, Rhythm> {
        self.rhythm.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How jobs give signs of life now.
    pub(crate) fn beat(&self) -> BeatPolicy {
        self.rhythm().beat
    }

    /// How the worker polls now.
    pub(crate) fn poll(&self) -> PollPolicy {
        self.rhythm().poll
    }

    /// What jobs without bounds of their own are kept to now.
    pub(crate) fn bounds(&self) -> TypeBounds {
        self.rhythm().bounds.clone()
    }

    /// The lease that the worker wishes now.
    pub(crate) fn lease_wish(&self) -> LeaseWish {
        self.rhythm().lease
    }

    /// How long that is: what no call should take longer than.
    pub(crate) fn lease(&self) -> Duration {
        self.lease_wish().lease
    }

    /// Changes the worker's ways; returns the old ones.
    pub(crate) fn set_rhythm(&self, new: Rhythm) -> Rhythm {
        let mut rhythm = self.rhythm.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut rhythm, new)
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.id.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn table(&self) -> MutexGuard<'_, BTreeMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the machine started, on a clock that also runs in suspend.
    pub(crate) fn boot(&self) -> Duration {
        self.config.machine.as_ref().map_or_else(clock::boot, |machine| (machine.boot)())
    }

    /// When this incarnation must have stopped, by [`Self::boot`], unless it renews before.
    pub(crate) fn acts_until(&self) -> Duration {
        *self.acts_until.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_acts_until(&self, moment: Duration) {
        *self.acts_until.write().unwrap_or_else(PoisonError::into_inner) = moment;
    }

    /// Notes that a renewal, or the registration, was acknowledged that was sent at this moment and lasts so long.
    pub(crate) fn renewed(&self, sent: Duration, lease: Duration) {
        self.set_acts_until(sent + (lease - lease / MARGIN_SHARE));
    }

    /// Makes this incarnation known to the database; returns the lease that it has.
    pub(crate) async fn register(&self, store: &dyn WorkerSide) -> Result<LeaseWish, Error> {
        let wish = self.lease_wish();
        let worker = NewWorker {
            id: self.id(),
            name: self.config.name.clone(),
            hostname: process::hostname(),
            pid: std::process::id(),
            queues: self.queues.iter().map(|queue| queue.name.clone()).collect(),
            types: Some(self.registry.types()),
            slots: u32::try_from(self.queues.iter().map(|queue| queue.slots).sum::<usize>())
                .unwrap_or(u32::MAX),
            lease: wish.lease,
            lease_scales: wish.scales,
            place: self.place(),
            registered_by: None,
        };
        let sent = self.boot();
        let deaths = store.register(&worker, Now::Database).await?;
        self.renewed(sent, wish.lease);
        for line in &deaths.moved {
            services::tell(line);
        }
        let (id, host) = (&worker.id, &worker.hostname);
        tracing::info!(worker.id = %id, "Heartbeat: worker {id} on {host} is live and renews its lease of {} ms", wish.lease.as_millis());
        Ok(wish)
    }

    /// Where this process runs, as far as that can be told.
    fn place(&self) -> Option<Place> {
        let process = process::own()?;
        let slot = self.config.slot.as_ref().map(|(lock, policy)| lock.told(policy));
        Some(Place { process, up_for: self.boot(), slot })
    }

    /// Stops everything held under an identity that has lost its lease. What stops is handed over.
    pub(crate) fn give_up(&self) {
        self.set_acts_until(self.boot());
        *self.given_up.write().unwrap_or_else(PoisonError::into_inner) = Some(self.id());
        self.ask_all_to_stop(StopReason::LeaseLost);
    }

    /// Whether this incarnation has lost its lease while the worker goes on.
    pub(crate) fn has_given_up(&self, worker: &WorkerId) -> bool {
        let given_up = self.given_up.read().unwrap_or_else(PoisonError::into_inner);
        given_up.as_ref() == Some(worker) && !self.closing.is_cancelled()
    }

    /// Takes a new identity. What was begun before can change a job only under the old one, as long as nobody took it.
    pub(crate) async fn begin_anew(&self, store: &dyn WorkerSide) -> Result<LeaseWish, Error> {
        // A claim that was on its way may have brought jobs since.
        self.ask_all_to_stop(StopReason::LeaseLost);
        *self.id.write().unwrap_or_else(PoisonError::into_inner) = new_identity(&self.config);
        let lease = self.register(store).await?;
        self.restarting.store(false, Ordering::Relaxed);
        self.anew.notify_one();
        Ok(lease)
    }

    /// Lets this incarnation take no more jobs; says whether it did until now.
    pub(crate) fn begin_restart(&self) -> bool {
        !self.restarting.swap(true, Ordering::Relaxed)
    }

    /// Whether this incarnation was told to restart.
    pub(crate) fn is_restarting(&self) -> bool {
        self.restarting.load(Ordering::Relaxed)
    }

    /// Whether this incarnation takes no more jobs.
    pub(crate) fn drains(&self) -> bool {
        self.draining.is_cancelled() || self.is_restarting()
    }

    /// Has every held job asked for with the next heartbeats, which come within a second.
    pub(crate) fn beat_all_soon(&self) {
        self.beat_all.store(true, Ordering::Relaxed);
    }

    /// Whether that was asked for since the last call.
    pub(crate) fn take_beat_all(&self) -> bool {
        self.beat_all.swap(false, Ordering::Relaxed)
    }

    /// The room in each queue: none beside a job that must run alone.
    pub(crate) fn rooms(&self) -> Vec<QueueRoom> {
        let alone = self.table().values().any(|held| held.ctx.job().alone);
        let room = |queue: &Queue| QueueRoom {
            queue: queue.name.clone(),
            slots: queue.slots,
            held: if alone { usize::MAX } else { queue.held.load(Ordering::Relaxed) },
            quick: u128::from(queue.run_us.load(Ordering::Relaxed)) < QUICK.as_micros(),
        };
        self.queues.iter().map(room).collect()
    }

    /// Takes jobs into the table.
    pub(crate) fn hold(&self, jobs: impl Iterator<Item = (usize, JobContext)>) {
        let interval = self.beat().interval;
        let next_beat = clock::monotonic() + interval;
        let mut table = self.table();
        for (queue, ctx) in jobs {
            self.queues[queue].held.fetch_add(1, Ordering::Relaxed);
            let held = Held {
                lease: ctx.fence(),
                queue,
                ctx: ctx.clone(),
                beat_interval: interval,
                next_beat,
                told_ignoring: false,
            };
            if let Some(old) = table.insert(ctx.id(), held) {
                // The job came back while its handler of before has not ended: that one has lost it for certain.
                old.ctx.ask_to_stop(StopReason::LeaseLost);
                self.queues[old.queue].held.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes a job out of the table, if it is still there under this lease.
    pub(crate) fn release(&self, id: JobId, lease: Lease) {
        let mut table = self.table();
        if table.get(&id).is_some_and(|held| held.lease == lease)
            && let Some(held) = table.remove(&id)
        {
            self.queues[held.queue].held.fetch_sub(1, Ordering::Relaxed);
            drop(table);
            self.freed.notify_waiters();
        }
    }

    pub(crate) fn held(&self) -> usize {
        self.table().len()
    }

    /// Waits until nothing is held.
    pub(crate) async fn idle(&self) {
        loop {
            // Register before looking, so that the last handler's end is not missed.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.held() == 0 {
                return;
            }
            freed.await;
        }
    }

    /// Asks every handler to stop; returns how many had not been asked before.
    pub(crate) fn ask_all_to_stop(&self, reason: StopReason) -> usize {
        let table = self.table();
        let new = table.values().filter(|held| held.ctx.stop_reason().is_none()).count();
        for held in table.values() {
            held.ctx.ask_to_stop(reason);
        }
        new
    }

    /// Asks one handler to stop, if its job is held under this lease.
    pub(crate) fn ask_to_stop(&self, id: JobId, lease: Lease, reason: StopReason) {
        if let Some(held) = self.table().get(&id).filter(|held| held.lease == lease) {
            held.ctx.ask_to_stop(reason);
        }
    }

    /// Notes that the last report of a job has arrived.
    pub(crate) fn heard(&self, id: JobId, lease: Lease) {
        if let Some(held) = self.table().get(&id).filter(|held| held.lease == lease) {
            held.ctx.heard();
        }
    }

    /// Whether the job is held.
    pub(crate) fn holds(&self, id: JobId) -> bool {
        self.table().contains_key(&id)
    }

    /// A heartbeat of one held job that reports nothing: a question whose job it is.
    pub(crate) fn question(&self, id: JobId) -> Option<Beat> {
        let table = self.table();
        let held = table.get(&id)?;
        let beat = self.beat();
        let due_in = beat.due_in(held.beat_interval);
        let interval = beat.enabled.then_some(held.beat_interval);
        Some(Beat { id, lease: held.lease, due_in, interval, report: Report::default() })
    }

    /// Lets `look` see every held job.
    pub(crate) fn each_held(&self, mut look: impl FnMut(JobId, &mut Held)) {
        for (id, held) in self.table().iter_mut() {
            look(*id, held);
        }
    }
}

fn new_identity(config: &WorkerConfig) -> WorkerId {
    config.machine.as_ref().map_or_else(WorkerId::random, |machine| (machine.identity)())
}
