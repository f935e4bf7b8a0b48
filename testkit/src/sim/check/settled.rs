//! What is settled stays: the row of a job that has ended, and every recorded attempt, change by an operator's hand only.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobforge_core::job::{Attempt, Job, JobId, Lease};
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_store::rows::Moved;

use super::{Board, Checker, Look};
use crate::sim::event::{Event, What, name};

#[derive(Debug, Default)]
pub(super) struct SettledStays {
    /// How each job ended, as soon as that is known.
    ended: BTreeMap<JobId, Status>,
    /// Its row when it was first seen after that.
    rows: BTreeMap<JobId, Row>,
    attempts: BTreeMap<(JobId, Lease), Kept>,
}

/// What must not change in the row of an ended job.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    status: Status,
    lease: Lease,
    attempts: u32,
    misses: u32,
    finished_at: Option<Timestamp>,
    result: Option<String>,
    error: Option<String>,
    worker: Option<String>,
}

/// What must not change in a recorded attempt.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    number: u32,
    outcome: String,
    worker: Option<String>,
    error: Option<String>,
    finished_at: Option<Timestamp>,
}

impl SettledStays {
    fn forget(&mut self, job: JobId) {
        self.ended.remove(&job);
        self.rows.remove(&job);
    }
}

impl Checker for SettledStays {
    fn name(&self) -> &'static str {
        "settled stays"
    }

    fn event(&mut self, event: &Event, _: &Board) -> Result<(), String> {
        match &event.what {
            What::Settled { job, to, answer: Settled::Applied, .. } | What::Rescued { job, to, .. }
                if to.is_terminal() =>
            {
                self.ended.insert(*job, *to);
            }
            What::Moved { job, answer: Moved::Done { .. }, .. } => self.forget(*job),
            What::Enqueued { job, .. } => {
                self.forget(*job);
                self.attempts.retain(|(of, _), _| of != job);
            }
            What::Claimed { job, worker, .. } => {
                if let Some(status) = self.ended.get(job) {
                    return Err(format!("{worker} was given {}, which had ended as {status}", name(*job)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn look(&mut self, look: &Look, _: &Board) -> Result<(), String> {
        for job in &look.jobs {
            if let Some(status) = self.ended.get(&job.id)
                && job.status != *status
            {
                return Err(format!("{} had ended as {status} and is {}", name(job.id), job.status));
            }
            if job.status.is_terminal() {
                let seen = Row::of(job);
                let first = self.rows.entry(job.id).or_insert_with(|| seen.clone());
                if *first != seen {
                    return Err(format!("the row of {} was {first:?} and is {seen:?}", name(job.id)));
                }
            }
        }
        for detail in &look.details {
            let id = detail.job.id;
            // The running attempt, and a success that only the job's row tells of, are no records yet.
            let recorded = |attempt: &&Attempt| attempt.outcome != "running";
            for attempt in detail.attempts.iter().filter(recorded) {
                let seen = Kept::of(attempt);
                let first = self.attempts.entry((id, attempt.lease)).or_insert_with(|| seen.clone());
                if *first != seen {
                    let (job, lease) = (name(id), attempt.lease);
                    return Err(format!("attempt {lease} of {job} was {first:?} and is {seen:?}"));
                }
            }
            for (_, lease) in self.attempts.range((id, Lease(0))..=(id, Lease(i64::MAX))).map(|(key, _)| key)
            {
                if !detail.attempts.iter().any(|attempt| attempt.lease == *lease) {
                    return Err(format!("attempt {lease} of {} is not recorded any more", name(id)));
                }
            }
        }
        Ok(())
    }
}

impl Row {
    fn of(job: &Job) -> Self {
        Self {
            status: job.status,
            lease: job.lease,
            attempts: job.attempts,
            misses: job.misses,
            finished_at: job.finished_at,
            result: job.result_id.map(|id| id.to_string()),
            error: job.error.as_ref().map(|error| error.message.clone()),
            worker: job.last_worker.as_ref().map(ToString::to_string),
        }
    }
}

impl Kept {
    fn of(attempt: &Attempt) -> Self {
        Self {
            number: attempt.attempt,
            outcome: attempt.outcome.clone(),
            worker: attempt.worker.as_ref().map(ToString::to_string),
            error: attempt.error.as_ref().map(|error| error.message.clone()),
            finished_at: attempt.finished_at,
        }
    }
}
