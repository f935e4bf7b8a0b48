//! A circuit breaker per host: after a row of failures the host is left alone for a while.
//!
//! A state machine without a clock: `now` is an argument. It is of this process only; each worker learns for itself.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// This many failures in a row open the circuit.
pub const FAILURES_TO_OPEN: u32 = 5;
/// How long it stays open before one request may try.
pub const OPEN_FOR: Duration = Duration::from_secs(30);
/// How long the others are told to wait while that one request is under way.
pub const TRIAL_WAIT: Duration = Duration::from_secs(5);
/// How many hosts in trouble are remembered; payloads choose the hosts, so there could be any number.
const HOSTS_MAX: usize = 1024;

/// The circuit to one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Requests pass; `failures` in a row so far.
    Closed { failures: u32 },
    /// No request passes before `until`.
    Open { until: Instant },
    /// One request is trying; no other passes.
    Trying,
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// Leave to send one request. Its end must be told to [`Breaker::ended`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The circuit was closed.
    Usual,
    /// This is the one request that finds out whether the host is well again.
    Trial,
}

/// How a request ended, as far as the host's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The host answered, and not with a 5xx.
    Well,
    /// No answer, or a 5xx.
    Ill,
    /// We broke it off ourselves; it says nothing of the host.
    BrokenOff,
}

impl Breaker {
    /// Asks to send a request.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn enter(&mut self, now: Instant) -> Result<Pass, Duration> {
        match self.state {
            State::Closed { .. } => Ok(Pass::Usual),
            State::Open { until } if now < until => Err(until.duration_since(now)),
            State::Open { .. } => {
                self.state = State::Trying;
                Ok(Pass::Trial)
            }
            State::Trying => Err(TRIAL_WAIT),
        }
    }

    /// Tells how a request ended.
    pub fn ended(&mut self, pass: Pass, ending: Ending, now: Instant) {
        self.state = match (self.state, pass, ending) {
            (State::Closed { .. }, _, Ending::Well) | (State::Trying, Pass::Trial, Ending::Well) => {
                State::Closed { failures: 0 }
            }
            (State::Closed { failures }, _, Ending::Ill) if failures + 1 < FAILURES_TO_OPEN => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, _, Ending::Ill) | (State::Trying, Pass::Trial, Ending::Ill) => {
                State::Open { until: now + OPEN_FOR }
            }
            // A trial that was broken off leaves the question open: the next request asks it.
            (State::Trying, Pass::Trial, Ending::BrokenOff) => State::Open { until: now },
            (state @ State::Closed { .. }, _, Ending::BrokenOff) => state,
            // Requests from before the circuit opened come home late; only the trial decides now.
            (state @ (State::Open { .. } | State::Trying), _, _) => state,
        };
    }

    fn is_forgettable(self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } => until <= now,
            State::Trying => false,
        }
    }
}

/// The circuits to all hosts that are or were in trouble; a host without an entry is well.
#[derive(Debug, Default)]
pub struct Breakers {
    hosts: HashMap<String, Breaker>,
}

impl Breakers {
    /// Asks to send a request to `host`; see [`Breaker::enter`].
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn enter(&mut self, host: &str, now: Instant) -> Result<Pass, Duration> {
        self.hosts.get_mut(host).map_or(Ok(Pass::Usual), |breaker| breaker.enter(now))
    }

    /// Tells how a request to `host` ended.
    pub fn ended(&mut self, host: &str, pass: Pass, ending: Ending, now: Instant) {
        if let Some(breaker) = self.hosts.get_mut(host) {
            breaker.ended(pass, ending, now);
            if *breaker == Breaker::default() {
                self.hosts.remove(host);
            }
            return;
        }
        if ending != Ending::Ill {
            return;
        }
        if self.hosts.len() >= HOSTS_MAX {
            self.hosts.retain(|_, breaker| !breaker.is_forgettable(now));
        }
        if self.hosts.len() < HOSTS_MAX {
            self.hosts.entry(host.to_owned()).or_default().ended(pass, ending, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            let pass = breaker.enter(now).unwrap();
            breaker.ended(pass, Ending::Ill, now);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_between_starts_the_count_again() {
        let now = clock::monotonic();
        let mut breaker = Breaker::default();
        for ending in [Ending::Ill, Ending::Ill, Ending::Ill, Ending::Ill, Ending::Well] {
            breaker.ended(Pass::Usual, ending, now);
        }
        for _ in 0..4 {
            breaker.ended(Pass::Usual, Ending::Ill, now);
            assert_eq!(breaker.enter(now), Ok(Pass::Usual));
        }
        breaker.ended(Pass::Usual, Ending::BrokenOff, now);
        breaker.ended(Pass::Usual, Ending::Ill, now);
        assert_eq!(breaker.enter(now + Duration::from_secs(10)), Err(Duration::from_secs(20)));
    }

    #[test]
    fn after_its_time_exactly_one_request_may_try() {
        let now = clock::monotonic();
        let mut breaker = open(now);
        let later = now + OPEN_FOR;
        assert_eq!(breaker.enter(later), Ok(Pass::Trial));
        assert_eq!(breaker.enter(later), Err(TRIAL_WAIT));
        breaker.ended(Pass::Trial, Ending::Well, later);
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn a_failed_trial_opens_it_again_and_a_broken_off_one_lets_the_next_try() {
        let now = clock::monotonic();
        let mut breaker = open(now);
        let later = now + OPEN_FOR;
        breaker.enter(later).unwrap();
        breaker.ended(Pass::Trial, Ending::BrokenOff, later);
        assert_eq!(breaker.enter(later), Ok(Pass::Trial));
        breaker.ended(Pass::Trial, Ending::Ill, later);
        assert_eq!(breaker.enter(later), Err(OPEN_FOR));
    }

    #[test]
    fn late_answers_to_older_requests_change_nothing() {
        let now = clock::monotonic();
        let mut breaker = open(now);
        breaker.ended(Pass::Usual, Ending::Well, now);
        assert_eq!(breaker.enter(now), Err(OPEN_FOR));
        breaker.enter(now + OPEN_FOR).unwrap();
        breaker.ended(Pass::Usual, Ending::Well, now + OPEN_FOR);
        assert_eq!(breaker.enter(now + OPEN_FOR), Err(TRIAL_WAIT));
    }

    #[test]
    fn hosts_are_apart_and_their_number_is_bounded() {
        let now = clock::monotonic();
        let mut breakers = Breakers::default();
        for _ in 0..FAILURES_TO_OPEN {
            breakers.ended("down", Pass::Usual, Ending::Ill, now);
        }
        for n in 0..3 * HOSTS_MAX {
            breakers.ended(&format!("h{n}"), Pass::Usual, Ending::Ill, now);
        }
        assert!(breakers.hosts.len() <= HOSTS_MAX);
        assert_eq!(breakers.enter("down", now), Err(OPEN_FOR));
        assert_eq!(breakers.enter("other", now), Ok(Pass::Usual));
        breakers.ended("other", Pass::Usual, Ending::Well, now);
        assert!(!breakers.hosts.contains_key("other"));
    }
}
