//! How many wrong tokens one address may try.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Failures of one address before it has to wait.
pub const FAILURES: u32 = 10;
/// How long a failure counts, and so the longest wait.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; when there are more, those that may try again are forgotten.
const REMEMBERED: usize = 10_000;
/// Between two looks for those.
const FORGET_EVERY: Duration = Duration::from_secs(5);

/// Failures by address, in windows of a minute. Times are counted from any one beginning.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: HashMap<IpAddr, (Duration, u32)>,
    /// When those that may try again were last forgotten: not at every failure, for it looks at all.
    forgot_at: Duration,
}

/// What a failure came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The first for a while.
    First,
    /// One more.
    Again,
    /// One too many: the address has to wait now.
    Blocked,
}

impl Throttle {
    /// How long the address has to wait; `None` if it may try.
    pub fn wait(&self, address: IpAddr, now: Duration) -> Option<Duration> {
        let (since, count) = self.failures.get(&address)?;
        let left = (*since + WINDOW).checked_sub(now)?;
        (*count >= FAILURES && !left.is_zero()).then_some(left)
    }

    /// Counts a failure.
    pub fn failed(&mut self, address: IpAddr, now: Duration) -> Failed {
        if self.failures.len() >= REMEMBERED && self.forgot_at + FORGET_EVERY <= now {
            self.forgot_at = now;
            self.failures.retain(|_, (since, _)| *since + WINDOW > now);
        }
        // So many at once are an attack from everywhere; who is not remembered is not held back, and memory stays bounded.
        if self.failures.len() >= REMEMBERED && !self.failures.contains_key(&address) {
            return Failed::Again;
        }
        let (since, count) = self.failures.entry(address).or_insert((now, 0));
        if *since + WINDOW <= now {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        match *count {
            1 => Failed::First,
            FAILURES => Failed::Blocked,
            _ => Failed::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_failures_an_address_waits_and_others_do_not() {
        let (bad, good) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let second = Duration::from_secs;
        let mut throttle = Throttle::default();
        assert_eq!(throttle.failed(bad, second(0)), Failed::First);
        for at in 1..9 {
            assert_eq!(throttle.failed(bad, second(at)), Failed::Again);
            assert_eq!(throttle.wait(bad, second(at)), None);
        }
        assert_eq!(throttle.failed(bad, second(10)), Failed::Blocked);
        assert_eq!(throttle.wait(bad, second(20)), Some(second(40)));
        assert_eq!(throttle.wait(good, second(20)), None);
        assert_eq!(throttle.wait(bad, second(60)), None);
        assert_eq!(throttle.failed(bad, second(61)), Failed::First);
    }

    #[test]
    fn no_number_of_addresses_fills_the_memory() {
        let mut throttle = Throttle::default();
        for n in 0..20_000_u32 {
            throttle.failed(IpAddr::from(n.to_be_bytes()), Duration::ZERO);
        }
        assert_eq!(throttle.failures.len(), REMEMBERED);
        throttle.failed(IpAddr::from([1, 2, 3, 4]), Duration::from_secs(61));
        assert_eq!(throttle.failures.len(), 1);
    }
}
