//! A worker process and the small parent that watches over it.
//!
//! The parent starts the worker, hands on its output, and learns from the kernel when and how it ended. It then kills what
//! the dead worker's jobs had started, reports the end with its evidence, so that the jobs may run elsewhere at once, and
//! starts the next one. `lifeline` is the worker's end of the string between the two.

mod child;
mod counts;
pub(crate) mod lifeline;
mod report;

use std::time::Duration;

use jobforge::core::death::{ProcessId, Proof};
use jobforge::core::time::words;
use jobforge::{clock, process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub(crate) use self::child::work_command;
use self::child::{Child, Ended};
pub(crate) use self::counts::Counts;
pub(crate) use self::report::{Desk, Reporter};
use crate::failure::{self, Failure};
use crate::service_manager::ServiceManager;

/// First and longest wait before a worker that ended soon after its start is started again.
const RESTART: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// A worker that lived so long was well: the next one starts at once.
const WELL: Duration = Duration::from_secs(10);
/// How long a worker that was told to stop at once may take.
const HARD_STOP: Duration = Duration::from_secs(2);
/// How long the programs of a dead worker may take to end after they were killed; only one in the midst of a disk or
/// network operation takes longer.
const ORPHANS: Duration = Duration::from_secs(2);
/// Exit codes of a worker that would end the same way if it were started again.
const UNUSABLE: [u8; 2] = [failure::CONFIG, failure::USAGE];
/// How a worker ends that was told to restart.
const RESTARTED: Proof = Proof::Exited { code: failure::RESTARTED as i32 };
/// Between two looks at the kernel's count of processes killed for want of memory.
const KILLS_EVERY: Duration = Duration::from_secs(10);
/// Between two looks whether the worker is stopped: the kernel tells its parent of SIGSTOP, but nobody of a debugger.
const STOPPED_EVERY: Duration = Duration::from_millis(250);

/// What the supervisor and its worker are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Run,
    /// Finish what runs and stop.
    Drain,
    /// Stop.
    Now,
    /// Stop, for the supervisor is gone.
    Orphaned,
}

/// Keeps one worker process running.
pub(crate) struct Supervisor {
    /// Makes the command that starts the worker.
    pub(crate) command: Box<dyn Fn() -> Command + Send + Sync>,
    /// Tells the database how workers ended.
    pub(crate) reporter: Reporter,
    /// How long a worker that drains may take before it is killed.
    pub(crate) drain_limit: Duration,
    /// Told of each worker process that is started.
    pub(crate) started: watch::Sender<Option<ProcessId>>,
    /// Told when a worker takes jobs, and that this process and its worker live.
    pub(crate) manager: ServiceManager,
}

impl Supervisor {
    /// Runs one worker process after the other until `orders` says stop.
    ///
    /// It never gives up on a worker that dies, but says so each time; only one that finds its configuration unusable
    /// is not started again, for that would change nothing.
    ///
    /// # Errors
    /// When no worker can be started, its configuration is unusable, or it was stopped before it had drained.
    pub(crate) async fn run(self, mut orders: watch::Receiver<Order>) -> Result<(), Failure> {
        let cannot = |what: &str, error: &dyn std::fmt::Display| {
            Failure::new(failure::FAILED, format!("the supervisor cannot {what}: {error}"))
        };
        // Orphans of a dead worker then come to us instead of to the first process of the machine.
        nix::sys::prctl::set_child_subreaper(true).map_err(|error| cannot("adopt orphans", &error))?;
        let mut failures = 0;
        while *orders.borrow() == Order::Run {
            let began = clock::monotonic();
            let mut child =
                Child::start((self.command)()).map_err(|error| cannot("start a worker process", &error))?;
            tracing::info!(
                worker.pid = child.pid(),
                "worker process {} is started and supervised",
                child.pid()
            );
            self.started.send_replace(child.process().cloned());
            let ended = self.watch(&mut child, &mut orders).await?;
            kill_orphans().await;
            self.manager.status("no worker process runs");
            let asked = *orders.borrow();
            if asked != Order::Run && ended.death.proof == (Proof::Exited { code: 0 }) {
                break;
            }
            let (pid, proof) = (ended.pid, ended.death.proof.clone());
            self.reporter.report(ended);
            if proof == RESTARTED {
                if asked != Order::Run {
                    break;
                }
                tracing::info!(
                    worker.pid = pid,
                    "worker process {pid} ended to restart, as it was told; starting another at once"
                );
                failures = 0;
                continue;
            }
            if asked != Order::Run {
                self.reporter.finish().await;
                if proof == (Proof::Exited { code: i32::from(failure::INTERRUPTED) }) {
                    // It was asked not to wait, and has said itself what that means.
                    return Err(Failure::new(failure::INTERRUPTED, ""));
                }
                let code = if asked == Order::Now { failure::INTERRUPTED } else { failure::FAILED };
                let what = format!("worker process {pid} ended before it had drained: {proof}");
                return Err(Failure::new(code, what));
            }
            if let Proof::Exited { code } = proof
                && let Some(code) = UNUSABLE.into_iter().find(|unusable| i32::from(*unusable) == code)
            {
                // It has said itself what is wrong.
                return Err(Failure::new(code, ""));
            }
            failures = if clock::monotonic().duration_since(began) >= WELL { 0 } else { failures + 1 };
            let wait = restart_delay(failures);
            tracing::error!(
                worker.pid = pid,
                failures,
                "worker process {pid} ended: {proof}; starting another {}",
                if wait.is_zero() { "at once".to_owned() } else { format!("in {}, as ever", words(wait)) }
            );
            let _ = tokio::time::timeout(wait, orders.wait_for(|order| *order != Order::Run)).await;
        }
        self.reporter.finish().await;
        Ok(())
    }

