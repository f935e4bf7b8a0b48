//! Chance, the same on every machine, and what it makes: jobs, reports and outcomes.

use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::heartbeat::Report;
use jobforge_core::job::{Items, JobId, NewJob, RunAt};
use jobforge_core::settle::{Outcome, RetryPolicy};
use jobforge_core::time::{add, sub};

use crate::fixtures::{error, job, json};

/// The queues of every history.
pub(super) const QUEUES: [&str; 3] = ["default", "mail", "video"];
/// The types of every history.
pub(super) const TYPES: [&str; 3] = ["email", "invoice", "transcode"];
/// Only the most recent claims and workers are picked often; older ones are the zombies.
const RECENT: usize = 6;

/// A small generator of random numbers (SplitMix64): the same numbers for the same seed on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound` - 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// Whether something happens that happens so often in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// An index into a list that grows: mostly one of its last entries.
    pub(super) fn recent(&mut self, len: usize) -> Option<usize> {
        let newest = len.checked_sub(1)?;
        let window = if self.percent(80) { RECENT } else { len };
        Some(newest - self.below(window.min(len) as u64) as usize)
    }
}

/// A job to enqueue.
pub(super) fn a_job(random: &mut Random, id: JobId, now: Timestamp) -> NewJob {
    let when = match random.below(10) {
        0..=5 => RunAt::Now,
        6 | 7 => RunAt::After(Duration::from_millis(random.below(40_000))),
        8 => RunAt::At(sub(now, Duration::from_millis(random.below(20_000)))),
        _ => RunAt::At(add(now, Duration::from_millis(random.below(20_000)))),
    };
    NewJob {
        id,
        tenant_id: random.pick(&["default", "default", "acme"]).to_owned(),
        queue: random.pick(&QUEUES).to_owned(),
        priority: random.pick(&[0, 0, 0, -1, 1, 7]),
        payload: json(&format!("{{\"n\":{}}}", random.below(2))),
        when,
        max_attempts: random.pick(&[1, 2, 3, 5]),
        timeout: random.percent(30).then(|| Duration::from_millis(500 + random.below(9000))),
        progress_timeout: random.percent(20).then(|| Duration::from_millis(500 + random.below(9000))),
        idempotency_key: random.percent(25).then(|| format!("k{}", random.below(5))),
        tags: if random.percent(20) { vec!["vip".to_owned()] } else { Vec::new() },
        retry: random.percent(20).then(|| RetryPolicy {
            base_ms: 100,
            max_ms: 5000,
            ..RetryPolicy::default()
        }),
        ..job(random.pick(&TYPES))
    }
}

/// What a handler reports.
pub(super) fn a_report(random: &mut Random) -> Report {
    if random.percent(40) {
        return Report::default();
    }
    let number = random.below(100);
    let log_tail = random.percent(30).then(|| format!("line {number}"));
    Report {
        progress: random.percent(60).then_some(number as u8),
        message: random.percent(30).then(|| format!("item {number}")),
        phase: random.percent(20).then(|| "upload".to_owned()),
        items: random.percent(30).then_some(Items { processed: number as i64, failed: 1, skipped: 0 }),
        checkpoint: random.percent(30).then(|| serde_json::json!({ "at": number })),
        log_changed: log_tail.is_some(),
        log_tail,
        changed: true,
        ignores_stop: random.percent(10),
    }
}

/// An end of an attempt.
pub(super) fn an_outcome(random: &mut Random) -> Outcome {
    match random.below(10) {
        0..=2 => Outcome::Succeeded { result: None },
        3 => Outcome::Succeeded { result: Some(json(&format!("[{}]", random.below(9)))) },
        4 | 5 => Outcome::Retry { error: error("boom"), delay: None },
        6 => Outcome::Retry { error: error("busy"), delay: Some(Duration::from_millis(random.below(3000))) },
        7 => Outcome::Failed { error: error("no such account") },
        8 => Outcome::Snoozed { delay: Duration::from_millis(random.below(5000)) },
        _ => Outcome::Released,
    }
}
