//! The protocol keeps its promises under every fault.

use lease_model::{Faults, Rules};

use crate::explore::check_safe;

#[test]
fn the_protocol_is_safe_with_two_workers_under_every_fault_once() {
    let faults = Faults { pauses: 1, crashes: 1, cuts: 1, slow_ticks: 1, failovers: 0 };
    check_safe(Rules::protocol(faults), 2_000_000);
}

#[test]
fn the_protocol_is_safe_when_workers_are_frozen_again_and_again() {
    let faults = Faults { pauses: 2, ..Faults::default() };
    check_safe(Rules::protocol(faults), 350_000);
}

#[test]
fn the_protocol_is_safe_across_a_failover_that_forgets_the_claim() {
    let faults = Faults { pauses: 1, crashes: 1, failovers: 1, ..Faults::default() };
    check_safe(Rules::protocol(faults), 320_000);
}

#[test]
fn the_protocol_is_safe_with_three_workers() {
    let faults = Faults { pauses: 1, crashes: 1, ..Faults::default() };
    check_safe(Rules { workers: 3, ..Rules::protocol(faults) }, 380_000);
}
