//! What becomes of a job when its attempt ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::heartbeat::Report;
use crate::job::{ErrorInfo, JobId, Lease, QueuedBecause};
use crate::payload::{Payload, sanitize_text, sanitize_value};
use crate::state::Status;

/// Longest stored error message, in bytes.
pub const MAX_ERROR_BYTES: usize = 16 * 1024;
/// Largest stored result, in bytes of JSON.
pub const MAX_RESULT_BYTES: usize = 1024 * 1024;
/// Longest back-off that a policy may ask for: thirty days.
pub(crate) const MAX_BACKOFF_MS: u64 = 30 * 86_400_000;

/// How long a failed job waits before its next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::retry_policy))]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Wait after the first failure, in milliseconds.
    #[serde(deserialize_with = "crate::whole::number")]
    pub base_ms: u64,
    /// Each further wait is this many times the one before.
    pub factor: f64,
    /// No wait is longer, in milliseconds.
    #[serde(deserialize_with = "crate::whole::number")]
    pub max_ms: u64,
    /// Share of the wait that is drawn at random: 0.2 means 80 % to 120 %.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    /// min(2^(attempts−1), 3600) seconds, ±20 %.
    fn default() -> Self {
        Self { base_ms: 1000, factor: 2.0, max_ms: 3_600_000, jitter: 0.2 }
    }
}

impl RetryPolicy {
    /// Checks the ranges.
    ///
    /// # Errors
    /// One sentence naming the field and its range.
    pub fn validate(&self) -> Result<(), String> {
        if self.base_ms > MAX_BACKOFF_MS || self.max_ms > MAX_BACKOFF_MS {
            return Err(format!("base_ms and max_ms may be 0 to {MAX_BACKOFF_MS} (thirty days)"));
        }
        if !(1.0..=100.0).contains(&self.factor) {
            return Err(format!("factor is {}; allowed is 1 to 100", self.factor));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(format!("jitter is {}; allowed is 0 to 1", self.jitter));
        }
        Ok(())
    }

    /// The wait after failed attempt number `attempt` (from 1), with `random` in 0..1 spreading it.
    ///
    /// Saturates: attempt numbers of any size give at most `max_ms` plus jitter.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let exponent = f64::from(attempt.max(1) - 1);
        // The power may be infinite; `min` brings it back, and NaN (0 × ∞) cannot arise with base ≥ 1.
        let ideal = if self.base_ms == 0 { 0.0 } else { self.base_ms as f64 * self.factor.powf(exponent) };
        let bounded = ideal.min(self.max_ms as f64);
        let spread = 1.0 + self.jitter * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        Duration::from_millis((bounded * spread).max(0.0) as u64)
    }
}

/// How an attempt ended, as the worker saw it.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The handler returned; its output is JSON, or nothing.
    Succeeded {
        /// The handler's output.
        result: Option<Payload>,
    },
    /// The handler failed in a way that another attempt may overcome.
    Retry {
        /// What went wrong.
        error: ErrorInfo,
        /// A wait of the handler's own choice.
        delay: Option<Duration>,
    },
    /// The handler failed for good.
    Failed {
        /// What went wrong.
        error: ErrorInfo,
    },
    /// The handler asked to run later.
    Snoozed {
        /// How much later.
        delay: Duration,
    },
    /// The worker stopped before the handler ended.
    Released,
}

/// What is known of the attempt that ended.
#[derive(Debug, Clone, Copy)]
pub struct AttemptFacts {
    /// The job.
    pub id: JobId,
    /// The fence of the attempt.
    pub lease: Lease,
    /// Its number, from 1.
    pub attempt: u32,
    /// How many the job may use.
    pub max_attempts: u32,
    /// The job's own back-off.
    pub retry: Option<RetryPolicy>,
}

