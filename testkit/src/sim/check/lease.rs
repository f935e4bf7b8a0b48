//! At most one live lease of a job: whoever changes a running job holds it at that moment, under the highest number given.

use std::collections::{BTreeMap, BTreeSet};

use jobforge_core::heartbeat::BeatReply;
use jobforge_core::job::{JobId, Lease, WorkerId};
use jobforge_core::settle::Settled;

use super::{Board, Checker};
use crate::sim::event::{Event, What, name};

#[derive(Debug, Default)]
pub(super) struct OneLiveLease {
    highest: BTreeMap<JobId, Lease>,
    applied: BTreeSet<(JobId, Lease, WorkerId)>,
}

impl Checker for OneLiveLease {
    fn name(&self) -> &'static str {
        "one live lease"
    }

    fn event(&mut self, event: &Event, board: &Board) -> Result<(), String> {
        match &event.what {
            // A job that was deleted and enqueued again begins anew.
            What::Enqueued { job, .. } => {
                self.highest.remove(job);
                Ok(())
            }
            What::Claimed { worker, job, lease, .. } => {
                if let Some(holder) = board.held.get(job) {
                    let (other, under) = (&holder.worker, holder.lease);
                    return Err(format!(
                        "{worker} was given {} while {other} has it under {under}",
                        name(*job)
                    ));
                }
                match self.highest.insert(*job, *lease) {
                    Some(before) if before >= *lease => Err(format!(
                        "{worker} was given {} under {lease}, and {before} was given before",
                        name(*job)
                    )),
                    _ => Ok(()),
                }
            }
            What::Settled { worker, job, lease, answer: Settled::Applied, .. } => {
                self.applied.insert((*job, *lease, worker.clone()));
                holds(board, worker, *job, *lease, "settled")
            }
            What::Settled { worker, job, lease, answer: Settled::Replayed, .. } => {
                match self.applied.contains(&(*job, *lease, worker.clone())) {
                    true => Ok(()),
                    false => {
                        Err(format!("{worker} was told that it had settled {} under {lease}", name(*job)))
                    }
                }
            }
            What::Beat { worker, job, lease, reply: BeatReply::Kept } => {
                holds(board, worker, *job, *lease, "was heard for")
            }
            What::Rescued { job, lease, .. } => match board.held.get(job) {
                Some(holder) if holder.lease == *lease => Ok(()),
                holder => Err(format!("{} was taken back under {lease}; it had {holder:?}", name(*job))),
            },
            _ => Ok(()),
        }
    }
}

fn holds(board: &Board, worker: &WorkerId, job: JobId, lease: Lease, did: &str) -> Result<(), String> {
    match board.held.get(&job) {
        Some(holder) if holder.worker == *worker && holder.lease == lease => Ok(()),
        Some(holder) => {
            let (other, under) = (&holder.worker, holder.lease);
            Err(format!("{worker} {did} {} under {lease} while {other} has it under {under}", name(job)))
        }
        None => Err(format!("{worker} {did} {} under {lease} although nobody has it", name(job))),
    }
}
