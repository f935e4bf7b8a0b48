//! The lease protocol as a small machine that can be explored to the end.
//!
//! One job, two workers or more, a watchdog and a database, in discrete time. A state is a [`World`], a step is an
//! [`Action`], and [`Rules`] say which protocol is played: [`Rules::protocol`] is ours, and each broken variant
//! differs from it in one rule. `tests/it` explores them all and expects a counterexample of every broken one, so that
//! a model that has become too weak to find anything fails as well.
//!
//! # What is modelled, and where the program has it
//!
//! | here | there |
//! |---|---|
//! | the worker's lease and its row | `worker_renew.sql` and `renew.sql`: only a lease that has not run out is renewed |
//! | the deadline counts from the *sending* of the last acknowledged renewal, less a margin | `renew_loop` in `jobforge/src/worker/heartbeat.rs` |
//! | a worker past its deadline, or refused a renewal, drops its jobs and comes back as somebody else | `Pool::begin_anew` |
//! | a claim needs a valid lease, raises the fence and names the owner; its answer may come late or never | `claim.sql`, `worker/claim.rs` |
//! | an answer to a claim that is older than a lease is thrown away | `claim_loop` |
//! | a completion counts under owner, fence and status only | `settle.sql` |
//! | the watchdog reads, decides, and then writes under the fence it saw | `rescue.sql`, `core/src/rescue.rs` |
//! | a job that its living worker never beats for is taken back | `Cause::HeartbeatLate` |
//! | proof of death by a supervisor, presence, and the pause of claims after a failover | `DESIGN` of the protocol |
//!
//! Faults come in numbers: pauses of any length, crashes, lost connections, a tick that one clock sleeps through, and
//! failovers that forget the last claim. Messages may be late or lost at any time, without limit.
//!
//! # What is not
//!
//! - A handler stops in the instant in which it is told to. In truth it has until the margin is over, and one that
//!   ignores the signal is dropped after its grace; the simulation in `testkit` has slow handlers.
//! - A renewal reaches the database in the instant in which it is sent, for later would only lengthen the lease there;
//!   its answer may come late or never.
//! - A worker that has nothing to do with the job has a fresh lease: it can renew whenever it likes.
//! - Registration is one step without a message in flight.
//! - Steps of the database's clock: they are the simulation's business.
//! - One job stands for all: nothing in the protocol lets one job's fate depend on another's.

mod check;
mod step;

pub use step::Action;

use jobforge_core::worker::{MARGIN_SHARE, RENEWALS_PER_LEASE};

/// A worker's lease in ticks: a tick is the time between two renewals.
pub const LEASE: u8 = RENEWALS_PER_LEASE as u8;
/// Ticks that a worker stops before its lease ends: the program's share of the lease, in whole ticks.
pub const MARGIN: u8 = (RENEWALS_PER_LEASE.div_ceil(MARGIN_SHARE)) as u8;
/// Incarnations that one worker process may have.
pub const INCARNATIONS: usize = 2;
/// Ticks after a claim at which a job that its worker never beat for is taken back; longer than an answer to a claim is
/// believed.
pub const BEAT_LATE: u8 = LEASE + 2;

/// What a completion must agree with to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// Owner and fence.
    OwnerAndNumber,
    /// The fence alone.
    NumberOnly,
    /// Nothing.
    Nothing,
}

/// From when a worker counts its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// From when the renewal was sent.
    Sent,
    /// From when its answer came.
    Answered,
}

/// How many of each fault may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Faults {
    /// Workers frozen, for as long as it pleases.
    pub pauses: u8,
    /// Workers killed.
    pub crashes: u8,
    /// Connections lost.
    pub cuts: u8,
    /// Ticks that one worker's clock does not notice.
    pub slow_ticks: u8,
    /// Failovers to a database that does not know of the last claim.
    pub failovers: u8,
}

/// Which protocol is played, within which bounds.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Worker processes.
    pub workers: usize,
    /// Claims in all.
    pub claims: u8,
    /// Ticks that a worker keeps as a margin.
    pub margin: u8,
    /// What a completion must agree with.
    pub fence: Fence,
    /// Whether a worker stops at its deadline.
    pub self_fence: bool,
    /// From when it counts.
    pub anchor: Anchor,
    /// Whether its clock goes on while it is frozen.
    pub clock_counts_pauses: bool,
    /// Ticks after the loss of a worker's connection at which its jobs are taken; `None` waits for lease or proof.
    pub presence_takes_after: Option<u8>,
    /// Whether the watchdog's write is conditional on the fence that it read.
    pub rescue_is_conditional: bool,
    /// Whether claims wait one lease after a failover.
    pub barrier: bool,
    /// Whether late answers to claims are thrown away.
    pub stale_claims_are_dropped: bool,
    /// What may go wrong.
    pub faults: Faults,
}

