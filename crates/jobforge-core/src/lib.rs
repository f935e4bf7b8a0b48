//! The decisions of JobForge.
//!
//! Everything in this crate is a function of facts and a given `now`: no database, no socket, no task, and no clock
//! is ever read. Only [`metric`] remembers anything: what a process has counted. `jobforge-store` remembers, `jobforge` drives, and both ask here what should happen.
//!
//! Reading order: what a job is ([`job`], [`payload`], [`stored_payload`], [`state`]) and how it is shown ([`redact`]), its life ([`enqueue`], [`claim`], [`heartbeat`],
//! [`progress`], [`settle`], [`rescue`]), when one is made by itself ([`schedule`]), what it is now ([`standing`]) and how the whole is ([`overview`]), who may do what and
//! who did it ([`token`], [`throttle`], [`rate`], [`audit`], [`operation`]), what somebody must be told of ([`alert`]), and
//! the numbers behind it ([`poll`], [`retention`], [`settings`]) and about it ([`metric`]).

#![forbid(unsafe_code)]

pub mod job;
pub mod job_state;
pub mod json;
pub mod payload;
pub mod payload_match;
pub mod redact;
pub mod state;
pub mod stored_payload;
pub mod worker;

pub mod claim;
pub mod dead;
pub mod death;
pub mod enqueue;
pub mod heartbeat;
pub mod poison;
pub mod progress;
pub mod rescue;
pub mod settle;

pub mod schedule;

pub mod overview;
pub mod standing;
pub mod verdict;
pub mod watchdog;
pub mod what_if;

pub mod audit;
pub mod doctor;
pub mod metric;
pub mod operation;
pub mod rate;
pub mod throttle;
pub mod token;

pub mod alert;
pub mod counted;
pub mod nearest;
pub mod poll;
pub mod presence;
pub mod retention;
pub mod role;
pub mod search;
pub mod settings;
pub mod tenant;
pub mod time;
pub mod whole;

#[cfg(feature = "schema")]
pub mod schema;

#[cfg(test)]
mod fixtures;
