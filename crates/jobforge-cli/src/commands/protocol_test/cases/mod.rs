//! The cases, in the order in which they are told.

mod faults;
mod jobs;
mod life;
mod server;

use std::pin::Pin;

use anyhow::Result;

use super::scene::Scene;

/// What there is to add to a pass, or why it is none.
type Played<'a> = Pin<Box<dyn Future<Output = Result<String>> + Send + 'a>>;

/// One thing that may happen to a worker, and what it must do then.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) demands: &'static str,
    pub(super) play: for<'a> fn(&'a mut Scene) -> Played<'a>,
}

macro_rules! cases {
    ($($name:literal $play:path: $demands:literal)+) => {
        &[$(Case { name: $name, demands: $demands, play: |scene| Box::pin($play(scene)) }),+]
    };
}

pub(super) const CASES: &[Case] = cases! {
    "echo" jobs::echo: "a payload comes back as the result, whatever characters are in it"
    "batch" jobs::batch: "thirty waiting jobs all end, each run and reported once"
    "outcomes" jobs::outcomes: "failed, dead and retried jobs end as such, with kind and message of their errors"
    "progress" jobs::progress: "what a handler reports arrives while it runs"
    "checkpoint" jobs::checkpoint: "a checkpoint arrives, and the next attempt goes on from it"
    "snooze" jobs::snooze: "a snoozed job comes back later and has used no attempt"
    "timeout" jobs::timeout: "a handler is stopped at its job's time-out, which is reported as such"
    "heartbeat" jobs::heartbeat: "a job twice as long as the lease stays with its worker"
    "cancel" life::cancel: "handlers of canceled jobs stop, nothing is reported of them, and their slots are free"
    "lost-lease" life::lost_lease: "a worker that was frozen beyond its lease stops its job and begins anew as another"
    "drain" life::drain: "after SIGTERM it finishes what runs, leaves and ends with exit code 0; nothing is lost"
    "release" life::release: "after SIGTERM and its grace it gives back what still runs, which costs no attempt"
    "restart" life::restart: "a worker that an operator tells to restart finishes what runs and begins anew as another"
    "late-result" faults::late_result: "a result that arrives after the lease is fenced, and not sent again for ever"
    "duplicate-result" faults::duplicate_result: "a result whose answer was lost is sent again, and the job ran once"
    "lost-claim" faults::lost_claim: "jobs of a claim whose answer was lost are run all the same"
    "slow-claims" faults::slow_claims: "claims that take long or are cut neither cost the lease nor lose a job"
    "network-drops" faults::network_drops: "while a third of all requests and answers is lost, every job ends exactly once"
    "server-restart" server::killed: "a server that is killed and comes back loses no job and keeps its worker"
    "unavailable" server::unavailable: "whatever is answered 503 is asked again"
    "clock" server::clock: "a clock a day before or behind the server's changes nothing"
    "newer-server" server::newer: "answers with fields that it does not know are no trouble"
};
