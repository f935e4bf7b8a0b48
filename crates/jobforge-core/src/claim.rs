//! What a worker asks for: how many jobs, from which queues, of which types.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// The only tenant whose jobs it may run; `None` is every tenant.
    pub tenant: Option<String>,
    /// How long until the first heartbeat of a claimed job is due.
    pub beat_due_in: Duration,
    /// How long the worker means to wait until then; `None` if it does not say.
    pub beat_interval: Option<Duration>,
    /// One job that must run alone, and nothing else: asked by a worker that runs nothing. Without it none of those comes.
    pub alone: bool,
    /// What the worker keeps jobs to that have no bounds of their own.
    pub bounds: TypeBounds,
}

/// How long attempts may take where their jobs do not say: by type, and of every other type, in milliseconds.
///
/// A claim writes them down with the job, so that everybody knows when the attempt is over, not only its worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TypeBounds {
    /// Bound on one attempt.
    pub timeout: Bounds,
    /// Bound on the time between two reports of progress.
    pub progress: Bounds,
}

/// One bound, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// By type.
    pub by_type: BTreeMap<String, u64>,
    /// Of every other type; `None` is without bound.
    pub other: Option<u64>,
}

impl Bounds {
    /// The bound for a type.
    pub fn of(&self, job_type: &str) -> Option<Duration> {
        self.by_type.get(job_type).copied().or(self.other).map(Duration::from_millis)
    }

    /// Whether no type is bound.
    pub fn is_empty(&self) -> bool {
        self.by_type.is_empty() && self.other.is_none()
    }
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
    /// A job that must run alone waited in one of the queues when the claim looked.
    pub alone_waits: bool,
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

/// How long a job that must run alone is left to workers that run nothing, at least.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a busy worker then takes nothing new, so that it comes to run nothing.
const MAKING_ROOM: Duration = Duration::from_secs(30);

/// What a worker asks for next, as long as a job waits that must run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Jobs that run beside others.
    Company,
    /// The job that runs alone.
    Alone,
    /// Nothing, until what it has is done.
    MakeRoom,
}

/// Decides whose turn it is when a job has waited for so long to run alone.
///
/// A worker that runs nothing takes it at once. A busy one makes room for it after a while, and gives up again when its
/// own jobs take too long. Workers do so at different times, so that not the whole fleet stands still for one job.
pub fn turn(waited: Duration, held: usize, worker: &WorkerId) -> Turn {
    let spread = worker.as_str().bytes().fold(0_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 30_000);
    let from = PATIENCE + Duration::from_millis(spread);
    let round = waited.as_millis() % (from + MAKING_ROOM).as_millis();
    match held {
        0 => Turn::Alone,
        _ if round < from.as_millis() => Turn::Company,
        _ => Turn::MakeRoom,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(queue: &str, slots: usize, held: usize) -> QueueRoom {
        QueueRoom { queue: queue.to_owned(), slots, held, quick: false }
    }

    #[test]
    fn a_worker_that_runs_nothing_takes_the_job_at_once_and_a_busy_one_makes_room_now_and_then() {
        let worker = WorkerId("worker-0a1b2c3d".to_owned());
        assert_eq!(turn(Duration::ZERO, 0, &worker), Turn::Alone);
        let turns: Vec<Turn> = (0..600).map(|second| turn(Duration::from_secs(second), 3, &worker)).collect();
        assert!(turns[..30].iter().all(|turn| *turn == Turn::Company));
        let making_room = turns.iter().filter(|turn| **turn == Turn::MakeRoom).count();
        assert!((150..=350).contains(&making_room), "{making_room} of 600 s");
        assert_ne!(turns.last(), Some(&Turn::Alone));
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
