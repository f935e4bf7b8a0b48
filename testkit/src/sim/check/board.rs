//! What follows from the events so far: who holds what, who is in trouble, who watches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jobforge_core::job::{JobId, Lease, WorkerId};
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_store::rows::{Move, Moved};

use crate::sim::event::{Event, ProcessId, Role, Stop, What};

/// Everything that the checkers go by.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) now: Duration,
    /// Who holds which job.
    pub(crate) held: BTreeMap<JobId, Holding>,
    pub(crate) workers: BTreeMap<WorkerId, Incarnation>,
    pub(crate) processes: BTreeMap<ProcessId, Known>,
    /// Jobs that a client was promised, or that were seen to be stored, and that nobody deleted since.
    pub(crate) kept: BTreeSet<JobId>,
    /// Jobs that somebody asked to delete with success.
    pub(crate) deleted: BTreeSet<JobId>,
    /// Whether the database is down, or since when it is back.
    pub(crate) down: bool,
    pub(crate) up_since: Duration,
    /// When the database's clock stepped last.
    pub(crate) stepped_at: Option<Duration>,
    /// By how much its clock was set back in all.
    pub(crate) set_back: Duration,
    /// Since when nothing goes wrong any more.
    pub(crate) quiet_since: Option<Duration>,
    /// When so many workers were silent at once that the watchdog hesitates.
    pub(crate) crowded_at: Option<Duration>,
    /// Since when at least one watchdog has had nothing to hinder it.
    pub(crate) watched_since: Option<Duration>,
}

/// A running job.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    pub(crate) lease: Lease,
    pub(crate) worker: WorkerId,
    pub(crate) process: ProcessId,
    pub(crate) claimed_at: Duration,
    /// When the worker heard that it has it.
    pub(crate) heard_at: Option<Duration>,
}

/// One incarnation of a worker, as the database has it.
#[derive(Debug, Clone)]
pub(crate) struct Incarnation {
    lease: Duration,
    /// When its lease runs out, had the database's clock not stepped.
    pub(crate) until: Duration,
    /// Neither lost nor dead nor gone.
    pub(crate) active: bool,
    /// Proven dead.
    pub(crate) dead: bool,
    pub(crate) process: ProcessId,
    /// Its process has begun anew since.
    pub(crate) replaced: bool,
}

/// What is known of a process.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) role: Role,
    pub(crate) supervised: bool,
    pub(crate) ended: Option<End>,
    pub(crate) stopped: Option<Stop>,
    is_cut: bool,
    slow_until: Duration,
    troubles: Vec<Trouble>,
    unhindered_since: Option<Duration>,
}

/// The end of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) at: Duration,
    pub(crate) why: &'static str,
    /// Whether its supervisor saw it.
    pub(crate) seen: bool,
}

/// A time in which a process could not do its part.
#[derive(Debug, Clone)]
struct Trouble {
    kind: TroubleKind,
    from: Duration,
    until: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TroubleKind {
    Stop(Stop),
    Cut,
    Slow,
}

/// So many workers may be silent at once before the watchdog hesitates.
const FEW: usize = 3;
/// Shorter troubles must cost nobody anything.
const NO_EXCUSE: Duration = Duration::from_secs(4);

impl Known {
    /// Whether anything kept the process from doing its part at any time since; `stalls` says whether handlers that hold
    /// its threads count.
    pub(crate) fn had_trouble_since(&self, since: Duration, now: Duration, stalls: bool) -> bool {
        self.troubles.iter().any(|trouble| {
            let until = trouble.until.unwrap_or(now);
            let counts = match trouble.kind {
                TroubleKind::Stop(Stop::Stalled) => stalls,
                TroubleKind::Stop(Stop::Frozen | Stop::Suspended) | TroubleKind::Cut => {
                    until.saturating_sub(trouble.from) >= NO_EXCUSE
                }
                TroubleKind::Slow => true,
            };
            counts && until >= since
        })
    }

    fn begin(&mut self, kind: TroubleKind, from: Duration, until: Option<Duration>) {
        self.troubles.push(Trouble { kind, from, until });
    }

    fn end(&mut self, ends: impl Fn(TroubleKind) -> bool, now: Duration) {
        for trouble in self.troubles.iter_mut().filter(|trouble| ends(trouble.kind)) {
            trouble.until.get_or_insert(now);
        }
    }

