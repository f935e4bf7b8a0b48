//! The processes: starting them with the real loops inside, and ending them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use jobforge::live::{Follower, Live, OwnSettings};
use jobforge::services::{Housekeeper, Watchdog};
use jobforge::{SimulatedMachine, Worker};
use jobforge_core::death::{self, Death, DeathReport, Place, Proof, Slot};
use jobforge_core::job::WorkerId;
use jobforge_core::poll::PollPolicy;
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::time::Now;
use jobforge_store::{Store, WorkerStore};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::broken::Broken;
use super::clients;
use super::event::{ProcessId, Role, What};
use super::link::Link;
use super::process::{BootClock, Exit, Process};
use super::store::SimStore;
use super::weather::{QUEUES, Request, Rhythm, WorkerPlan};
use super::work::{Common, Desk, Rare, common, rare};
use super::world::Shared;
use crate::fixtures::s;
use crate::history::Random;

/// How long every machine has been up when a process starts on it.
const UP_FOR: Duration = Duration::from_secs(3600);
/// How far the clocks of different machines drift apart, in millionths; the margin of a lease covers much more.
const DRIFTS_PPM: [i64; 6] = [0, 0, 200, -10_000, 30_000, -50_000];
/// How long a process gives its jobs when it is told to restart.
const RESTART_GRACE: Duration = Duration::from_secs(30);
/// First and longest wait of a supervisor whose report failed, and when it reports again in any case.
const REPORT_FAILED: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
const REPORT_AGAIN: Duration = Duration::from_secs(1);

/// All processes.
pub(super) struct Fleet {
    world: Shared,
    rhythm: Rhythm,
    random: Random,
    pub(super) processes: BTreeMap<ProcessId, Process>,
    plans: BTreeMap<ProcessId, WorkerPlan>,
    orders: BTreeMap<ProcessId, mpsc::UnboundedSender<Duration>>,
    started: u32,
    deaths: mpsc::UnboundedSender<DeathReport>,
    /// Requests of clients that have not been answered, given up or come to their time.
    pub(super) open_requests: Arc<AtomicUsize>,
}

