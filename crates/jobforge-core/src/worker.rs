//! What is known of a worker process.

use std::time::Duration;

use jiff::Timestamp;

use crate::death::{Death, Place, ProcessId};
use crate::job::WorkerId;

/// How long a worker's lease lasts after each renewal (`STALE_THRESHOLD_MINUTES` replaces it).
pub const DEFAULT_WORKER_LEASE: Duration = Duration::from_secs(20);
/// Renewals come four times per lease.
pub const RENEWALS_PER_LEASE: u32 = 4;
/// The share of its lease that a worker keeps as a margin: it stops its jobs that much before others may start them.
pub const MARGIN_SHARE: u32 = 5;

/// Renewals that a fleet makes each second at most, as far as its workers let their leases grow.
const RENEWALS_PER_SECOND: u64 = 200;
/// The longest lease that the size of the fleet may lead to.
const LONGEST_SCALED_LEASE: Duration = Duration::from_secs(120);

/// The shortest lease of workers that let it grow with the fleet, of so many active workers: none up to a thousand, then
/// long enough for [`RENEWALS_PER_SECOND`], in whole seconds so that it seldom changes.
///
/// The rule is Nomad's, which spreads heartbeats over as much time as its servers need.
pub fn least_lease(active: u32) -> Duration {
    let needed = (u64::from(active) * u64::from(RENEWALS_PER_LEASE)).div_ceil(RENEWALS_PER_SECOND);
    let lease = Duration::from_secs(needed).min(LONGEST_SCALED_LEASE);
    if lease > DEFAULT_WORKER_LEASE { lease } else { Duration::ZERO }
}

/// What a worker is told when it renews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// How long its lease lasts from now: what it asked for, or longer in a large fleet.
    pub lease: Duration,
    /// Counts the databases that have taken over from one another. When it changes, what was committed last may be gone
    /// with the one before: the worker asks for all its jobs at once.
    pub epoch: i64,
    /// It was told to restart: it takes no more jobs, finishes what it has, and begins anew as another incarnation.
    pub restart: bool,
}

/// The lease that a worker wishes from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseWish {
    /// How long it lasts after a renewal.
    pub lease: Duration,
    /// Whether it may last longer in a large fleet: nobody has set its length.
    pub scales: bool,
}

/// How much of the leases that it is given a worker counts on.
///
/// A shorter one at once. A longer one when it has been given it for as long as the one before lasted: a standby that takes
/// over may know nothing of what was given last, and waits for the leases that it knows before others get their jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reliance {
    lease: Duration,
    /// The shortest longer lease that it has been given since a moment.
    longer: Option<(Duration, Duration)>,
}

impl Reliance {
    /// Begins with the lease of the registration.
    pub fn on(lease: Duration) -> Self {
        Self { lease, longer: None }
    }

    /// How long a lease is counted on.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Takes note of the lease that a renewal gave which was sent at this moment.
    pub fn given(&mut self, lease: Duration, sent: Duration) {
        if lease <= self.lease {
            *self = Self::on(lease);
            return;
        }
        let (least, since) = self.longer.unwrap_or((lease, sent));
        let least = least.min(lease);
        if sent.saturating_sub(since) >= self.lease {
            let longer = (lease > least).then_some((lease, sent));
            *self = Self { lease: least, longer };
        } else {
            self.longer = Some((least, since));
        }
    }
}

/// What a worker says of itself when it registers.
#[derive(Debug, Clone)]
pub struct NewWorker {
    /// Its incarnation, fresh at every process start.
    pub id: WorkerId,
    /// A free label (`WORKER_NAME`).
    pub name: Option<String>,
    /// The machine it runs on.
    pub hostname: String,
    /// Its process on that machine.
    pub pid: u32,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// The types it can run; `None` is every type.
    pub types: Option<Vec<String>>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// How long its lease lasts after a renewal.
    pub lease: Duration,
    /// Whether it may last longer in a large fleet: nobody has set its length.
    pub lease_scales: bool,
    /// Where it runs, if that can be told: what proofs of death go by.
    pub place: Option<Place>,
    /// Who registered it over the network: only they may speak as this worker. `None` when nobody stood between.
    pub registered_by: Option<String>,
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Takes jobs and renews.
    Live,
    /// Renews, finishes what it has, takes nothing new.
    Draining,
    /// Left in good order.
    Gone,
    /// Its lease ran out.
    Lost,
    /// Somebody proved that its process has ended.
    Dead,
}