    fn is_hindered(&self, now: Duration) -> bool {
        self.ended.is_some() || self.stopped.is_some() || self.is_cut || now < self.slow_until
    }
}

impl Board {
    /// Workers that are not known to have ended, though they have not renewed for half their lease.
    fn silent(&self) -> usize {
        let silent = |worker: &&Incarnation| worker.active && worker.until < self.now + worker.lease / 2;
        self.workers.values().filter(silent).count()
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, now: Duration) {
        self.now = now;
        for process in self.processes.values_mut() {
            let free = !self.down && !process.is_hindered(now);
            process.unhindered_since =
                if free { Some(process.unhindered_since.unwrap_or(now)) } else { None };
        }
        if self.silent() > FEW {
            self.crowded_at = Some(now);
        }
        let servers = self.processes.values().filter(|process| process.role == Role::Server);
        self.watched_since = servers.filter_map(|process| process.unhindered_since).min();
    }

    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &Event) {
        let at = event.at;
        match &event.what {
            What::Started { .. }
            | What::Ended { .. }
            | What::Stopped { .. }
            | What::Resumed { .. }
            | What::Cut { .. }
            | What::Healed { .. }
            | What::Slow { .. } => self.note_process(at, &event.what),
            What::Registered { .. }
            | What::Renewed { .. }
            | What::Left { .. }
            | What::Extended { .. }
            | What::TimesRenewed { .. }
            | What::Expired { .. }
            | What::Died { .. } => self.note_worker(at, &event.what),
            What::Down => self.down = true,
            What::Up => {
                self.down = false;
                self.up_since = at;
            }
            What::ClockStepped { by_ms } => {
                self.stepped_at = Some(at);
                if *by_ms < 0 {
                    self.set_back += Duration::from_millis(by_ms.unsigned_abs());
                }
            }
            What::Quiet => self.quiet_since = Some(at),
            What::Promised { job } | What::Enqueued { job, .. } => {
                if matches!(event.what, What::Enqueued { .. }) {
                    self.deleted.remove(job);
                }
                if !self.deleted.contains(job) {
                    self.kept.insert(*job);
                }
            }
            What::Claimed { worker, process, job, lease, .. } => {
                let (worker, process, lease) = (worker.clone(), *process, *lease);
                let holding = Holding { lease, worker, process, claimed_at: at, heard_at: None };
                self.held.insert(*job, holding);
            }
            What::Heard { job, lease, .. } => {
                if let Some(holding) = self.held.get_mut(job).filter(|holding| holding.lease == *lease) {
                    holding.heard_at = Some(at);
                }
            }
            What::Settled { job, answer: Settled::Applied, .. } | What::Rescued { job, .. } => {
                self.held.remove(job);
            }
            What::Moved { job, step, answer: Moved::Done { from } } => {
                if *from == Status::Running {
                    self.held.remove(job);
                }
                if *step == Move::Delete {
                    self.kept.remove(job);
                    self.deleted.insert(*job);
                }
            }
            What::Settled { .. }
            | What::Moved { .. }
            | What::Beat { .. }
            | What::Flooded { .. }
            | What::Paused { .. }
            | What::Began { .. }
            | What::Over { .. } => {}
        }
    }

    fn note_process(&mut self, at: Duration, what: &What) {
        if let What::Started { process, role, supervised } = what {
            let known = Known {
                role: *role,
                supervised: *supervised,
                ended: None,
                stopped: None,
                is_cut: false,
                slow_until: Duration::ZERO,
                troubles: Vec::new(),
                unhindered_since: None,
            };
            self.processes.insert(*process, known);
            return;
        }
        let (What::Ended { process, .. }
        | What::Stopped { process, .. }
        | What::Resumed { process, .. }
        | What::Cut { process, .. }
        | What::Healed { process }
        | What::Slow { process, .. }) = what
        else {
            return;
        };
        let Some(known) = self.processes.get_mut(process) else { return };
        match what {
            What::Ended { why, seen, .. } => known.ended = Some(End { at, why, seen: *seen }),
            What::Stopped { how, .. } => {
                known.stopped = Some(*how);
                known.begin(TroubleKind::Stop(*how), at, None);
            }
            What::Resumed { .. } => {
                known.stopped = None;
                known.end(|kind| matches!(kind, TroubleKind::Stop(_)), at);
            }
            What::Cut { .. } => {
                if !known.is_cut {
                    known.begin(TroubleKind::Cut, at, None);
                }
                known.is_cut = true;
            }
            What::Healed { .. } => {
                known.is_cut = false;
                known.end(|kind| kind == TroubleKind::Cut, at);
            }
            What::Slow { until, .. } => {
                known.slow_until = known.slow_until.max(*until);
                known.begin(TroubleKind::Slow, at, Some(*until));
            }
            _ => {}
        }
    }

    fn note_worker(&mut self, at: Duration, what: &What) {
        match what {
            What::Registered { worker, lease, process } => {
                for (_, other) in self.workers.iter_mut().filter(|(id, _)| *id != worker) {
                    other.replaced |= other.process == *process;
                }
                let new = Incarnation {
                    lease: *lease,
                    until: at + *lease,
                    active: true,
                    dead: false,
                    process: *process,
                    replaced: false,
                };
                self.workers.entry(worker.clone()).or_insert(new);
            }
            What::Renewed { worker, lease: Some(lease) } => {
                if let Some(known) = self.workers.get_mut(worker) {
                    // A shorter one takes nothing from the one before.
                    known.until = known.until.max(at + *lease);
                    known.lease = known.until - at;
                }
            }
            What::Extended { .. } | What::TimesRenewed { .. } => {
                for known in self.workers.values_mut().filter(|known| known.active) {
                    known.until = known.until.max(at + known.lease);
                }
            }
            What::Left { worker } | What::Expired { worker, .. } => {
                if let Some(known) = self.workers.get_mut(worker) {
                    known.active = false;
                }
            }
            What::Died { worker } => {
                if let Some(known) = self.workers.get_mut(worker) {
                    (known.active, known.dead) = (false, true);
                }
            }
            _ => {}
        }
    }
}
