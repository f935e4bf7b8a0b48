//! The scheduler fires what is due. Any number may run; one is elected and saves the others the work.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::audit::{By, ITSELF};
use jobforge_core::metric::{process, table};
use jobforge_core::schedule::{Definition, RunOutcome, ScheduleView, Source, TAKEN_OVER_AFTER};
use jobforge_core::time::{Now, since};
use jobforge_store::rows::{FIRE_STEP, Fired, FiredLine, MAX_PAGE, ScheduleFilter, WakeEvent};
use jobforge_store::{Store, StoreError};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::Client;
use crate::schedule::ScheduleError;

/// Between two looks when nothing is due: what others change is noticed after so long at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the elected one need not say so again. What is due is fired by others sooner than that.
const TURN: Duration = Duration::from_secs(5);
/// The shortest wait, so that a moment that is nearly there is not asked for again and again.
const LEAST_WAIT: Duration = Duration::from_millis(2);
/// Steps of one pass at most; what is left then is taken up by the next.
const MAX_STEPS: usize = 1000;
/// A clock that goes back by more than this was set.
const SET_BACK: Duration = Duration::from_secs(1);

/// Fires schedules.
pub struct Scheduler {
    store: Arc<dyn Store>,
    name: String,
    /// The last reading of the database's clock.
    seen: Option<Timestamp>,
    /// What is still to be made known.
    declares: Vec<(Source, Vec<Definition>)>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What one pass did.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Whether this one is elected.
    pub leads: bool,
    /// What was written down, over all steps.
    pub fired: Fired,
    /// Ended runs of which note was taken.
    pub ended: u64,
}

