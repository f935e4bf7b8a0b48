//! A job is completed once: no two ends of it are accepted unless somebody has asked for it again in between.

use std::collections::BTreeMap;

use jobforge_core::job::{JobId, Lease, WorkerId};
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_store::rows::{Move, Moved};

use super::{Board, Checker};
use crate::sim::event::{Event, What, name};

#[derive(Debug, Default)]
pub(super) struct CompletesOnce {
    completed: BTreeMap<JobId, (WorkerId, Lease, Status)>,
}

impl Checker for CompletesOnce {
    fn name(&self) -> &'static str {
        "completes once"
    }

    fn event(&mut self, event: &Event, _: &Board) -> Result<(), String> {
        match &event.what {
            What::Settled { worker, job, lease, to, answer: Settled::Applied, .. } if to.is_terminal() => {
                match self.completed.insert(*job, (worker.clone(), *lease, *to)) {
                    None => Ok(()),
                    Some((first, under, before)) => Err(format!(
                        "{worker} completed {} as {to} under {lease}; {first} had completed it as {before} under {under}",
                        name(*job)
                    )),
                }
            }
            What::Moved { job, step: Move::Retry { .. } | Move::Delete, answer: Moved::Done { .. } } => {
                self.completed.remove(job);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jobforge_core::job::QueuedBecause;

    use super::*;
    use crate::sim::event::job_id;

    #[test]
    fn a_second_end_is_found_unless_somebody_asked_for_it() {
        let end = |lease| What::Settled {
            worker: WorkerId("p3.1".to_owned()),
            job: job_id(1),
            lease: Lease(lease),
            to: Status::Succeeded,
            because: QueuedBecause::Enqueued,
            answer: Settled::Applied,
        };
        let again = What::Moved {
            job: job_id(1),
            step: Move::Retry { delay: Duration::ZERO },
            answer: Moved::Done { from: Status::Succeeded },
        };
        let mut checker = CompletesOnce::default();
        let mut see = |what| checker.event(&Event { at: Duration::ZERO, what }, &Board::default());
        assert_eq!((see(end(1)), see(again), see(end(3))), (Ok(()), Ok(()), Ok(())));
        assert!(see(end(4)).is_err());
    }
}