/// What the store shall do: one fenced move out of `running`.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The job.
    pub id: JobId,
    /// The fence of the attempt that ended; nothing happens under another.
    pub lease: Lease,
    /// Where the job goes.
    pub to: Status,
    /// Why it is queued again, when it is.
    pub because: QueuedBecause,
    /// How long it then waits.
    pub delay: Duration,
    /// Whether the attempt counts.
    pub burns_attempt: bool,
    /// What went wrong.
    pub error: Option<ErrorInfo>,
    /// What the handler returned.
    pub result: Option<Payload>,
    /// The last progress, counters, checkpoint and log.
    pub report: Report,
}

/// What the store answers to a settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Done now.
    Applied,
    /// It had been done before by the same owner under the same lease.
    Replayed,
    /// Someone else moved the job; nothing was changed.
    Fenced {
        /// Where the job stands.
        status: Status,
        /// Its fence now.
        lease: Lease,
    },
    /// The job no longer exists.
    Gone,
}

/// Decides what becomes of a job from how its attempt ended.
///
/// `random` in 0..1 spreads the retries. Text that PostgreSQL cannot store is cleaned rather than refused, for the
/// report of a failure must never fail; a result that cannot be stored fails the attempt for good and says so.
pub fn decide(
    facts: &AttemptFacts,
    outcome: Outcome,
    report: Report,
    policy: &RetryPolicy,
    random: f64,
) -> Settlement {
    let mut plan = Settlement {
        id: facts.id,
        lease: facts.lease,
        to: Status::Queued,
        because: QueuedBecause::Retry,
        delay: Duration::ZERO,
        burns_attempt: true,
        error: None,
        result: None,
        report,
    };
    match outcome {
        Outcome::Succeeded { result } => match result.map(check_result).transpose() {
            Ok(result) => {
                plan.to = Status::Succeeded;
                plan.result = result;
            }
            Err(error) => {
                plan.to = Status::Failed;
                plan.error = Some(error);
            }
        },
        Outcome::Retry { error, delay } => {
            plan.error = Some(clean(error));
            if facts.attempt >= facts.max_attempts {
                plan.to = Status::Dead;
            } else {
                let own = facts.retry.as_ref().unwrap_or(policy);
                plan.delay = delay.unwrap_or_else(|| own.delay(facts.attempt, random));
            }
        }
        Outcome::Failed { error } => {
            plan.to = Status::Failed;
            plan.error = Some(clean(error));
        }
        Outcome::Snoozed { delay } => {
            plan.because = QueuedBecause::Snooze;
            plan.delay = delay;
            plan.burns_attempt = false;
        }
        Outcome::Released => {
            plan.because = QueuedBecause::Release;
            plan.burns_attempt = false;
        }
    }
    plan
}

