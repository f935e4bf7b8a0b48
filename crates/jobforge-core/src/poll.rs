//! How long an idle worker waits before it asks again.

use std::time::Duration;

/// The runbook's idle back-off: `POLL_INTERVAL_MS`, `MAX_POLL_INTERVAL_MS`, `IDLE_BACKOFF_MULTIPLIER`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PollPolicy {
    /// The wait after work was found.
    pub interval: Duration,
    /// The longest wait.
    pub max_interval: Duration,
    /// Growth from one empty claim to the next.
    pub multiplier: f64,
}

impl PollPolicy {
    /// The wait after an empty claim that followed a wait of `last`; `None` begins anew.
    pub fn next(&self, last: Option<Duration>) -> Duration {
        let Some(last) = last else { return self.interval };
        let grown = Duration::try_from_secs_f64(last.as_secs_f64() * self.multiplier.max(1.0));
        grown.unwrap_or(self.max_interval).clamp(self.interval, self.max_interval.max(self.interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbooks_values_back_off_2_4_8_10_10_and_begin_anew_after_work() {
        let policy = PollPolicy {
            interval: Duration::from_secs(2),
            max_interval: Duration::from_secs(10),
            multiplier: 2.0,
        };
        let mut last = None;
        let mut waits = Vec::new();
        for _ in 0..5 {
            let wait = policy.next(last);
            waits.push(wait.as_secs());
            last = Some(wait);
        }
        assert_eq!(waits, [2, 4, 8, 10, 10]);
        assert_eq!(policy.next(None).as_secs(), 2);
    }

    #[test]
    fn a_maximum_below_the_interval_is_raised_to_it() {
        let policy = PollPolicy {
            interval: Duration::from_secs(5),
            max_interval: Duration::from_secs(1),
            multiplier: 2.0,
        };
        assert_eq!(policy.next(Some(Duration::from_secs(5))).as_secs(), 5);
    }
}
