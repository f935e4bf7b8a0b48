//! What is counted and measured: the table of metrics as data, what a process remembers of them, and how they are written
//! for Prometheus.
//!
//! Two kinds of numbers. What a *process* did since its start is counted where it happens, and summed over processes. What
//! is *shared* is read from the database from time to time; every server tells the same, so the highest counts.
//!
//! Why no library: the shared gauges of a queue that is gone must be gone with the next look, three counters of the
//! runbooks are named against the rules and are `unknown` under OpenMetrics, and what a worker process counted is added to
//! what its supervisor tells, buckets and all. `metrics-exporter-prometheus` forgets by time only and takes no buckets;
//! `prometheus-client` renames the three.

mod attempt;
mod encode;
mod page;
mod registry;
mod relay;
mod series;
pub mod table;

pub use attempt::{Attempt, DeadSource, End};
pub use encode::Format;
pub use page::{docs_table, promtool_exceptions};
pub use registry::{Registry, Sample, process};
pub use relay::{Change, Marks};

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, verbatim.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Its labels, in the order in which values are given.
    pub labels: &'static [Label],
    /// What its value is in.
    pub unit: Unit,
    /// Whose number it is.
    pub scope: Scope,
    /// What it means, in a line.
    pub help: &'static str,
}

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Grows, and begins at 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by their size; these are the upper bounds, without infinity.
    Histogram(&'static [f64]),
}

/// What a value is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// A length of time.
    Seconds,
    /// A length of time, as one runbook wants it.
    Milliseconds,
    /// A moment, in seconds since 1970.
    Timestamp,
    /// 0 or 1.
    Flag,
    /// Things a minute.
    PerMinute,
}

impl Unit {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Timestamp => "Unix time",
            Self::Flag => "0 or 1",
            Self::PerMinute => "per minute",
        }
    }

    /// Whether two values of the same label are added; otherwise the higher one counts.
    pub(crate) fn adds_up(self) -> bool {
        matches!(self, Self::Count | Self::PerMinute)
    }
}

/// Whose number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What this process did since its start: sum over processes.
    Process,
    /// Read from the database, the same in every server: take the highest.
    Shared,
}

/// One label.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What values it takes.
    pub values: Values,
}

/// What values a label takes.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// One of these; all are there from the start.
    Fixed(&'static [&'static str]),
    /// Names that are bounded in number; further ones become `other`.
    Names(Names),
    /// Words of this program itself, which are few.
    Own,
}

/// Names that come from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Job types, and schedules whose jobs ended: what is registered first, then what is met.
    Job,
    /// Schedules.
    Schedule,
    /// Queues.
    Queue,
    /// Tenants, and only those with a budget.
    Tenant,
}

impl Names {
    /// How many different ones are told.
    pub const fn most(self) -> usize {
        match self {
            Self::Job | Self::Schedule | Self::Queue => 200,
            Self::Tenant => 100,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Job => 0,
            Self::Schedule => 1,
            Self::Queue => 2,
            Self::Tenant => 3,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job_name",
            Self::Schedule => "schedule",
            Self::Queue => "queue",
            Self::Tenant => "tenant",
        }
    }
}

/// What names become that are too many.
pub const OTHER: &str = "other";
/// Series that a process tells at most.
pub const MAX_SERIES: usize = 10_000;
/// Of these so many are of the process itself; the bounds on names keep shared ones below the rest.
const OWN_SERIES: usize = 4_500;
/// Of the process's own so many are left for what the rest folds into.
const RESERVED_SERIES: usize = 500;

impl Metric {
    /// How many lines one label set of it takes.
    pub fn lines(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram(bounds) => bounds.len() + 3,
        }
    }

    /// The metric of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        table::TABLE.iter().copied().find(|metric| metric.name == name)
    }
}
