//! What becomes of the moments of a schedule that have passed.

use std::time::Duration;

use jiff::Timestamp;

use super::clock::Due;
use super::definition::{Armed, Checked, Missed, Overlap};
use super::rows::{Pause, RunOutcome};
use crate::job::{JobId, NewJob};
use crate::time::{add, since, sub, words};

/// A job that is made so much after its moment is called late.
pub const LATE_AFTER: Duration = Duration::from_secs(10);
/// After so long a moment counts as missed, and the policy for missed ones decides.
pub const GRACE: Duration = Duration::from_secs(60);
/// A moment that waits for the end of a job is looked at again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What a line says that a person asked for.
pub const MANUAL: &str = "asked for by hand";

/// A job of the schedule that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRun {
    /// The job.
    pub job_id: JobId,
    /// Its moment.
    pub planned_for: Timestamp,
    /// Whether a worker has it.
    pub running: bool,
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The schedule.
    pub schedule: &'a Checked,
    /// The first moment of which nothing became yet.
    pub next_at: Timestamp,
    /// When something was to become of it: later than jitter says if it waits for the end of a job.
    pub due_at: Timestamp,
    /// That the schedule is paused.
    pub paused: Option<&'a Pause>,
    /// Its jobs that have not ended, oldest first.
    pub live: &'a [LiveRun],
    /// The database's clock.
    pub now: Timestamp,
}

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// The moment.
    pub planned_for: Timestamp,
    /// What becomes of it; a job is made if it runs.
    pub outcome: RunOutcome,
    /// Why.
    pub why: Option<String>,
    /// For how many moments it stands.
    pub ticks: u64,
    /// The last of them, if they are several.
    pub planned_until: Option<Timestamp>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What becomes of each moment, in order.
    pub lines: Vec<NewLine>,
    /// Jobs to cancel first.
    pub cancel: Vec<JobId>,
    /// The first moment of which nothing became yet.
    pub armed: Armed,
    /// Whether a pause is over.
    pub resumed: bool,
}

impl NewLine {
    /// Whether it makes a job.
    pub fn runs(&self) -> bool {
        matches!(self.outcome, RunOutcome::Ran | RunOutcome::Late)
    }

    fn one(planned_for: Timestamp, outcome: RunOutcome, why: Option<String>) -> Self {
        Self { planned_for, outcome, why, ticks: 1, planned_until: None }
    }
}

/// Decides what becomes of every moment up to now.
///
/// Moments that stand beside each other and share their fate share a line. Whoever plans twice from the same facts plans
/// the same.
pub fn plan(facts: &Facts<'_>) -> Plan {
    let Facts { schedule, next_at, now, .. } = *facts;
    let mut planner = Planner { facts, lines: Vec::new(), cancel: Vec::new(), hold: None, fired: None };
    let mut due = schedule.clock.due(next_at, now);
    // Whose jitter has not passed is not due yet; of all others the last may be alone in that.
    while due.moments.last().is_some_and(|moment| schedule.due(*moment) > now) {
        due.moments.pop();
    }
    let after = due.moments.last().copied();
    let resumed = facts.paused.is_some_and(|pause| !pause.holds(now));
    planner.decide(&due);
    let armed = match (planner.hold, after) {
        (Some(held), _) => Armed { next_at: Some(held), due_at: Some(add(now, LOOK_AGAIN)) },
        (None, Some(after)) => schedule.arm(after),
        (None, None) => schedule.armed_at(Some(next_at)),
    };
    Plan { lines: planner.lines, cancel: planner.cancel, armed, resumed }
}

struct Planner<'a> {
    facts: &'a Facts<'a>,
    lines: Vec<NewLine>,
    cancel: Vec<JobId>,
    /// The moment that waits for the end of a job.
    hold: Option<Timestamp>,
    /// The last moment that runs.
    fired: Option<Timestamp>,
}