impl Fleet {
    /// A world with clients and supervisors, but nobody who works yet.
    pub(super) fn new(
        world: Shared,
        rhythm: Rhythm,
        random: Random,
        requests: Vec<(Duration, Request)>,
    ) -> Result<Self> {
        let (deaths, reports) = mpsc::unbounded_channel();
        let mut fleet = Self {
            world,
            rhythm,
            random,
            processes: BTreeMap::new(),
            plans: BTreeMap::new(),
            orders: BTreeMap::new(),
            started: 0,
            deaths,
            open_requests: Arc::default(),
        };
        let (clients, store) = fleet.begin(Role::Clients, None, false)?;
        fleet.open_requests.store(requests.len(), Ordering::Relaxed);
        for (at, request) in requests {
            let world = fleet.world.clone();
            let (store, open) = (Arc::clone(&store), Arc::clone(&fleet.open_requests));
            clients.main().spawn(async move {
                tokio::time::sleep(at).await;
                clients::ask(&*store, &world, request).await;
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
        fleet.processes.insert(clients.id, clients);
        let (supervisors, store) = fleet.begin(Role::Supervisors, None, false)?;
        supervisors.main().spawn(supervise(store, reports, fleet.rhythm.policy.clone()));
        fleet.processes.insert(supervisors.id, supervisors);
        Ok(fleet)
    }

    /// A process with its link and its view of the database.
    fn begin(
        &mut self,
        role: Role,
        plan: Option<&WorkerPlan>,
        supervised: bool,
    ) -> Result<(Process, Arc<SimStore>)> {
        self.started += 1;
        let id = ProcessId(self.started);
        let mut world = self.world.lock();
        let latency_ms = self.random.pick(&[None, None, Some(20), Some(100)]);
        world.links.insert(id, Link::new(latency_ms, role == Role::Supervisors));
        let counts_suspend = world.broken != Some(Broken::ClockWithoutSuspend);
        world.tell(What::Started { process: id, role, supervised });
        drop(world);
        let drift = match role {
            Role::Clients | Role::Supervisors => 0,
            Role::Server | Role::Worker => self.random.pick(&DRIFTS_PPM),
        };
        let process = Process::new(id, role, supervised, drift, UP_FOR, counts_suspend)?;
        let place = plan.map(|plan| place(id, plan, &self.rhythm.policy));
        let store = SimStore::new(self.world.clone(), id, place, Arc::clone(&process.exit.flag));
        Ok((process, Arc::new(store)))
    }

    /// Starts a server.
    pub(super) fn start_server(&mut self) -> Result<()> {
        let (process, store) = self.begin(Role::Server, None, false)?;
        let store: Arc<dyn Store> = store;
        let (policy, check_interval) = (self.rhythm.policy.clone(), self.rhythm.check_interval);
        let watchdog = Watchdog::new(Arc::clone(&store), policy, check_interval);
        let never = CancellationToken::new();
        let broken = self.world.lock().broken;
        match broken {
            Some(how @ (Broken::WatchdogWithoutGuards | Broken::WatchdogWithoutPause)) => {
                let pause = if how == Broken::WatchdogWithoutGuards { s(1) } else { Duration::ZERO };
                process.main().spawn(async move {
                    loop {
                        // One that fails is tried again with the next tick.
                        let _ = watchdog.run_once(Now::Database).await;
                        tokio::time::sleep(pause).await;
                    }
                });
            }
            _ => {
                process.main().spawn(watchdog.run(never.clone()));
            }
        }
        process.main().spawn(Housekeeper::new(store).run(never));
        self.processes.insert(process.id, process);
        Ok(())
    }

    /// Starts a worker.
    pub(super) fn start_worker(&mut self, plan: WorkerPlan) -> Result<()> {
        let (process, store) = self.begin(Role::Worker, Some(&plan), plan.supervised)?;
        let (orders, taken) = mpsc::unbounded_channel();
        let life = WorkerLife {
            store,
            plan,
            rhythm: self.rhythm.clone(),
            clock: process.clock(),
            renewals: process.renewals().clone(),
            desk: (self.world.clone(), process.id, Arc::clone(&process.exit)),
            incarnations: Arc::default(),
        };
        process.main().spawn(life.live(taken));
        self.orders.insert(process.id, orders);
        self.plans.insert(process.id, plan);
        self.processes.insert(process.id, process);
        Ok(())
    }

    /// Tells a worker to end in good order.
    pub(super) fn tell_to_end(&self, process: ProcessId, grace: Duration) {
        if let Some(orders) = self.orders.get(&process) {
            // It may have ended in this moment.
            let _ = orders.send(grace);
        }
    }

    /// Ends a process, whatever it is doing; returns what it was, if it was a worker.
    pub(super) fn end(&mut self, id: ProcessId, why: &'static str, is_seen: bool) -> Option<WorkerPlan> {
        let process = self.processes.remove(&id)?;
        let seen = process.supervised && is_seen;
        if seen {
            let proof = match why {
                EXIT_75 => Proof::Exited { code: 75 },
                STOPPED => Proof::Exited { code: 0 },
                CRASHED => Proof::Signaled { signal: 11, name: "SIGSEGV".to_owned(), oom_kills: None },
                _ => Proof::Signaled { signal: 9, name: "SIGKILL".to_owned(), oom_kills: None },
            };
            let host = self.plans.get(&id).map_or(0, |plan| plan.host);
            let report = DeathReport { process: identity(id, host), death: Death::new(proof, []) };
            // The supervisors live as long as the fleet.
            let _ = self.deaths.send(report);
        }
        // Outside of the lock: what a process drops may want to tell of it.
        drop(process);
        let mut world = self.world.lock();
        world.links.remove(&id);
        world.tell(What::Ended { process: id, why, seen });
        self.orders.remove(&id);
        self.plans.remove(&id)
    }

    /// Processes of this role, in order.
    pub(super) fn of(&self, role: Role) -> Vec<ProcessId> {
        self.processes.values().filter(|process| process.role == role).map(|process| process.id).collect()
    }
}

/// Why a process ended that could not stop its handlers in time.
pub(super) const EXIT_75: &str = "exit code 75: its handlers did not stop in time";
/// Why a process ended that was told to.
pub(super) const STOPPED: &str = "it has stopped in good order";
/// Why a process ended that one of its jobs took down.
pub(super) const CRASHED: &str = "one of its jobs took it down";

fn identity(process: ProcessId, host: u32) -> death::ProcessId {
    death::ProcessId {
        machine_id: format!("host-{host}"),
        boot_id: format!("boot-{host}"),
        pid_namespace: 1,
        pid: process.0,
        started: u64::from(process.0),
    }
}

fn place(process: ProcessId, plan: &WorkerPlan, policy: &RescuePolicy) -> Place {
    let slot = plan.has_slot.then(|| Slot {
        name: format!("slot-{}", plan.host),
        id: format!("slot-file-{}", plan.host),
        policy: policy.clone(),
    });
    Place { process: identity(process, plan.host), up_for: UP_FOR, slot }
}

/// What a worker process does from its start to its end.
struct WorkerLife {
    store: Arc<SimStore>,
    plan: WorkerPlan,
    rhythm: Rhythm,
    clock: Arc<BootClock>,
    renewals: tokio::runtime::Handle,
    desk: (Shared, ProcessId, Arc<Exit>),
    incarnations: Arc<AtomicUsize>,
}

impl WorkerLife {
    async fn live(self, mut orders: mpsc::UnboundedReceiver<Duration>) {
        let live = self.follow().await;
        let worker = loop {
            let builder = self.builder();
            let builder = match &live {
                Some(live) => builder.live(live.clone()),
                None => builder,
            };
            if let Ok(worker) = builder.start().await {
                break worker;
            }
            tokio::time::sleep(s(1)).await;
        };
        let grace = tokio::select! {
            grace = orders.recv() => grace,
            () = worker.restart_asked() => Some(RESTART_GRACE),
        };
        let Some(grace) = grace else { return std::future::pending().await };
        worker.stop_gracefully(grace).await;
        self.desk.2.now(STOPPED);
    }

    /// Follows the stored settings, where somebody changes them; the rhythm of heartbeats is the process's own.
    async fn follow(&self) -> Option<Live> {
        if self.rhythm.longest_lease == self.rhythm.lease {
            return None;
        }
        let beat = self.rhythm.beat;
        let millis = [
            ("heartbeat_interval_ms", beat.interval),
            ("heartbeat_max_interval_ms", beat.max_interval),
            ("heartbeat_threshold_ms", beat.threshold),
        ];
        let flags = millis.map(|(key, value)| (key.to_owned(), value.as_millis().to_string())).into();
        let own = OwnSettings { flags, ..OwnSettings::none() };
        let settings = own.above(BTreeMap::new()).expect("they go together");
        let store = Arc::clone(&self.store) as Arc<dyn WorkerStore>;
        let (follower, live) = Follower::begin(store, own, settings).await;
        tokio::spawn(follower.run(CancellationToken::new()));
        Some(live)
    }

    fn builder(&self) -> jobforge::WorkerBuilder {
        let (world, process, exit) = self.desk.clone();
        let clock = Arc::clone(&self.clock);
        let incarnations = Arc::clone(&self.incarnations);
        let machine = SimulatedMachine {
            boot: Arc::new(move || clock.shows()),
            renewals: self.renewals.clone(),
            identity: Arc::new(move || {
                // `p3.2` is the second incarnation in process 3.
                let number = incarnations.fetch_add(1, Ordering::Relaxed) + 1;
                WorkerId(format!("{process}.{number}"))
            }),
        };
        let poll = PollPolicy { interval: s(2), max_interval: s(10), multiplier: 2.0 };
        let mut builder = Worker::on(Arc::clone(&self.store) as Arc<_>)
            .machine(machine)
            .state(Desk { world, process, exit: Arc::clone(&exit) })
            .lease(self.rhythm.lease)
            .heartbeat(self.rhythm.beat)
            .poll(poll)
            .register::<Common, _, _>(common);
        for queue in QUEUES {
            builder = builder.queue(queue, self.plan.slots);
        }
        if self.plan.knows_rare {
            builder = builder.register::<Rare, _, _>(rare);
        }
        if self.plan.supervised {
            let restarts = Arc::clone(&exit);
            builder = builder.restarts_process(move || restarts.now(EXIT_75));
            builder = builder.last_resort(move || exit.now(EXIT_75));
        }
        builder
    }
}

/// Reports every death as the supervisor of a worker does: until it is known, and once more a little later.
async fn supervise(
    store: Arc<SimStore>,
    mut deaths: mpsc::UnboundedReceiver<DeathReport>,
    policy: RescuePolicy,
) {
    while let Some(report) = deaths.recv().await {
        let (store, policy) = (Arc::clone(&store), policy.clone());
        tokio::spawn(async move {
            report_death(&*store, &report, &policy).await;
            tokio::time::sleep(REPORT_AGAIN).await;
            report_death(&*store, &report, &policy).await;
        });
    }
}

async fn report_death(store: &dyn Store, report: &DeathReport, policy: &RescuePolicy) {
    let mut wait = REPORT_FAILED.0;
    while store.report_death(report, policy, Now::Database).await.is_err() {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(REPORT_FAILED.1);
    }
}
