//! What the tests of JobForge share.
//!
//! [`mod@conformance`] says what a store means and [`history`] compares engines on random histories; both speak through
//! [`fixtures`]. [`sim`] runs the loops of workers and servers on a simulated clock, and lets everything go wrong.
//! [`postgres`] gives the others a throw-away PostgreSQL.

pub mod fixtures;

pub mod conformance;
pub mod history;

pub mod sim;

pub mod postgres;

pub use anyhow::Result;
