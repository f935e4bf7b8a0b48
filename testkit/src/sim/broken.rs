//! Ways to break the protocol on purpose, so that each checker can be seen to find what it is for.

use std::time::Duration;

use jobforge_core::claim::{ClaimAsk, Claimed};
use jobforge_core::job::{NewJob, WorkerId};
use jobforge_core::rescue::{OnLost, RescuePolicy, SuspectPage};
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_store::Result;
use jobforge_store::rows::{Enqueued, Move};

use super::world::{World, wait};
use crate::fixtures::by;

/// What is broken in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A settlement counts whatever its lease is.
    UnfencedSettle,
    /// Whoever settles too late is told that it counted.
    FlatteringSettle,
    /// An enqueue is acknowledged and not stored, now and then.
    ForgetfulEnqueue,
    /// A job that has succeeded goes back into the queue by nobody's hand.
    RestlessDatabase,
    /// The sweeps of the watchdog find nobody.
    BlindSweep,
    /// The watchdog believes every lease that has run out.
    WatchdogWithoutGuards,
    /// The watchdog looks again without a pause.
    WatchdogWithoutPause,
    /// Workers count their leases on a clock that stands still in suspend, and no announcement tells them better.
    ClockWithoutSuspend,
    /// Jobs that must run alone are given to workers in company.
    NobodyAlone,
    /// Every job of a worker that was taken down is charged with it.
    ChargeEverybody,
    /// A standing says nothing of what it was seen from.
    StandingWithoutEvidence,
}

/// Acknowledges jobs that are not stored.
pub(super) fn enqueue(world: &mut World, jobs: &[NewJob]) -> Option<Vec<Enqueued>> {
    let forgets = world.broken == Some(Broken::ForgetfulEnqueue) && world.random.percent(10);
    forgets.then(|| jobs.iter().map(|job| Enqueued { id: job.id, created: true }).collect())
}

/// Settles, in whoever's name it takes.
pub(super) fn settle(
    world: &mut World,
    worker: &WorkerId,
    settlements: &[Settlement],
) -> Result<Vec<Settled>> {
    let (store, at) = (world.store(), world.at());
    let mut answers = wait(store.settle(worker, settlements, at))?;
    for (plan, answer) in settlements.iter().zip(&mut answers) {
        if !matches!(answer, Settled::Fenced { .. }) {
            continue;
        }
        match world.broken {
            Some(Broken::FlatteringSettle) => *answer = Settled::Applied,
            Some(Broken::UnfencedSettle) => {
                let Some(job) = wait(store.job(plan.id))? else { continue };
                let Some(holder) = job.locked_by else { continue };
                let plan = Settlement { lease: job.lease, ..plan.clone() };
                if let Some(done) = wait(store.settle(&holder, &[plan], at))?.pop() {
                    *answer = done;
                }
            }
            _ => {}
        }
    }
    Ok(answers)
}

/// Claims, also what should not come.
pub(super) fn claim(world: &World, ask: &ClaimAsk) -> Result<Claimed> {
    let (store, at) = (world.store(), world.at());
    let mut claimed = wait(store.claim(ask, at))?;
    if world.broken == Some(Broken::NobodyAlone) && !ask.alone {
        let more = wait(store.claim(&ClaimAsk { alone: true, ..ask.clone() }, at))?;
        claimed.jobs.extend(more.jobs);
    }
    Ok(claimed)
}

/// The rules for jobs of a dead worker, or harder ones.
pub(super) fn policy(world: &World, policy: RescuePolicy) -> RescuePolicy {
    if world.broken == Some(Broken::ChargeEverybody) {
        return RescuePolicy { on_lost: OnLost::DeadLetter.into(), ..policy };
    }
    policy
}

/// Moves what has just succeeded, now and then.
pub(super) fn after_settle(world: &mut World, settlements: &[Settlement]) {
    if world.broken != Some(Broken::RestlessDatabase) || !world.random.percent(10) {
        return;
    }
    let done: Vec<_> =
        settlements.iter().filter(|plan| plan.to == Status::Succeeded).map(|plan| plan.id).collect();
    let step = Move::Retry { delay: Duration::from_secs(3600) };
    // It is enough that it works most of the time.
    let _ = wait(world.store().move_jobs(&done, step, &by(), world.at()));
}

/// Suspects, or none.
pub(super) fn suspects(world: &World, fast: &[String], limit: usize, at: Now) -> Result<SuspectPage> {
    let page = wait(world.store().suspects(fast, limit, world.at_or(at)))?;
    let blind = world.broken == Some(Broken::BlindSweep);
    Ok(if blind { SuspectPage { suspects: Vec::new(), ..page } } else { page })
}
