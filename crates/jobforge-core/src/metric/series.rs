//! The numbers of one metric, by label set.

use std::collections::HashMap;

use super::{Kind, Metric};

/// One number, or one histogram.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Count(u64),
    Level(f64),
    Spread {
        /// Observations of each bucket, the last without bound. Not cumulative.
        buckets: Vec<u64>,
        sum: f64,
    },
}

impl Cell {
    pub(super) fn zero(metric: &Metric) -> Self {
        match metric.kind {
            Kind::Counter => Self::Count(0),
            Kind::Gauge => Self::Level(0.0),
            Kind::Histogram(bounds) => Self::Spread { buckets: vec![0; bounds.len() + 1], sum: 0.0 },
        }
    }

    pub(super) fn observe(&mut self, bounds: &[f64], value: f64) {
        if let Self::Spread { buckets, sum } = self {
            let at = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
            if let Some(bucket) = buckets.get_mut(at) {
                *bucket += 1;
                *sum += value;
            }
        }
    }
}

/// A metric with its numbers, by its labels as they are written.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) cells: HashMap<Box<str>, Cell>,
}

/// Writes labels as the text format wants them: `queue="mail",outcome="dead"`.
pub(super) fn written<'a>(metric: &Metric, values: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::with_capacity(48);
    for (label, value) in metric.labels.iter().zip(values) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(label.name);
        text.push_str("=\"");
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}
