//! What a process remembers of its metrics.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::series::{Cell, Family, written};
use super::table::{self, TABLE};
use super::{Kind, Metric, Names, OTHER, OWN_SERIES, RESERVED_SERIES, Scope, Unit, Values};

/// Shared numbers are told for so long after they were read; moments, which do not age, for ever.
pub(super) const SHARED_FOR: Duration = Duration::from_secs(30);

/// The numbers of this process.
pub fn process() -> &'static Registry {
    static PROCESS: LazyLock<Registry> = LazyLock::new(Registry::new);
    &PROCESS
}

/// A shared number.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Of which metric.
    pub metric: &'static str,
    /// The values of its labels.
    pub labels: Vec<String>,
    /// The number.
    pub value: f64,
}

/// Numbers by metric and label set. Every call is cheap and none blocks for long.
#[derive(Debug)]
pub struct Registry {
    pub(super) families: HashMap<&'static str, Mutex<Family>>,
    names: [Mutex<HashSet<Box<str>>>; 4],
    /// Where there were too many of them.
    others: [AtomicBool; 4],
    /// Lines that are told, without those of shared gauges.
    lines: AtomicUsize,
    pub(super) shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) at: Option<Instant>,
    pub(super) numbers: BTreeMap<&'static str, BTreeMap<String, f64>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// All that has no names in its labels is there at zero: what appears at five has never grown in Prometheus' eyes.
    pub fn new() -> Self {
        let family = |metric: &&'static Metric| (metric.name, Mutex::new(Family { cells: HashMap::new() }));
        let registry = Self {
            families: TABLE.iter().map(family).collect(),
            names: Default::default(),
            others: Default::default(),
            lines: AtomicUsize::new(0),
            shared: Mutex::default(),
        };
        for metric in TABLE.iter().filter(|metric| metric.scope == Scope::Process) {
            let fixed = |values: &Values| matches!(values, Values::Fixed(_));
            // A moment is never told as zero, which would be 1970.
            if metric.unit != Unit::Timestamp && metric.labels.iter().all(|label| fixed(&label.values)) {
                registry.zero(metric, None);
            }
        }
        registry
    }

    /// Begins a queue's counters at zero.
    pub fn know_queue(&self, queue: &str) {
        self.know(Names::Queue, queue);
    }

    /// Begins a job type's counters at zero.
    pub fn know_job(&self, name: &str) {
        self.know(Names::Job, name);
    }

    /// Begins a schedule's counters at zero, those of its jobs among them.
    pub fn know_schedule(&self, name: &str) {
        self.know(Names::Schedule, name);
        self.know(Names::Job, name);
    }

    fn know(&self, names: Names, name: &str) {
        if self.names(names).contains(name) {
            return;
        }
        let name = self.admit(names, name);
        // It is begun once, not with every name that is one too many.
        if name == OTHER && self.others[names.index()].swap(true, Ordering::Relaxed) {
            return;
        }
        for metric in TABLE.iter().filter(|metric| metric.scope == Scope::Process) {
            let named = |values: &Values| matches!(values, Values::Names(of) if *of == names);
            let known = |values: &Values| named(values) || matches!(values, Values::Fixed(_));
            let labels = metric.labels;
            if labels.iter().any(|label| named(&label.values))
                && labels.iter().all(|label| known(&label.values))
            {
                self.zero(metric, Some(&name));
            }
        }
    }

    /// Makes every label set of a metric, with `name` where names go.
    fn zero(&self, metric: &'static Metric, name: Option<&str>) {
        // Where there are many names, histograms wait for their first observation.
        if name.is_some() && metric.lines() > 1 && self.lines() > OWN_SERIES / 2 {
            return;
        }
        let mut sets: Vec<Vec<&str>> = vec![Vec::new()];
        for label in metric.labels {
            let one = [name.unwrap_or(OTHER)];
            let values = if let Values::Fixed(values) = label.values { values } else { &one };
            let mut longer = Vec::with_capacity(sets.len() * values.len());
            for set in &sets {
                longer.extend(values.iter().map(|value| [&set[..], &[*value]].concat()));
            }
            sets = longer;
        }
        for set in sets {
            self.change(metric, &set, |_| {});
        }
    }

    /// Adds to a counter.
    pub fn add(&self, metric: &'static Metric, labels: &[&str], n: u64) {
        self.change(metric, labels, |cell| {
            if let Cell::Count(count) = cell {
                *count += n;
            }
        });
    }

    /// Sets a gauge of this process.
    pub fn set(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        self.change(metric, labels, |cell| {
            if let Cell::Level(level) = cell {
                *level = value;
            }
        });
    }

    /// Moves a gauge of this process.
    pub fn shift(&self, metric: &'static Metric, labels: &[&str], by: f64) {
        self.change(metric, labels, |cell| {
            if let Cell::Level(level) = cell {
                *level += by;
            }
        });
    }

    /// Takes note of a length of time.
    pub fn observe(&self, metric: &'static Metric, labels: &[&str], took: Duration) {
        let Kind::Histogram(bounds) = metric.kind else { return };
        self.change(metric, labels, |cell| cell.observe(bounds, took.as_secs_f64()));
    }

    /// A counter's number now, or how many were observed.
    pub fn count(&self, metric: &'static Metric, labels: &[&str]) -> u64 {
        let key = written(metric, labels.iter().copied());
        match self.family(metric).cells.get(key.as_str()) {
            Some(Cell::Count(count)) => *count,
            Some(Cell::Spread { buckets, .. }) => buckets.iter().sum(),
            Some(Cell::Level(_)) | None => 0,
        }
    }

    /// Replaces all shared numbers. What is not among them any more is not told any more.
    pub fn publish(&self, samples: Vec<Sample>, at: Instant) {
        let mut numbers: BTreeMap<&'static str, BTreeMap<String, f64>> = BTreeMap::new();
        for sample in samples {
            let Some(metric) = Metric::named(sample.metric).filter(|metric| metric.scope == Scope::Shared)
            else {
                debug_assert!(false, "{} is no shared metric", sample.metric);
                continue;
            };
            let labels: Vec<&str> = sample.labels.iter().map(String::as_str).collect();
            let values = self.bounded(metric, &labels);
            let key = written(metric, values.iter().map(AsRef::as_ref));
            let of_metric = numbers.entry(metric.name).or_default();
            let number =
                of_metric.entry(key).or_insert(if metric.unit.adds_up() { 0.0 } else { sample.value });
            *number = if metric.unit.adds_up() { *number + sample.value } else { number.max(sample.value) };
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = Shared { at: Some(at), numbers };
    }

    /// Lines that are told of this process.
    pub fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }

    pub(super) fn family(&self, metric: &Metric) -> MutexGuard<'_, Family> {
        // Every metric is in the table, and every one in the table has its family.
        self.families[metric.name].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self, names: Names) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.names[names.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name, or `other` if there are too many.
    fn admit<'a>(&self, names: Names, name: &'a str) -> Cow<'a, str> {
        let mut known = self.names(names);
        if known.contains(name) || name == OTHER {
            return name.into();
        }
        if known.len() < names.most() {
            known.insert(name.into());
            return name.into();
        }
        drop(known);
        self.add(&table::OVERFLOW, &[names.as_str()], 1);
        OTHER.into()
    }

    fn bounded<'a>(&self, metric: &Metric, labels: &[&'a str]) -> Vec<Cow<'a, str>> {
        debug_assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
        let value = |(label, value): (&super::Label, &&'a str)| match label.values {
            Values::Names(names) => self.admit(names, value),
            Values::Fixed(values) if !values.contains(value) => OTHER.into(),
            Values::Fixed(_) | Values::Own => Cow::Borrowed(*value),
        };
        metric.labels.iter().zip(labels).map(value).collect()
    }

    fn change(&self, metric: &'static Metric, labels: &[&str], change: impl FnOnce(&mut Cell)) {
        let values = self.bounded(metric, labels);
        let key = written(metric, values.iter().map(AsRef::as_ref));
        self.change_written(metric, key, change);
    }

    /// The same with labels that are bounded and written already.
    pub(super) fn change_written(
        &self,
        metric: &'static Metric,
        key: String,
        change: impl FnOnce(&mut Cell),
    ) {
        let mut family = self.family(metric);
        if let Some(cell) = family.cells.get_mut(key.as_str()) {
            return change(cell);
        }
        let room = self.lines() + metric.lines() <= OWN_SERIES - RESERVED_SERIES;
        let key = if room { key } else { written(metric, metric.labels.iter().map(|_| OTHER)) };
        if !family.cells.contains_key(key.as_str()) {
            if self.lines() + metric.lines() > OWN_SERIES {
                return;
            }
            self.lines.fetch_add(metric.lines(), Ordering::Relaxed);
            family.cells.insert(key.as_str().into(), Cell::zero(metric));
        }
        if let Some(cell) = family.cells.get_mut(key.as_str()) {
            change(cell);
        }
        drop(family);
        if !room {
            self.add(&table::OVERFLOW, &["series"], 1);
        }
    }
}
