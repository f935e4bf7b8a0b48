//! What a worker asks for: how many jobs, from which queues, of which types.

use std::time::Duration;

use jiff::Timestamp;

use crate::job::{ClaimedJob, WorkerId};

/// The most jobs that one claim may take.
pub const MAX_CLAIM: usize = 1000;

/// One claim.
#[derive(Debug, Clone)]
pub struct ClaimAsk {
    /// The incarnation that asks.
    pub worker: WorkerId,
    /// How many from each queue, in order of preference.
    pub queues: Vec<QueueAsk>,
    /// The types it can run; `None` is every type.
    pub types: Option<Vec<String>>,
    /// How long until the first heartbeat of a claimed job is due.
    pub beat_due_in: Duration,
}

/// How many jobs of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAsk {
    /// The queue.
    pub queue: String,
    /// At most this many.
    pub limit: usize,
}

/// What a claim gave.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The jobs, each now running under its lease.
    pub jobs: Vec<ClaimedJob>,
    /// More may be had at once: the claim was full, or waiting jobs have just become due.
    pub more: bool,
    /// When the next waiting job of any queue becomes due, if one is known.
    pub next_due: Option<Timestamp>,
    /// The database's clock at the claim.
    pub as_of: Timestamp,
}

/// The room of one queue in a worker process.
#[derive(Debug, Clone)]
pub struct QueueRoom {
    /// The queue.
    pub queue: String,
    /// Jobs that may run at once.
    pub slots: usize,
    /// Jobs claimed whose handlers have not ended, waiting ones included.
    pub held: usize,
    /// Whether its jobs have lately been over in milliseconds.
    pub quick: bool,
}

/// Jobs that take less than this are quick.
pub const QUICK: Duration = Duration::from_millis(20);

/// Decides how many jobs to ask for.
///
/// Every free slot; for quick jobs as many again as there are slots, to hide the claim's round trip, and then only when
/// half of those are used up, so that claims stay large under load. Long jobs are never taken ahead: a job that waits in
/// one worker's memory cannot be taken by an idle one.
pub fn ask(rooms: &[QueueRoom]) -> Vec<QueueAsk> {
    let mut left = MAX_CLAIM;
    let mut asks = Vec::with_capacity(rooms.len());
    for room in rooms {
        let (room_for, least) =
            if room.quick { (room.slots * 2, room.slots.div_ceil(2)) } else { (room.slots, 1) };
        let want = room_for.saturating_sub(room.held).min(left);
        if want >= least.min(MAX_CLAIM) {
            left -= want;
            asks.push(QueueAsk { queue: room.queue.clone(), limit: want });
        }
    }
    asks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(queue: &str, slots: usize, held: usize) -> QueueRoom {
        QueueRoom { queue: queue.to_owned(), slots, held, quick: false }
    }

    #[test]
    fn a_full_queue_is_not_asked_for() {
        assert_eq!(ask(&[room("a", 4, 4), room("b", 4, 1)]), [QueueAsk { queue: "b".to_owned(), limit: 3 }]);
        assert!(ask(&[room("a", 4, 9)]).is_empty());
    }

    #[test]
    fn one_claim_never_exceeds_the_limit() {
        let total: usize = ask(&[room("a", 5000, 0), room("b", 10, 0)]).iter().map(|ask| ask.limit).sum();
        assert_eq!(total, MAX_CLAIM);
    }

    #[test]
    fn only_quick_jobs_are_taken_ahead_and_then_in_large_claims() {
        let quick = |held| QueueRoom { quick: true, ..room("mail", 80, held) };
        assert_eq!(ask(&[room("video", 80, 80)]), []);
        assert_eq!(ask(&[quick(80)])[0].limit, 80);
        assert_eq!(ask(&[quick(120)])[0].limit, 40);
        assert_eq!(ask(&[quick(121)]), []);
    }
}
