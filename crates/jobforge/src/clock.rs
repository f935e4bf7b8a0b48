//! The only file of the product that reads a clock.
//!
//! Whatever is stored is stamped by the database's clock; these readings serve local time-outs, intervals and log lines.

#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// The wall clock of this machine, for people's eyes only.
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// The monotonic clock of this process, for intervals: the one by which its timers run, also in a simulation.
pub fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since the kernel started, on a clock that also runs while the machine is suspended.
///
/// What must not outlast a lease is measured by it: the monotonic clock stands still in suspend, leases do not.
pub fn boot() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
    // The clock exists on every kernel that this program runs on; without it time would seem to stand still.
    clock_gettime(CLOCK).map(Duration::from).unwrap_or_default()
}
