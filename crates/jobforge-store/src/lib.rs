//! The memory of JobForge: SQLite and PostgreSQL side by side, behind one set of traits.
//!
//! [`traits`] says what a store does, [`rows`] what it speaks, [`error`] how it fails. [`sqlite`] and [`postgres`]
//! follow the same verbs: `enqueue`, `claim`, `heartbeat`, `settle`, `rescue`, … with their statements in
//! `sql/{sqlite,postgres}/<verb>.sql`.

#![forbid(unsafe_code)]

pub mod error;
pub mod rows;
pub mod traits;

mod list;
mod meter;
mod migrate;
pub mod postgres;
pub mod restored;
mod slow;
pub mod sqlite;

pub use error::{Result, StoreError};
pub use traits::{Store, WorkerStore};
