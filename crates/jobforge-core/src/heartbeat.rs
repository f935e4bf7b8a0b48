//! Signs of life of running jobs: what they carry, how often they come and when one is late.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::{Items, JobId, Lease};
use crate::state::Status;
use crate::time::{sub, words};

/// What a handler reported since the last heartbeat; absent fields are unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// 0 to 100.
    pub progress: Option<u8>,
    /// What it is doing.
    pub message: Option<String>,
    /// Its named phase.
    pub phase: Option<String>,
    /// Counted items of this attempt so far.
    pub items: Option<Items>,
    /// A point to go on from.
    pub checkpoint: Option<Value>,
    /// The newest log lines of this attempt.
    pub log_tail: Option<String>,
    /// Whether log lines were added since the last report.
    pub log_changed: bool,
    /// Whether anything was reported since the last time.
    pub changed: bool,
    /// The handler goes on although its job was taken from it and it was asked to stop.
    pub ignores_stop: bool,
}

impl Report {
    /// Marks the report as having news.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    /// Whether this says that the work went on: percent, message, phase, counted items or a checkpoint.
    pub fn has_progress(&self) -> bool {
        let Self { progress, message, phase, items, checkpoint, .. } = self;
        progress.is_some() || message.is_some() || phase.is_some() || items.is_some() || checkpoint.is_some()
    }
}

/// One job's heartbeat as its worker sends it.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The job.
    pub id: JobId,
    /// The fence under which it is held.
    pub lease: Lease,
    /// How long until the next heartbeat may at the latest be expected.
    pub due_in: Duration,
    /// How long its worker means to wait until then; `None` if it does not say.
    pub interval: Option<Duration>,
    /// What the handler reported.
    pub report: Report,
}

/// Silences of one attempt that are kept: the longest.
pub const MAX_GAPS: usize = 16;

/// What was heard of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Its heartbeats.
    pub beats: u32,
    /// After how long its worker means to send the next one, or meant to; `None` if it did not say.
    pub interval: Option<Duration>,
    /// Its silences of more than two intervals that ended by a heartbeat or by its own end: the oldest first, at most
    /// [`MAX_GAPS`], the longest.
    pub gaps: Vec<SilentGap>,
}

impl Heard {
    /// The longest silence, if there was one.
    pub fn longest(&self) -> Option<&SilentGap> {
        self.gaps.iter().max_by_key(|silence| silence.ms)
    }

    /// The same for people; `None` where nothing was heard.
    pub fn told(&self) -> Option<String> {
        let mut told = match self.beats {
            0 => String::new(),
            1 => "one heartbeat".to_owned(),
            many => format!("{many} heartbeats"),
        };
        if let Some(longest) = self.longest() {
            let lasted = words(longest.lasted());
            let also = if told.is_empty() { "" } else { ", " };
            told.push_str(&match self.gaps.len() {
                1 => format!("{also}silent for {lasted} and heard again"),
                many => format!("{also}silent {many} times and heard again, after {lasted} at the longest"),
            });
        }
        (!told.is_empty()).then_some(told)
    }
}

/// A time in which nothing was heard of an attempt that then went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilentGap {
    /// When it was heard again.
    pub ended_at: Timestamp,
    /// How long nothing was heard.
    pub ms: u64,
    /// After how long its worker meant to send a heartbeat; absent if it did not say.
    pub interval_ms: Option<u64>,
}

impl SilentGap {
    /// How long it was.
    pub fn lasted(&self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// When the last sign of life before it came.
    pub fn began_at(&self) -> Timestamp {
        sub(self.ended_at, self.lasted())
    }
}

/// What the store answers to one job's heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeatReply {
    /// The job is still this worker's.
    Kept,
    /// A person or program canceled it.
    Canceled,
    /// It was moved by another hand.
    Lost {
        /// Where it stands.
        status: Status,
    },
    /// It no longer exists.
    Gone,
}

/// The rhythm of job heartbeats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeatPolicy {
    /// Whether heartbeats are sent at all (`FEATURE_FLAG_JOB_HEARTBEAT`).
    pub enabled: bool,
    /// First interval of an attempt (`HEARTBEAT_INTERVAL_MS`).
    pub interval: Duration,
    /// Longest interval (`HEARTBEAT_MAX_INTERVAL_MS`).
    pub max_interval: Duration,
    /// Growth from one interval to the next (`HEARTBEAT_BACKOFF_MULTIPLIER`).
    pub multiplier: f64,
    /// SilentGap after which a job is suspect (`HEARTBEAT_THRESHOLD_MS`).
    pub threshold: Duration,
}

impl BeatPolicy {
    /// The interval after the given one: grows by the multiplier up to the longest.
    pub fn next_interval(&self, current: Duration) -> Duration {
        let grown = Duration::try_from_secs_f64(current.as_secs_f64() * self.multiplier.max(1.0));
        grown.unwrap_or(self.max_interval).clamp(self.interval, self.max_interval.max(self.interval))
    }

    /// How much silence a job that beats every `interval` is allowed.
    ///
    /// At least the threshold, and never less than two intervals, so that a worker that backs off to 120 s is not
    /// late at 120 s.
    pub fn due_in(&self, interval: Duration) -> Duration {
        self.threshold.max(interval.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runbook() -> BeatPolicy {
        let s = Duration::from_secs;
        BeatPolicy {
            enabled: true,
            interval: s(30),
            max_interval: s(120),
            multiplier: 2.0,
            threshold: s(120),
        }
    }

    #[test]
    fn the_runbooks_rhythm_backs_off_30_60_120_120() {
        let policy = runbook();
        let mut interval = policy.interval;
        let mut seen = vec![interval.as_secs()];
        for _ in 0..3 {
            interval = policy.next_interval(interval);
            seen.push(interval.as_secs());
        }
        assert_eq!(seen, [30, 60, 120, 120]);
    }

    #[test]
    fn a_healthy_job_is_never_late_at_any_interval_of_the_rhythm() {
        let policy = runbook();
        let mut interval = policy.interval;
        for _ in 0..10 {
            assert!(policy.due_in(interval) >= interval * 2);
            assert!(policy.due_in(interval) >= policy.threshold);
            interval = policy.next_interval(interval);
        }
    }

    #[test]
    fn odd_multipliers_cannot_shrink_or_overflow_the_interval() {
        for multiplier in [0.0, -3.0, f64::NAN, f64::INFINITY, 1e300] {
            let policy = BeatPolicy { multiplier, ..runbook() };
            let next = policy.next_interval(Duration::from_secs(60));
            assert!((30..=120).contains(&next.as_secs()), "{multiplier}: {next:?}");
        }
    }

    #[test]
    fn what_was_heard_reads_like_speech() {
        let gap = |second, ms| SilentGap {
            ended_at: Timestamp::from_second(second).expect("in range"),
            ms,
            interval_ms: Some(30_000),
        };
        let told = |beats, gaps| Heard { beats, interval: None, gaps }.told();
        assert_eq!(told(0, vec![]), None);
        assert_eq!(told(1, vec![]).as_deref(), Some("one heartbeat"));
        assert_eq!(
            told(12, vec![gap(100, 70_000)]).as_deref(),
            Some("12 heartbeats, silent for 70 s and heard again")
        );
        assert_eq!(
            told(0, vec![gap(100, 70_000), gap(200, 90_000)]).as_deref(),
            Some("silent 2 times and heard again, after 90 s at the longest")
        );
    }
}
