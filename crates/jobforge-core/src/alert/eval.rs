//! What an expression says at a moment, with the semantics of Prometheus.

use std::collections::BTreeMap;
use std::time::Duration;

use super::expr::{Expr, Fold, Operator, Range};
use super::history::{History, Labels, millis};

/// Series with a value each.
pub type Vector = Vec<(Labels, f64)>;

/// What an expression comes to.
enum Value {
    Scalar(f64),
    Vector(Vector),
}

/// The series for which the expression holds, with their values. A number holds for nothing.
pub fn evaluate(expr: &Expr, history: &History, now: jiff::Timestamp) -> Vector {
    Moment { history, now: now.as_millisecond() }.value(expr).vector()
}

struct Moment<'a> {
    history: &'a History,
    now: i64,
}

impl Value {
    fn vector(self) -> Vector {
        match self {
            Self::Scalar(_) => Vec::new(),
            Self::Vector(vector) => vector,
        }
    }

    fn map(self, change: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Scalar(value) => Self::Scalar(change(value)),
            Self::Vector(vector) => {
                Self::Vector(vector.into_iter().map(|(labels, value)| (labels, change(value))).collect())
            }
        }
    }
}

impl Moment<'_> {
    fn value(&self, expr: &Expr) -> Value {
        match expr {
            Expr::Number(value) => Value::Scalar(*value),
            Expr::Seconds(length) => Value::Scalar(length.as_secs_f64()),
            #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in a double")]
            Expr::Time => Value::Scalar(self.now as f64 / 1000.0),
            Expr::Select(selector) => Value::Vector(self.history.newest(selector, self.now)),
            Expr::Over(range, selector, window) => {
                let series = self.history.window(selector, self.now, *window).into_iter();
                let end = self.now - millis(selector.offset);
                let grown = series.filter_map(|(labels, points)| {
                    Some((labels, extrapolated(&points, end, *window, *range)?))
                });
                Value::Vector(grown.collect())
            }
            Expr::Fold(fold, by, of) => Value::Vector(folded(*fold, by, self.value(of).vector())),
            Expr::Quantile(share, of) => Value::Vector(quantiles(*share, self.value(of).vector())),
            Expr::Round(of) => self.value(of).map(|value| (value + 0.5).floor()),
            Expr::ClampMin(of, least) => self.value(of).map(|value| value.max(least.as_secs_f64())),
            Expr::Absent(selector) => {
                let none = self.history.newest(selector, self.now).is_empty();
                let labels =
                    selector.is.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
                Value::Vector(if none { vec![(labels.collect(), 1.0)] } else { Vec::new() })
            }
            Expr::Both(operator, left, right, on) => {
                both(*operator, self.value(left), self.value(right), *on)
            }
        }
    }
}

/// A counter's growth over the window, resets made good, extrapolated to the window's edges where the samples come
/// near them: `extrapolatedRate` of Prometheus.
#[expect(clippy::cast_precision_loss, reason = "windows are far below 2^53 milliseconds, samples below 2^53")]
fn extrapolated(points: &[(i64, f64)], end: i64, window: Duration, range: Range) -> Option<f64> {
    let (&(first_at, first), &(last_at, last)) = (points.first()?, points.last()?);
    let resets: f64 = points.windows(2).map(|pair| if pair[1].1 < pair[0].1 { pair[0].1 } else { 0.0 }).sum();
    let grown = last - first + resets;
    let sampled = (last_at - first_at) as f64;
    if points.len() < 2 || sampled <= 0.0 {
        return None;
    }
    let between = sampled / (points.len() - 1) as f64;
    let reach = |gap: f64| if gap < between * 1.1 { gap } else { between / 2.0 };
    let mut before = (first_at - (end - millis(window))) as f64;
    if grown > 0.0 && first >= 0.0 {
        // A counter is never below zero: it cannot have grown for longer than from there.
        before = before.min(sampled * first / grown);
    }
    let covered = sampled + reach(before) + reach((end - last_at) as f64);
    let increase = grown * covered / sampled;
    Some(match range {
        Range::Increase => increase,
        Range::Rate => increase / window.as_secs_f64(),
    })
}

