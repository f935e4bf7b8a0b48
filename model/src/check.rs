//! What must never be, and what must be possible.

use crate::{Rules, Status, Worker, World};

impl World {
    /// Workers that run a handler and may begin another effect with it: not dead, not frozen, not past their deadline.
    ///
    /// A worker that was frozen looks at its deadline before it does anything else.
    pub fn acting(&self, rules: &Rules) -> usize {
        let acts = |worker: &&Worker| {
            let in_time = worker.deadline.is_some_and(|left| left > 0) || !rules.self_fence;
            worker.alive && !worker.paused && worker.handler.is_some() && in_time
        };
        self.workers.iter().filter(acts).count()
    }

    /// Never two at once.
    pub fn runs_once(&self, rules: &Rules) -> bool {
        self.acting(rules) <= 1
    }

    /// At most one completion was accepted.
    pub fn completes_once(&self) -> bool {
        self.seen.accepted <= 1
    }

    /// It was that of the claim that held the job.
    pub fn completes_by_its_holder(&self) -> bool {
        !self.seen.wrong
    }

    /// A completed job is not touched any more.
    pub fn stays_completed(&self) -> bool {
        !self.seen.overwritten
    }

    /// The job is completed.
    pub fn is_done(&self) -> bool {
        self.job.status == Status::Done
    }

    /// The job is completed after it was taken back from a worker that died.
    pub fn survives_a_crash(&self) -> bool {
        self.is_done() && self.seen.rescued && self.workers.iter().any(|worker| !worker.alive)
    }

    /// A worker that was given up for lost was told so.
    pub fn refuses_a_zombie(&self) -> bool {
        self.seen.refused
    }
}