    /// Hands on orders until the worker has ended.
    async fn watch(&self, child: &mut Child, orders: &mut watch::Receiver<Order>) -> Result<Ended, Failure> {
        let mut ends = signal(SignalKind::child()).map_err(|error| {
            Failure::new(failure::FAILED, format!("cannot listen for the ends of processes: {error}"))
        })?;
        let mut kills = tokio::time::interval(KILLS_EVERY);
        let mut stopped = tokio::time::interval(STOPPED_EVERY);
        let mut works = child.works();
        let mut signs = self.manager.sign_every().map(tokio::time::interval);
        let mut told = Order::Run;
        let mut kill_at = None;
        loop {
            let order = *orders.borrow_and_update();
            if order != told {
                self.manager.stopping();
                child.tell(order).await;
                let limit = if order == Order::Drain { self.drain_limit } else { HARD_STOP };
                kill_at = Some(tokio::time::Instant::from_std(clock::monotonic() + limit));
                told = order;
            }
            tokio::select! {
                biased;
                ended = child.ended() => return Ok(ended),
                _ = ends.recv() => {
                    self.look(child);
                    process::reap_children(Some(child.pid()));
                }
                Ok(()) = orders.changed() => {}
                () = until(kill_at) => {
                    tracing::warn!(worker.pid = child.pid(), "worker process {} does not stop and is killed", child.pid());
                    child.kill();
                    kill_at = None;
                }
                _ = kills.tick() => child.note_kills(),
                _ = stopped.tick() => self.look(child),
                Ok(()) = works.changed() => {
                    self.manager.ready(&format!("worker process {} takes jobs", child.pid()));
                }
                // None for a worker that is stopped: only its end would let its jobs go on.
                () = next(&mut signs) => if child.stopped_since().is_none() {
                    self.manager.alive();
                },
            }
        }
    }

    /// Looks whether the worker is stopped, and says so once when that begins and once when it is over.
    fn look(&self, child: &mut Child) {
        let (pid, before) = (child.pid(), child.stopped_since());
        child.look();
        match (before, child.stopped_since()) {
            (None, Some(_)) => {
                tracing::warn!(
                    worker.pid = pid,
                    "worker process {pid} is stopped, by SIGSTOP or by a debugger; if it stays so, its lease runs out and its jobs run elsewhere"
                );
            }
            (Some(since), None) => {
                let stopped = clock::monotonic().duration_since(since);
                tracing::warn!(
                    worker.pid = pid,
                    stopped_ms = stopped.as_millis(),
                    "worker process {pid} is not stopped any more, after {}",
                    words(stopped)
                );
            }
            (None, None) | (Some(_), Some(_)) => return,
        }
        if let Some(process) = child.process() {
            self.reporter.stopped(process.clone(), child.stopped_since().is_some());
        }
    }
}

async fn next(signs: &mut Option<tokio::time::Interval>) {
    match signs {
        Some(signs) => drop(signs.tick().await),
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Kills what the jobs of a dead worker had started, so that nothing of them runs beside their next attempts.
async fn kill_orphans() {
    let began = clock::monotonic();
    while process::kill_children(None) > 0 && clock::monotonic().duration_since(began) < ORPHANS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    process::reap_children(None);
}

/// How long to wait before the next worker, after so many that ended soon after their start.
fn restart_delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        _ => (RESTART.0 * 2_u32.saturating_pow(failures - 2)).min(RESTART.1),
    }
}

/// Turns signals to this process into orders: the first to drain, the second to stop at once.
pub(crate) fn orders_by_signal() -> Result<watch::Receiver<Order>, Failure> {
    let (sender, orders) = watch::channel(Order::Run);
    let mut signals = crate::commands::stop_signals()?;
    tokio::spawn(async move {
        for order in [Order::Drain, Order::Now] {
            signals.next().await;
            let _ = sender.send(order);
        }
        // Kept, so that nobody takes a dropped sender for an order.
        sender.closed().await;
    });
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_end_soon_wait_longer_and_longer_but_never_for_ever() {
        let delays: Vec<u128> =
            [0, 1, 2, 3, 4, 10, 100, u32::MAX].map(|n| restart_delay(n).as_millis()).into();
        assert_eq!(delays, [0, 0, 100, 200, 400, 25_600, 30_000, 30_000]);
    }
}