fn folded(fold: Fold, by: &[&str], vector: Vector) -> Vector {
    let mut groups: BTreeMap<Labels, f64> = BTreeMap::new();
    for (labels, value) in vector {
        groups
            .entry(only(&labels, by))
            .and_modify(|sofar| {
                *sofar = match fold {
                    Fold::Sum => *sofar + value,
                    Fold::Max => sofar.max(value),
                    Fold::Min => sofar.min(value),
                }
            })
            .or_insert(value);
    }
    groups.into_iter().collect()
}

/// Where the share lies within the buckets of each histogram, straight between a bucket's bounds.
fn quantiles(share: f64, vector: Vector) -> Vector {
    let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (mut labels, count) in vector {
        let bound = labels.remove("le").and_then(|bound| bound.parse().ok());
        if let Some(bound) = bound {
            histograms.entry(labels).or_default().push((bound, count));
        }
    }
    let found = histograms.into_iter().filter_map(|(labels, mut buckets)| {
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        Some((labels, within(share, &buckets)?))
    });
    found.collect()
}

fn within(share: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let (top, all) = *buckets.last()?;
    if top.is_finite() || all <= 0.0 || buckets.len() < 2 {
        return None;
    }
    let rank = share * all;
    let at = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (bound, count) = buckets[at];
    if at == buckets.len() - 1 {
        // Beyond the last finite bound nothing is known but that.
        return Some(buckets[at - 1].0);
    }
    let (from, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    Some(from + (bound - from) * (rank - below) / (count - below))
}

fn both(operator: Operator, left: Value, right: Value, on: Option<&[&str]>) -> Value {
    let apply = |one, other| applied(operator, one, other);
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(calculated(operator, left, right)),
        (Value::Vector(left), Value::Scalar(right)) => {
            let applied = |(labels, value)| Some((labels, apply(value, right)?));
            Value::Vector(left.into_iter().filter_map(applied).collect())
        }
        (Value::Scalar(left), Value::Vector(right)) => {
            // A comparison keeps the value of the series, on whichever side it stands.
            let kept = |value, result| if operator.compares() { value } else { result };
            let applied = |(labels, value)| Some((labels, kept(value, apply(left, value)?)));
            Value::Vector(right.into_iter().filter_map(applied).collect())
        }
        (Value::Vector(left), Value::Vector(right)) => Value::Vector(matched(operator, left, right, on)),
    }
}

fn matched(operator: Operator, left: Vector, right: Vector, on: Option<&[&str]>) -> Vector {
    let key = |labels: &Labels| on.map_or_else(|| labels.clone(), |on| only(labels, on));
    let theirs: BTreeMap<Labels, f64> = right.iter().map(|(labels, value)| (key(labels), *value)).collect();
    match operator {
        Operator::And => left.into_iter().filter(|(labels, _)| theirs.contains_key(&key(labels))).collect(),
        Operator::Unless => {
            left.into_iter().filter(|(labels, _)| !theirs.contains_key(&key(labels))).collect()
        }
        Operator::Or => {
            let ours: Vec<Labels> = left.iter().map(|(labels, _)| key(labels)).collect();
            let more = right.into_iter().filter(|(labels, _)| !ours.contains(&key(labels)));
            left.into_iter().chain(more).collect()
        }
        _ => {
            let pairs = left.into_iter().filter_map(|(labels, value)| {
                let key = key(&labels);
                Some((key.clone(), applied(operator, value, *theirs.get(&key)?)?))
            });
            pairs.collect()
        }
    }
}

/// The result, or nothing where a comparison does not hold.
fn applied(operator: Operator, left: f64, right: f64) -> Option<f64> {
    let holds = match operator {
        Operator::Greater => left > right,
        Operator::AtLeast => left >= right,
        Operator::AtMost => left <= right,
        #[expect(clippy::float_cmp, reason = "what == means in PromQL")]
        Operator::Equal => left == right,
        _ => return Some(calculated(operator, left, right)),
    };
    holds.then_some(left)
}

fn calculated(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Minus => left - right,
        Operator::Times => left * right,
        Operator::Divide => left / right,
        _ => f64::NAN,
    }
}

fn only(labels: &Labels, names: &[&str]) -> Labels {
    let kept = labels.iter().filter(|(name, _)| names.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
