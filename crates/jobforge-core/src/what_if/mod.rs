//! What another heartbeat threshold would have done to the attempts of which something is recorded.
//!
//! The rule is the one by which workers and the watchdog go ([`BeatPolicy::due_in`]), with another threshold in it. What was
//! hung is judged by the sweep that would have found it, what was healthy by its longest silence, as if a sweep had come at
//! the worst moment.

mod answer;
mod text;

use std::time::Duration;

use jiff::Timestamp;

pub use answer::{Caught, Detection, Hit, Recommended, SilentNow, WhatIf, Which};

use crate::heartbeat::{BeatPolicy, Heard, SilentGap};
use crate::job::{JobId, Lease, WorkerId};
use crate::settings::{Kind, SETTINGS, Settings};
use crate::time::{add, since, sub};

/// How far back is looked, unless somebody says otherwise.
pub const LOOK_BACK: Duration = Duration::from_secs(14 * 86_400);
/// Attempts that are read at most of each kind: those with records, ended jobs, running jobs.
pub const MOST_READ: usize = 2000;
/// The cause of a loss that the threshold decides.
pub const LATE: &str = "heartbeat_late";

/// An attempt that fell silent, or was taken for hung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The job.
    pub job: JobId,
    /// Whose it is.
    pub tenant_id: String,
    /// Its type.
    pub job_type: String,
    /// Its queue.
    pub queue: String,
    /// Which attempt.
    pub attempt: u32,
    /// Its fence.
    pub lease: Lease,
    /// Who ran it.
    pub worker: Option<WorkerId>,
    /// How it ended, or `running`.
    pub outcome: String,
    /// The kind of its error.
    pub cause: Option<String>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Its last sign of life.
    pub heartbeat_at: Option<Timestamp>,
    /// Reports that were refused after it had been taken away.
    pub refused: u32,
    /// What was heard of it.
    pub heard: Heard,
}

/// What is recorded of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The database's clock.
    pub as_of: Timestamp,
    /// The attempts, the last ended first.
    pub traces: Vec<Trace>,
    /// Whether there are more than were read.
    pub cut: bool,
}

impl Record {
    /// Takes in attempts of one kind, of which one more than `most` was asked for.
    pub fn add(&mut self, mut traces: Vec<Trace>, most: usize) {
        self.cut |= traces.len() > most;
        traces.truncate(most);
        self.traces.append(&mut traces);
    }
}

/// What goes now, and what is asked about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// How far back.
    pub look_back: Duration,
    /// The threshold that is proposed.
    pub threshold: Duration,
    /// The rhythm that goes now.
    pub rhythm: BeatPolicy,
    /// How often the watchdog sweeps.
    pub check_interval: Duration,
    /// How long jobs are kept that succeeded.
    pub kept: Duration,
}

/// The setting that is asked about.
const SETTING: &str = "heartbeat_threshold_ms";

/// A threshold that cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("heartbeat_threshold_ms is {given}; it must be from {} to {}", thresholds().0, thresholds().1)]
pub struct BadThreshold {
    /// What was given.
    pub given: u64,
}

/// The smallest and the largest threshold that the setting may be, in milliseconds.
pub fn thresholds() -> (u64, u64) {
    match SETTINGS.iter().find(|setting| setting.key == SETTING).map(|setting| &setting.kind) {
        Some(Kind::Millis { min, max }) => (*min, *max),
        _ => (0, u64::MAX),
    }
}

impl Question {
    /// Asks about a threshold, or about the one that goes now.
    ///
    /// # Errors
    /// When no threshold may be so.
    pub fn new(
        settings: &Settings,
        threshold_ms: Option<u64>,
        look_back: Duration,
    ) -> Result<Self, BadThreshold> {
        let (low, high) = thresholds();
        if let Some(given) = threshold_ms.filter(|ms| !(low..=high).contains(ms)) {
            return Err(BadThreshold { given });
        }
        let rhythm = settings.beat_policy();
        let days = settings.integer("retention_succeeded_days");
        Ok(Self {
            look_back,
            threshold: threshold_ms.map_or(rhythm.threshold, Duration::from_millis),
            rhythm,
            check_interval: settings.millis("watchdog_check_interval_ms"),
            kept: Duration::from_secs(days.saturating_mul(86_400)),
        })
    }

    /// From when on is looked at.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        sub(now, self.look_back)
    }

    /// The rhythm with the threshold that is proposed.
    fn proposed(&self) -> BeatPolicy {
        BeatPolicy { threshold: self.threshold, ..self.rhythm }
    }
}

