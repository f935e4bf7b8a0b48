//! One simulation from its beginning to its end: time passes in small steps, things go wrong, and the checkers look on.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use jobforge_core::job::JobId;
use jobforge_core::standing::Rules;
use jobforge_core::standing::assess;
use jobforge_store::rows::{JobFilter, MAX_PAGE};

use super::broken::Broken;
use super::check::{Checks, Look, Violation};
use super::event::{Event, ProcessId, Role, Stop, What};
use super::fleet::Fleet;
use super::tally::Mark;
use super::weather::{Fault, FaultKind, QUEUES, Rhythm, Weather, WorkerPlan};
use super::world::{Shared, World, wait};
use super::{Options, Report};
use crate::fixtures::s;
use crate::history::Random;

/// How long a step is, in ms: short ones tell apart what happens in a row, long ones get on.
const STEPS_MS: [u64; 6] = [5, 20, 50, 100, 200, 250];
/// Between two looks into the database.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Jobs that are looked at closely in one look.
const CLOSELY: usize = 3;
/// After the last job has ended, so much time must pass in which nothing happens to anybody.
const REST: Duration = Duration::from_secs(75);
/// A worker that is told to end gives its jobs so long.
const GRACES_S: [u64; 3] = [0, 5, 30];

/// A simulation under way.
pub(super) struct Driver {
    world: Shared,
    fleet: Fleet,
    checks: Checks,
    random: Random,
    rhythm: Rhythm,
    storm: Duration,
    /// What will happen, in order.
    agenda: BTreeMap<(Duration, u64), Deed>,
    deeds: u64,
    next_look: Duration,
    down_until: Duration,
    hosts: u32,
    report: Report,
    /// Jobs that had not ended at the last look.
    unfinished: usize,
    at_rest_since: Option<Duration>,
    narrates: bool,
}

/// Something that happens at its time.
#[derive(Clone, Copy)]
enum Deed {
    Fault(Fault),
    Resume(ProcessId),
    Heal(ProcessId),
    Up,
    StartServer,
    StartWorker(WorkerPlan),
    Quiet,
}

impl Driver {
    pub(super) fn new(seed: u64, weather: Weather, options: &Options) -> Result<Self> {
        let mut random = Random::new(seed ^ 0x5eed_5eed_5eed_5eed);
        let world = World::new(Random::new(random.number()), weather.calls, options.broken)?;
        let world = Shared::new(world);
        let rhythm = weather.rhythm.clone();
        let fleet_random = Random::new(random.number());
        let fleet = Fleet::new(world.clone(), rhythm.clone(), fleet_random, weather.requests)?;
        let mut driver = Self {
            checks: Checks::new(&rhythm, bound(&rhythm)),
            world,
            fleet,
            random,
            rhythm,
            storm: weather.storm,
            agenda: BTreeMap::new(),
            deeds: 0,
            next_look: LOOK_EVERY,
            down_until: Duration::ZERO,
            hosts: weather.workers.len() as u32,
            report: Report { seed, ..Report::default() },
            unfinished: usize::MAX,
            at_rest_since: None,
            narrates: options.narrate,
        };
        driver.plan(weather.storm, Deed::Quiet);
        for _ in 0..weather.servers {
            driver.plan(Duration::ZERO, Deed::StartServer);
        }
        for plan in weather.workers {
            driver.plan(Duration::ZERO, Deed::StartWorker(plan));
        }
        for (at, fault) in weather.faults {
            driver.plan(at, Deed::Fault(fault));
        }
        Ok(driver)
    }

    /// Runs to the end, or to the first rule that is broken.
    pub(super) fn run(mut self) -> Result<Report> {
        loop {
            let is_over = self.step();
            match is_over {
                Ok(false) => {}
                Ok(true) => break,
                Err(Wrong::Violation(violation)) => {
                    self.report.violation = Some(violation);
                    break;
                }
                Err(Wrong::Failed(error)) => return Err(error),
            }
        }
        self.report.lasted = self.world.lock().now;
        Ok(self.report)
    }

    /// One step; says whether everything is over.
    fn step(&mut self) -> Result<bool, Wrong> {
        let by = Duration::from_millis(self.random.pick(&STEPS_MS));
        let now = {
            let mut world = self.world.lock();
            world.pass(by);
            world.now
        };
        while let Some(next) = self.agenda.first_entry().filter(|next| next.key().0 <= now) {
            let deed = next.remove();
            self.do_deed(deed, now)?;
        }
        self.world.lock().deliver();
        let mut order: Vec<ProcessId> = self.fleet.processes.keys().copied().collect();
        shuffle(&mut order, &mut self.random);
        for id in order {
            if let Some(process) = self.fleet.processes.get_mut(&id) {
                process.step(by, &mut self.random);
            }
            self.catch_up()?;
        }
        self.bury(now)?;
        self.checks.passed(now)?;
        if now >= self.next_look {
            self.next_look = now + LOOK_EVERY;
            self.look(false)?;
        }
        self.is_over(now)
    }

