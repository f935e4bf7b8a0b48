//! The real `jobforge` program, driven as a person drives it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its scene has nothing better to do than stop"
)]

#[macro_use]
mod site;

mod admin;
mod alerts;
mod backup;
mod bad_input;
mod compose;
mod copies;
mod dead;
mod doctor;
mod faults;
mod faults_store;
mod fleet;
mod ledger;
mod life;
mod liveness;
mod metrics;
mod otlp;
mod pages;
mod probes;
mod program;
mod progress;
mod prometheus;
mod protocol_test;
// What `jobforge drill partition` cuts workers off with.
#[path = "../../src/commands/drill/proxy.rs"]
mod proxy;
mod restart;
mod roles;
mod runbook_run;
mod runbooks;
#[cfg(feature = "s3")]
mod s3;
mod schedules;
mod secrets;
mod service_manager;
mod settings_load;
mod shell;
mod socket;
mod sql_surface;
mod sql_worker;
mod stored_policy;
mod supervised;
mod terminal;
mod tidying;
mod top;
mod watchdog;
mod what_if;
