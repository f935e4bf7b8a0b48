//! What the tests of JobForge share.
//!
//! [`mod@conformance`] says what a store means and [`history`] compares engines on random histories; both speak through
//! [`fixtures`]. [`postgres`] gives them a throw-away PostgreSQL.

pub mod fixtures;

pub mod conformance;
pub mod history;

pub mod postgres;

pub use anyhow::Result;
