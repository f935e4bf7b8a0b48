//! Every way to break the protocol is found, and by the checker that is there for it.

use testkit::sim::{Broken, Options, run};

/// Seeds among which one must show it.
const WITHIN: u64 = 120;

/// Looks for a seed in which this rule is the first that is broken. In others something else may come of it earlier.
fn check(broken: Broken, checker: &str) {
    for seed in 1..=WITHIN {
        let report = run(seed, &Options { narrate: false, broken: Some(broken) });
        let report = report.unwrap_or_else(|error| panic!("seed {seed} could not be run: {error:#}"));
        if report.violation.is_some_and(|violation| violation.checker == checker) {
            return;
        }
    }
    panic!("\"{checker}\" has not noticed {broken:?} in {WITHIN} seeds");
}

#[test]
fn settling_without_a_fence_is_found() {
    check(Broken::UnfencedSettle, "one live lease");
}

#[test]
fn telling_who_is_too_late_that_it_counted_is_found() {
    check(Broken::FlatteringSettle, "one live lease");
}

#[test]
fn a_forgotten_enqueue_is_found() {
    check(Broken::ForgetfulEnqueue, "nothing lost");
}

#[test]
fn a_success_that_does_not_last_is_found() {
    check(Broken::RestlessDatabase, "settled stays");
}

#[test]
fn a_sweep_that_finds_nobody_is_found() {
    check(Broken::BlindSweep, "dead work comes back");
}

#[test]
fn a_watchdog_without_guards_is_found() {
    check(Broken::WatchdogWithoutGuards, "healthy is left alone");
}

#[test]
fn a_watchdog_without_a_pause_is_found() {
    check(Broken::WatchdogWithoutPause, "no flood");
}

#[test]
fn a_lease_counted_on_a_clock_that_stands_still_in_suspend_is_found() {
    check(Broken::ClockWithoutSuspend, "no overlap");
}

#[test]
fn company_for_a_job_that_must_run_alone_is_found() {
    check(Broken::NobodyAlone, "alone is alone");
}

#[test]
fn charging_innocent_jobs_with_a_death_is_found() {
    check(Broken::ChargeEverybody, "innocent run again");
}

#[test]
fn a_standing_without_evidence_is_found() {
    check(Broken::StandingWithoutEvidence, "every state explained");
}
