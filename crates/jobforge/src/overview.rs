//! What the database says of the whole, gathered once for everybody who looks: health, dashboard, `jobforge top`.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::time::Duration;

use jiff::Timestamp;
use jobforge_api::alerts::{AlertView, alert_view};
use jobforge_core::alert::kept::{Bench, MOST_ALERTS};
use jobforge_core::alert::state::Active;
use jobforge_core::dead::DeadGroup;
use jobforge_core::job::{Job, WorkerId};
use jobforge_core::overview::{
    self, COUNTED_TO, DEAD_CAUSES, DEAD_COUNTED_TO, DEAD_IS_NEWS_FOR, Overview, QueueLoad, StuckGroup,
};
use jobforge_core::rescue::{Cause, RescuePolicy, Suspect, cause, describe};
use jobforge_core::role::{HOUSEKEEPER_SILENT, Role, SCHEDULER_SILENT};
use jobforge_core::schedule::{ScheduleView, Scheduler};
use jobforge_core::standing;
use jobforge_core::standing::Rules;
use jobforge_core::state::Status;
use jobforge_core::time::{Now, since, sub};
use jobforge_core::watchdog::{Run, WatchdogRow};
use jobforge_core::worker::WorkerRow;
use jobforge_store::rows::{DeadFilter, LastSign, Latest, MAX_PAGE, QueueInfo};
use jobforge_store::{Store, StoreError};

use crate::clock;

/// Running jobs that are looked at for trouble; runbooks list them one by one.
const MOST_STUCK: usize = 500;
/// Troubles of running jobs that are told apart; each costs a question about one job.
const MOST_GROUPS: usize = 10;
/// Causes of death that are news at once.
const MOST_NEWS: usize = 20;
/// Since when ended jobs are counted.
const COUNTED: Duration = Duration::from_secs(86_400);

/// A running job in trouble, by the one definition that there is.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// The job.
    pub job: Job,
    /// Who holds it.
    pub worker: Option<WorkerId>,
    /// What is wrong.
    pub cause: Cause,
    /// The same in a sentence.
    pub reason: String,
}

/// Schedules, and which of them are in trouble.
#[derive(Debug, Clone)]
pub struct Schedules {
    /// How many there are.
    pub total: u64,
    /// How many of them are paused.
    pub paused: u64,
    /// Those in trouble, the longest without a success first.
    pub ill: Vec<ScheduleView>,
}

/// What the database says.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its clock.
    pub as_of: Timestamp,
    /// How long it took to say what time it is.
    pub took: Duration,
    /// Running jobs in trouble, worst first.
    pub stuck: Vec<Stuck>,
    /// Jobs by status, those that ended within the last day.
    pub counts: Vec<(Status, u64)>,
    /// Every queue.
    pub queues: Vec<QueueInfo>,
    /// Workers that are active or ended lately.
    pub workers: Vec<WorkerRow>,
    /// Watchdogs, the last heard first.
    pub watchdogs: Vec<WatchdogRow>,
    /// Their last run.
    pub last_run: Option<Run>,
    /// Who fires schedules.
    pub scheduler: Option<Scheduler>,
    /// Who keeps house.
    pub housekeeper: Option<LastSign>,
    /// How schedules are.
    pub schedules: Schedules,
    /// Alerts that hold.
    pub alerts: Vec<AlertView>,
    /// Those of them that fire and are not silenced.
    pub firing: Vec<Active>,
    /// Who judges alerts.
    pub bench: Bench,
}

