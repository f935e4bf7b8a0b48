//! Which workers have lost the connection that they hold for as long as they live.
//!
//! A worker holds a session lock on a connection of its own. That the lock is free says that the worker is dead or cut
//! off, within milliseconds or seconds, but proves neither: the worker is *suspect*, and its lease decides. Only jobs of
//! types whose owner has declared overlap tolerable are taken back sooner ([`FAST_AFTER`]).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::job::WorkerId;

/// How long a worker has been suspect, without having renewed since, when jobs of fast types are taken back.
pub const FAST_AFTER: Duration = Duration::from_secs(6);
/// A look that comes later than this after the one before tells nothing: what happened in between was not seen.
const GAP: Duration = Duration::from_secs(5);
/// So many may lose their connections at once whatever the size of the fleet; beyond, it is the database that lost them.
const ALWAYS_BELIEVED: usize = 3;
/// The share of the fleet, in percent, that may lose them at once.
const BELIEVED_PERCENT: usize = 30;

/// What one watchdog remembers of who was there.
#[derive(Debug, Clone, Default)]
pub struct Presences {
    last: Option<(BTreeSet<WorkerId>, Duration)>,
}

impl Presences {
    /// Takes note of who is there now, and returns who no longer is. `local` is this process's own clock since any fixed
    /// moment.
    ///
    /// Only what was seen to happen counts: who is missing at the first look, or after a gap, may never have been there.
    pub fn look(&mut self, there: BTreeSet<WorkerId>, local: Duration) -> Vec<WorkerId> {
        let before = self.last.take().filter(|(_, then)| local.saturating_sub(*then) <= GAP);
        let (before, _) = before.unwrap_or_default();
        let believed = ALWAYS_BELIEVED.max(before.len().saturating_mul(BELIEVED_PERCENT) / 100);
        let missing: Vec<WorkerId> = before.difference(&there).cloned().collect();
        self.last = Some((there, local));
        if missing.len() > believed { Vec::new() } else { missing }
    }

    /// Forgets everything: the database was away, and with it all sessions.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(ids: std::ops::Range<u32>) -> BTreeSet<WorkerId> {
        ids.map(|id| WorkerId(format!("worker-{id:08x}"))).collect()
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn whoever_was_there_and_is_no_longer_is_told_once() {
        let mut presences = Presences::default();
        assert_eq!(presences.look(workers(0..3), s(1)), []);
        assert_eq!(presences.look(workers(0..2), s(2)), [WorkerId("worker-00000002".to_owned())]);
        assert_eq!(presences.look(workers(0..2), s(3)), []);
    }

    #[test]
    fn what_was_not_seen_to_happen_does_not_count() {
        let mut presences = Presences::default();
        presences.look(workers(0..3), s(1));
        assert_eq!(presences.look(workers(0..2), s(7)), [], "nobody looked for 6 s");
        presences.forget();
        assert_eq!(presences.look(workers(0..1), s(8)), [], "the database was away");
    }

    #[test]
    fn many_at_once_have_not_all_died() {
        let mut presences = Presences::default();
        presences.look(workers(0..4), s(1));
        assert_eq!(presences.look(workers(0..0), s(2)), []);
        presences.look(workers(0..100), s(3));
        assert_eq!(presences.look(workers(30..100), s(4)).len(), 30);
        assert_eq!(presences.look(workers(60..100), s(5)), [], "30 of 70");
    }
}
