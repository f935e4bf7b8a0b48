//! The language of alert rules: the part of PromQL that they need, as data.
//!
//! An expression is written in Rust, reads in the rules file as PromQL (`Display`), and is evaluated by
//! [`super::eval`] where there is no Prometheus. So each rule is written once.
//! Semantics: <https://prometheus.io/docs/prometheus/latest/querying/basics/>.

use std::fmt;
use std::time::Duration;

/// Which series of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The metric.
    pub metric: &'static str,
    /// Labels that must have a value.
    pub is: Vec<(&'static str, &'static str)>,
    /// Labels that must not have a value.
    pub is_not: Vec<(&'static str, &'static str)>,
    /// How long ago, or zero.
    pub offset: Duration,
}

/// What is made of a counter's samples within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Growth per second.
    Rate,
    /// Growth over the window.
    Increase,
}

/// How series become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Their sum: for counters that each process keeps for itself.
    Sum,
    /// The greatest: for gauges that every server reads from the same database.
    Max,
    /// The least.
    Min,
}

/// What is done with two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operators of PromQL under their own names")]
pub enum Operator {
    Minus,
    Times,
    Divide,
    Greater,
    AtLeast,
    AtMost,
    Equal,
    And,
    Or,
    Unless,
}

/// A vector, or a number.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A number.
    Number(f64),
    /// A length of time, as seconds.
    Seconds(Duration),
    /// Now, in seconds since 1970.
    Time,
    /// The newest sample of each series.
    Select(Selector),
    /// A counter over a window.
    Over(Range, Selector, Duration),
    /// Series that agree in some labels, as one.
    Fold(Fold, &'static [&'static str], Box<Expr>),
    /// The value below which a share of the observations of a histogram lies.
    Quantile(f64, Box<Expr>),
    /// The nearest whole number.
    Round(Box<Expr>),
    /// What is shorter becomes this, in seconds.
    ClampMin(Box<Expr>, Duration),
    /// 1 if there is nothing.
    Absent(Selector),
    /// Two expressions, matched on some labels or, without, on all.
    Both(Operator, Box<Expr>, Box<Expr>, Option<&'static [&'static str]>),
}

/// All series of a metric.
pub fn metric(metric: &'static str) -> Selector {
    Selector { metric, is: Vec::new(), is_not: Vec::new(), offset: Duration::ZERO }
}

/// A number.
pub fn number(value: f64) -> Expr {
    Expr::Number(value)
}

/// Now.
pub fn time() -> Expr {
    Expr::Time
}

/// Adds up what agrees in these labels.
pub fn sum(by: &'static [&'static str], of: impl Into<Expr>) -> Expr {
    Expr::Fold(Fold::Sum, by, Box::new(of.into()))
}

/// The greatest of what agrees in these labels.
pub fn max(by: &'static [&'static str], of: impl Into<Expr>) -> Expr {
    Expr::Fold(Fold::Max, by, Box::new(of.into()))
}

/// The least of what agrees in these labels.
pub fn min(by: &'static [&'static str], of: impl Into<Expr>) -> Expr {
    Expr::Fold(Fold::Min, by, Box::new(of.into()))
}

/// `histogram_quantile`.
pub fn quantile(share: f64, of: Expr) -> Expr {
    Expr::Quantile(share, Box::new(of))
}

/// 1 if there is no such series.
pub fn absent(of: Selector) -> Expr {
    Expr::Absent(of)
}

/// How much a counter grew in a window, as a whole number: PromQL extrapolates to the edges of the window.
pub fn grown(by: &'static [&'static str], of: Selector, window: Duration) -> Expr {
    Expr::Round(Box::new(sum(by, of.increase(window))))
}

impl Selector {
    /// Only series whose label is this.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: &'static str) -> Self {
        self.is.push((label, value));
        self
    }

    /// Only series whose label is not this.
    #[must_use]
    pub fn without(mut self, label: &'static str, value: &'static str) -> Self {
        self.is_not.push((label, value));
        self
    }

    /// As it was some time ago.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Self {
        Self { offset, ..self }
    }

    /// Growth per second.
    pub fn rate(self, window: Duration) -> Expr {
        Expr::Over(Range::Rate, self, window)
    }

    /// Growth over a window.
    pub fn increase(self, window: Duration) -> Expr {
        Expr::Over(Range::Increase, self, window)
    }
}

impl From<Selector> for Expr {
    fn from(selector: Selector) -> Self {
        Self::Select(selector)
    }
}

impl From<f64> for Expr {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<Duration> for Expr {
    fn from(length: Duration) -> Self {
        Self::Seconds(length)
    }
}

impl Expr {
    fn both(self, operator: Operator, other: impl Into<Self>) -> Self {
        Self::Both(operator, Box::new(self), Box::new(other.into()), None)
    }

    /// Matches the two sides of the outermost operator on these labels only.
    #[must_use]
    pub fn on(self, labels: &'static [&'static str]) -> Self {
        match self {
            Self::Both(operator, left, right, _) => Self::Both(operator, left, right, Some(labels)),
            other => other,
        }
    }

    /// What is shorter becomes `least`.
    #[must_use]
    pub fn at_least_as(self, least: Duration) -> Self {
        Self::ClampMin(Box::new(self), least)
    }
}

