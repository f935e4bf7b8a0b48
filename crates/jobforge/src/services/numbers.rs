//! What `/metrics` tells: this process's own numbers, and the shared ones, which are read from the database in the
//! background while somebody asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jobforge_core::dead::DeadGroup;
use jobforge_core::metric::{Format, Metric, Registry, Sample, process, table};
use jobforge_core::rescue::{Cause, cause};
use jobforge_core::schedule::{Schedule, ScheduleState, ScheduleView, Scheduler};
use jobforge_core::settings::{Kind, Settings};
use jobforge_core::tenant::Budgets;
use jobforge_core::time::{Now, since};
use jobforge_core::watchdog::{Run, WatchdogRow};
use jobforge_store::rows::{DeadFilter, Gauges, MAX_PAGE, QueueInfo, ScheduleFilter};
use jobforge_store::{Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::alerts::Telling;
use crate::clock;
use crate::live::Live;

/// Between two readings while somebody asks.
const READ_EVERY: Duration = Duration::from_secs(5);
/// So long after the last question the numbers are still read; longer than any usual pause between scrapes.
const WANTED_FOR: Duration = Duration::from_secs(300);
/// How long the first question waits for the first reading.
const FIRST_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at the causes of dead jobs, of which there may be many.
const DEAD_EVERY: Duration = Duration::from_secs(60);
/// A cause is new for so long.
const NEW_FOR: Duration = Duration::from_secs(86_400);
/// Running jobs in trouble that are looked at.
const MOST_SUSPECTS: usize = 5000;

/// Tells this process's numbers.
pub fn exposition(format: Format) -> String {
    jobforge_store::postgres::sample_pools();
    let build = [
        env!("CARGO_PKG_VERSION"),
        option_env!("JOBFORGE_REVISION").unwrap_or("unknown"),
        env!("JOBFORGE_RUSTC"),
    ];
    process().set(&table::BUILD_INFO, &build, 1.0);
    process().encode(format, clock::monotonic())
}

/// What a process of workers tells to whoever judges the alerts: its own numbers.
pub fn own_telling() -> Telling {
    Arc::new(|_| Box::pin(async { exposition(Format::Prometheus) }))
}

/// What a server tells to whoever judges the alerts. The judge alone reads the shared numbers, so that several servers do
/// not all ask for them.
pub fn telling(numbers: Arc<Numbers>) -> Telling {
    Arc::new(move |shared| {
        let numbers = Arc::clone(&numbers);
        Box::pin(async move {
            if shared && let Err(error) = numbers.read().await {
                tracing::warn!(
                    error = error.chain(),
                    "could not read the shared metrics; alerts see older ones"
                );
            }
            exposition(Format::Prometheus)
        })
    })
}

/// Reads shared numbers while somebody asks for them.
pub struct Numbers {
    store: Arc<dyn Store>,
    live: Live,
    wanted_at: Mutex<Option<Instant>>,
    read_at: Mutex<Option<Instant>>,
    /// Causes of dead jobs by state, which are looked at less often than the rest.
    dead: Mutex<Vec<(&'static str, u64)>>,
    asked: Notify,
    told: Notify,
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

impl Numbers {
    /// Nothing is read until somebody asks.
    pub fn new(store: Arc<dyn Store>, live: Live) -> Self {
        let (asked, told) = (Notify::new(), Notify::new());
        let (wanted_at, read_at, dead) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { store, live, wanted_at, read_at, dead, asked, told }
    }

    /// Everything, the shared numbers at most [`READ_EVERY`] old or, after a long time without a question, read now.
    pub async fn exposition(&self, format: Format) -> String {
        let told = self.told.notified();
        let is_first = !is_within(&self.wanted_at, WANTED_FOR);
        set(&self.wanted_at, Some(clock::monotonic()));
        if is_first && !is_within(&self.read_at, 2 * READ_EVERY) {
            self.asked.notify_one();
            // A database that does not answer must not keep this process's own numbers from being told, and the next
            // scrape not at all.
            let _ = tokio::time::timeout(FIRST_WITHIN, told).await;
        }
        exposition(format)
    }

    /// Reads as long as it is wanted, until `stop` fires.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut dead_at = None;
        loop {
            let asked = self.asked.notified();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(READ_EVERY) => {}
                () = asked => {}
            }
            if !is_within(&self.wanted_at, WANTED_FOR) {
                continue;
            }
            let now = clock::monotonic();
            if dead_at.is_none_or(|at| now.duration_since(at) >= DEAD_EVERY) {
                match self.dead_groups().await {
                    Ok(groups) => {
                        *self.dead.lock().unwrap_or_else(PoisonError::into_inner) = groups;
                        dead_at = Some(now);
                    }
                    Err(error) => {
                        tracing::debug!(error = error.chain(), "could not read the causes of dead jobs");
                    }
                }
            }
            if let Err(error) = self.read().await {
                tracing::warn!(error = error.chain(), "could not read the shared metrics; trying again");
            }
            self.told.notify_waiters();
        }
    }

    /// Reads everything once and publishes it, with the causes of dead jobs as they were last looked at.
    ///
    /// # Errors
    /// When the database fails; what was published before stays.
    pub async fn read(&self) -> Result<(), StoreError> {
        let settings = self.live.now();
        let policy = settings.rescue_policy();
        let gauges = self.store.gauges(Now::Database).await?;
        let queues = self.store.queues(Now::Database).await?;
        let suspects = self.store.suspects(&policy.fast, MOST_SUSPECTS, Now::Database).await?;
        let watchdogs = self.store.watchdogs(Now::Database).await?;
        let runs = self.store.watchdog_runs(1).await?;
        let page = ScheduleFilter { limit: MAX_PAGE, ..ScheduleFilter::default() };
        let schedules = self.store.schedules(&page).await?;
        let scheduler = self.store.scheduler(Now::Database).await?;
        let in_trouble = suspects.suspects.iter().filter_map(|suspect| {
            let cause = cause(&suspect.job, suspect.worker.as_ref(), suspects.as_of, &policy)?;
            Some((suspect.job.job_type.as_str(), matches!(cause, Cause::NoProgress { .. })))
        });
        let mut told = Told::default();
        told.queues(&gauges, &queues, process());
        told.workers(&gauges);
        told.jobs(&gauges, &schedules, in_trouble);
        told.watchdogs(&watchdogs, runs.first());
        told.schedules(schedules, scheduler.as_ref(), gauges.as_of, process());
        told.budgets(&gauges, &settings);
        told.in_force(&settings);
        for (state, groups) in &*self.dead.lock().unwrap_or_else(PoisonError::into_inner) {
            told.add(&table::DEAD_GROUPS, [*state], *groups as f64);
        }
        process().publish(told.0, clock::monotonic());
        process().set(&table::SNAPSHOT_AT, &[], seconds(clock::wall()));
        set(&self.read_at, Some(clock::monotonic()));
        Ok(())
    }

    async fn dead_groups(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let now = self.store.now().await?;
        self.store.name_causes().await?;
        let open = self.store.dead_groups(&DeadFilter::default()).await?;
        let every = self.store.dead_groups(&DeadFilter { resolved: true, ..DeadFilter::default() }).await?;
        let is_new = |group: &&DeadGroup| since(now, group.first_at) < NEW_FOR;
        let new = open.iter().filter(is_new).count() as u64;
        let (open, every) = (open.len() as u64, every.len() as u64);
        Ok(vec![("new", new), ("known", open - new), ("resolved", every.saturating_sub(open))])
    }
}

fn set(moment: &Mutex<Option<Instant>>, to: Option<Instant>) {
    *moment.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

fn is_within(moment: &Mutex<Option<Instant>>, age: Duration) -> bool {
    let at = *moment.lock().unwrap_or_else(PoisonError::into_inner);
    at.is_some_and(|at| clock::monotonic().duration_since(at) < age)
}

fn seconds(moment: Timestamp) -> f64 {
    moment.as_microsecond() as f64 / 1e6
}

/// What is told of the whole.
#[derive(Default)]
struct Told(Vec<Sample>);

impl Told {
    fn add<const N: usize>(&mut self, metric: &'static Metric, labels: [&str; N], value: f64) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.push(Sample { metric: metric.name, labels, value });
    }

    fn queues(&mut self, gauges: &Gauges, queues: &[QueueInfo], registry: &Registry) {
        let retrying: BTreeMap<&str, u64> =
            gauges.retrying.iter().map(|(queue, jobs)| (queue.as_str(), *jobs)).collect();
        for queue in queues {
            registry.know_queue(&queue.name);
            let name = queue.name.as_str();
            let again = retrying.get(name).copied().unwrap_or_default();
            let by_status = [
                ("queued", queue.ready),
                ("scheduled", queue.scheduled.saturating_sub(again)),
                ("running", queue.running),
                ("retrying", again),
            ];
            for (status, jobs) in by_status {
                self.add(&table::BY_STATUS, [name, status], jobs as f64);
            }
            self.add(&table::READY, [name], queue.ready as f64);
            let age = queue.oldest_ready_at.map_or(Duration::ZERO, |at| since(gauges.as_of, at));
            self.add(&table::OLDEST_READY, [name], age.as_secs_f64());
            self.add(&table::SLOTS_USED, [name], queue.running as f64);
        }
    }

    fn workers(&mut self, gauges: &Gauges) {
        let queues: BTreeSet<&str> = gauges.workers.iter().map(|row| row.queue.as_str()).collect();
        for queue in queues {
            let of = |state: &str| gauges.workers.iter().find(|row| row.queue == queue && row.state == state);
            let mut slots = 0;
            for state in ["live", "quiet", "stale", "down", "draining"] {
                self.add(&table::WORKERS, [queue, state], of(state).map_or(0, |row| row.workers) as f64);
                if ["live", "quiet"].contains(&state) {
                    slots += of(state).map_or(0, |row| row.slots);
                }
            }
            self.add(&table::SLOTS, [queue], slots as f64);
        }
    }

    fn jobs<'a>(
        &mut self,
        gauges: &'a Gauges,
        schedules: &'a [Schedule],
        in_trouble: impl Iterator<Item = (&'a str, bool)>,
    ) {
        // What waits and runs is counted by its type, also where its success is counted by its schedule.
        let of_schedules: BTreeSet<&str> =
            schedules.iter().map(|schedule| schedule.definition.name.as_str()).collect();
        let succeeded = gauges.successes.iter().map(|(name, _)| name.as_str());
        let mut names: BTreeSet<&str> = succeeded.filter(|name| !of_schedules.contains(name)).collect();
        names.extend(schedules.iter().map(|schedule| schedule.definition.job_type.as_str()));
        names.extend(gauges.running.iter().map(|row| row.job_type.as_str()));
        names.extend(gauges.ready.iter().map(|(name, _)| name.as_str()));
        // Zero for what has nothing ready or stuck: growth from zero is growth.
        for name in names {
            let ready = gauges.ready.iter().find(|(other, _)| other == name).map_or(0, |(_, jobs)| *jobs);
            self.add(&table::QUEUE_SIZE, [name], ready as f64);
            self.add(&table::STUCK, [name], 0.0);
            self.add(&table::STALLED, [name], 0.0);
        }
        for (name, at) in &gauges.successes {
            self.add(&table::LAST_SUCCESS, [name], seconds(*at));
        }
        for row in &gauges.running {
            let age = row.oldest.map_or(Duration::ZERO, |at| since(gauges.as_of, at));
            self.add(&table::OLDEST_RUNNING, [&row.job_type], age.as_secs_f64());
            if let Some(timeout) = row.timeout {
                self.add(&table::RUNNING_TIMEOUT, [&row.job_type], timeout.as_secs_f64());
            }
        }
        for (name, stands_still) in in_trouble {
            self.add(if stands_still { &table::STALLED } else { &table::STUCK }, [name], 1.0);
        }
    }

    fn watchdogs(&mut self, watchdogs: &[WatchdogRow], last: Option<&Run>) {
        if let Some(run) = last {
            self.add(&table::WATCHDOG_AT, [], seconds(run.started_at));
        }
        if let Some(at) = watchdogs.iter().map(|watchdog| watchdog.last_sign_at).max() {
            self.add(&table::CLEANUP_AT, [], seconds(at));
        }
    }

    fn schedules(
        &mut self,
        schedules: Vec<Schedule>,
        scheduler: Option<&Scheduler>,
        now: Timestamp,
        registry: &Registry,
    ) {
        if let Some(scheduler) = scheduler {
            self.add(&table::SCHEDULER_AT, [], seconds(scheduler.last_tick_at));
        }
        for schedule in schedules {
            let view = ScheduleView::of(schedule, now);
            let (name, schedule) = ([view.name.as_str()], &view.schedule);
            registry.know_schedule(&view.name);
            let lengths = [
                (&table::SCHEDULE_INTERVAL, schedule.interval_ms),
                (&table::SCHEDULE_STALE_AFTER, schedule.stale_after_ms),
            ];
            for (metric, ms) in lengths {
                if let Some(ms) = ms {
                    self.add(metric, name, Duration::from_millis(ms).as_secs_f64());
                }
            }
            self.add(&table::SCHEDULE_FRESH, name, seconds(schedule.fresh_since(now)));
            // The job's own end tells it first; the ledger knows it also of jobs that ended in other programs.
            for (metric, at) in
                [(&table::SCHEDULE_NEXT, schedule.next_at), (&table::LAST_SUCCESS, schedule.last_success_at)]
            {
                if let Some(at) = at {
                    self.add(metric, name, seconds(at));
                }
            }
            self.add(&table::SCHEDULE_FAILURES, name, f64::from(schedule.consecutive_failures));
            let paused = view.state == ScheduleState::Paused;
            self.add(&table::SCHEDULE_PAUSED, name, f64::from(u8::from(paused)));
        }
    }

    /// Running jobs times heartbeats a minute at the first interval, as the runbook has it, though intervals grow.
    fn budgets(&mut self, gauges: &Gauges, settings: &Settings) {
        let budgets = Budgets::of(settings);
        let expected = |of: Option<&str>| -> f64 {
            let rows = gauges.running.iter().filter(|row| of.is_none_or(|tenant| row.tenant_id == tenant));
            budgets.expected(rows.map(|row| row.jobs).sum())
        };
        self.add(&table::EXPECTED_BEATS_ALL, [], expected(None));
        if let Some(budget) = budgets.of_all {
            self.add(&table::BEAT_BUDGET_ALL, [], budget as f64);
        }
        for (tenant, budget) in &budgets.of_tenant {
            self.add(&table::BEAT_BUDGET, [tenant], *budget as f64);
            self.add(&table::EXPECTED_BEATS, [tenant], expected(Some(tenant)));
        }
    }

    fn in_force(&mut self, settings: &Settings) {
        for resolved in settings.iter() {
            let key = resolved.setting.key;
            match resolved.setting.kind {
                Kind::Flag => {
                    let name = resolved.setting.env.first().map_or(key, |env| env.name);
                    let name = name.trim_start_matches("FEATURE_FLAG_");
                    self.add(&table::FEATURE, [name], f64::from(u8::from(settings.flag(key))));
                }
                Kind::Millis { .. } => {
                    let value = settings.millis(key).as_secs_f64();
                    self.add(&table::THRESHOLD, [key.trim_end_matches("_ms")], value);
                }
                Kind::Integer { .. }
                | Kind::Decimal { .. }
                | Kind::Word(_)
                | Kind::Text
                | Kind::List
                | Kind::Words(_)
                | Kind::MillisByName { .. }
                | Kind::Secret => {}
            }
        }
    }
}