/// A number in 0..1 that differs from job to job and attempt to attempt, to spread retries.
pub fn spread(id: JobId, lease: Lease) -> f64 {
    // The low bits of a version 7 id are random; splitmix64 mixes the lease in.
    let mut x = (id.0.as_u128() as u64) ^ lease.0.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn check_result(result: Payload) -> Result<Payload, ErrorInfo> {
    // The payload's own constructor has refused what cannot be stored; the size has a limit of its own.
    if result.as_str().len() <= MAX_RESULT_BYTES {
        return Ok(result);
    }
    let bytes = result.as_str().len();
    Err(ErrorInfo {
        message: format!(
            "the result has {bytes} bytes; at most {MAX_RESULT_BYTES} can be stored: store it elsewhere and return a reference"
        ),
        kind: "result_too_large".to_owned(),
        retryable: false,
        details: None,
    })
}

fn clean(error: ErrorInfo) -> ErrorInfo {
    let mut message = sanitize_text(&error.message);
    if message.len() > MAX_ERROR_BYTES {
        let cut = (0..=MAX_ERROR_BYTES).rev().find(|&i| message.is_char_boundary(i)).unwrap_or(0);
        message.truncate(cut);
        message.push('…');
    }
    if message.trim().is_empty() {
        "the handler failed without a message".clone_into(&mut message);
    }
    ErrorInfo {
        message,
        kind: sanitize_text(&error.kind),
        retryable: error.retryable,
        details: error.details.map(sanitize_value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(attempt: u32, max_attempts: u32) -> AttemptFacts {
        AttemptFacts { id: JobId::new(), lease: Lease(7), attempt, max_attempts, retry: None }
    }

    fn error(message: &str) -> ErrorInfo {
        ErrorInfo { message: message.to_owned(), kind: "error".to_owned(), retryable: true, details: None }
    }

    fn settle(attempt: u32, outcome: Outcome) -> Settlement {
        decide(&facts(attempt, 5), outcome, Report::default(), &RetryPolicy::default(), 0.5)
    }

    #[test]
    fn back_off_doubles_to_an_hour_and_never_overflows() {
        let policy = RetryPolicy::default();
        for (attempt, seconds) in
            [(1, 1), (2, 2), (3, 4), (12, 2048), (13, 3600), (32, 3600), (u32::MAX, 3600)]
        {
            assert_eq!(policy.delay(attempt, 0.5), Duration::from_secs(seconds), "attempt {attempt}");
        }
    }

    proptest! {
        #[test]
        fn back_off_stays_within_its_jitter_and_grows(attempt in 1_u32..200, random in 0.0..1.0_f64, base in 0_u64..100_000) {
            let policy = RetryPolicy { base_ms: base, ..RetryPolicy::default() };
            let middle = policy.delay(attempt, 0.5).as_millis() as f64;
            let drawn = policy.delay(attempt, random).as_millis() as f64;
            prop_assert!(drawn >= middle * 0.8 - 2.0 && drawn <= middle * 1.2 + 2.0);
            prop_assert!(policy.delay(attempt + 1, 0.5).as_millis() as f64 >= middle);
        }
    }

    #[test]
    fn a_failure_is_retried_until_the_last_attempt_and_then_the_job_is_dead() {
        let fail = || Outcome::Retry { error: error("boom"), delay: None };
        assert_eq!((settle(1, fail()).to, settle(1, fail()).delay), (Status::Queued, Duration::from_secs(1)));
        assert_eq!(settle(4, fail()).to, Status::Queued);
        assert_eq!(settle(5, fail()).to, Status::Dead);
        assert_eq!(settle(9, fail()).to, Status::Dead, "more attempts than allowed, by an operator's edit");
    }

    #[test]
    fn a_non_retryable_failure_ends_the_job_as_failed_whatever_attempts_are_left() {
        assert_eq!(settle(1, Outcome::Failed { error: error("no") }).to, Status::Failed);
    }

    #[test]
    fn snooze_and_release_use_no_attempt() {
        let snoozed = settle(5, Outcome::Snoozed { delay: Duration::from_secs(9) });
        assert_eq!(
            (snoozed.to, snoozed.delay, snoozed.burns_attempt),
            (Status::Queued, Duration::from_secs(9), false)
        );
        assert!(!settle(5, Outcome::Released).burns_attempt);
    }

    #[test]
    fn a_handlers_own_delay_wins_over_the_back_off() {
        let plan = settle(1, Outcome::Retry { error: error("busy"), delay: Some(Duration::from_secs(90)) });
        assert_eq!(plan.delay, Duration::from_secs(90));
    }

    #[test]
    fn an_error_that_cannot_be_stored_is_cleaned_and_never_empty() {
        let plan = settle(1, Outcome::Retry { error: error("a\0b"), delay: None });
        assert_eq!(plan.error.expect("error").message, "a\u{FFFD}b");
        let plan = settle(1, Outcome::Failed { error: error("  ") });
        assert!(plan.error.expect("error").message.contains("without a message"));
        let plan = settle(1, Outcome::Failed { error: error(&"é".repeat(20_000)) });
        assert!(plan.error.expect("error").message.len() <= MAX_ERROR_BYTES + 4);
    }
}