    /// Shows the checkers what has happened.
    fn catch_up(&mut self) -> Result<(), Violation> {
        let events = self.world.lock().take_events();
        for event in events {
            self.note(&event);
            self.checks.event(&event)?;
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        self.report.events += 1;
        if let Some(mark) = Mark::of(&event.what) {
            *self.report.marks.entry(mark).or_default() += 1;
        }
        if self.narrates {
            self.report.narration.push(event.to_string());
        }
    }

    /// Sees which processes have ended by themselves.
    fn bury(&mut self, now: Duration) -> Result<(), Violation> {
        let exited: Vec<_> = self
            .fleet
            .processes
            .values()
            .filter_map(|process| process.exit.why().map(|why| (process.id, why)))
            .collect();
        for (id, why) in exited {
            self.end(id, why, true, now);
        }
        self.catch_up()
    }

    /// Ends a process and has another take its place a little later.
    fn end(&mut self, id: ProcessId, why: &'static str, is_seen: bool, now: Duration) {
        let role = self.fleet.processes.get(&id).map(|process| process.role);
        let plan = self.fleet.end(id, why, is_seen);
        let after = if now < self.storm {
            Duration::from_millis(200 + self.random.below(25_000))
        } else {
            Duration::ZERO
        };
        match (role, plan) {
            (_, Some(mut plan)) => {
                if !is_seen {
                    // Another machine takes over.
                    self.hosts += 1;
                    plan.host = self.hosts;
                }
                self.plan(now + after, Deed::StartWorker(plan));
            }
            (Some(Role::Server), None) => self.plan(now + after, Deed::StartServer),
            _ => {}
        }
    }

    fn plan(&mut self, at: Duration, deed: Deed) {
        self.deeds += 1;
        self.agenda.insert((at, self.deeds), deed);
    }

    fn do_deed(&mut self, deed: Deed, now: Duration) -> Result<(), Wrong> {
        match deed {
            Deed::Fault(fault) => self.do_fault(fault, now),
            Deed::Resume(process) => self.resume(process, now),
            Deed::Heal(process) => self.world.lock().set_cut(process, None),
            Deed::Up if now >= self.down_until => self.world.lock().set_down(false),
            Deed::Up => {}
            Deed::StartServer => self.fleet.start_server()?,
            Deed::StartWorker(plan) => self.fleet.start_worker(plan)?,
            Deed::Quiet => self.calm_down(now),
        }
        self.catch_up()?;
        Ok(())
    }

    fn do_fault(&mut self, Fault { kind, luck, length }: Fault, now: Duration) {
        let role = match kind {
            FaultKind::KillServer | FaultKind::StopServer(_) | FaultKind::CutServer(_) => Role::Server,
            FaultKind::KillWorker
            | FaultKind::LoseHost
            | FaultKind::StopWorker(_)
            | FaultKind::CutWorker(_)
            | FaultKind::EndWorker => Role::Worker,
            FaultKind::Down => {
                self.down_until = self.down_until.max(now + length);
                self.world.lock().set_down(true);
                return self.plan(now + length, Deed::Up);
            }
            FaultKind::ClockStep(by_ms) => return self.world.lock().step_clock(by_ms),
        };
        let candidates = self.fleet.of(role);
        if candidates.is_empty() {
            return;
        }
        let target = candidates[(luck % candidates.len() as u64) as usize];
        match kind {
            FaultKind::KillWorker | FaultKind::KillServer => self.end(target, "killed", true, now),
            FaultKind::LoseHost => self.end(target, "its machine is gone", false, now),
            FaultKind::StopWorker(how) | FaultKind::StopServer(how) => {
                self.stop(target, how, now + length);
            }
            FaultKind::CutWorker(cut) | FaultKind::CutServer(cut) => {
                self.world.lock().set_cut(target, Some(cut));
                self.plan(now + length, Deed::Heal(target));
            }
            FaultKind::EndWorker => {
                let grace = s(GRACES_S[(luck >> 32) as usize % GRACES_S.len()]);
                self.fleet.tell_to_end(target, grace);
            }
            FaultKind::Down | FaultKind::ClockStep(_) => {}
        }
    }

    fn stop(&mut self, id: ProcessId, how: Stop, until: Duration) {
        if let Some(process) = self.fleet.processes.get_mut(&id).filter(|process| process.stopped.is_none()) {
            process.stopped = Some((how, until));
            self.world.lock().tell(What::Stopped { process: id, how });
            self.plan(until, Deed::Resume(id));
        }
    }

    fn resume(&mut self, id: ProcessId, now: Duration) {
        let Some(process) = self.fleet.processes.get_mut(&id) else { return };
        if let Some((how, until)) = process.stopped
            && until <= now
        {
            process.stopped = None;
            self.world.lock().tell(What::Resumed { process: id, how });
        }
    }

    /// Ends all troubles: everybody who is there goes on, everybody who is missing comes back.
    fn calm_down(&mut self, now: Duration) {
        let ids: Vec<ProcessId> = self.fleet.processes.keys().copied().collect();
        for id in ids {
            if let Some(process) = self.fleet.processes.get_mut(&id)
                && let Some((_, until)) = &mut process.stopped
            {
                *until = now;
            }
            self.resume(id, now);
            self.world.lock().set_cut(id, None);
        }
        let mut world = self.world.lock();
        world.calls = super::link::CallWeather::default();
        world.set_down(false);
        world.tell(What::Quiet);
        let store = world.store();
        for queue in QUEUES {
            // A queue that was not paused is left as it is.
            let _ = wait(store.pause_queue(queue, false, &crate::fixtures::by(), world.at()));
        }
        world.announce();
        drop(world);
        let starts: Vec<Deed> = std::mem::take(&mut self.agenda)
            .into_values()
            .filter(|deed| matches!(deed, Deed::StartServer | Deed::StartWorker(_)))
            .collect();
        for deed in starts {
            self.plan(now, deed);
        }
    }

    /// Has the checkers look into the database.
    fn look(&mut self, last: bool) -> Result<(), Wrong> {
        let (store, at, broken) = {
            let world = self.world.lock();
            (world.store(), world.at(), world.broken)
        };
        let filter = JobFilter { limit: MAX_PAGE, ..JobFilter::default() };
        let jobs = wait(store.jobs(&filter)).context("failed to list the jobs")?;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let closely: Vec<JobId> = match last {
            true => ids,
            false if ids.is_empty() => ids,
            false => (0..CLOSELY).map(|_| self.random.pick(&ids)).collect(),
        };
        let mut look = Look { jobs, details: Vec::new(), standings: Vec::new(), findings: Vec::new(), last };
        for id in closely {
            look.details.extend(wait(store.job_detail(id)).context("failed to read a job")?);
            if let Some(facts) = wait(store.job_facts(id, at)).context("failed to read facts")? {
                let rules = Rules { rescue: self.rhythm.policy.clone(), ..Rules::default() };
                let mut standing = assess(&facts, &rules);
                if broken == Some(Broken::StandingWithoutEvidence) {
                    standing.evidence.clear();
                }
                look.standings.push((facts, standing));
            }
        }
        if last || self.random.percent(20) {
            look.findings = wait(store.check(at)).context("failed to check the database")?;
        }
        self.unfinished = look.jobs.iter().filter(|job| !job.status.is_terminal()).count();
        self.report.jobs = self.report.jobs.max(look.jobs.len());
        self.checks.look(&look)?;
        Ok(())
    }

    /// Whether nothing is left to be done, and has not been for a while.
    fn is_over(&mut self, now: Duration) -> Result<bool, Wrong> {
        let busy = self.checks.board.quiet_since.is_none()
            || self.unfinished > 0
            || self.fleet.open_requests.load(Ordering::Relaxed) > 0;
        if busy {
            self.at_rest_since = None;
            return Ok(false);
        }
        let since = *self.at_rest_since.get_or_insert(now);
        self.report.settled_after = since.saturating_sub(self.storm);
        if now < since + REST {
            return Ok(false);
        }
        self.look(true)?;
        Ok(self.unfinished == 0)
    }
}

/// Within what time everything must have ended once nothing goes wrong any more: jobs whose worker never heard of them
/// are found by their heartbeat, then everything that is left runs in turn.
fn bound(rhythm: &Rhythm) -> Duration {
    rhythm.beat.due_in(rhythm.beat.max_interval) + rhythm.check_interval + s(400)
}

/// What breaks a simulation off.
enum Wrong {
    Violation(Violation),
    Failed(anyhow::Error),
}

impl From<Violation> for Wrong {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<anyhow::Error> for Wrong {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for index in (1..list.len()).rev() {
        let other = random.below(index as u64 + 1) as usize;
        list.swap(index, other);
    }
}
