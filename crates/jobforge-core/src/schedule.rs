//! Jobs that are made by themselves: when, under which policies, and what is kept of each time.
//!
//! A [`Definition`] says what is to run when. [`plan::plan`] decides from it, from what is known of earlier runs, and from
//! the database's clock what becomes of each moment that has passed: it runs, runs late, was missed or is skipped, and why.
//! The store writes that down and makes the jobs in one transaction.

mod clock;
mod cron;
pub(crate) mod definition;
mod plan;
mod rows;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub use clock::{BadZone, Clock, DEFAULT_ZONE, Due, MAX_DUE, MIN_EVERY, jitter, time_zone};
pub use cron::{BadCron, CronClock, EXAMPLE};
pub use definition::{
    Armed, Checked, Definition, InvalidSchedule, MAX_PER_TENANT, MISSED_LIMIT, Missed, Overlap, Rhythm,
    check, interval_variables, overridden, patched,
};
pub use plan::{
    Booking, Facts, GRACE, LATE_AFTER, LiveRun, MANUAL, ManualRun, NewLine, Plan, book, plan, run_now,
};
pub use rows::{
    Declared, HISTORY_KEPT, LastEnd, Pause, RunLine, RunOutcome, Schedule, ScheduleState, Scheduler, Source,
    TAKEN_OVER_AFTER,
};
pub use view::ScheduleView;

/// The schedule that keeps the database from filling up; every server sees to it that there is one.
pub const CLEANUP: &str = "system.cleanup.old_jobs";
/// The tenant of what JobForge does for itself.
pub const SYSTEM_TENANT: &str = "system";
/// The queue of what JobForge does for itself. A server takes from it when nobody else does.
pub const SYSTEM_QUEUE: &str = "system";

/// The definition of [`CLEANUP`]: once a day, by the retention settings of who runs it, under the same key as a person's
/// own clean-up of that day.
pub fn cleanup() -> Definition {
    Definition {
        tenant_id: Some(SYSTEM_TENANT.to_owned()),
        queue: Some(SYSTEM_QUEUE.to_owned()),
        payload: Some(crate::payload::Payload::from_stored("{}".to_owned())),
        cron: Some("15 3 * * *".to_owned()),
        idempotency_key: Some("cleanup-{date}".to_owned()),
        description: Some("Deletes ended jobs past their time".to_owned()),
        ..Definition::new(CLEANUP, CLEANUP)
    }
}
