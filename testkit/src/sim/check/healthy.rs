//! A healthy worker is left alone. An outage of the database or a step of its clock is no excuse to take its jobs; only its
//! own troubles are.

use std::time::Duration;

use super::{Board, Checker};
use crate::sim::event::{Event, What, name};
use crate::sim::weather::Rhythm;

/// A lease, the extensions and hesitations of the watchdog, and its sweep: trouble from before that has had its effect.
const LONG_AGO: Duration = Duration::from_secs(80);
/// A claim that is heard of later than this is trouble of its own.
const HEARD_LATE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct HealthyIsLeftAlone {
    /// The longest time from a job's last heartbeat to the sweep that finds it silent.
    silence: Duration,
    /// Trouble from before that has had its effect.
    long_ago: Duration,
}

impl HealthyIsLeftAlone {
    pub(super) fn new(rhythm: &Rhythm) -> Self {
        let due_in = rhythm.beat.due_in(rhythm.beat.max_interval);
        let long_ago = LONG_AGO + (rhythm.longest_lease - rhythm.lease);
        Self { silence: due_in + rhythm.check_interval + long_ago, long_ago }
    }
}

impl Checker for HealthyIsLeftAlone {
    fn name(&self) -> &'static str {
        "healthy is left alone"
    }

    fn event(&mut self, event: &Event, board: &Board) -> Result<(), String> {
        let What::Rescued { job, lease, cause, .. } = &event.what else { return Ok(()) };
        let Some(holding) = board.held.get(job) else { return Ok(()) };
        let Some(process) = board.processes.get(&holding.process) else { return Ok(()) };
        if process.ended.is_some() {
            return Ok(());
        }
        let late = |heard: Duration| heard.saturating_sub(holding.claimed_at) > HEARD_LATE;
        let unheard = holding.heard_at.is_none_or(late);
        let now = board.now;
        // While handlers hold its threads a process renews, but cannot hand over what an earlier incarnation had.
        let replaced = board.workers.get(&holding.worker).is_some_and(|worker| worker.replaced);
        let excused = match cause.as_str() {
            "worker_lost" | "poison" => {
                process.had_trouble_since(now.saturating_sub(self.long_ago), now, replaced)
            }
            "heartbeat_late" => process.had_trouble_since(now.saturating_sub(self.silence), now, true),
            "timeout" | "no_progress" => process.had_trouble_since(holding.claimed_at, now, true),
            _ => false,
        };
        // A job that its worker does not know of can only be found by somebody else.
        if excused || unheard {
            return Ok(());
        }
        let (id, worker) = (holding.process, &holding.worker);
        Err(format!("{} was taken from {worker} under {lease} ({cause}), and {id} was healthy", name(*job)))
    }
}
