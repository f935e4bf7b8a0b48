//! From what rules say now to what fires: an alert waits as long as its rule says, fires once, and is resolved once.

use jiff::Timestamp;

use super::eval::evaluate;
use super::history::{History, Labels};
use super::rules::{Rule, Severity};
use super::text;
use crate::time::since;

/// A rule that holds for one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    /// The rule's name.
    pub rule: String,
    /// The series.
    pub labels: Labels,
    /// Since when it holds.
    pub since: Timestamp,
    /// When it began to fire; until then it waits.
    pub fired_at: Option<Timestamp>,
    /// What the rule came to last.
    pub value: f64,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence with the numbers of now.
    pub summary: String,
}

/// What became of the rules at a moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judged {
    /// All that holds, firing or not yet.
    pub active: Vec<Active>,
    /// What began to fire at this moment.
    pub fired: Vec<Active>,
    /// What fired until this moment.
    pub resolved: Vec<Active>,
}

/// Judges every rule at `now`, knowing what held `before`.
pub fn judge(rules: &[Rule], history: &mut History, now: Timestamp, before: &[Active]) -> Judged {
    let mut judged = Judged::default();
    for rule in rules {
        for (labels, value) in evaluate(&rule.expr, history, now) {
            let known = before.iter().find(|active| active.rule == rule.name && active.labels == labels);
            let since_then = known.map_or(now, |active| active.since);
            let fired_at = known.and_then(|active| active.fired_at);
            let ripe = since(now, since_then) >= rule.hold;
            let active = Active {
                rule: rule.name.to_owned(),
                summary: text::render(rule.summary, &labels, value),
                labels,
                since: since_then,
                fired_at: fired_at.or(ripe.then_some(now)),
                value,
                severity: rule.severity,
            };
            if fired_at.is_none() && ripe {
                judged.fired.push(active.clone());
            }
            judged.active.push(active);
        }
    }
    let holds = |was: &Active| judged.active.iter().any(|is| is.rule == was.rule && is.labels == was.labels);
    judged.resolved = before.iter().filter(|was| was.fired_at.is_some() && !holds(was)).cloned().collect();
    judged
}
