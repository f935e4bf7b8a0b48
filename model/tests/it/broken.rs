//! Every rule of the protocol is needed: without it, something breaks.

use lease_model::{Anchor, Faults, Fence, Rules};

use crate::explore::{BY_ITS_HOLDER, ONCE, ONE_COMPLETION, STAYS_COMPLETED, check_broken};

const NONE: Faults = Faults { pauses: 0, crashes: 0, cuts: 0, slow_ticks: 0, failovers: 0 };

#[test]
fn without_a_fence_a_job_is_completed_twice() {
    let rules = Rules::protocol(Faults { pauses: 1, ..NONE });
    check_broken(Rules { fence: Fence::Nothing, ..rules }, ONE_COMPLETION);
}

#[test]
fn a_number_alone_is_issued_again_after_a_failover() {
    let rules = Rules::protocol(Faults { failovers: 1, ..NONE });
    check_broken(Rules { fence: Fence::NumberOnly, ..rules }, BY_ITS_HOLDER);
}

#[test]
fn without_a_pause_of_claims_after_a_failover_two_run_at_once() {
    let rules = Rules::protocol(Faults { failovers: 1, ..NONE });
    check_broken(Rules { barrier: false, ..rules }, ONCE);
}

#[test]
fn a_worker_that_does_not_stop_itself_runs_beside_the_next() {
    let rules = Rules::protocol(NONE);
    check_broken(Rules { self_fence: false, ..rules }, ONCE);
}

#[test]
fn a_lease_that_counts_from_the_answer_is_too_long() {
    let rules = Rules::protocol(NONE);
    check_broken(Rules { anchor: Anchor::Answered, ..rules }, ONCE);
}

#[test]
fn a_clock_that_stops_in_suspend_lets_a_sleeper_go_on() {
    let rules = Rules::protocol(Faults { pauses: 1, ..NONE });
    check_broken(Rules { clock_counts_pauses: false, ..rules }, ONCE);
}

#[test]
fn taking_jobs_when_a_connection_is_lost_runs_them_twice() {
    let rules = Rules::protocol(Faults { cuts: 1, ..NONE });
    check_broken(Rules { presence_takes_after: Some(0), ..rules }, ONCE);
}

#[test]
fn taking_jobs_a_while_after_a_connection_is_lost_runs_them_twice_as_well() {
    let rules = Rules::protocol(Faults { cuts: 1, ..NONE });
    check_broken(Rules { presence_takes_after: Some(2), ..rules }, ONCE);
}

#[test]
fn a_watchdog_that_reads_and_then_writes_by_id_moves_a_completed_job() {
    let rules = Rules::protocol(NONE);
    check_broken(Rules { rescue_is_conditional: false, ..rules }, STAYS_COMPLETED);
}

#[test]
fn without_a_margin_one_slow_tick_is_enough() {
    let rules = Rules::protocol(Faults { slow_ticks: 1, ..NONE });
    check_broken(Rules { margin: 0, ..rules }, ONCE);
}

#[test]
fn an_answer_to_a_claim_that_is_believed_for_ever_starts_a_job_that_another_has() {
    let rules = Rules::protocol(NONE);
    check_broken(Rules { stale_claims_are_dropped: false, ..rules }, ONCE);
}
