//! Nobody asks without a pause: a loop that does would take the whole database for itself.

use super::{Board, Checker};
use crate::sim::event::{Event, What};

#[derive(Debug)]
pub(super) struct NoFlood;

impl Checker for NoFlood {
    fn name(&self) -> &'static str {
        "no flood"
    }

    fn event(&mut self, event: &Event, _: &Board) -> Result<(), String> {
        match event.what {
            What::Flooded { .. } => Err(event.what.to_string()),
            _ => Ok(()),
        }
    }
}
