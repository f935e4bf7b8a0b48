//! Alerts: what is wrong enough to tell somebody, decided from metrics.
//!
//! [`rules`] is the one table. [`expr`] is the language of its conditions, which Prometheus reads as PromQL
//! ([`render`]) and [`eval`] evaluates over [`history`] where there is no Prometheus. [`state`] turns what holds into
//! what fires, [`route`] says who is told, [`silence`] how long nobody may be, and [`kept`] is what a database keeps of it
//! all.

pub mod eval;
pub mod exposition;
pub mod expr;
pub mod history;
pub mod kept;
pub mod notice;
pub mod pace;
pub mod render;
pub mod route;
pub mod rules;
pub mod silence;
pub mod state;
pub mod text;
