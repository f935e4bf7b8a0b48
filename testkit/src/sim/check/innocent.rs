//! Nobody is charged with a death that it may be innocent of: when a worker process is proven to have been taken down while
//! several of its jobs were running, every one of them runs again.

use std::collections::BTreeMap;
use std::time::Duration;

use jobforge_core::state::Status;

use super::{Board, Checker};
use crate::sim::event::{Event, ProcessId, What, name};
use crate::sim::fleet::{EXIT_75, STOPPED};

#[derive(Debug, Default)]
pub(super) struct InnocentRunAgain {
    /// When each process was proven to have been taken down, and how many jobs it had.
    deaths: BTreeMap<ProcessId, (Duration, usize)>,
}

impl Checker for InnocentRunAgain {
    fn name(&self) -> &'static str {
        "innocent run again"
    }

    fn event(&mut self, event: &Event, board: &Board) -> Result<(), String> {
        match &event.what {
            What::Died { worker } => {
                let Some(process) = board.workers.get(worker).map(|worker| worker.process) else {
                    return Ok(());
                };
                let ended = board.processes.get(&process).and_then(|process| process.ended);
                // Whoever ends itself was not taken down.
                if ended.is_some_and(|end| end.why != EXIT_75 && end.why != STOPPED) {
                    let jobs = board.held.values().filter(|held| held.process == process).count();
                    self.deaths.insert(process, (event.at, jobs));
                }
            }
            What::Rescued { job, lease, to, cause } if *to != Status::Queued => {
                let Some(holding) = board.held.get(job) else { return Ok(()) };
                // Taken back with the proof, not by an earlier sweep.
                let death = self.deaths.get(&holding.process).filter(|(at, _)| *at == event.at);
                if let Some((_, jobs)) = death.filter(|(_, jobs)| *jobs > 1) {
                    return Err(format!(
                        "{} ended as {to} with {} under {lease} ({cause}), and it was one of {jobs} there",
                        name(*job),
                        holding.process
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
