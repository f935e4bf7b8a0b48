//! What a simulation has come upon, counted: simulations that have become too tame to reach what they are for must be
//! noticed.

use jobforge_core::heartbeat::BeatReply;
use jobforge_core::job::QueuedBecause;
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_store::rows::Moved;

use super::event::{Cut, Stop, What};
use super::fleet::EXIT_75;

/// Something that many simulations together must come upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A supervisor saw its worker process end.
    DeathSeen,
    /// A worker ended with nobody to see it.
    DeathUnseen,
    /// A worker process ended itself rather than overrun its lease.
    LastResort,
    /// A worker left in good order.
    Left,
    /// A process was frozen.
    Frozen,
    /// A machine was suspended.
    Suspended,
    /// Handlers held all threads of a worker.
    Stalled,
    /// A link was cut in both directions.
    CutOff,
    /// Requests did not get through.
    RequestsLost,
    /// Answers did not get through.
    AnswersLost,
    /// A call took very long.
    Slow,
    /// The database went down.
    Down,
    /// Its clock went forward.
    ClockForward,
    /// Its clock was set back.
    ClockBack,
    /// A worker could not renew.
    RenewalRefused,
    /// A worker was declared lost.
    Lost,
    /// A worker was proven dead.
    Proven,
    /// A watchdog gave all workers a whole lease.
    Extended,
    /// A watchdog gave workers and jobs all their times anew.
    TimesRenewed,
    /// A job of a lost worker was queued again.
    Rescued,
    /// A job was found by its late heartbeat.
    FoundByHeartbeat,
    /// A job was found by its time-out.
    FoundByTimeOut,
    /// A job died of lost leases.
    DiedOfLostLeases,
    /// A settlement came too late.
    Fenced,
    /// A settlement came twice.
    Replayed,
    /// A job was given back.
    Released,
    /// A worker was told that a job is not its own any more.
    ToldByHeartbeat,
    /// An operator took a running job.
    TakenByOperator,
    /// A job that had been there when workers died ran alone.
    RanAlone,
    /// A job was found to have killed its workers.
    Poison,
    /// A job was found by its standing still.
    FoundByStandstill,
}

impl Mark {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::DeathSeen,
        Self::DeathUnseen,
        Self::LastResort,
        Self::Left,
        Self::Frozen,
        Self::Suspended,
        Self::Stalled,
        Self::CutOff,
        Self::RequestsLost,
        Self::AnswersLost,
        Self::Slow,
        Self::Down,
        Self::ClockForward,
        Self::ClockBack,
        Self::RenewalRefused,
        Self::Lost,
        Self::Proven,
        Self::Extended,
        Self::TimesRenewed,
        Self::Rescued,
        Self::FoundByHeartbeat,
        Self::FoundByTimeOut,
        Self::DiedOfLostLeases,
        Self::Fenced,
        Self::Replayed,
        Self::Released,
        Self::ToldByHeartbeat,
        Self::TakenByOperator,
        Self::RanAlone,
        Self::Poison,
        Self::FoundByStandstill,
    ];

    /// The mark of an event, if it leaves one.
    pub(super) fn of(what: &What) -> Option<Self> {
        Some(match what {
            What::Ended { why, .. } if *why == EXIT_75 => Self::LastResort,
            What::Ended { seen: true, .. } => Self::DeathSeen,
            What::Ended { .. } => Self::DeathUnseen,
            What::Left { .. } => Self::Left,
            What::Stopped { how: Stop::Frozen, .. } => Self::Frozen,
            What::Stopped { how: Stop::Suspended, .. } => Self::Suspended,
            What::Stopped { how: Stop::Stalled, .. } => Self::Stalled,
            What::Cut { what: Cut::Both, .. } => Self::CutOff,
            What::Cut { what: Cut::Requests, .. } => Self::RequestsLost,
            What::Cut { what: Cut::Answers, .. } => Self::AnswersLost,
            What::Slow { .. } => Self::Slow,
            What::Down => Self::Down,
            What::ClockStepped { by_ms } if *by_ms > 0 => Self::ClockForward,
            What::ClockStepped { .. } => Self::ClockBack,
            What::Renewed { lease: None, .. } => Self::RenewalRefused,
            What::Expired { .. } => Self::Lost,
            What::Died { .. } => Self::Proven,
            What::Extended { workers, .. } if *workers > 0 => Self::Extended,
            What::TimesRenewed { .. } => Self::TimesRenewed,
            What::Rescued { to, cause, .. } => match (cause.as_str(), to) {
                ("timeout", _) => Self::FoundByTimeOut,
                ("no_progress", _) => Self::FoundByStandstill,
                ("poison", _) => Self::Poison,
                ("heartbeat_late", _) => Self::FoundByHeartbeat,
                (_, Status::Dead) => Self::DiedOfLostLeases,
                _ => Self::Rescued,
            },
            What::Settled { answer: Settled::Fenced { .. }, .. } => Self::Fenced,
            What::Settled { answer: Settled::Replayed, .. } => Self::Replayed,
            What::Settled { because: QueuedBecause::Release, to: Status::Queued, .. } => Self::Released,
            What::Claimed { alone: true, .. } => Self::RanAlone,
            What::Beat { reply: BeatReply::Lost { .. } | BeatReply::Canceled | BeatReply::Gone, .. } => {
                Self::ToldByHeartbeat
            }
            What::Moved { answer: Moved::Done { from: Status::Running }, .. } => Self::TakenByOperator,
            _ => return None,
        })
    }
}
