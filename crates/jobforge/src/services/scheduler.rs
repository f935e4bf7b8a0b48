//! The scheduler fires what is due. Any number may run; one is elected and saves the others the work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jobforge_core::audit::{By, ITSELF};
use jobforge_core::metric::{process, table};
use jobforge_core::schedule::{Definition, RunOutcome, ScheduleView, Source, TAKEN_OVER_AFTER};
use jobforge_core::time::{Now, add, since};
use jobforge_store::rows::{FIRE_STEP, Fired, FiredLine, MAX_PAGE, ScheduleFilter, WakeEvent};
use jobforge_store::{Store, StoreError};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::Client;
use crate::clock;
use crate::schedule::ScheduleError;

/// Between two looks when nothing is due and nobody tells of changes, and between two at which runs are noted as ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks when nothing is due and changes are told of; the elected one is seen to be there so often.
const REST: Duration = Duration::from_secs(10);
/// How long the elected one need not say so again, beyond its rest. What is due is fired by others sooner than that.
const TURN: Duration = Duration::from_secs(5);
/// Noting ends takes at most such a part of the time, however many runs have not ended.
const ENDS_SHARE: u32 = 20;
/// The shortest wait, so that a moment that is nearly there is not asked for again and again.
const LEAST_WAIT: Duration = Duration::from_millis(2);
/// Steps of one pass at most, and for how long it begins others; what is left then is taken up by the next. In between the
/// turn is prolonged and ends are noted, also by one who does not keep up.
const MAX_STEPS: usize = 1000;
const LONGEST_PASS: Duration = Duration::from_secs(1);
/// A clock that goes back by more than this was set.
const SET_BACK: Duration = Duration::from_secs(1);

/// Is told of each step.
type TellStep = dyn Fn(&Fired) + Send + Sync;

/// Fires schedules.
pub struct Scheduler {
    store: Arc<dyn Store>,
    name: String,
    /// The last reading of the database's clock.
    seen: Option<Timestamp>,
    /// Until when this one is elected, as far as it knows.
    leads_until: Option<Instant>,
    ends: Ends,
    /// Who is told of each step.
    told: Option<Box<TellStep>>,
    /// What is still to be made known.
    declares: Vec<(Source, Vec<Definition>)>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("name", &self.name).finish_non_exhaustive()
    }
}

/// When to look for runs that have ended: soon after some were fired or have ended, then less and less often.
#[derive(Debug, Clone, Copy)]
struct Ends {
    pause: Duration,
    next: Option<Instant>,
}

impl Ends {
    fn are_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// Something may end soon.
    fn hasten(&mut self, now: Instant) {
        let soon = now + LOOK_EVERY;
        self.pause = LOOK_EVERY;
        self.next = self.next.map(|next| next.min(soon));
    }

    fn looked(&mut self, ended: u64, took: Duration, now: Instant, rest: Duration) {
        self.pause = if ended > 0 { LOOK_EVERY } else { (self.pause * 2).min(rest) };
        self.next = Some(now + self.pause.max(took * ENDS_SHARE));
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
        let ends = Ends { pause: LOOK_EVERY, next: None };
        Self { store, name, seen: None, leads_until: None, ends, told: None, declares: Vec::new() }
    }

    /// Makes schedules known before it begins; see [`Client::declare_schedules`].
    #[must_use]
    pub fn declaring(mut self, source: Source, definitions: Vec<Definition>) -> Self {
        self.declares.push((source, definitions));
        self
    }

