//! What happens in a simulation, and how it is told.

use std::fmt;
use std::time::Duration;

use jobforge_core::heartbeat::BeatReply;
use jobforge_core::job::{JobId, Lease, QueuedBecause, WorkerId};
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_core::time::words;
use jobforge_store::rows::{Move, Moved};
use uuid::Uuid;

/// A simulated process, numbered from 1 in the order in which they are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessId(pub(crate) u32);

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Programs and people who enqueue, cancel, retry and delete.
    Clients,
    /// The parents of worker processes, who see them end.
    Supervisors,
    /// A watchdog and a housekeeper.
    Server,
    /// A worker.
    Worker,
}

/// How a process stops without ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Frozen: its clocks go on.
    Frozen,
    /// Suspended with its machine: only the clock that counts suspends goes on.
    Suspended,
    /// Handlers hold all of its threads but that of the renewals.
    Stalled,
}

/// What of a link does not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing.
    Both,
    /// What the process asks.
    Requests,
    /// What the database answers.
    Answers,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// How long after the beginning.
    pub(crate) at: Duration,
    /// What.
    pub(crate) what: What,
}

/// What can happen. Calls are told at the moment and in the order in which the database did them.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A process began.
    Started {
        /// Which.
        process: ProcessId,
        /// What it is.
        role: Role,
        /// Whether somebody will report its death, or it ends itself rather than overrun its lease.
        supervised: bool,
    },
    /// A process ended.
    Ended {
        /// Which.
        process: ProcessId,
        /// Why.
        why: &'static str,
        /// Whether its supervisor saw it end.
        seen: bool,
    },
    /// A process stopped without ending.
    Stopped {
        /// Which.
        process: ProcessId,
        /// How.
        how: Stop,
    },
    /// It goes on.
    Resumed {
        /// Which.
        process: ProcessId,
        /// How it had stopped.
        how: Stop,
    },
    /// A link was cut.
    Cut {
        /// Whose.
        process: ProcessId,
        /// What does not get through.
        what: Cut,
    },
    /// It works again.
    Healed {
        /// Whose.
        process: ProcessId,
    },
    /// A call takes unusually long, or is never heard of.
    Slow {
        /// Whose.
        process: ProcessId,
        /// Which.
        call: &'static str,
        /// Until when.
        until: Duration,
    },
    /// Calls without end and without a pause.
    Flooded {
        /// By whom the last one was.
        process: ProcessId,
        /// Which.
        call: &'static str,
    },
    /// The database went down.
    Down,
    /// It is back.
    Up,
    /// Its clock stepped, in milliseconds.
    ClockStepped {
        /// By how many.
        by_ms: i64,
    },
    /// From here on nothing goes wrong any more.
    Quiet,
    /// A client was told that its job is kept.
    Promised {
        /// The job.
        job: JobId,
    },
    /// A job was stored.
    Enqueued {
        /// The job.
        job: JobId,
        /// What it will do.
        task: String,
    },
    /// A worker was made known.
    Registered {
        /// Its incarnation.
        worker: WorkerId,
        /// Its process.
        process: ProcessId,
        /// Its lease.
        lease: Duration,
    },
    /// A worker asked to renew.
    Renewed {
        /// Which.
        worker: WorkerId,
        /// How long its lease lasts now; `None` if it has none any more.
        lease: Option<Duration>,
    },
    /// A worker left in good order.
    Left {
        /// Which.
        worker: WorkerId,
    },
    /// All workers were given a whole lease.
    Extended {
        /// By which watchdog.
        by: ProcessId,
        /// How many.
        workers: u64,
    },
    /// All workers and all running jobs were given their times anew.
    TimesRenewed {
        /// By which watchdog.
        by: ProcessId,
    },
    /// A worker was declared lost.
    Expired {
        /// By which watchdog.
        by: ProcessId,
        /// Which.
        worker: WorkerId,
    },
    /// A worker was proven dead.
    Died {
        /// Which.
        worker: WorkerId,
    },
    /// A job was taken by a worker.
    Claimed {
        /// By which.
        worker: WorkerId,
        /// Its process.
        process: ProcessId,
        /// The job.
        job: JobId,
        /// Under which lease.
        lease: Lease,
        /// Whether nothing else may run beside it.
        alone: bool,
    },
    /// The worker heard of it.
    Heard {
        /// Which.
        worker: WorkerId,
        /// The job.
        job: JobId,
        /// Under which lease.
        lease: Lease,
    },
    /// A sign of life of a job.
    Beat {
        /// From which worker.
        worker: WorkerId,
        /// Of which job.
        job: JobId,
        /// Under which lease.
        lease: Lease,
        /// What was answered.
        reply: BeatReply,
    },
    /// The end of an attempt, as reported by its worker.
    Settled {
        /// By which.
        worker: WorkerId,
        /// Of which job.
        job: JobId,
        /// Under which lease.
        lease: Lease,
        /// Where it shall go.
        to: Status,
        /// Why it is queued again, if it is.
        because: QueuedBecause,
        /// What was answered.
        answer: Settled,
    },
    /// A job was taken from its worker.
    Rescued {
        /// The job.
        job: JobId,
        /// Its lease.
        lease: Lease,
        /// Where it went.
        to: Status,
        /// The kind of the stored error.
        cause: String,
    },
    /// An operator's move.
    Moved {
        /// The job.
        job: JobId,
        /// Which move.
        step: Move,
        /// What it did.
        answer: Moved,
    },
    /// A queue was paused or resumed.
    Paused {
        /// Which.
        queue: String,
        /// Paused, or resumed.
        paused: bool,
    },
    /// A handler began.
    Began {
        /// In which process.
        process: ProcessId,
        /// With which job.
        job: JobId,
        /// Under which lease.
        lease: Lease,
        /// Whether it will not listen when it is asked to stop.
        stubborn: bool,
    },
    /// A handler ended, or was dropped.
    Over {
        /// In which process.
        process: ProcessId,
        /// With which job.
        job: JobId,
        /// Under which lease.
        lease: Lease,
    },
}

