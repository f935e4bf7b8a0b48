//! Every state is explained: at any moment each job has one standing, with evidence and a next step, and none is called
//! stuck while a watchdog does its work.

use std::time::Duration;

use jobforge_core::standing::{Kind, Standing};
use jobforge_core::state::Status;

use super::{Board, Checker, Look};
use crate::sim::event::name;

/// Where a watchdog has watched for so long, a lease that has run out was dealt with.
const WATCHED: Duration = Duration::from_secs(75);

#[derive(Debug)]
pub(super) struct EveryStateExplained;

impl Checker for EveryStateExplained {
    fn name(&self) -> &'static str {
        "every state explained"
    }

    fn look(&mut self, look: &Look, board: &Board) -> Result<(), String> {
        for (facts, standing) in &look.standings {
            let job = name(facts.job.id);
            explained(standing, facts.job.status).map_err(|what| format!("{job} {what}: {standing:?}"))?;
            let owner_ended = facts.worker.as_ref().is_some_and(|worker| !worker.state.is_active());
            let watched = board.watched_since.is_some_and(|since| board.now - since > WATCHED);
            if standing.kind == Kind::Stuck && owner_ended && watched {
                return Err(format!("{job} is stuck beside a watchdog: {standing:?}"));
            }
        }
        Ok(())
    }
}

fn explained(standing: &Standing, status: Status) -> Result<(), &'static str> {
    let fits = match standing.kind {
        Kind::Running => status == Status::Running,
        Kind::Waiting => status == Status::Queued,
        Kind::Recovering => matches!(status, Status::Queued | Status::Running),
        Kind::Stuck => matches!(status, Status::Queued | Status::Running),
        Kind::Finished => matches!(status, Status::Succeeded | Status::Failed),
        Kind::Dead => status == Status::Dead,
        Kind::Canceled => status == Status::Canceled,
    };
    if !fits {
        return Err("stands otherwise than its status says");
    }
    if (standing.kind == Kind::Waiting) != standing.waiting_for.is_some() {
        return Err("waits for nothing, or does not wait and yet does");
    }
    if standing.evidence.is_empty() || standing.evidence.iter().any(|evidence| evidence.text.is_empty()) {
        return Err("has no evidence");
    }
    if standing.next.what.is_empty() || standing.next.by.is_empty() {
        return Err("has no next step");
    }
    if standing.headline.is_empty() {
        return Err("has no headline");
    }
    Ok(())
}