impl Planner<'_> {
    fn decide(&mut self, due: &Due) {
        let Facts { schedule, now, paused, .. } = *self.facts;
        if let Some(first) = due.first {
            let until = due.moments.first().map_or(now, |listed| sub(*listed, Duration::from_micros(1)));
            let why = format!("nobody was there for at least {} moments", due.unlisted);
            let missed = RunOutcome::Missed;
            self.lines.push(NewLine {
                ticks: due.unlisted,
                planned_until: Some(until),
                ..NewLine::one(first, missed, Some(why))
            });
        }
        let while_paused = due.moments.iter().take_while(|moment| paused.is_some_and(|p| p.holds(**moment)));
        let (asleep, awake) = due.moments.split_at(while_paused.count());
        if let Some(pause) = paused {
            let reason = pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            self.note(asleep, RunOutcome::Skipped, &format!("paused by {}{reason}", pause.by));
        }
        if awake.is_empty() {
            return;
        }
        let queues = schedule.definition.overlap == Overlap::Queue;
        // What waited for the end of a job was not missed.
        let waited = queues && self.facts.due_at > schedule.due(self.facts.next_at);
        if queues && !self.facts.live.is_empty() {
            self.hold = awake.first().copied();
        } else if waited {
            self.run_what_waited(awake);
        } else {
            self.run_what_is_due(awake);
        }
    }

    /// The moment that waited runs. The others follow one by one if each is to run, else they are left out.
    fn run_what_waited(&mut self, moments: &[Timestamp]) {
        let Some((first, rest)) = moments.split_first() else { return };
        self.fire(*first);
        if self.facts.schedule.definition.missed == Missed::All {
            self.hold = rest.first().copied();
        } else {
            let why = format!("one moment waited already for the end of the job before: {first}");
            self.note(rest, RunOutcome::Skipped, &why);
        }
    }

    fn run_what_is_due(&mut self, moments: &[Timestamp]) {
        let Facts { schedule, now, .. } = *self.facts;
        let is_fresh = |moment: &Timestamp| since(now, schedule.due(*moment)) <= GRACE;
        let fresh = moments.last().filter(|last| is_fresh(last)).map_or(0, |_| 1);
        let (missed, fresh) = moments.split_at(moments.len() - fresh);
        let window = schedule.definition.catch_up_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
        let too_old = missed.iter().take_while(|m| window.is_some_and(|window| since(now, **m) > window));
        let (too_old, missed) = missed.split_at(too_old.count());
        if let Some(window) = window {
            let why = format!("nobody was there, and it is more than {} ago", words(window));
            self.note(too_old, RunOutcome::Missed, &why);
        }
        // With `once` the fresh moment stands for the missed ones.
        let limit = match schedule.definition.missed {
            Missed::Once if !fresh.is_empty() => 0,
            Missed::Skip | Missed::Once | Missed::All => schedule.missed_limit(),
        };
        let (left_out, caught_up) = missed.split_at(missed.len().saturating_sub(limit));
        let stands_for = caught_up.last().or(fresh.last());
        let why = match (schedule.definition.missed, stands_for) {
            (Missed::Once, Some(last)) => format!("nobody was there; the run for {last} stands for it"),
            (Missed::All, _) => format!("nobody was there, and only the last {limit} are caught up on"),
            (Missed::Skip | Missed::Once, _) => "nobody was there".to_owned(),
        };
        self.note(left_out, RunOutcome::Missed, &why);
        let runs: Vec<Timestamp> = caught_up.iter().chain(fresh).copied().collect();
        for (index, moment) in runs.iter().enumerate() {
            self.overlap(*moment);
            let queues = schedule.definition.overlap == Overlap::Queue;
            if let (true, Some(next)) = (queues, runs.get(index + 1)) {
                self.hold = Some(*next);
                return;
            }
        }
    }

    /// Runs a moment as the jobs of earlier ones allow.
    fn overlap(&mut self, moment: Timestamp) {
        let Facts { schedule, live, now, .. } = *self.facts;
        match schedule.definition.overlap {
            Overlap::Allow | Overlap::Queue => self.fire(moment),
            Overlap::CancelOld => {
                if self.fired.is_none() {
                    self.cancel = live.iter().map(|run| run.job_id).collect();
                    self.fire(moment);
                } else {
                    let why = "a job for an earlier moment was made just now";
                    self.note(&[moment], RunOutcome::Skipped, why);
                }
            }
            Overlap::Skip => match (live.last(), self.fired) {
                (Some(run), _) => {
                    let does = if run.running { "runs" } else { "waits" };
                    let long = words(since(now, run.planned_for));
                    let why = format!(
                        "job {} for {} still {does}, {long} after its moment",
                        run.job_id, run.planned_for
                    );
                    self.note(&[moment], RunOutcome::Skipped, &why);
                }
                (None, Some(earlier)) => {
                    let why = format!("a job for {earlier} was made just now");
                    self.note(&[moment], RunOutcome::Skipped, &why);
                }
                (None, None) => self.fire(moment),
            },
        }
    }

    fn fire(&mut self, moment: Timestamp) {
        let Facts { schedule, now, .. } = *self.facts;
        let late = since(now, schedule.due(moment));
        let line = if late >= LATE_AFTER {
            let why = format!("{} after its moment", words(late));
            NewLine::one(moment, RunOutcome::Late, Some(why))
        } else {
            NewLine::one(moment, RunOutcome::Ran, None)
        };
        self.fired = Some(moment);
        self.lines.push(line);
    }

    /// Moments that share their fate share a line.
    fn note(&mut self, moments: &[Timestamp], outcome: RunOutcome, why: &str) {
        let Some((first, rest)) = moments.split_first() else { return };
        let line = NewLine::one(*first, outcome, Some(why.to_owned()));
        self.lines.push(NewLine { ticks: moments.len() as u64, planned_until: rest.last().copied(), ..line });
    }
}

