//! Six scheduled jobs over a small PostgreSQL application.
//!
//! Read in this order: how a handler reports ([`run`]) and fails ([`trouble`]), how it goes through a table
//! ([`batches`]), then the handlers themselves: [`scores`] and [`reputation`] go through tables, [`embeddings`] computes
//! beside the database, [`sync`] reads from a server that limits how often, and [`webhooks`] hands over to a job type
//! that comes with JobForge.

pub mod run;
pub mod trouble;

pub mod batches;
pub mod db;

pub mod embeddings;
pub mod reputation;
pub mod scores;
pub mod sync;
pub mod vector;
pub mod webhooks;

pub mod outside;
pub mod worker;

pub use db::Db;
pub use run::{Run, Tally};
pub use trouble::Trouble;
