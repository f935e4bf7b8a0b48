//! Work of the dead comes back in bounded time: at once when their death is proven, else when their lease has run out and a
//! watchdog has had nothing to hinder it.

use std::time::Duration;

use super::board::{End, Holding};
use super::{Board, Checker};
use crate::sim::event::name;

/// From the end of a supervised process to the report of it: the way there, and the supervisor's first tries.
const PROOF_WITHIN: Duration = Duration::from_secs(7);
/// From the end of a lease to the rescue: a tick, and a sweep over a slow link of which some calls fail.
const SWEEP_WITHIN: Duration = Duration::from_secs(12);
/// How long a watchdog hesitates that sees many workers lost at once, and takes them one by one after that.
const HESITATION: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct DeadWorkComesBack;

impl Checker for DeadWorkComesBack {
    fn name(&self) -> &'static str {
        "dead work comes back"
    }

    fn passed(&mut self, _: Duration, board: &Board) -> Result<(), String> {
        if board.down {
            return Ok(());
        }
        for (job, holding) in &board.held {
            let Some(ended) = board.processes.get(&holding.process).and_then(|process| process.ended) else {
                continue;
            };
            if let Some(late) = lateness(board, holding, ended) {
                let (worker, lease) = (&holding.worker, holding.lease);
                return Err(format!("{worker} is dead and still has {} under {lease}: {late}", name(*job)));
            }
        }
        Ok(())
    }
}

fn lateness(board: &Board, holding: &Holding, end: End) -> Option<String> {
    let worker = board.workers.get(&holding.worker)?;
    if worker.dead {
        return Some("its death was proven, and its jobs were not taken back with that".to_owned());
    }
    let now = board.now;
    if end.seen && now > end.at.max(board.up_since) + PROOF_WITHIN {
        return Some(format!("its supervisor saw it end at {:?} and nobody knows", end.at));
    }
    // Who has left or was declared lost is found by the same sweep.
    let crowded = board.crowded_at.is_some_and(|at| at >= worker.until);
    let hesitation = if crowded { HESITATION } else { Duration::ZERO };
    let due = worker.until.max(board.watched_since?) + SWEEP_WITHIN + hesitation;
    (now > due).then(|| format!("its lease ran out at {:?}, under the eyes of a watchdog", worker.until))
}
