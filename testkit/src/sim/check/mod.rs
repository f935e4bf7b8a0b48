//! What must hold in every simulation, each thought in a file of its own.
//!
//! A checker sees every event before the [`Board`] has taken note of it, the passing of time, and now and then the rows of
//! the database. It says what is wrong in a sentence, or nothing.

mod alone;
mod board;
mod completion;
mod consistent;
mod flood;
mod healthy;
mod innocent;
mod lease;
mod lost;
mod overlap;
mod recovery;
mod settled;
mod standing;

use std::time::Duration;

use jobforge_core::job::Job;
use jobforge_core::standing::{Facts, Standing};
use jobforge_store::rows::{Finding, JobDetail};

pub(super) use board::{Board, Known};

use super::event::Event;
use super::weather::Rhythm;

/// Rows of the database at one moment.
pub(super) struct Look {
    /// Every job.
    pub(super) jobs: Vec<Job>,
    /// All that is kept of some.
    pub(super) details: Vec<JobDetail>,
    /// What is said of some.
    pub(super) standings: Vec<(Facts, Standing)>,
    /// What the database's own check finds.
    pub(super) findings: Vec<Finding>,
    /// Whether everything has come to rest.
    pub(super) last: bool,
}

/// One rule.
pub(super) trait Checker {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Sees an event; the board is as it was before.
    fn event(&mut self, _event: &Event, _board: &Board) -> Result<(), String> {
        Ok(())
    }

    /// Sees that time has passed.
    fn passed(&mut self, _by: Duration, _board: &Board) -> Result<(), String> {
        Ok(())
    }

    /// Sees the database.
    fn look(&mut self, _look: &Look, _board: &Board) -> Result<(), String> {
        Ok(())
    }
}

/// A rule that was broken.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The checker that says so.
    pub checker: &'static str,
    /// When, after the beginning.
    pub at: Duration,
    /// What it saw.
    pub saw: String,
}

/// All checkers, and what they go by.
pub(super) struct Checks {
    pub(super) board: Board,
    checkers: Vec<Box<dyn Checker>>,
}

impl Checks {
    pub(super) fn new(rhythm: &Rhythm, bound: Duration) -> Self {
        let checkers: Vec<Box<dyn Checker>> = vec![
            Box::new(lease::OneLiveLease::default()),
            Box::new(overlap::NoOverlap::new(rhythm)),
            Box::new(alone::AloneIsAlone::default()),
            Box::new(innocent::InnocentRunAgain::default()),
            Box::new(settled::SettledStays::default()),
            Box::new(completion::CompletesOnce::default()),
            Box::new(lost::NothingLost::new(bound)),
            Box::new(recovery::DeadWorkComesBack),
            Box::new(healthy::HealthyIsLeftAlone::new(rhythm)),
            Box::new(standing::EveryStateExplained),
            Box::new(consistent::Consistent),
            Box::new(flood::NoFlood),
        ];
        Self { board: Board::default(), checkers }
    }

    /// Shows an event to every checker, then to the board.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Violation> {
        self.board.now = event.at;
        self.ask(|checker, board| checker.event(event, board))?;
        self.board.note(event);
        Ok(())
    }

    /// Lets time pass for the board, then for every checker.
    pub(super) fn passed(&mut self, now: Duration) -> Result<(), Violation> {
        let by = now.saturating_sub(self.board.now);
        self.board.pass(now);
        self.ask(|checker, board| checker.passed(by, board))
    }

    /// Shows the database to every checker.
    pub(super) fn look(&mut self, look: &Look) -> Result<(), Violation> {
        self.ask(|checker, board| checker.look(look, board))
    }

    fn ask(
        &mut self,
        mut question: impl FnMut(&mut dyn Checker, &Board) -> Result<(), String>,
    ) -> Result<(), Violation> {
        let board = &self.board;
        self.checkers.iter_mut().try_for_each(|checker| {
            question(checker.as_mut(), board).map_err(|saw| Violation {
                checker: checker.name(),
                at: board.now,
                saw,
            })
        })
    }
}