/// The id of the job with this number.
pub(super) fn job_id(number: u64) -> JobId {
    JobId(Uuid::from_u128(0x0195_5000_0000_7000_8000_0000_0000_0000 | u128::from(number)))
}

/// A short name: `j17`.
pub(super) fn name(job: JobId) -> String {
    format!("j{}", job.0.as_u128() & 0xffff_ffff)
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frozen => "frozen",
            Self::Suspended => "suspended",
            Self::Stalled => "stalled by its handlers",
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3}  {}", self.at.as_secs_f64(), self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { process, role, supervised } => {
                let what = match role {
                    Role::Clients => "the clients",
                    Role::Supervisors => "the supervisors",
                    Role::Server => "a server",
                    Role::Worker if *supervised => "a supervised worker",
                    Role::Worker => "a worker",
                };
                write!(f, "{process} starts: {what}")
            }
            Self::Ended { process, why, .. } => write!(f, "{process} ends: {why}"),
            Self::Stopped { process, how } => write!(f, "{process} is {how}"),
            Self::Resumed { process, how } => write!(f, "{process} goes on; it was {how}"),
            Self::Cut { process, what } => {
                let what = match what {
                    Cut::Both => "nothing gets through",
                    Cut::Requests => "its requests do not get through",
                    Cut::Answers => "answers to it do not get through",
                };
                write!(f, "{process} is cut off: {what}")
            }
            Self::Healed { process } => write!(f, "{process} is connected again"),
            Self::Slow { process, call, until } => {
                write!(f, "{process} waits for {call} until {:.3}", until.as_secs_f64())
            }
            Self::Flooded { process, call } => write!(f, "{process} asks for {call} without a pause"),
            Self::Down => f.write_str("the database goes down"),
            Self::Up => f.write_str("the database is back"),
            Self::ClockStepped { by_ms } => write!(f, "the database's clock steps by {by_ms} ms"),
            Self::Quiet => f.write_str("from here on nothing goes wrong"),
            Self::Promised { job } => write!(f, "{} is promised to its client", name(*job)),
            Self::Enqueued { job, task } => write!(f, "{} is enqueued: {task}", name(*job)),
            Self::Registered { worker, process, lease } => {
                write!(f, "{worker} of {process} registers with a lease of {}", words(*lease))
            }
            Self::Renewed { worker, lease: Some(_) } => write!(f, "{worker} renews"),
            Self::Renewed { worker, lease: None } => write!(f, "{worker} is refused a renewal"),
            Self::Left { worker } => write!(f, "{worker} leaves"),
            Self::Extended { by, workers } => write!(f, "{by} gives {workers} workers a whole lease"),
            Self::TimesRenewed { by } => write!(f, "{by} gives every worker and every job its times anew"),
            Self::Expired { by, worker } => write!(f, "{by} declares {worker} lost"),
            Self::Died { worker } => write!(f, "{worker} is proven dead"),
            Self::Claimed { worker, job, lease, alone, .. } => {
                let how = if *alone { ", to run it alone" } else { "" };
                write!(f, "{worker} claims {} under lease {lease}{how}", name(*job))
            }
            Self::Heard { worker, job, lease } => {
                write!(f, "{worker} hears that it has {} under lease {lease}", name(*job))
            }
            Self::Beat { worker, job, lease, reply } => {
                write!(f, "{worker} beats for {} under lease {lease}: {reply:?}", name(*job))
            }
            Self::Settled { worker, job, lease, to, answer, .. } => {
                write!(f, "{worker} settles {} under lease {lease} to {to}: {answer:?}", name(*job))
            }
            Self::Rescued { job, lease, to, cause } => {
                write!(f, "{} is taken back under lease {lease} and is {to}: {cause}", name(*job))
            }
            Self::Moved { job, step, answer } => {
                write!(f, "an operator asks to {step:?} {}: {answer:?}", name(*job))
            }
            Self::Paused { queue, paused: true } => write!(f, "queue {queue} is paused"),
            Self::Paused { queue, paused: false } => write!(f, "queue {queue} is resumed"),
            Self::Began { process, job, lease, .. } => {
                write!(f, "{process} runs {} under lease {lease}", name(*job))
            }
            Self::Over { process, job, lease } => {
                write!(f, "{process} runs {} under lease {lease} no more", name(*job))
            }
        }
    }
}