impl Facts {
    /// Asks the database, with no limit on how long that takes.
    pub async fn gather(store: &dyn Store, policy: &RescuePolicy) -> Result<Self, StoreError> {
        let begun = clock::monotonic();
        let as_of = store.now().await?;
        let took = clock::monotonic().duration_since(begun);
        let (
            stuck,
            counts,
            queues,
            workers,
            watchdogs,
            runs,
            scheduler,
            housekeeper,
            schedules,
            alerts,
            silences,
            bench,
        ) = tokio::try_join!(
            stuck(store, policy),
            store.status_counts_to(COUNTED_TO, None, sub(as_of, COUNTED)),
            store.queues_to(COUNTED_TO, Now::Database),
            store.workers(Now::Database),
            store.watchdogs(Now::Database),
            store.watchdog_runs(1),
            store.scheduler(Now::Database),
            store.housekeeper(),
            store.survey_schedules(MAX_PAGE, Now::Database),
            store.alerts(false, MOST_ALERTS),
            store.silences(Now::Database),
            store.alert_bench(),
        )?;
        let view = |schedule| ScheduleView::of(schedule, schedules.as_of);
        let schedules = Schedules {
            total: schedules.total,
            paused: schedules.paused,
            ill: schedules.suspects.into_iter().map(view).collect(),
        };
        let views: Vec<AlertView> = alerts.iter().map(|row| alert_view(row, &silences, as_of)).collect();
        let fires = alerts.into_iter().zip(&views).filter(|(_, view)| view.state == "firing");
        let firing = fires.map(|(row, _)| row.alert).collect();
        let last_run = runs.into_iter().next();
        Ok(Self {
            as_of,
            took,
            stuck,
            counts,
            queues,
            workers,
            watchdogs,
            last_run,
            scheduler,
            housekeeper,
            schedules,
            alerts: views,
            firing,
            bench,
        })
    }

    /// How many jobs have a status, and whether there may be more. Those that ended share one bound.
    pub fn count(&self, status: Status) -> (u64, bool) {
        let of =
            |wanted| self.counts.iter().find(|(known, _)| *known == wanted).map_or(0, |(_, count)| *count);
        let ended: u64 =
            self.counts.iter().filter(|(known, _)| known.is_terminal()).map(|(_, count)| count).sum();
        let bound = if status.is_terminal() { ended } else { of(status) };
        (of(status), bound >= COUNTED_TO)
    }

    /// Which dead jobs are news.
    pub fn dead_news(&self) -> DeadFilter {
        let since = Some(sub(self.as_of, DEAD_IS_NEWS_FOR));
        let latest = Some(Latest { causes: MOST_NEWS, cap: DEAD_COUNTED_TO, since });
        DeadFilter { latest, ..DeadFilter::default() }
    }

    /// Of all dead jobs, what whoever looks again and again can ask for: the latest causes, with counts that stop early.
    pub fn dead_latest() -> DeadFilter {
        let latest = Some(Latest { causes: DEAD_CAUSES, cap: DEAD_COUNTED_TO, since: None });
        DeadFilter { latest, ..DeadFilter::default() }
    }

    /// Whether a watchdog runs.
    pub fn is_watched(&self) -> bool {
        self.watchdogs.first().is_some_and(|watchdog| !watchdog.is_silent(self.as_of))
    }

    /// How long ago somebody last looked for schedules that are due.
    pub fn tick_age(&self) -> Option<Duration> {
        self.scheduler.as_ref().map(|scheduler| since(self.as_of, scheduler.last_tick_at))
    }

    /// Whether a housekeeper runs.
    pub fn is_kept(&self) -> bool {
        self.housekeeper.as_ref().is_some_and(|last| since(self.as_of, last.at) <= HOUSEKEEPER_SILENT)
    }

    fn is_judged(&self) -> bool {
        self.bench.begins(self.as_of) || !self.bench.is_silent(self.as_of)
    }

    /// What no process of the fleet does, unless nobody is to do it.
    pub fn missing_roles(&self, judges_alerts: bool) -> Vec<Role> {
        let is_fired = self.tick_age().is_some_and(|age| age <= SCHEDULER_SILENT);
        let there = |role: Role| match role {
            // Whether somebody answers over HTTP is seen by asking.
            Role::Api => true,
            Role::Watchdog => self.is_watched(),
            Role::Scheduler => is_fired,
            Role::Housekeeper => self.is_kept(),
            Role::Alerts => !judges_alerts || self.is_judged(),
        };
        Role::ALL.into_iter().filter(|role| !there(*role)).collect()
    }