/// What a store writes down of a plan, with the jobs that it makes.
#[derive(Debug, Clone)]
pub struct Booking {
    /// Which schedule.
    pub schedule: String,
    /// The lines, each with its job if it runs.
    pub lines: Vec<(NewLine, Option<NewJob>)>,
    /// Jobs to cancel first.
    pub cancel: Vec<JobId>,
    /// The next moment.
    pub armed: Armed,
    /// Whether a pause is over.
    pub resumed: bool,
    /// Moments that were missed.
    pub missed: u64,
}

/// Gives the lines of a plan their jobs.
pub fn book(schedule: &Checked, plan: Plan) -> Booking {
    let Plan { lines, cancel, armed, resumed } = plan;
    let is_missed = |line: &&NewLine| line.outcome == RunOutcome::Missed;
    let missed = lines.iter().filter(is_missed).map(|line| line.ticks).sum();
    let with_job = |line: NewLine| {
        let job = line.runs().then(|| schedule.job(line.planned_for, false));
        (line, job)
    };
    let lines = lines.into_iter().map(with_job).collect();
    Booking { schedule: schedule.definition.name.clone(), lines, cancel, armed, resumed, missed }
}

/// What becomes of a run that a person asks for.
#[derive(Debug, Clone)]
pub enum ManualRun {
    /// It runs.
    Runs {
        /// The line.
        line: NewLine,
        /// Its job.
        job: Box<NewJob>,
        /// Jobs to cancel first.
        cancel: Vec<JobId>,
    },
    /// A job of the schedule has not ended, and its policy is that two never overlap.
    Busy(LiveRun),
}

/// Runs a schedule now, paused or not; beside a job that has not ended only if it may, or if that is insisted on.
pub fn run_now(schedule: &Checked, live: &[LiveRun], insists: bool, now: Timestamp) -> ManualRun {
    let line = NewLine::one(now, RunOutcome::Ran, Some(MANUAL.to_owned()));
    let job = Box::new(schedule.job(now, true));
    match (schedule.definition.overlap, live.last()) {
        (Overlap::Skip | Overlap::Queue, Some(run)) if !insists => ManualRun::Busy(run.clone()),
        (Overlap::CancelOld, _) => {
            ManualRun::Runs { line, job, cancel: live.iter().map(|run| run.job_id).collect() }
        }
        (Overlap::Skip | Overlap::Queue | Overlap::Allow, _) => {
            ManualRun::Runs { line, job, cancel: Vec::new() }
        }
    }
}
