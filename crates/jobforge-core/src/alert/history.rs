//! What metrics were at earlier moments, as far back as rules look: a small store of time series.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::expr::Selector;

/// How long a sample stands for its series when none follows, as in Prometheus.
const LOOKBACK: Duration = Duration::from_secs(300);

/// The labels of a series.
pub type Labels = BTreeMap<String, String>;

/// One value of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric, with `_bucket` and the like.
    pub metric: String,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// A series: its samples in the order of time; `None` where it ended.
type Points = Vec<(i64, Option<f64>)>;

/// The samples of some hours.
#[derive(Debug, Default)]
pub struct History {
    metrics: HashMap<String, BTreeMap<Labels, Points>>,
    /// Which series each source told of last.
    told: HashMap<String, BTreeSet<(String, Labels)>>,
}

impl History {
    /// Takes in all that one source tells of at one moment. A series that it told of before and does not any more has
    /// ended. What is older than the newest sample of its series is passed over.
    pub fn take(&mut self, source: &str, at: Timestamp, samples: impl IntoIterator<Item = Sample>) {
        let at = at.as_millisecond();
        let mut told = BTreeSet::new();
        for sample in samples {
            told.insert((sample.metric.clone(), sample.labels.clone()));
            self.push(sample.metric, sample.labels, at, Some(sample.value));
        }
        let before = self.told.insert(source.to_owned(), told.clone()).unwrap_or_default();
        for (metric, labels) in before.difference(&told) {
            self.push(metric.clone(), labels.clone(), at, None);
        }
    }

    fn push(&mut self, metric: String, labels: Labels, at: i64, value: Option<f64>) {
        let points = self.metrics.entry(metric).or_default().entry(labels).or_default();
        if points.last().is_none_or(|(last, _)| *last < at) {
            points.push((at, value));
        }
    }

    /// Forgets what is older than `oldest`.
    pub fn forget(&mut self, oldest: Timestamp) {
        let oldest = oldest.as_millisecond();
        for series in self.metrics.values_mut() {
            series.retain(|_, points| {
                let old = points.partition_point(|(at, _)| *at < oldest);
                points.drain(..old);
                !points.is_empty()
            });
        }
        self.metrics.retain(|_, series| !series.is_empty());
        self.told.retain(|_, told| !told.is_empty());
    }

    /// The newest value of each series, `now` less the selector's offset.
    pub(super) fn newest(&self, selector: &Selector, now: i64) -> Vec<(Labels, f64)> {
        let now = now - millis(selector.offset);
        self.matching(selector)
            .filter_map(|(labels, points)| {
                let upto = points.partition_point(|(at, _)| *at <= now);
                let (at, value) = points.get(upto.checked_sub(1)?)?;
                (*at > now - millis(LOOKBACK)).then_some((labels.clone(), (*value)?))
            })
            .collect()
    }

    /// All values of each series within a window that ends `now` less the selector's offset.
    pub(super) fn window(
        &self,
        selector: &Selector,
        now: i64,
        window: Duration,
    ) -> Vec<(Labels, Vec<(i64, f64)>)> {
        let now = now - millis(selector.offset);
        let begin = now - millis(window);
        self.matching(selector)
            .map(|(labels, points)| {
                let from = points.partition_point(|(at, _)| *at <= begin);
                let upto = points.partition_point(|(at, _)| *at <= now);
                let within = points.get(from..upto).unwrap_or_default();
                (labels.clone(), within.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect())
            })
            .collect()
    }

    fn matching<'a>(&'a self, selector: &'a Selector) -> impl Iterator<Item = (&'a Labels, &'a Points)> {
        self.metrics.get(selector.metric).into_iter().flatten().filter(|(labels, _)| {
            let value = |label: &str| labels.get(label).map_or("", String::as_str);
            selector.is.iter().all(|(label, wanted)| value(label) == *wanted)
                && selector.is_not.iter().all(|(label, unwanted)| value(label) != *unwanted)
        })
    }
}

/// Milliseconds, as far as they can be told.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
