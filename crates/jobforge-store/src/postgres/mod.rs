//! JobForge on PostgreSQL 14 and later.
//!
//! Every statement lives in `sql/postgres/`. On a direct connection statements are prepared once per connection and
//! always planned with their parameters; behind a transaction pooler each is sent unnamed in one round trip. Nothing
//! that correctness needs depends on a session: `LISTEN` only makes waiting shorter.

mod admin;
mod alerts;
mod audit;
mod claim;
mod connect;
mod dead;
mod death;
mod enqueue;
mod fleet;
mod gauges;
mod heartbeat;
mod inspect;
mod list;
mod load;
mod operate;
mod operations;
mod pools;
mod presence;
mod rescue;
mod rows;
mod schedule_fire;
mod schedules;
mod session;
mod settings;
mod settle;
mod silences;
mod surface;
mod tenants;
mod tokens;
mod upkeep;
mod wake;
mod watchdog;
mod workers;

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use deadpool_postgres::Pool;

use crate::slow::SlowLog;

pub use connect::{Pooler, PostgresOptions};
pub use enqueue::enqueue_in;
pub use load::{DumpedStep, Loaded};
pub use pools::sample_pools;

/// A PostgreSQL database that keeps jobs.
pub struct PostgresStore {
    pool: Pool,
    /// Statements go unnamed through a transaction pooler.
    pooled: bool,
    location: String,
    slow: SlowLog,
    cursors: Mutex<claim::Cursors>,
    wake: wake::Listener,
    direct: connect::Direct,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore")
            .field("location", &self.location)
            .field("pooled", &self.pooled)
            .finish_non_exhaustive()
    }
}
