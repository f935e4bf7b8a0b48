//! A real server on port 0, a SQLite file in a temporary directory, and HTTP written by hand.

mod access;
mod bad_input;
mod codes;
mod connections;
mod described;
mod engines;
mod failing_store;
mod foreigners;
mod harness;
mod health;
mod idempotency;
mod jobs;
mod lifecycle;
mod queues;
mod rate_limit;
mod refusals;
mod request_log;
mod runbook;
mod schedules;
mod settings;
mod tokens;
mod worker;
mod worker_deaths;
mod worker_examples;
mod worker_refusals;
mod worker_site;
