//! The real `jobforge` program, driven as a person drives it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its scene has nothing better to do than stop"
)]

mod admin;
mod bad_input;
mod dead;
mod life;
mod liveness;
mod program;
mod shell;
mod site;
mod socket;
mod supervised;
mod watchdog;
