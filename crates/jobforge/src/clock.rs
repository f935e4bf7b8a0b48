//! The only file of the product that reads a clock.
//!
//! Whatever is stored is stamped by the database's clock; these readings serve local time-outs, intervals and log lines.

#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]

use std::time::Instant;

use jiff::Timestamp;

/// The wall clock of this machine, for people's eyes only.
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// The monotonic clock of this process, for intervals.
pub fn monotonic() -> Instant {
    Instant::now()
}