/// One method an operator, named as in PromQL or in words.
macro_rules! operators {
    ($($name:ident $operator:ident),*) => {
        impl Expr {
            $(
                #[doc = concat!("The operator ", stringify!($operator), ".")]
                #[must_use]
                pub fn $name(self, other: impl Into<Self>) -> Self {
                    self.both(Operator::$operator, other)
                }
            )*
        }
    };
}
operators!(
    minus Minus, times Times, over Divide, above Greater, at_least AtLeast, at_most AtMost, equals Equal,
    and And, or Or, unless Unless
);

impl Expr {
    /// Every selector within.
    pub fn selectors(&self) -> Vec<&Selector> {
        match self {
            Self::Number(_) | Self::Seconds(_) | Self::Time => Vec::new(),
            Self::Select(selector) | Self::Over(_, selector, _) | Self::Absent(selector) => vec![selector],
            Self::Fold(_, _, of) | Self::Quantile(_, of) | Self::Round(of) | Self::ClampMin(of, _) => {
                of.selectors()
            }
            Self::Both(_, left, right, _) => {
                let mut all = left.selectors();
                all.extend(right.selectors());
                all
            }
        }
    }

    /// How far back it looks.
    pub fn reach(&self) -> Duration {
        match self {
            Self::Number(_) | Self::Seconds(_) | Self::Time => Duration::ZERO,
            Self::Select(selector) | Self::Absent(selector) => selector.offset,
            Self::Over(_, selector, window) => selector.offset + *window,
            Self::Fold(_, _, of) | Self::Quantile(_, of) | Self::Round(of) | Self::ClampMin(of, _) => {
                of.reach()
            }
            Self::Both(_, left, right, _) => left.reach().max(right.reach()),
        }
    }
}

impl Operator {
    /// Whether it keeps what holds and drops the rest.
    pub(super) fn compares(self) -> bool {
        matches!(self, Self::Greater | Self::AtLeast | Self::AtMost | Self::Equal)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divide => "/",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

impl Selector {
    fn write(&self, f: &mut fmt::Formatter<'_>, window: Option<Duration>) -> fmt::Result {
        f.write_str(self.metric)?;
        let is = self.is.iter().map(|(label, value)| format!("{label}=\"{value}\""));
        let is_not = self.is_not.iter().map(|(label, value)| format!("{label}!=\"{value}\""));
        let matchers: Vec<String> = is.chain(is_not).collect();
        if !matchers.is_empty() {
            write!(f, "{{{}}}", matchers.join(","))?;
        }
        if let Some(window) = window {
            write!(f, "[{}]", span(window))?;
        }
        if !self.offset.is_zero() {
            write!(f, " offset {}", span(self.offset))?;
        }
        Ok(())
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(value) => write!(f, "{value}"),
            Self::Seconds(length) => write!(f, "{}", length.as_secs_f64()),
            Self::Time => f.write_str("time()"),
            Self::Select(selector) => write!(f, "{selector}"),
            Self::Over(range, selector, window) => {
                f.write_str(if *range == Range::Rate { "rate(" } else { "increase(" })?;
                selector.write(f, Some(*window))?;
                f.write_str(")")
            }
            Self::Fold(fold, by, of) => {
                f.write_str(match fold {
                    Fold::Sum => "sum",
                    Fold::Max => "max",
                    Fold::Min => "min",
                })?;
                if !by.is_empty() {
                    write!(f, " by ({}) ", by.join(", "))?;
                }
                write!(f, "({of})")
            }
            Self::Quantile(share, of) => write!(f, "histogram_quantile({share}, {of})"),
            Self::Round(of) => write!(f, "round({of})"),
            Self::ClampMin(of, least) => write!(f, "clamp_min({of}, {})", least.as_secs_f64()),
            Self::Absent(selector) => write!(f, "absent({selector})"),
            Self::Both(operator, left, right, on) => {
                let word = operator.word();
                write!(f, "{} {word} ", Inside(left))?;
                if let Some(on) = on {
                    write!(f, "on ({}) ", on.join(", "))?;
                }
                write!(f, "{}", Inside(right))
            }
        }
    }
}

/// An operand, in parentheses where it has operands of its own.
struct Inside<'a>(&'a Expr);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            inner @ Expr::Both(..) => write!(f, "({inner})"),
            inner => write!(f, "{inner}"),
        }
    }
}

/// A duration as PromQL writes it.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_expression_reads_as_promql() {
        let failed =
            sum(&["job_name"], metric("job_execution_total").with("status", "failed").rate(5 * MINUTE));
        assert_eq!(
            failed.above(0.1).to_string(),
            r#"sum by (job_name) (rate(job_execution_total{status="failed"}[5m])) > 0.1"#
        );
        let silent = time().minus(max(&[], metric("seen"))).above(5 * MINUTE).or(absent(metric("seen")));
        assert_eq!(silent.to_string(), "((time() - max(seen)) > 300) or absent(seen)");
        let size = || max(&["job_name"], metric("size"));
        let before = max(&["job_name"], metric("size").offset(10 * MINUTE)).times(1.5);
        assert_eq!(
            size().above(100.0).unless(size().at_most(before)).to_string(),
            "(max by (job_name) (size) > 100) unless (max by (job_name) (size) <= \
             (max by (job_name) (size offset 10m) * 1.5))"
        );
    }

    #[test]
    fn how_far_back_it_looks_is_known() {
        let expr = sum(&[], metric("a").offset(MINUTE).rate(5 * MINUTE)).above(metric("b"));
        assert_eq!(expr.reach(), 6 * MINUTE);
        assert_eq!(expr.selectors().len(), 2);
    }
}
