//! How often one caller may ask: a bucket for each that fills with time, in memory that is bounded.

use std::collections::HashMap;
use std::time::Duration;

/// What may be asked at once, as the time in which it is earned.
pub const BURST: Duration = Duration::from_secs(2);
/// Callers that are remembered; when there are more, those whose bucket is full are forgotten.
const REMEMBERED: usize = 10_000;
/// Between two looks for those: not at every request, for it looks at all.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// When each caller's bucket will be full again (GCRA). Times are counted from any one beginning.
#[derive(Debug, Default)]
pub struct Rates {
    full_at: HashMap<u64, Duration>,
    forgot_at: Duration,
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How long to wait before asking again; none if this request is let through.
    pub wait: Option<Duration>,
    /// Requests that may be made at once.
    pub burst: u64,
    /// How many of them are left.
    pub left: u64,
    /// When all of them are there again.
    pub full_in: Duration,
}

impl Rates {
    /// Takes one request of this caller, of `per_second` on average.
    pub fn take(&mut self, caller: u64, per_second: u64, now: Duration) -> Allowance {
        let each = Duration::from_nanos(1_000_000_000 / per_second.clamp(1, 1_000_000_000));
        let bucket = BURST.max(each);
        let requests = |time: Duration| (time.as_nanos() / each.as_nanos().max(1)) as u64;
        let missing = self.full_at.get(&caller).map_or(Duration::ZERO, |full_at| full_at.saturating_sub(now));
        // The rate may have been lowered since, and nobody shall wait longer for that than a bucket takes to fill.
        let missing = missing.min(bucket);
        let burst = requests(bucket);
        if missing + each > bucket {
            let wait = Some(missing + each - bucket);
            return Allowance { wait, burst, left: 0, full_in: missing };
        }
        let full_in = missing + each;
        if self.has_room_for(caller, now) {
            self.full_at.insert(caller, now + full_in);
        }
        Allowance { wait: None, burst, left: requests(bucket - full_in), full_in }
    }

    /// More callers at once than are remembered are let through, rather than held back together.
    fn has_room_for(&mut self, caller: u64, now: Duration) -> bool {
        if self.full_at.len() >= REMEMBERED && self.forgot_at + FORGET_EVERY <= now {
            self.forgot_at = now;
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        self.full_at.len() < REMEMBERED || self.full_at.contains_key(&caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_burst_passes_and_then_one_request_for_each_share_of_a_second() {
        let mut rates = Rates::default();
        for left in (0..20).rev() {
            let allowance = rates.take(1, 10, MS(0));
            assert_eq!((allowance.wait, allowance.left, allowance.burst), (None, left, 20));
        }
        assert_eq!(rates.take(1, 10, MS(0)).wait, Some(MS(100)));
        assert_eq!(rates.take(1, 10, MS(60)).wait, Some(MS(40)));
        assert_eq!(rates.take(1, 10, MS(100)).wait, None);
        assert_eq!(rates.take(1, 10, MS(100)).wait, Some(MS(100)));
        assert_eq!(rates.take(2, 10, MS(100)).wait, None, "another caller");
        assert_eq!(rates.take(1, 10, MS(10_000)).left, 19, "the bucket is full again");
    }

    #[test]
    fn whoever_was_held_back_is_let_through_once_the_wait_is_over() {
        for per_second in [1, 3, 1000] {
            let (mut rates, mut now) = (Rates::default(), Duration::ZERO);
            for _ in 0..10_000 {
                if let Some(wait) = rates.take(7, per_second, now).wait {
                    now += wait;
                    assert_eq!(rates.take(7, per_second, now).wait, None, "{per_second}");
                }
            }
        }
    }

    #[test]
    fn a_lower_rate_counts_at_once_and_makes_nobody_wait_longer_than_a_bucket_takes() {
        let mut rates = Rates::default();
        for _ in 0..2000 {
            rates.take(1, 1000, MS(0));
        }
        assert_eq!(rates.take(1, 1, MS(0)).wait, Some(MS(1000)));
    }

    #[test]
    fn no_number_of_callers_fills_the_memory() {
        let mut rates = Rates::default();
        for caller in 0..20_000 {
            assert_eq!(rates.take(caller, 10, MS(0)).wait, None);
        }
        assert_eq!(rates.full_at.len(), REMEMBERED);
        rates.take(99_999, 10, MS(5000));
        assert_eq!(rates.full_at.len(), 1);
    }
}
