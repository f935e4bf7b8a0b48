//! The watchdog's opinion of a running job in one word, for whoever looks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rescue::{Cause, RescuePolicy, cause};
use crate::standing::Facts;
use crate::state::Status;
use crate::watchdog::GuardKind;
use crate::worker::WorkerState;

/// What a running job is, as far as the evidence goes. Every running job has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Lease valid, connection held, heartbeat and progress in time.
    Running,
    /// The same on a worker that is stopping in good order.
    Draining,
    /// The worker lives, and the handler gives no sign of life or reports no progress for longer than it may.
    NoProgress,
    /// The worker lives, and the attempt should be over.
    TimedOut,
    /// The worker process is frozen.
    Stopped,
    /// The worker's connection is lost, its lease is not.
    Suspect,
    /// The lease has run out, or the type need not wait for that, and the recovery is due within a second.
    Overdue,
    /// The worker has ended, and the job is being taken back.
    Recovering,
    /// It would be taken back, but the watchdog does not believe silence at the moment.
    Held,
    /// Its owner is not known: should be impossible.
    Orphan,
}

impl Verdict {
    /// The word in answers and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Draining => "draining",
            Self::NoProgress => "no_progress",
            Self::TimedOut => "timed_out",
            Self::Stopped => "stopped",
            Self::Suspect => "suspect",
            Self::Overdue => "overdue",
            Self::Recovering => "recovering",
            Self::Held => "held",
            Self::Orphan => "orphan",
        }
    }
}

/// The guard that holds the watchdogs' verdicts back, as the last one of them told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeldBack {
    /// Which.
    pub guard: GuardKind,
    /// Until when.
    pub until: Timestamp,
}

/// Judges a running job; `None` for one that does not run.
pub fn verdict(facts: &Facts, policy: &RescuePolicy) -> Option<Verdict> {
    if facts.job.status != Status::Running {
        return None;
    }
    let worker = facts.worker.as_ref();
    let cause = cause(&facts.job, worker, facts.as_of, policy);
    let holds = facts.held.is_some_and(|held| {
        held.until > facts.as_of && cause.as_ref().is_some_and(|cause| !held.guard.believes(cause))
    });
    Some(match cause {
        Some(Cause::WorkerUnknown) => Verdict::Orphan,
        Some(Cause::WorkerEnded { .. }) => Verdict::Recovering,
        Some(_) if holds => Verdict::Held,
        Some(Cause::LeaseExpired { .. } | Cause::PresenceLost { .. }) => Verdict::Overdue,
        Some(Cause::DeadlinePassed { .. }) => Verdict::TimedOut,
        // A frozen process reports nothing either, and that it is frozen says more.
        _ if worker.is_some_and(|worker| worker.stopped_at.is_some()) => Verdict::Stopped,
        Some(Cause::NoProgress { .. } | Cause::HeartbeatLate { .. }) => Verdict::NoProgress,
        None if worker.is_some_and(|worker| worker.suspect_at.is_some()) => Verdict::Suspect,
        None if worker.is_some_and(|worker| worker.state == WorkerState::Draining) => Verdict::Draining,
        None => Verdict::Running,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{facts, running_job, worker};
    use crate::job::Job;
    use crate::worker::WorkerRow;
    use std::time::Duration;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    /// A job that began at 100 on a worker whose lease ends at 120, seen at 110.
    fn check(expected: Verdict, change: impl FnOnce(&mut Facts)) {
        let mut facts = Facts { worker: Some(worker(105, 120)), ..facts(running_job(100), 110) };
        change(&mut facts);
        assert_eq!(verdict(&facts, &RescuePolicy::default()), Some(expected));
    }

    fn on(facts: &mut Facts) -> &mut WorkerRow {
        facts.worker.as_mut().expect("a worker")
    }

    #[test]
    fn every_word_has_its_evidence() {
        check(Verdict::Running, |_| {});
        check(Verdict::Draining, |facts| on(facts).state = WorkerState::Draining);
        check(Verdict::Suspect, |facts| on(facts).suspect_at = Some(at(108)));
        check(Verdict::Stopped, |facts| on(facts).stopped_at = Some(at(108)));
        check(Verdict::NoProgress, |facts| facts.job.progress_limit = Some(Duration::from_secs(5)));
        check(Verdict::NoProgress, |facts| facts.job.heartbeat_due_at = Some(at(109)));
        check(Verdict::TimedOut, |facts| facts.job.deadline_at = Some(at(109)));
        check(Verdict::Overdue, |facts| facts.as_of = at(121));
        check(Verdict::Recovering, |facts| on(facts).state = WorkerState::Lost);
        check(Verdict::Orphan, |facts| facts.worker = None);
    }

    #[test]
    fn a_guard_holds_what_it_does_not_believe_and_no_more() {
        let brake = |until| Some(HeldBack { guard: GuardKind::MassLoss, until });
        check(Verdict::Held, |facts| (facts.as_of, facts.held) = (at(121), brake(at(130))));
        check(Verdict::Overdue, |facts| (facts.as_of, facts.held) = (at(131), brake(at(130))));
        check(Verdict::TimedOut, |facts| {
            (facts.job.deadline_at, facts.held) = (Some(at(109)), brake(at(130)));
        });
        // Its worker may have had no way to say how the attempt ended.
        let blind = Some(HeldBack { guard: GuardKind::Blind, until: at(130) });
        check(Verdict::Held, |facts| (facts.job.deadline_at, facts.held) = (Some(at(109)), blind));
    }

    #[test]
    fn a_job_that_does_not_run_has_none() {
        let facts = facts(Job { status: Status::Queued, ..running_job(100) }, 110);
        assert_eq!(verdict(&facts, &RescuePolicy::default()), None);
    }
}