impl Rules {
    /// Our protocol with two workers.
    pub fn protocol(faults: Faults) -> Self {
        Self {
            workers: 2,
            claims: 2,
            margin: MARGIN,
            fence: Fence::OwnerAndNumber,
            self_fence: true,
            anchor: Anchor::Sent,
            clock_counts_pauses: true,
            presence_takes_after: None,
            rescue_is_conditional: true,
            barrier: true,
            stale_claims_are_dropped: true,
            faults,
        }
    }

    /// The state in which everything begins: a queued job, and every worker registered a moment ago.
    pub fn begin(&self) -> World {
        let mut rows = [Row::Absent; INCARNATIONS];
        rows[0] = Row::Live { left: LEASE, silent: None };
        let worker = Worker {
            alive: true,
            paused: false,
            connected: true,
            incarnation: 0,
            deadline: Some(LEASE - self.margin),
            claim: None,
            handler: None,
            renewal: None,
            completion: None,
            rows,
        };
        World {
            job: Job { status: Status::Queued, fence: 0, claims: 0, owner: None, held: 0 },
            workers: vec![worker; self.workers],
            plan: None,
            barrier: 0,
            left: self.faults,
            seen: Seen::default(),
        }
    }
}

/// Where the job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It may be claimed.
    Queued,
    /// A worker has it.
    Running,
    /// It is completed.
    Done,
}

/// One incarnation of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The process.
    pub worker: u8,
    /// Which of its lives.
    pub incarnation: u8,
}

/// The job as the database has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    /// Where it stands.
    pub status: Status,
    /// Its fence.
    pub fence: u8,
    /// Claims that there have been. No database knows: a failover forgets a claim, and this number does not.
    pub claims: u8,
    /// Who holds it.
    pub owner: Option<Owner>,
    /// Ticks without a heartbeat, up to [`BEAT_LATE`]; 0 while its holder runs it.
    pub held: u8,
}

/// What a worker was given by a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// The fence.
    pub fence: u8,
    /// Which claim it truly was.
    pub claim: u8,
}

/// A worker's row of one incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    /// Not registered yet.
    Absent,
    /// It may act.
    Live {
        /// Ticks of the lease that are left; at zero it has run out.
        left: u8,
        /// Ticks since its connection was lost, if it was.
        silent: Option<u8>,
    },
    /// It was given up, or is of before a failover.
    Ended,
}

/// A renewal that has reached the database, and whose answer is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Renewal {
    /// Who sent it.
    pub incarnation: u8,
    /// Ticks since it was sent, by the sender's clock.
    pub age: u8,
}

/// A completion on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Completion {
    /// Who sent it.
    pub incarnation: u8,
    /// Under which claim.
    pub grant: Grant,
}

/// A worker process, and the rows that it has in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker {
    /// Not killed.
    pub alive: bool,
    /// Frozen.
    pub paused: bool,
    /// Whether messages go through.
    pub connected: bool,
    /// Which of its lives.
    pub incarnation: u8,
    /// Ticks until it must stop, by its own clock; `None` is between two lives.
    pub deadline: Option<u8>,
    /// A claim whose answer is on its way, with the ticks since.
    pub claim: Option<(Grant, u8)>,
    /// The handler that it runs.
    pub handler: Option<Grant>,
    /// A renewal that has reached the database, and whose answer is on its way.
    pub renewal: Option<Renewal>,
    /// A completion on its way.
    pub completion: Option<Completion>,
    /// One row per incarnation.
    pub rows: [Row; INCARNATIONS],
}

/// What has happened, for the properties to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seen {
    /// Completions that were accepted, up to two.
    pub accepted: u8,
    /// One of them came from another claim than the one that held the job.
    pub wrong: bool,
    /// A completed job was moved.
    pub overwritten: bool,
    /// A completion came too late and was refused.
    pub refused: bool,
    /// The job was taken back.
    pub rescued: bool,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The job.
    pub job: Job,
    /// The workers.
    pub workers: Vec<Worker>,
    /// The fence that the watchdog saw when it decided to take the job, until it writes.
    pub plan: Option<u8>,
    /// Ticks for which claims must still wait.
    pub barrier: u8,
    /// Faults that may still happen.
    pub left: Faults,
    /// What has happened.
    pub seen: Seen,
}