impl WorkerState {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Gone => "gone",
            Self::Lost => "lost",
            Self::Dead => "dead",
        }
    }

    /// Reads a stored word; anything unknown counts as lost, which is the safe side.
    pub fn from_stored(word: &str) -> Self {
        [Self::Live, Self::Draining, Self::Gone, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == word)
            .unwrap_or(Self::Lost)
    }

    /// Whether it may still hold jobs.
    pub fn is_active(self) -> bool {
        match self {
            Self::Live | Self::Draining => true,
            Self::Gone | Self::Lost | Self::Dead => false,
        }
    }
}

/// A worker as stored: one row per incarnation.
#[derive(Debug, Clone)]
pub struct WorkerRow {
    /// Its incarnation.
    pub id: WorkerId,
    /// A free label.
    pub name: Option<String>,
    /// The machine.
    pub hostname: String,
    /// The process.
    pub pid: u32,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// The types it can run; `None` is every type.
    pub types: Option<Vec<String>>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Where it stood when the row was written.
    pub state: WorkerState,
    /// When it registered.
    pub started_at: Timestamp,
    /// Its last renewal.
    pub last_heartbeat_at: Timestamp,
    /// Until when it may act.
    pub lease_expires_at: Timestamp,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// How it ended, if it did.
    pub end_reason: Option<String>,
    /// Since when its supervisor sees its process stopped, if it does.
    pub stopped_at: Option<Timestamp>,
    /// Since when its connection is lost, if it held one and it is.
    pub suspect_at: Option<Timestamp>,
    /// When it was told to restart, if it was.
    pub restart_at: Option<Timestamp>,
    /// Its process, if it could tell.
    pub process: Option<ProcessId>,
    /// The slot that it held.
    pub slot: Option<String>,
    /// The proof of its death, if there is one.
    pub death: Option<Death>,
    /// How many jobs its process was running then.
    pub died_with: Option<u32>,
    /// Who registered it over the network.
    pub registered_by: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_shorter_lease_counts_at_once() {
        let mut reliance = Reliance::on(s(60));
        reliance.given(s(20), s(5));
        assert_eq!(reliance, Reliance::on(s(20)));
    }

    #[test]
    fn a_longer_lease_counts_once_it_was_given_for_as_long_as_the_one_before() {
        let mut reliance = Reliance::on(s(20));
        for (sent, counts) in [(100, 20), (105, 20), (119, 20), (120, 60), (135, 60)] {
            reliance.given(s(60), s(sent));
            assert_eq!(reliance.lease(), s(counts), "at {sent} s");
        }
    }

    #[test]
    fn of_leases_that_grow_on_the_way_only_what_was_given_all_along_counts() {
        let mut reliance = Reliance::on(s(20));
        for (lease, sent, counts) in
            [(30, 0, 20), (100, 10, 20), (100, 20, 30), (100, 49, 30), (100, 50, 100), (20, 51, 20)]
        {
            reliance.given(s(lease), s(sent));
            assert_eq!(reliance.lease(), s(counts), "{lease} s at {sent} s");
        }
    }

    #[test]
    fn a_longer_lease_that_is_taken_back_on_the_way_begins_anew() {
        let mut reliance = Reliance::on(s(20));
        reliance.given(s(60), s(0));
        reliance.given(s(20), s(10));
        reliance.given(s(60), s(15));
        reliance.given(s(60), s(25));
        assert_eq!(reliance.lease(), s(20));
    }

    #[test]
    fn leases_grow_with_the_fleet_so_that_it_renews_no_more_than_so_often_a_second() {
        for (active, seconds) in [(0, 0), (1000, 0), (1001, 21), (5000, 100), (50_000, 120), (u32::MAX, 120)]
        {
            assert_eq!(least_lease(active), Duration::from_secs(seconds), "{active} workers");
        }
    }
}
