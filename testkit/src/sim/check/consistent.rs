//! The database keeps its own rules: what heals by itself may be broken for a while, and nothing is when all has come to rest.

use jobforge_store::rows::Finding;

use super::{Board, Checker, Look};
use crate::sim::event::name;

#[derive(Debug)]
pub(super) struct Consistent;

impl Checker for Consistent {
    fn name(&self) -> &'static str {
        "consistent"
    }

    fn look(&mut self, look: &Look, board: &Board) -> Result<(), String> {
        // The order of stored times is that of the database's clock, so it is lost when that is set back.
        let must_hold = |rule: &str| board.set_back.is_zero() || !rule.ends_with("times_in_order");
        let counts = |finding: &&Finding| (look.last || !finding.self_healing) && must_hold(&finding.rule);
        if let Some(finding) = look.findings.iter().find(counts) {
            return Err(format!("the database's own check finds {finding:?}"));
        }
        match look.jobs.iter().find(|job| job.attempts > job.max_attempts) {
            Some(job) => {
                Err(format!("{} has used {} of {} attempts", name(job.id), job.attempts, job.max_attempts))
            }
            None => Ok(()),
        }
    }
}
