//! What is wrong with a fleet, why it is thought so, and what mends it.
//!
//! Facts come in, gathered by whoever asks; areas come out, each with what was looked at and what was found. One fault gives one
//! finding: what follows from it is told as its evidence, not as a fault of its own.

mod ailment;
mod alike;
mod facts;
mod group;
mod hung;
mod jobs;
mod memory;
mod platform;
mod queues;
mod schedules;
mod servers;
mod shared;
#[cfg(test)]
mod tests;
mod workers;

use std::time::Duration;

use serde::Serialize;

pub use ailment::Ailment;
pub use facts::{
    BrokenRule, Database, Disk, Facts, Fault, Host, Pressure, Process, Queue, ScheduleFacts, Silent,
};

/// What ended within this time is still told of.
pub const LATELY: Duration = Duration::from_secs(3600);
/// So many jobs with one ailment are no accident.
pub const MANY: usize = 3;
/// Lines of evidence that one finding has at most.
const MOST_EVIDENCE: usize = 8;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Work goes on, but not as it should.
    Warning,
    /// Work stands still or is lost until somebody acts.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What `--fix` may do: each is harmless, whoever else works on the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fix", rename_all = "snake_case")]
pub enum Fix {
    /// Offer queued jobs that no worker can see, and forget offers of jobs that are not queued.
    Reconcile,
    /// Remove the socket of a server that has ended.
    RemoveSocket {
        /// Where it is.
        path: String,
    },
}

impl Fix {
    /// What it will do, before it is done.
    pub fn preview(&self) -> String {
        match self {
            Self::Reconcile => {
                "offer queued jobs that no worker can see, and forget offers of jobs that are not queued"
                    .to_owned()
            }
            Self::RemoveSocket { path } => format!("remove {path}, on which nobody listens"),
        }
    }

    /// Its action in the audit log.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Reconcile => "doctor.reconcile",
            Self::RemoveSocket { .. } => "doctor.remove_socket",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, the same in every version: `workers.frozen`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What was seen.
    pub evidence: Vec<String>,
    /// What it comes from, as far as that can be told.
    pub cause: String,
    /// Why that is thought.
    pub because: String,
    /// What mends it: commands to type, or what a person must do, the first one first.
    pub mend: Vec<String>,
    /// What `--fix` does about it.
    pub fix: Option<Fix>,
    /// Where more is written: what `jobforge runbook show` takes.
    pub runbook: &'static str,
}

impl Finding {
    fn new(name: &'static str, severity: Severity, what: impl Into<String>) -> Self {
        Self {
            name,
            severity,
            what: what.into(),
            evidence: Vec::new(),
            cause: String::new(),
            because: String::new(),
            mend: Vec::new(),
            fix: None,
            runbook: "README",
        }
    }

    fn seen(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        let mut all = evidence.into_iter();
        self.evidence.extend(all.by_ref().take(MOST_EVIDENCE.saturating_sub(self.evidence.len())));
        let more = all.count();
        if more > 0 {
            self.evidence.push(format!("and {more} more"));
        }
        self
    }

    fn comes_from(mut self, cause: impl Into<String>, because: impl Into<String>) -> Self {
        (self.cause, self.because) = (cause.into(), because.into());
        self
    }

    fn mended_by<'a>(mut self, mend: impl IntoIterator<Item = &'a str>) -> Self {
        self.mend.extend(mend.into_iter().map(str::to_owned));
        self
    }

    fn read_more(mut self, runbook: &'static str) -> Self {
        self.runbook = runbook;
        self
    }
}

/// One part of the whole.
#[derive(Debug, Clone, Serialize)]
pub struct Area {
    /// Its name.
    pub name: &'static str,
    /// What was looked at, with the numbers of now.
    pub summary: String,
    /// What is wrong with it, the worst first.
    pub findings: Vec<Finding>,
}

impl Area {
    fn new(name: &'static str, summary: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self { name, summary: summary.into(), findings }
    }

    /// `ok`, `warning` or `error`.
    pub fn state(&self) -> &'static str {
        self.findings.iter().map(|finding| finding.severity).max().map_or("ok", Severity::as_str)
    }
}

/// Examines everything.
///
/// Without an answer of the database only this host and its settings can be looked at; that it does not answer is the finding.
pub fn diagnose(facts: &Facts) -> Vec<Area> {
    let mut areas = vec![platform::database(facts), platform::host(facts), platform::settings(facts)];
    if let Ok(database) = &facts.database {
        let jobs = jobs::examine(database, &facts.host);
        areas.extend([
            servers::servers(database, &facts.host),
            workers::workers(database, &jobs),
            queues::queues(database),
            schedules::schedules(database, &jobs.schedules),
            jobs.area,
            platform::tokens(database),
        ]);
        let alerts = platform::alerts(database, &areas);
        areas.push(alerts);
    }
    for area in &mut areas {
        area.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    }
    areas
}

/// How bad the worst of all findings is.
pub fn worst(areas: &[Area]) -> Option<Severity> {
    areas.iter().flat_map(|area| &area.findings).map(|finding| finding.severity).max()
}
