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
    /// The longest time from one moment to the next.
    pub interval_ms: Option<u64>,
    /// Without a success for so long it is stale.
    pub stale_after_ms: Option<u64>,
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
        let stale_after = checked.as_ref().and_then(|checked| checked.stale_after(now));
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            name: schedule.definition.name.clone(),
            state: schedule.state(stale_after, now),
            when: checked
                .as_ref()
                .map_or_else(|| "never: its definition no longer holds".to_owned(), |c| c.clock.words()),
            interval_ms: checked.as_ref().and_then(|checked| checked.clock.longest_gap(now)).map(ms),
            stale_after_ms: stale_after.map(ms),
            stale_at: stale_after.map(|most| add(schedule.fresh_since(now), most)),
            schedule,
        }
    }
}
