//! Which jobs this worker has been told of and has not reported the end of.

use std::collections::HashSet;

use jobforge_api::worker::{ClaimedJobView, HeldJob};
use jobforge_core::job::{JobId, Lease};

#[derive(Debug, Default)]
pub(super) struct HeldJobs {
    jobs: HashSet<HeldJob>,
    /// A claim has been sent whose answer has not come.
    unanswered: bool,
}

impl HeldJobs {
    /// Notes that a claim is about to be sent. If the answer to the one before has not come, gives what is held, for
    /// the server to tell what was given away unheard.
    pub(super) fn before_claim(&mut self) -> Option<Vec<HeldJob>> {
        let lost = std::mem::replace(&mut self.unanswered, true);
        lost.then(|| self.jobs.iter().copied().collect())
    }

    /// Notes the answer to a claim.
    pub(super) fn claimed(&mut self, jobs: &[ClaimedJobView]) {
        self.unanswered = false;
        self.jobs.extend(jobs.iter().map(|job| HeldJob { id: job.id, fence: job.fence }));
    }

    /// Notes that a job is over for this worker.
    pub(super) fn ended(&mut self, id: JobId, fence: Lease) {
        self.jobs.remove(&HeldJob { id, fence });
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jobforge_core::payload::Payload;

    use super::*;

    fn claimed(id: JobId, fence: i64) -> ClaimedJobView {
        ClaimedJobView {
            id,
            fence: Lease(fence),
            job_type: "t".to_owned(),
            tenant_id: "default".to_owned(),
            queue: "default".to_owned(),
            priority: 0,
            payload: Payload::empty(),
            payload_stored: None,
            attempt: 1,
            max_attempts: 1,
            timeout_ms: None,
            progress_timeout_ms: None,
            checkpoint: None,
            tags: Vec::new(),
            traceparent: None,
            retry: None,
            alone: false,
            enqueued_at: Timestamp::UNIX_EPOCH,
            started_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_a_claim_after_an_unanswered_one_tells_what_is_held() {
        let mut held = HeldJobs::default();
        let (a, b) = (JobId::new(), JobId::new());
        assert_eq!(held.before_claim(), None);
        held.claimed(&[claimed(a, 1), claimed(b, 4)]);
        assert_eq!(held.before_claim(), None);
        // No answer came.
        held.ended(a, Lease(1));
        assert_eq!(held.before_claim(), Some(vec![HeldJob { id: b, fence: Lease(4) }]));
        held.claimed(&[]);
        assert_eq!(held.before_claim(), None);
    }

    #[test]
    fn the_same_job_under_a_newer_fence_is_another_one() {
        let mut held = HeldJobs::default();
        let id = JobId::new();
        held.claimed(&[claimed(id, 1), claimed(id, 2)]);
        held.ended(id, Lease(1));
        held.before_claim();
        assert_eq!(held.before_claim(), Some(vec![HeldJob { id, fence: Lease(2) }]));
    }
}
