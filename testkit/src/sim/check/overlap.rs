//! No two executions of a job at once, as far as that is promised.
//!
//! Once a job has begun under a higher lease, a handler of an older one may go on only while its process is stopped, for the
//! moment that a process needs to notice after it went on, and for the grace of a handler that does not listen. A supervised
//! process ends itself instead. A job that is taken from a worker which lives, by an operator or because nothing was heard of
//! the job itself, is another matter: the handler is told by announcement or, where that is lost, with its next heartbeat.

use std::collections::BTreeSet;
use std::time::Duration;

use jobforge_core::job::{JobId, Lease};
use jobforge_core::state::Status;
use jobforge_store::rows::Moved;

use super::{Board, Checker, Known};
use crate::sim::event::{Event, ProcessId, Stop, What, name};
use crate::sim::weather::Rhythm;

/// The longest step of the simulation, twice: what happens in one is not told apart.
const UNSHARP: Duration = Duration::from_millis(500);
/// A worker gives handlers that do not listen five seconds, and begins four before others may have their jobs.
const DEAF_BESIDE: Duration = Duration::from_millis(1500);
/// The whole of that time, when it begins only after a stop.
const DEAF: Duration = Duration::from_secs(5);
/// What a supervised process gives its handlers when others may have their jobs already.
const TAKEN: Duration = Duration::from_millis(600);
/// How long a process needs to notice that it was suspended.
const NOTICES_SUSPEND: Duration = Duration::from_millis(1500);
/// How long until heartbeats tell it what happened while its handlers held its threads.
const NOTICES_STALL: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct NoOverlap {
    running: Vec<Execution>,
    taken_alive: BTreeSet<(JobId, Lease)>,
    beat_interval: Duration,
    /// A worker gives up a call that is not answered after a lease, and only then asks again.
    call_given_up: Duration,
}

#[derive(Debug)]
struct Execution {
    process: ProcessId,
    job: JobId,
    lease: Lease,
    stubborn: bool,
    superseded_by: Option<(ProcessId, Lease)>,
    /// How its process was stopped last while it ran.
    resumed_from: Option<Stop>,
    /// How long it has gone on since then, or since its successor began, while nothing held it up.
    beside: Duration,
}

impl NoOverlap {
    pub(super) fn new(rhythm: &Rhythm) -> Self {
        let (beat_interval, call_given_up) = (rhythm.beat.max_interval, rhythm.longest_lease);
        Self { running: Vec::new(), taken_alive: BTreeSet::new(), beat_interval, call_given_up }
    }

    fn allowed(&self, run: &Execution, known: &Known) -> Duration {
        let mut allowed = UNSHARP;
        let deaf = |unsupervised, supervised| match (run.stubborn, known.supervised) {
            (true, false) => unsupervised,
            (true, true) => supervised,
            (false, _) => Duration::ZERO,
        };
        allowed += deaf(DEAF_BESIDE, TAKEN);
        if let Some(how) = run.resumed_from {
            allowed += match how {
                Stop::Frozen => Duration::ZERO,
                Stop::Suspended => NOTICES_SUSPEND,
                Stop::Stalled => NOTICES_STALL,
            };
            allowed += deaf(DEAF, TAKEN);
        }
        if self.taken_alive.contains(&(run.job, run.lease)) {
            allowed += self.beat_interval + self.call_given_up + DEAF + Duration::from_secs(3);
        }
        allowed
    }
}

impl Checker for NoOverlap {
    fn name(&self) -> &'static str {
        "no overlap"
    }

    fn event(&mut self, event: &Event, board: &Board) -> Result<(), String> {
        match &event.what {
            What::Began { process, job, lease, stubborn } => {
                for run in self.running.iter_mut().filter(|run| run.job == *job && run.lease < *lease) {
                    run.superseded_by.get_or_insert((*process, *lease));
                }
                let newer = self.running.iter().find(|run| run.job == *job && run.lease > *lease);
                self.running.push(Execution {
                    process: *process,
                    job: *job,
                    lease: *lease,
                    stubborn: *stubborn,
                    superseded_by: newer.map(|run| (run.process, run.lease)),
                    resumed_from: None,
                    beside: Duration::ZERO,
                });
            }
            What::Resumed { process, how } => {
                for run in self.running.iter_mut().filter(|run| run.process == *process) {
                    (run.resumed_from, run.beside) = (Some(*how), Duration::ZERO);
                }
            }
            What::Over { process, job, lease } => {
                self.running.retain(|run| (run.process, run.job, run.lease) != (*process, *job, *lease));
            }
            What::Ended { process, .. } => self.running.retain(|run| run.process != *process),
            What::Moved { job, answer: Moved::Done { from: Status::Running }, .. } => {
                if let Some(holder) = board.held.get(job) {
                    self.taken_alive.insert((*job, holder.lease));
                }
            }
            What::Rescued { job, lease, cause, .. }
                if matches!(cause.as_str(), "no_progress" | "heartbeat_late") =>
            {
                self.taken_alive.insert((*job, *lease));
            }
            _ => {}
        }
        Ok(())
    }

    fn passed(&mut self, by: Duration, board: &Board) -> Result<(), String> {
        for run in &mut self.running {
            let Some(known) = board.processes.get(&run.process) else { continue };
            if run.superseded_by.is_some() && known.stopped.is_none() {
                run.beside += by;
            }
        }
        for run in &self.running {
            let (Some((other, newer)), Some(known)) = (run.superseded_by, board.processes.get(&run.process))
            else {
                continue;
            };
            let allowed = self.allowed(run, known);
            if run.beside > allowed {
                let (process, job, lease, beside) = (run.process, name(run.job), run.lease, run.beside);
                return Err(format!(
                    "{process} has run {job} under {lease} for {beside:?} after {other} began it under {newer}; allowed is {allowed:?}"
                ));
            }
        }
        Ok(())
    }
}
