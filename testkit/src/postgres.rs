//! Throw-away PostgreSQL for tests and benchmarks, from the binaries that the distribution installed.
//!
//! Most tests want [`TestDatabase::create`]: a fresh database on a server that is started once per test run.
//! Tests that stop or crash the server start a [`Cluster`] of their own. Tests of pooled connections put a
//! [`PgBouncer`] in front. Everything stops and disappears when its handle is dropped, and also when the process
//! is killed without a chance to clean up (`guardian.rs` says how).
//!
//! The calls block, for a few milliseconds to about a second, also inside async tests. Nothing is ever skipped:
//! when PostgreSQL is not installed, the error says what to install.

mod binaries;
mod cluster;
mod database;
mod guardian;
mod host;
mod pgbouncer;
mod server;
mod shared;
#[cfg(test)]
mod tests;

pub use binaries::{Binaries, find_binaries};
pub use cluster::{Cluster, ClusterOptions, Durability};
pub use database::TestDatabase;
pub use pgbouncer::{PgBouncer, PoolMode};
pub use server::{Server, psql};
pub use shared::{SHARED_SERVER_VARIABLE, shared};
