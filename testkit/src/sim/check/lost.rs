//! Nothing is lost: what a client was promised is there until somebody deletes it, and ends once nothing goes wrong any more.

use std::collections::BTreeSet;
use std::time::Duration;

use jobforge_core::job::JobId;

use super::{Board, Checker, Look};
use crate::sim::event::name;

#[derive(Debug)]
pub(super) struct NothingLost {
    bound: Duration,
    unfinished: Vec<JobId>,
}

impl NothingLost {
    /// Everything must have ended so long after the last trouble, and later by what the database's clock was set back.
    pub(super) fn new(bound: Duration) -> Self {
        Self { bound, unfinished: Vec::new() }
    }
}

impl Checker for NothingLost {
    fn name(&self) -> &'static str {
        "nothing lost"
    }

    fn look(&mut self, look: &Look, board: &Board) -> Result<(), String> {
        let there: BTreeSet<JobId> = look.jobs.iter().map(|job| job.id).collect();
        if let Some(lost) = board.kept.iter().find(|job| !there.contains(job)) {
            return Err(format!("{} was promised and is not there", name(*lost)));
        }
        if let Some(unknown) = there.iter().find(|job| !board.kept.contains(job)) {
            return Err(format!("nobody has enqueued {}", name(*unknown)));
        }
        self.unfinished =
            look.jobs.iter().filter(|job| !job.status.is_terminal()).map(|job| job.id).collect();
        Ok(())
    }

    fn passed(&mut self, _: Duration, board: &Board) -> Result<(), String> {
        let Some(quiet_since) = board.quiet_since else { return Ok(()) };
        let bound = self.bound + board.set_back;
        if board.now < quiet_since + bound || self.unfinished.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.unfinished.iter().map(|job| name(*job)).collect();
        let names = names.join(", ");
        Err(format!("nothing has gone wrong for {bound:?}, and these jobs have not ended: {names}"))
    }
}
