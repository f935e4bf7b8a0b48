//! A schedule as people and programs see it.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::definition::check;
use super::rows::{Schedule, ScheduleState};
use crate::time::add;

/// A schedule with all that follows from its definition.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleView {
    /// What it is called.
    pub name: String,
    /// How it is, in a word.
    pub state: ScheduleState,
    /// When it runs, in words.
    pub when: String,
    /// Unless it succeeds before, it is stale from then on.
    pub stale_at: Option<Timestamp>,
    /// All that is kept of it.
    #[serde(flatten)]
    pub schedule: Schedule,
}

impl ScheduleView {
    /// How a schedule is at a moment.
    pub fn of(schedule: Schedule, now: Timestamp) -> Self {
        // A stored definition that no longer holds is still shown.
        let checked = check(schedule.definition.clone(), now).ok();
        let stale_after = schedule.stale_after_ms.map(Duration::from_millis);
        Self {
            name: schedule.definition.name.clone(),
            state: schedule.state(now),
            when: checked
                .as_ref()
                .map_or_else(|| "never: its definition no longer holds".to_owned(), |c| c.clock.words()),
            stale_at: stale_after.map(|most| add(schedule.fresh_since(now), most)),
            schedule,
        }
    }
}
