//! Tests of the library from the outside, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[macro_use]
mod common;

mod alerts;
mod client;
mod examples;
mod metrics;
mod payloads;
mod schedules;
mod services;
mod transaction;
mod worker_lease;
mod worker_many;
mod worker_outage;
mod worker_outcomes;
mod worker_reports;
mod worker_restart;
mod worker_slots;
mod worker_socket;
mod worker_stopping;
mod worker_timing;

mod builtin_exec;
mod builtin_http;
mod builtin_server;
mod builtin_webhook;
