mod clocks;
mod definitions;
mod plans;
mod simulated;

use jiff::Timestamp;

use super::{Checked, Clock, Definition, check, time_zone};

fn moment(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn cron(pattern: &str, zone: &str) -> Clock {
    let tz = time_zone(zone).expect("a zone");
    Clock::cron(pattern, zone, tz).unwrap_or_else(|bad| panic!("{pattern}: {bad}"))
}

fn checked(definition: Definition) -> Checked {
    check(definition, moment("2026-03-01T12:00:00Z")).expect("a valid definition")
}

fn every(interval: &str) -> Definition {
    Definition { every: Some(interval.to_owned()), ..Definition::new("tick", "tick") }
}
