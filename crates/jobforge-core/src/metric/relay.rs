//! Handing numbers from a worker process to its supervisor, which outlives it: what was counted since the last time.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::registry::Registry;
use super::series::Cell;
use super::table::TABLE;
use super::{Kind, Metric, Scope};

/// By how much a counter or a histogram has grown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The metric.
    metric: String,
    /// Its labels as they are written.
    labels: String,
    /// Growth: of the counter alone, or of each bucket.
    counts: Vec<u64>,
    /// Growth of a histogram's sum.
    #[serde(default)]
    sum: f64,
}

/// What was handed on so far.
#[derive(Debug, Default)]
pub struct Marks(HashMap<Series, (Vec<u64>, f64)>);

/// Name and labels.
type Series = (&'static str, Box<str>);

impl Registry {
    /// What has grown since the marks were set, new label sets at zero included. Gauges stay where they are.
    pub fn changes(&self, marks: &mut Marks) -> Vec<Change> {
        let mut changes = Vec::new();
        for metric in
            TABLE.iter().filter(|metric| metric.scope == Scope::Process && metric.kind != Kind::Gauge)
        {
            let family = self.family(metric);
            for (labels, cell) in &family.cells {
                let (counts, sum) = match cell {
                    Cell::Count(count) => (vec![*count], 0.0),
                    Cell::Spread { buckets, sum } => (buckets.clone(), *sum),
                    Cell::Level(_) => continue,
                };
                let key = (metric.name, labels.clone());
                let before = marks.0.get(&key);
                if before.is_some_and(|(told, _)| *told == counts) {
                    continue;
                }
                let grown = |(at, count): (usize, &u64)| {
                    count - before.and_then(|(told, _)| told.get(at)).copied().unwrap_or_default()
                };
                changes.push(Change {
                    metric: metric.name.to_owned(),
                    labels: labels.to_string(),
                    counts: counts.iter().enumerate().map(grown).collect(),
                    sum: sum - before.map_or(0.0, |(_, told)| *told),
                });
                marks.0.insert(key, (counts, sum));
            }
        }
        changes
    }

    /// Adds what another process has counted. What this program does not know is passed over.
    pub fn absorb(&self, changes: Vec<Change>) {
        for change in changes {
            let known =
                |metric: &&&'static Metric| metric.name == change.metric && metric.scope == Scope::Process;
            let Some(metric) = TABLE.iter().find(known) else { continue };
            self.change_written(metric, change.labels, |cell| match cell {
                Cell::Count(count) => *count += change.counts.first().copied().unwrap_or_default(),
                Cell::Spread { buckets, sum } => {
                    buckets.iter_mut().zip(&change.counts).for_each(|(bucket, grown)| *bucket += grown);
                    *sum += change.sum;
                }
                Cell::Level(_) => {}
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::table;
    use super::*;

    #[test]
    fn a_supervisor_tells_what_all_its_workers_counted_one_after_the_other() {
        let supervisor = Registry::new();
        for _ in 0..2 {
            let (worker, mut marks) = (Registry::new(), Marks::default());
            worker.know_queue("mail");
            worker.add(&table::JOBS, &["mail"], 3);
            supervisor.absorb(worker.changes(&mut marks));
            assert_eq!(worker.changes(&mut marks), [], "nothing has grown");
            worker.add(&table::JOBS, &["mail"], 2);
            worker.observe(&table::EXECUTION_SECONDS, &["a"], Duration::from_secs(7));
            let changes = worker.changes(&mut marks);
            assert_eq!(changes.len(), 2);
            let text = serde_json::to_string(&changes).unwrap();
            supervisor.absorb(serde_json::from_str(&text).unwrap());
        }
        assert_eq!(supervisor.count(&table::JOBS, &["mail"]), 10);
        assert_eq!(supervisor.count(&table::EXECUTION_SECONDS, &["a"]), 2);
        let cells = supervisor.family(&table::JOBS_FAILED).cells.len();
        assert_eq!(cells, 1, "a label set at zero is handed on as well");
    }
}
