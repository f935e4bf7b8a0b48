//! The rules in another time: for whoever cannot wait hours to see an alert fire.

use std::time::Duration;

use super::expr::{Expr, Selector};
use super::rules::{Group, Rule};

/// What becomes of the times of a rule. Nothing else of it changes.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Of how long it must hold before it fires.
    pub hold: fn(Duration) -> Duration,
    /// Of the windows and limits in its expression.
    pub length: fn(Duration) -> Duration,
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").finish_non_exhaustive()
    }
}

impl Pace {
    /// A group of rules in this time.
    pub fn group(&self, group: Group) -> Group {
        let mut group = group;
        group.rules = group.rules.into_iter().map(|rule| self.rule(rule)).collect();
        group
    }

    /// A rule in this time.
    pub fn rule(&self, rule: Rule) -> Rule {
        let mut rule = rule;
        rule.hold = if rule.hold.is_zero() { rule.hold } else { (self.hold)(rule.hold) };
        self.change(&mut rule.expr);
        rule
    }

    fn change(&self, expr: &mut Expr) {
        match expr {
            Expr::Number(_) | Expr::Time => {}
            Expr::Seconds(length) => *length = (self.length)(*length),
            Expr::Select(selector) | Expr::Absent(selector) => self.change_offset(selector),
            Expr::Over(_, selector, window) => {
                self.change_offset(selector);
                *window = (self.length)(*window);
            }
            Expr::Fold(_, _, of) | Expr::Quantile(_, of) | Expr::Round(of) => self.change(of),
            Expr::ClampMin(of, least) => {
                *least = (self.length)(*least);
                self.change(of);
            }
            Expr::Both(_, left, right, _) => {
                self.change(left);
                self.change(right);
            }
        }
    }

    fn change_offset(&self, selector: &mut Selector) {
        if !selector.offset.is_zero() {
            selector.offset = (self.length)(selector.offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::rules::rules;

    #[test]
    fn every_time_of_a_rule_is_changed_and_nothing_else() {
        let pace = Pace { hold: |hold| hold / 60, length: |length| length / 60 };
        let told = |name: &str| {
            let rule = rules().into_iter().find(|rule| rule.name == name).map(|rule| pace.rule(rule));
            rule.map(|rule| (rule.expr.to_string(), rule.hold.as_secs())).expect(name)
        };
        for (name, expr, hold) in [
            (
                "NoLiveWorkersForQueue",
                "(max by (queue) (jobforge_jobs_ready) > 0) unless on (queue) (max by (queue) (jobforge_workers{state=\"live\"}) > 0)",
                2,
            ),
            (
                "BackgroundJobFailing",
                "sum by (job_name) (rate(job_execution_total{status=\"failed\"}[5s])) > 0.1",
                5,
            ),
            (
                "BackgroundJobQueueGrowing",
                "(max by (job_name) (job_queue_size) > 100) unless (max by (job_name) (job_queue_size) <= (max by (job_name) (job_queue_size offset 10s) * 1.5))",
                2,
            ),
            (
                "BackgroundJobHighDuration",
                "histogram_quantile(0.95, sum by (job_name, le) (rate(job_execution_duration_seconds_bucket[1m]))) > 5",
                15,
            ),
            (
                "BackgroundJobNotRunning",
                "((time() - max by (job_name) (jobforge_schedule_fresh_timestamp_seconds)) > on (job_name) clamp_min(max by (job_name) (jobforge_schedule_stale_after_seconds), 120)) unless on (job_name) (max by (job_name) (jobforge_schedule_paused) == 1)",
                0,
            ),
        ] {
            assert_eq!(told(name), (expr.to_owned(), hold), "{name}");
        }
    }
}