    /// When the last sign of a role came.
    fn last_sign(&self, role: Role) -> Option<Timestamp> {
        match role {
            Role::Api => None,
            Role::Watchdog => self.watchdogs.first().map(|watchdog| watchdog.last_sign_at),
            Role::Scheduler => self.scheduler.as_ref().map(|scheduler| scheduler.last_tick_at),
            Role::Housekeeper => self.housekeeper.as_ref().map(|last| last.at),
            Role::Alerts => self.bench.judged_at,
        }
    }

    /// Workers that are active and within their lease.
    pub fn live_workers(&self) -> impl Iterator<Item = &WorkerRow> {
        self.workers.iter().filter(|row| row.state.is_active() && row.lease_expires_at > self.as_of)
    }

    /// Every queue with the number of live workers that take from it.
    pub fn loads(&self) -> Vec<QueueLoad> {
        let mut workers: BTreeMap<&str, usize> = BTreeMap::new();
        for queue in self.live_workers().flat_map(|row| &row.queues) {
            *workers.entry(queue).or_default() += 1;
        }
        let load = |queue: &QueueInfo| QueueLoad {
            name: queue.name.clone(),
            ready: queue.ready,
            oldest_ready_at: queue.oldest_ready_at,
            paused_at: queue.paused_at,
            workers: workers.get(queue.name.as_str()).copied().unwrap_or_default(),
        };
        self.queues.iter().map(load).collect()
    }

    /// What is broken, what is being done about it, and what a person must do. Asks about one job of each trouble.
    pub async fn assess(
        &self,
        store: &dyn Store,
        rules: &Rules,
        judges_alerts: bool,
        dead: &[DeadGroup],
    ) -> Result<Overview, StoreError> {
        let missing = self.missing_roles(judges_alerts);
        let unmanned: Vec<_> = missing.into_iter().map(|role| (role, self.last_sign(role))).collect();
        let stuck = self.stuck_groups(store, rules).await?;
        Ok(overview::assess(&overview::Facts {
            as_of: self.as_of,
            unmanned: &unmanned,
            stuck: &stuck,
            queues: &self.loads(),
            workers: &self.workers,
            schedules: &self.schedules.ill,
            alerts: &self.firing,
            dead,
        }))
    }

    async fn stuck_groups(&self, store: &dyn Store, rules: &Rules) -> Result<Vec<StuckGroup>, StoreError> {
        let mut groups: Vec<(&Stuck, usize)> = Vec::new();
        for stuck in &self.stuck {
            let same = |(one, _): &&mut (&Stuck, usize)| {
                discriminant(&one.cause) == discriminant(&stuck.cause)
                    && one.job.job_type == stuck.job.job_type
            };
            if let Some((_, jobs)) = groups.iter_mut().find(same) {
                *jobs += 1;
            } else if groups.len() < MOST_GROUPS {
                groups.push((stuck, 1));
            }
        }
        let mut told = Vec::new();
        for (Stuck { job, .. }, jobs) in groups {
            // It may have ended meanwhile.
            let Some(facts) = store.job_facts(job.id, Now::Database).await? else { continue };
            let standing = standing::assess(&facts, rules);
            told.push(StuckGroup { job_type: job.job_type.clone(), jobs, sample: job.id, standing });
        }
        Ok(told)
    }
}

/// The running jobs in trouble, worst first.
pub async fn stuck(store: &dyn Store, policy: &RescuePolicy) -> Result<Vec<Stuck>, StoreError> {
    let page = store.suspects(&policy.fast, MOST_STUCK, Now::Database).await?;
    let judge = |suspect: &Suspect| {
        let cause = cause(&suspect.job, suspect.worker.as_ref(), page.as_of, policy)?;
        let reason = describe(&cause, suspect, page.as_of);
        let (job, worker) = (suspect.job.clone(), suspect.job.locked_by.clone());
        Some(Stuck { job, worker, cause, reason })
    };
    Ok(page.suspects.iter().filter_map(judge).collect())
}