impl Scheduler {
    /// Fires schedules of this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        // Never another's name, for who is elected is told apart by it; and one by which people find the process.
        let (host, pid) = (crate::process::hostname(), std::process::id());
        let name = format!("{host}:{pid}:{}", Uuid::new_v4().simple());
        Self { store, name, seen: None, declares: Vec::new() }
    }

    /// Makes schedules known before it begins; see [`Client::declare_schedules`].
    #[must_use]
    pub fn declaring(mut self, source: Source, definitions: Vec<Definition>) -> Self {
        self.declares.push((source, definitions));
        self
    }

    /// Fires what is due until `stop` fires.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut events = self.store.subscribe();
        let mut is_announced = false;
        loop {
            if !is_announced {
                match self.declare().await {
                    Ok(()) => is_announced = true,
                    Err(error) => tracing::warn!("could not set up the schedules; trying again: {error}"),
                }
            }
            let wait = match self.run_once().await {
                Ok(pass) => pass.wait(),
                Err(error) => {
                    tracing::warn!(error = error.chain(), "the scheduler failed to fire; trying again");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                () = changed(&mut events) => {}
            }
        }
        leads(false);
        // So that the next is elected at once.
        if let Err(error) = self.store.lead_schedules(&self.name, Duration::ZERO, Now::Database).await {
            tracing::debug!(error = error.chain(), "could not step down; the turn will run out");
        }
    }

    async fn declare(&mut self) -> Result<(), ScheduleError> {
        while let Some((source, definitions)) = self.declares.last() {
            let actor = match source {
                Source::Builtin => ITSELF.to_owned(),
                Source::Api | Source::Cli | Source::Config | Source::Code => {
                    format!("{source}:{}", self.name)
                }
            };
            let client = Client::new(Arc::clone(&self.store)).acting(By::named(actor));
            client.declare_schedules(definitions.clone(), *source).await?;
            self.declares.pop();
        }
        Ok(self.announce().await?)
    }

    /// Says which schedules there are.
    async fn announce(&self) -> Result<(), StoreError> {
        let now = self.store.now().await?;
        let mut after = None;
        loop {
            let page = ScheduleFilter { tenant_id: None, after, limit: MAX_PAGE };
            let schedules = self.store.schedules(&page).await?;
            after = schedules.last().map(|schedule| schedule.definition.name.clone());
            let is_last = schedules.len() < MAX_PAGE;
            for schedule in schedules {
                let ScheduleView { name, when, schedule, .. } = ScheduleView::of(schedule, now);
                let paused = if schedule.paused.is_some() { ", paused" } else { "" };
                tracing::info!(job_name = %name, "Starting {name} scheduler ({when}{paused})");
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Fires what is due now.
    ///
    /// # Errors
    /// When the database fails; what was fired stays fired.
    pub async fn run_once(&mut self) -> Result<Pass, StoreError> {
        let elected = self.store.lead_schedules(&self.name, TURN, Now::Database).await;
        leads(elected.as_ref().is_ok_and(|leads| *leads));
        let leads = elected?;
        // Who is not elected steps in when what is due is left undone.
        let overdue_by = if leads { Duration::ZERO } else { TAKEN_OVER_AFTER };
        let mut all = self.step(overdue_by).await?;
        for _ in 0..MAX_STEPS {
            let is_more = all.next_due.is_some_and(|due| since(all.as_of, due) > overdue_by);
            if !is_more {
                break;
            }
            let next = self.step(overdue_by).await?;
            if next.lines.is_empty() {
                all = Fired { lines: all.lines, ..next };
                break;
            }
            all = Fired { lines: all.lines.into_iter().chain(next.lines).collect(), ..next };
        }
        let ended = if leads { self.store.end_schedule_runs(Now::Database).await? } else { 0 };
        Ok(Pass { leads, fired: all, ended })
    }

    async fn step(&mut self, overdue_by: Duration) -> Result<Fired, StoreError> {
        let fired = self.store.fire_schedules(overdue_by, FIRE_STEP, Now::Database).await?;
        fired.lines.iter().for_each(tell);
        let was_set_back = self.seen.is_none_or(|seen| since(seen, fired.as_of) > SET_BACK);
        self.seen = Some(fired.as_of);
        if was_set_back && self.store.rearm_schedules(Now::Database).await? > 0 {
            tracing::warn!(
                "the database's clock was set back; the next moments of its schedules were reckoned anew"
            );
            return self.store.fire_schedules(overdue_by, FIRE_STEP, Now::Database).await;
        }
        Ok(fired)
    }
}

impl Pass {
    /// How long nothing is to be done.
    fn wait(&self) -> Duration {
        let Fired { as_of, next_due, .. } = self.fired;
        let until_due = next_due.map_or(LOOK_EVERY, |due| since(due, as_of));
        if self.leads { until_due.clamp(LEAST_WAIT, LOOK_EVERY) } else { LOOK_EVERY }
    }
}

fn leads(leads: bool) {
    process().set(&table::LEADER, &["scheduler"], f64::from(u8::from(leads)));
}

/// Resolves when schedules may have changed.
async fn changed(events: &mut Receiver<WakeEvent>) {
    loop {
        match events.recv().await {
            Ok(WakeEvent::Everything) => return,
            Ok(WakeEvent::Work { .. } | WakeEvent::Moved { .. } | WakeEvent::Renew { .. })
            | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// One line of the log for each moment.
fn tell(fired: &FiredLine) {
    let FiredLine { schedule, line, job_id } = fired;
    let moment = line.planned_for;
    let why = line.why.as_deref().unwrap_or_default();
    let job = job_id.map(|id| id.to_string()).unwrap_or_default();
    match line.outcome {
        RunOutcome::Ran if why.is_empty() => {
            tracing::info!(job_name = %schedule, job.id = job, "{schedule}: job {job} for {moment}");
        }
        RunOutcome::Ran => {
            tracing::info!(job_name = %schedule, job.id = job, "{schedule}: job {job} for {moment}; {why}");
        }
        RunOutcome::Late => {
            tracing::warn!(job_name = %schedule, job.id = job, "{schedule}: job {job} for {moment} is late, {why}");
        }
        RunOutcome::Missed => {
            let ticks = line.ticks;
            tracing::warn!(job_name = %schedule, ticks, "{schedule}: missed {ticks} from {moment}: {why}");
        }
        RunOutcome::Skipped => {
            let ticks = line.ticks;
            tracing::info!(job_name = %schedule, ticks, "{schedule}: skipped {ticks} from {moment}: {why}");
        }
    }
}
