//! What the way between worker and server does to what passes.

use std::time::Duration;

use jobforge::core::job::{JobId, Lease};
use jobforge::core::settle::spread;
use serde_json::Value;
use uuid::Uuid;

use super::record::Call;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Going {
    Pass,
    /// It takes longer.
    Wait(Duration),
    /// The connection breaks after this time, before the server has seen anything.
    Lose(Duration),
    /// The connection breaks after this time, unless the answer is there.
    Cut(Duration),
    /// It arrives when the gate is opened, even if the worker has hung up meanwhile.
    Late,
    /// It is answered 503 in the server's place.
    Refuse,
}

/// What happens to an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Coming {
    Pass,
    /// The connection breaks before the worker sees it.
    Lose,
}

type OnRequest = Box<dyn FnMut(Call) -> Going + Send>;
type OnAnswer = Box<dyn FnMut(Call, &Value) -> Coming + Send>;

/// Decides for every request and every answer; calm unless told otherwise.
pub(super) struct Weather {
    pub(super) going: OnRequest,
    pub(super) coming: OnAnswer,
    /// Changes what the server has answered.
    pub(super) rewrite: fn(&mut Value),
}

impl Default for Weather {
    fn default() -> Self {
        Self { going: Box::new(|_| Going::Pass), coming: Box::new(|_, _| Coming::Pass), rewrite: |_| {} }
    }
}

impl Weather {
    pub(super) fn going(decide: impl FnMut(Call) -> Going + Send + 'static) -> Self {
        Self { going: Box::new(decide), ..Self::default() }
    }

    pub(super) fn coming(decide: impl FnMut(Call, &Value) -> Coming + Send + 'static) -> Self {
        Self { coming: Box::new(decide), ..Self::default() }
    }

    pub(super) fn rewriting(rewrite: fn(&mut Value)) -> Self {
        Self { rewrite, ..Self::default() }
    }

    /// A third of all requests or of their answers get lost, by the numbers of a seed.
    pub(super) fn storm(seed: u64) -> Self {
        let (mut requests, mut answers) = (Dice::new(seed), Dice::new(!seed));
        Self {
            going: Box::new(move |_| match requests.throw() {
                roll if roll < 0.12 => Going::Lose(Duration::ZERO),
                roll if roll < 0.24 => Going::Cut(Duration::from_millis((requests.throw() * 300.0) as u64)),
                _ => Going::Pass,
            }),
            coming: Box::new(move |_, _| if answers.throw() < 0.12 { Coming::Lose } else { Coming::Pass }),
            ..Self::default()
        }
    }
}

/// Numbers in 0..1 that a seed decides.
struct Dice {
    seed: JobId,
    throws: i64,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self { seed: JobId(Uuid::from_u128(u128::from(seed))), throws: 0 }
    }

    fn throw(&mut self) -> f64 {
        self.throws += 1;
        spread(self.seed, Lease(self.throws))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_the_same_for_the_same_seed_and_neither_calm_nor_the_end() {
        let fates = |seed| {
            let mut storm = Weather::storm(seed);
            (0..1000)
                .map(|_| ((storm.going)(Call::Claim), (storm.coming)(Call::Claim, &Value::Null)))
                .collect::<Vec<_>>()
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
        let calm = fates(7).iter().filter(|fate| **fate == (Going::Pass, Coming::Pass)).count();
        assert!((550..800).contains(&calm), "{calm}");
    }
}