/// Replays what is recorded under another threshold.
pub fn what_if(record: &Record, question: &Question) -> WhatIf {
    let proposed = question.proposed();
    let traces = || record.traces.iter();
    let mut caught: Vec<Caught> = traces().filter_map(|trace| caught(trace, question)).collect();
    caught.sort_by_key(|line| (std::cmp::Reverse(line.sooner_ms), line.of.job));
    let mut hit: Vec<Hit> = traces().filter_map(|trace| hit(trace, &proposed, &question.rhythm)).collect();
    hit.sort_by_key(|line| (std::cmp::Reverse(line.silence_ms), line.of.job));
    let mut silent_now: Vec<SilentNow> =
        traces().filter_map(|trace| silent_now(trace, &proposed, record.as_of)).collect();
    silent_now.sort_by_key(|line| (std::cmp::Reverse(line.silence_ms), line.of.job));
    let recommended = text::recommended(record, question, least(record, &caught));
    let mut answer = WhatIf {
        as_of: record.as_of,
        since: question.since(record.as_of),
        heartbeat_threshold_ms: millis(question.threshold),
        present_threshold_ms: millis(question.rhythm.threshold),
        check_interval_ms: millis(question.check_interval),
        conclusion: String::new(),
        detection: detection(&caught),
        caught,
        hit,
        silent_now,
        recommended,
        limits: text::limits(record, question),
    };
    answer.conclusion = text::conclusion(&answer, question);
    answer
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the threshold took it away.
fn is_late(trace: &Trace) -> bool {
    trace.outcome == "lost" && trace.cause.as_deref() == Some(LATE)
}

fn which(trace: &Trace) -> Which {
    Which {
        job: trace.job,
        tenant_id: trace.tenant_id.clone(),
        job_type: trace.job_type.clone(),
        queue: trace.queue.clone(),
        attempt: trace.attempt,
        lease: trace.lease.0,
        worker: trace.worker.clone(),
    }
}

fn caught(trace: &Trace, question: &Question) -> Option<Caught> {
    let (true, Some(heard), Some(found)) = (is_late(trace), trace.heartbeat_at, trace.finished_at) else {
        return None;
    };
    let interval = trace.heard.interval?;
    let was = since(found, heard);
    let would_be = found_after(
        was,
        question.rhythm.due_in(interval),
        question.proposed().due_in(interval),
        question.check_interval,
    );
    let signed = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Some(Caught {
        of: which(trace),
        heartbeat_at: heard,
        found_at: found,
        was_ms: millis(was),
        would_be_ms: millis(would_be),
        sooner_ms: signed(was) - signed(would_be),
        came_back: trace.refused > 0,
    })
}

/// How long an attempt would have been silent when a sweep found it, that was found after `was`.
///
/// Sweeps come at their interval before and after the one that found it. Where that one came late, because a guard held
/// verdicts back, it is taken to have come as late under the proposal.
fn found_after(was: Duration, due: Duration, proposed: Duration, every: Duration) -> Duration {
    let waited = was.saturating_sub(due);
    if waited > every || every.is_zero() {
        return proposed + waited;
    }
    let (was, proposed, every) = (was.as_micros(), proposed.as_micros(), every.as_micros());
    // The first sweep at which the sign of life is overdue, and not only due.
    let found = if was > proposed {
        was - (was - proposed - 1) / every * every
    } else {
        was + ((proposed - was) / every + 1) * every
    };
    Duration::from_micros(u64::try_from(found).unwrap_or(u64::MAX))
}

/// Whether a silence is longer than a job might be silent which beats as this one did.
fn is_too_long(silence: &SilentGap, policy: &BeatPolicy) -> bool {
    silence.interval_ms.is_some_and(|ms| silence.lasted() > policy.due_in(Duration::from_millis(ms)))
}

fn hit(trace: &Trace, proposed: &BeatPolicy, present: &BeatPolicy) -> Option<Hit> {
    let too_long = || trace.heard.gaps.iter().filter(|silence| is_too_long(silence, proposed));
    let longest = too_long().max_by_key(|silence| silence.ms)?;
    let interval = Duration::from_millis(longest.interval_ms?);
    Some(Hit {
        of: which(trace),
        outcome: trace.outcome.clone(),
        silent_from: longest.began_at(),
        silent_until: longest.ended_at,
        silence_ms: longest.ms,
        allowed_ms: millis(proposed.due_in(interval)),
        silences: too_long().count(),
        also_now: is_too_long(longest, present),
    })
}

fn silent_now(trace: &Trace, proposed: &BeatPolicy, now: Timestamp) -> Option<SilentNow> {
    let (true, Some(from), Some(interval)) =
        (trace.finished_at.is_none(), trace.heartbeat_at, trace.heard.interval)
    else {
        return None;
    };
    let allowed = proposed.due_in(interval);
    (add(from, allowed) < now).then(|| SilentNow {
        of: which(trace),
        silent_from: from,
        silence_ms: millis(since(now, from)),
        allowed_ms: millis(allowed),
    })
}

/// The longest silence that something healthy came back from.
fn least(record: &Record, caught: &[Caught]) -> Option<Duration> {
    let healthy = record.traces.iter().filter_map(|trace| trace.heard.longest()).map(SilentGap::lasted);
    let returned = caught.iter().filter(|line| line.came_back).map(|line| Duration::from_millis(line.was_ms));
    healthy.chain(returned).max()
}

fn detection(caught: &[Caught]) -> Option<Detection> {
    let (was_ms, longest_was_ms) = middle_and_longest(caught.iter().map(|line| line.was_ms))?;
    let (would_be_ms, longest_would_be_ms) = middle_and_longest(caught.iter().map(|line| line.would_be_ms))?;
    Some(Detection { was_ms, longest_was_ms, would_be_ms, longest_would_be_ms })
}

fn middle_and_longest(values: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    Some((*values.get(values.len() / 2)?, *values.last()?))
}

#[cfg(test)]
mod tests;
