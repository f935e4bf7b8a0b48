//! Taking jobs of lost workers back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jobforge_core::job::{JobId, QueuedBecause, WorkerId};
use jobforge_core::metric::{process, table};
use jobforge_core::presence::{FAST_AFTER, Presences};
use jobforge_core::rescue::{Rescue, RescuePolicy, plan_believing};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::verdict::HeldBack;
use jobforge_core::watchdog::{
    Grant, GuardKind, Guards, Leave, MAX_VERDICTS, Run, RunVerdict, SIGN_EVERY, Survey,
};
use jobforge_core::worker::least_lease;
use jobforge_store::{Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::live::Live;

/// Between two looks at the workers' leases.
const TICK: Duration = Duration::from_secs(1);
/// How long after heartbeats were switched on again the first ones may take.
const BEATS_COUNT_AFTER: Duration = Duration::from_secs(30);
/// Most suspects judged at once; the rest follow in the next round of the same sweep.
const BATCH: usize = 500;
/// Most rounds of one sweep.
const ROUNDS: usize = 100;

/// What one sweep of the watchdog did.
#[derive(Debug, Clone, Default)]
pub struct SweepReport {
    /// Workers whose lease had run out.
    pub expired: Vec<WorkerId>,
    /// Running jobs that were looked at.
    pub checked: usize,
    /// Jobs moved, as decided.
    pub moved: Vec<Rescue>,
    /// Jobs that somebody else changed between the look and the move.
    pub lost_races: Vec<JobId>,
    /// Of those that were looked at, running jobs that were found silent.
    pub silent: u64,
}

/// Takes jobs of lost workers back. Any number may run: safety comes from the conditions of its statements.
#[derive(Clone)]
pub struct Watchdog {
    store: Arc<dyn Store>,
    policy: RescuePolicy,
    check_interval: Duration,
    name: String,
    live: Option<Live>,
    passes: Arc<watch::Sender<u64>>,
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watchdog")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// What a watchdog remembers from tick to tick.
#[derive(Debug)]
struct Memory {
    began: Instant,
    guards: Guards,
    last_sweep: Option<Instant>,
    last_sign: Option<Instant>,
    told: Option<GuardKind>,
    presences: Presences,
    /// When jobs of fast types need wait no longer for a worker that has lost its connection.
    fast_at: Option<Instant>,
    /// Since when heartbeats are on.
    beats_since: Option<Instant>,
}

impl Watchdog {
    /// A watchdog that sweeps at least every `check_interval`, and at once when a lease has run out.
    pub fn new(store: Arc<dyn Store>, policy: RescuePolicy, check_interval: Duration) -> Self {
        let name = format!("{}:{}", crate::process::hostname(), std::process::id());
        Self { store, policy, check_interval, name, live: None, passes: Arc::default() }
    }

    /// Goes by the settings as they change.
    #[must_use]
    pub fn live(mut self, live: Live) -> Self {
        self.live = Some(live);
        self
    }

    /// How often [`Self::run`] has looked at the workers' leases and done what followed: about once a second while the
    /// database answers.
    pub fn passes(&self) -> watch::Receiver<u64> {
        self.passes.subscribe()
    }

    /// Takes over what has changed. Heartbeats that were off and are on again count only after a while: until the workers
    /// have sent theirs, every running job looks late.
    fn refresh(&mut self, memory: &mut Memory) {
        let Some(live) = &self.live else { return };
        let settings = live.now();
        let policy = settings.rescue_policy();
        let now = clock::monotonic();
        if !policy.heartbeats {
            memory.beats_since = None;
        }
        let since =
            *memory.beats_since.get_or_insert(if self.policy.heartbeats { memory.began } else { now });
        let counts = self.policy.heartbeats || now.duration_since(since) >= BEATS_COUNT_AFTER;
        self.policy = RescuePolicy { heartbeats: policy.heartbeats && counts, ..policy };
        self.check_interval = settings.millis("watchdog_check_interval_ms");
    }

    /// One whole sweep by the given clock, believing every lease that has run out: what an operator asks for.
    ///
    /// # Errors
    /// When the database fails; what was moved before stays moved, and the next sweep goes on.
    pub async fn run_once(&self, at: Now) -> Result<SweepReport, StoreError> {
        self.sweep(&Leave::FREE, at, at).await
    }

    /// The same, recorded among the runs.
    ///
    /// # Errors
    /// As [`Self::run_once`].
    pub async fn run_recorded(&self, trigger: &str) -> Result<(Run, SweepReport), StoreError> {
        self.sweep_recorded(&Leave::FREE, trigger, Now::Database).await
    }

    /// Sweeps until `stop` fires: when the check interval is over, and at the next tick once a lease has run out or a
    /// sweep has failed. Its guards decide when silence may be believed.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut memory = Memory {
            began: clock::monotonic(),
            guards: Guards::default(),
            last_sweep: None,
            last_sign: None,
            told: None,
            presences: Presences::default(),
            fast_at: None,
            beats_since: None,
        };
        loop {
            self.refresh(&mut memory);
            match self.tick(&mut memory).await {
                Ok(()) => self.passes.send_modify(|passes| *passes += 1),
                Err(error) => {
                    // The workers that were just marked lost are not told again: the next tick must sweep.
                    memory.last_sweep = None;
                    memory.presences.forget();
                    tracing::error!(error = error.chain(), "[QCWorker] Stuck job check failed");
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    async fn tick(&self, memory: &mut Memory) -> Result<(), StoreError> {
        let seen = self.store.survey(Now::Database).await?;
        let now = clock::monotonic();
        let over = |since: Option<Instant>, length| since.is_none_or(|at| now.duration_since(at) >= length);
        let leave = match self.policy.heartbeats {
            true => memory.guards.judge(&seen, now.duration_since(memory.began)),
            false => Leave::FREE,
        };
        match leave.grant {
            Grant::Nothing => {}
            Grant::Leases => {
                let extended = self.store.extend_leases(Now::Database).await?;
                tracing::debug!(extended, "gave {extended} workers a whole lease before judging them");
            }
            Grant::AllTimes => self.store.renew_all_times(Now::Database).await?,
        }
        if self.policy.heartbeats {
            self.tend(&seen, memory, now).await?;
        }
        let news = tell_guard(&leave, &mut memory.told);
        // After the judgement: a sign of its own would hide the gap that it ended.
        if news || over(memory.last_sign, SIGN_EVERY) {
            let held = leave.held.map(|(guard, until)| HeldBack { guard: guard.kind(), until });
            self.store.watchdog_sign(&self.name, self.check_interval, held, Now::Database).await?;
            memory.last_sign = Some(now);
        }
        let trigger = if over(memory.last_sweep, self.check_interval) {
            "interval"
        } else if self.policy.heartbeats && seen.overdue > 0 && leave.expire > 0 {
            "lease"
        } else if leave.held.is_none() && memory.fast_at.is_some_and(|at| now >= at) {
            "presence"
        } else {
            return Ok(());
        };
        if leave.held.is_none() {
            memory.fast_at = memory.fast_at.filter(|at| now < *at);
        }
        // By the clock that was judged: what seems overdue by one that stepped a moment later must not be believed.
        self.sweep_recorded(&leave, trigger, Now::Fixed(seen.as_of)).await?;
        memory.last_sweep = Some(now);
        Ok(())
    }

    /// Sees who has lost the connection that it holds, and lets leases grow with the fleet.
    async fn tend(&self, seen: &Survey, memory: &mut Memory, now: Instant) -> Result<(), StoreError> {
        let least = least_lease(seen.active);
        if least != seen.least_lease {
            self.store.set_least_lease(least, Now::Database).await?;
        }
        let Some(there) = self.store.attending().await? else { return Ok(()) };
        let missing = memory.presences.look(there, now.duration_since(memory.began));
        if missing.is_empty() {
            return Ok(());
        }
        for worker in self.store.mark_suspect(&missing, Now::Database).await? {
            tracing::warn!(worker.id = %worker, "worker {worker} is suspect: its connection is lost; its lease decides");
        }
        if !self.policy.fast.is_empty() {
            memory.fast_at = Some(now + FAST_AFTER + TICK);
        }
        Ok(())
    }

    async fn sweep_recorded(
        &self,
        leave: &Leave,
        trigger: &str,
        judged: Now,
    ) -> Result<(Run, SweepReport), StoreError> {
        let started_at = match judged.fixed() {
            Some(moment) => moment,
            None => self.store.now().await?,
        };
        let began = clock::monotonic();
        let swept = self.sweep(leave, judged, Now::Database).await;
        let empty = SweepReport::default();
        let report = swept.as_ref().unwrap_or(&empty);
        let took = clock::monotonic().duration_since(began);
        count(report, swept.is_ok(), took);
        let to = |to: fn(Status) -> bool| report.moved.iter().filter(|line| to(line.to)).count() as u64;
        let run = Run {
            watchdog: self.name.clone(),
            started_at,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            trigger: trigger.to_owned(),
            guard: leave.held.map(|(guard, _)| guard.kind().as_str().to_owned()),
            suspects: report.checked as u64,
            workers_lost: report.expired.len() as u64,
            requeued: to(|status| status == Status::Queued),
            ended: to(|status| status != Status::Queued),
            lost_races: report.lost_races.len() as u64,
            verdicts: verdicts(report),
            error: swept.as_ref().err().map(StoreError::chain),
        };
        let recorded = self.store.record_run(&run, Now::Database).await;
        let report = swept?;
        recorded?;
        Ok((run, report))
    }

    /// Judges by one clock reading, and moves by another.
    async fn sweep(&self, leave: &Leave, judged: Now, at: Now) -> Result<SweepReport, StoreError> {
        let mut report = SweepReport::default();
        if self.policy.heartbeats && leave.expire > 0 {
            report.expired = self.store.expire_workers(leave.expire, judged).await?;
        }
        for _ in 0..ROUNDS {
            let page = self.store.suspects(&self.policy.fast, BATCH, judged).await?;
            report.checked += page.suspects.len();
            let lines = plan_believing(&page, &self.policy, |cause| leave.believes(cause));
            report.silent += lines.iter().filter(|line| line.because == QueuedBecause::Rescue).count() as u64;
            let applied = self.store.apply_rescues(&lines, at).await?;
            for line in lines {
                if applied.moved.contains(&line.id) {
                    tell(&line);
                    report.moved.push(line);
                }
            }
            report.lost_races.extend(applied.lost_races);
            // A page that was not full was the last; one of which nothing moved would come again unchanged.
            if page.suspects.len() < BATCH || applied.moved.is_empty() {
                break;
            }
        }
        Ok(report)
    }
}

/// What a run counts as.
fn count(report: &SweepReport, is_ok: bool, took: Duration) {
    let dead = report.moved.iter().filter(|line| line.to == Status::Dead).count() as u64;
    process().add(&table::WATCHDOG_RUNS, &[if is_ok { "ok" } else { "failed" }], 1);
    process().observe(&table::WATCHDOG_SECONDS, &[], took);
    process().set(&table::WATCHDOG_RUN_MS, &[], took.as_secs_f64() * 1000.0);
    process().add(&table::HEARTBEAT_MISSED, &[], report.silent);
    process().add(&table::WATCHDOG_DEAD, &[], dead);
}

/// One line when a guard begins to hold and one when it lets go, not one a second; says whether there was one.
fn tell_guard(leave: &Leave, told: &mut Option<GuardKind>) -> bool {
    let held = leave.held.map(|(guard, _)| guard.kind());
    if held == *told {
        return false;
    }
    match leave.held {
        Some((guard, until)) => {
            tracing::warn!(guard = guard.kind().as_str(), %until, "silence is not held against workers and jobs until {until}: {guard}");
        }
        None => tracing::info!("silence counts again"),
    }
    *told = held;
    true
}

/// Says in the log what became of a lost job.
pub fn tell(line: &Rescue) {
    let (id, to) = (line.id, line.to);
    tracing::warn!(job.id = %id, status = %to, misses = line.misses, "[QCWorker] Rescued job {id}, now {to}: {}", line.error.message);
}

fn verdicts(report: &SweepReport) -> Vec<RunVerdict> {
    let moved = report.moved.iter().map(|line| {
        let told = |key: &str| line.error.details.as_ref()?.get(key)?.as_str();
        RunVerdict {
            job: line.id,
            worker: told("worker").map(|id| WorkerId(id.to_owned())),
            cause: line.error.kind.clone(),
            outcome: line.to.as_str().to_owned(),
            why: told("evidence").unwrap_or(&line.error.message).to_owned(),
        }
    });
    let lost = report.lost_races.iter().map(|id| RunVerdict {
        job: *id,
        worker: None,
        cause: "lost_race".to_owned(),
        outcome: "lost_race".to_owned(),
        why: "somebody else changed the job first".to_owned(),
    });
    moved.chain(lost).take(MAX_VERDICTS).collect()
}