    /// Tells of each step, also of one in which nothing was due.
    #[must_use]
    pub fn telling(mut self, told: impl Fn(&Fired) + Send + Sync + 'static) -> Self {
        self.told = Some(Box::new(told));
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
                Ok(pass) => {
                    let wait = self.rest_after(&pass);
                    self.keep_turn(wait).await;
                    wait
                }
                Err(error) => {
                    tracing::warn!(error = error.chain(), "the scheduler failed to fire; trying again");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                () = changed(&mut events) => self.ends.hasten(clock::monotonic()),
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
        let leads = self.lead().await?;
        // Who is not elected steps in when what is due is left undone.
        let overdue_by = if leads { Duration::ZERO } else { TAKEN_OVER_AFTER };
        let mut all = self.step(overdue_by).await?;
        let begun = clock::monotonic();
        for _ in 0..MAX_STEPS {
            let is_more = all.next_due.is_some_and(|due| since(all.as_of, due) > overdue_by);
            if !is_more || clock::monotonic().duration_since(begun) > LONGEST_PASS {
                break;
            }
            let next = self.step(overdue_by).await?;
            if next.lines.is_empty() {
                all = Fired { lines: all.lines, ..next };
                break;
            }
            all = Fired { lines: all.lines.into_iter().chain(next.lines).collect(), ..next };
        }
        let made_jobs = all.lines.iter().any(|line| line.job_id.is_some());
        let now = clock::monotonic();
        if made_jobs {
            self.ends.hasten(now);
        }
        let mut ended = 0;
        if leads && self.ends.are_due(now) {
            ended = self.store.end_schedule_runs(Now::Database).await?;
            let end = clock::monotonic();
            self.ends.looked(ended, end.duration_since(now), end, self.rest());
        }
        Ok(Pass { leads, fired: all, ended })
    }

    /// Whether this one is elected, asked only when it does not know.
    async fn lead(&mut self) -> Result<bool, StoreError> {
        // Read before, so that the database's turn ends later.
        let now = clock::monotonic();
        if self.leads_until.is_some_and(|until| now < until) {
            return Ok(true);
        }
        let elected = self.store.lead_schedules(&self.name, TURN, Now::Database).await;
        self.leads_until = matches!(elected, Ok(true)).then(|| now + TURN);
        leads(self.leads_until.is_some());
        elected
    }

    /// Stays elected over a rest.
    async fn keep_turn(&mut self, rest: Duration) {
        let now = clock::monotonic();
        let ends_before = |until: Instant| until < now + rest + TURN / 2;
        if !self.leads_until.is_some_and(ends_before) {
            return;
        }
        let turn = rest + TURN;
        match self.store.lead_schedules(&self.name, turn, Now::Database).await {
            Ok(elected) => {
                self.leads_until = elected.then(|| now + turn);
                leads(elected);
            }
            Err(error) => tracing::debug!(error = error.chain(), "could not stay elected; asking again"),
        }
    }

    /// The longest time without a look.
    fn rest(&self) -> Duration {
        if self.store.capabilities().wake_across_processes { REST } else { LOOK_EVERY }
    }

    /// How long nothing is to be done.
    fn rest_after(&self, pass: &Pass) -> Duration {
        let Fired { as_of, next_due, .. } = pass.fired;
        let rest = self.rest();
        if !pass.leads {
            // Until something would be left undone.
            let until_left = next_due.map_or(rest, |due| since(add(due, TAKEN_OVER_AFTER), as_of));
            return until_left.clamp(LOOK_EVERY, rest);
        }
        let until_due = next_due.map_or(rest, |due| since(due, as_of));
        let now = clock::monotonic();
        let until_end = self.ends.next.map_or(rest, |next| next.saturating_duration_since(now));
        until_due.min(until_end).clamp(LEAST_WAIT, rest)
    }

    async fn step(&mut self, overdue_by: Duration) -> Result<Fired, StoreError> {
        let fired = self.fire(overdue_by).await?;
        let was_set_back = self.seen.is_none_or(|seen| since(seen, fired.as_of) > SET_BACK);
        self.seen = Some(fired.as_of);
        if was_set_back && self.store.rearm_schedules(Now::Database).await? > 0 {
            tracing::warn!(
                "the database's clock was set back; the next moments of its schedules were reckoned anew"
            );
            let next = self.fire(overdue_by).await?;
            return Ok(Fired { lines: fired.lines.into_iter().chain(next.lines).collect(), ..next });
        }
        Ok(fired)
    }

    async fn fire(&self, overdue_by: Duration) -> Result<Fired, StoreError> {
        let fired = self.store.fire_schedules(overdue_by, FIRE_STEP, Now::Database).await?;
        fired.lines.iter().for_each(tell);
        if let Some(told) = &self.told {
            told(&fired);
        }
        Ok(fired)
    }
}

fn leads(leads: bool) {
    process().set(&table::LEADER, &["scheduler"], f64::from(u8::from(leads)));
}

/// Resolves when schedules may have changed.
async fn changed(events: &mut Receiver<WakeEvent>) {
    loop {
        match events.recv().await {
            // What was passed over may have been about schedules.
            Ok(WakeEvent::Everything) | Err(RecvError::Lagged(_)) => return,
            Ok(WakeEvent::Work { .. } | WakeEvent::Moved { .. } | WakeEvent::Renew { .. }) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_looked_for_soon_after_something_was_fired_and_then_less_and_less_often() {
        let begun = clock::monotonic();
        let mut ends = Ends { pause: LOOK_EVERY, next: None };
        let mut now = begun;
        let pauses: Vec<u64> = (0..5)
            .map(|_| {
                ends.looked(0, Duration::ZERO, now, REST);
                let pause = ends.next.map_or(Duration::ZERO, |next| next.duration_since(now));
                now += pause;
                pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [2, 4, 8, 10, 10]);
        ends.hasten(now);
        assert!(ends.are_due(now + LOOK_EVERY));
        ends.looked(3, Duration::ZERO, now, REST);
        assert!(!ends.are_due(now) && ends.are_due(now + LOOK_EVERY));
        // Many runs that do not end must not keep the database busy.
        ends.looked(0, Duration::from_secs(1), now, REST);
        assert!(!ends.are_due(now + Duration::from_secs(19)));
    }
}
