//! Writing the numbers for Prometheus: its text format 0.0.4, and OpenMetrics 1.0 for those who ask for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::time::Instant;

use super::registry::{Registry, SHARED_FOR};
use super::series::Cell;
use super::table::TABLE;
use super::{Kind, Metric, Scope, Unit};

/// A way to write numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>
    Prometheus,
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
}

impl Format {
    /// What a client takes that sends this `Accept` header.
    pub fn accepted(accept: &str) -> Self {
        let wants = accept.split(',').any(|kind| kind.trim().starts_with("application/openmetrics-text"));
        if wants { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type` of what is written.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Registry {
    /// Writes everything, in the order of the table and each metric in the order of its labels.
    pub fn encode(&self, format: Format, now: Instant) -> String {
        let mut text = String::with_capacity(64 * 1024);
        for metric in TABLE {
            match metric.scope {
                Scope::Process => {
                    let cells: BTreeMap<Box<str>, Cell> = {
                        let family = self.family(metric);
                        family.cells.iter().map(|(key, cell)| (key.clone(), cell.clone())).collect()
                    };
                    if !cells.is_empty() {
                        head(&mut text, metric, format);
                        cells.iter().for_each(|(key, cell)| lines(&mut text, metric, key, cell));
                    }
                }
                Scope::Shared => self.shared_lines(&mut text, metric, format, now),
            }
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn shared_lines(&self, text: &mut String, metric: &Metric, format: Format, now: Instant) {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let age = shared.at.map(|at| now.saturating_duration_since(at));
        // Old numbers would look like health; a moment of long ago is as true as ever.
        let counts = age.is_some_and(|age| metric.unit == Unit::Timestamp || age < SHARED_FOR);
        let Some(numbers) = shared.numbers.get(metric.name).filter(|numbers| counts && !numbers.is_empty())
        else {
            return;
        };
        head(text, metric, format);
        for (key, value) in numbers {
            line(text, metric.name, "", key, "", *value);
        }
    }
}

fn head(text: &mut String, metric: &Metric, format: Format) {
    let kind = match (metric.kind, format) {
        // A counter of OpenMetrics ends in _total; ours that do not are named by a runbook.
        (Kind::Counter, Format::OpenMetrics) if !metric.name.ends_with("_total") => "unknown",
        (Kind::Counter, _) => "counter",
        (Kind::Gauge, _) => "gauge",
        (Kind::Histogram(_), _) => "histogram",
    };
    let name = match format {
        Format::OpenMetrics if kind == "counter" => metric.name.trim_end_matches("_total"),
        Format::OpenMetrics | Format::Prometheus => metric.name,
    };
    let whose = match metric.scope {
        Scope::Process => "this process",
        Scope::Shared => "all processes tell the same",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {} ({whose}).\n# TYPE {name} {kind}", metric.help);
}

fn lines(text: &mut String, metric: &Metric, key: &str, cell: &Cell) {
    match cell {
        Cell::Count(count) => line(text, metric.name, "", key, "", *count as f64),
        Cell::Level(level) => line(text, metric.name, "", key, "", *level),
        Cell::Spread { buckets, sum } => {
            let Kind::Histogram(bounds) = metric.kind else { return };
            let mut below = 0;
            for (at, count) in buckets.iter().enumerate() {
                below += count;
                let bound = bounds.get(at).map_or_else(|| "+Inf".to_owned(), f64::to_string);
                line(text, metric.name, "_bucket", key, &format!("le=\"{bound}\""), below as f64);
            }
            line(text, metric.name, "_sum", key, "", *sum);
            line(text, metric.name, "_count", key, "", below as f64);
        }
    }
}

fn line(text: &mut String, name: &str, part: &str, key: &str, more: &str, value: f64) {
    let comma = if key.is_empty() || more.is_empty() { "" } else { "," };
    let _ = if key.is_empty() && more.is_empty() {
        writeln!(text, "{name}{part} {value}")
    } else {
        writeln!(text, "{name}{part}{{{key}{comma}{more}}} {value}")
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::table;
    use super::super::{Label, MAX_SERIES, Metric, Names, Sample, Scope, Values};
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a moment to count from; which one is all the same")]
    fn now() -> Instant {
        Instant::now()
    }

    fn told(registry: &Registry) -> String {
        registry.encode(Format::Prometheus, now())
    }

    fn series(text: &str) -> usize {
        text.lines().filter(|line| !line.starts_with('#')).count()
    }

    #[test]
    fn counters_without_names_are_there_at_zero_and_the_runbooks_names_come_out_verbatim() {
        let text = told(&Registry::new());
        for line in [
            "# TYPE job_heartbeat_sent counter",
            "job_heartbeat_sent 0",
            "job_heartbeat_missed 0",
            "watchdog_jobs_moved_to_dlq 0",
            "watchdog_run_duration_ms 0",
            "jobforge_claims_total{result=\"empty\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_known_job_and_a_known_queue_begin_at_zero() {
        let registry = Registry::new();
        registry.know_job("mail.send");
        registry.know_queue("mail");
        let text = told(&registry);
        for line in [
            "job_execution_total{job_name=\"mail.send\",status=\"failed\"} 0",
            "job_items_processed_total{job_name=\"mail.send\",status=\"skipped\"} 0",
            "job_execution_duration_seconds_bucket{job_name=\"mail.send\",le=\"21600\"} 0",
            "job_execution_duration_seconds_count{job_name=\"mail.send\"} 0",
            "jobforge_attempts_total{queue=\"mail\",outcome=\"lost\"} 0",
            "jobforge_jobs_dead_total{queue=\"mail\",source=\"operator\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("job_last_success_timestamp_seconds"), "never succeeded is absent, not 1970");
    }

    #[test]
    fn buckets_are_cumulative_and_reach_beyond_the_limits_of_alerts() {
        let registry = Registry::new();
        for seconds in [0.2, 700.0, 100_000.0] {
            registry.observe(&table::EXECUTION_SECONDS, &["a"], Duration::from_secs_f64(seconds));
        }
        let text = told(&registry);
        for line in [
            "job_execution_duration_seconds_bucket{job_name=\"a\",le=\"0.1\"} 0",
            "job_execution_duration_seconds_bucket{job_name=\"a\",le=\"600\"} 1",
            "job_execution_duration_seconds_bucket{job_name=\"a\",le=\"900\"} 2",
            "job_execution_duration_seconds_bucket{job_name=\"a\",le=\"+Inf\"} 3",
            "job_execution_duration_seconds_sum{job_name=\"a\"} 100700.2",
            "job_execution_duration_seconds_count{job_name=\"a\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn label_values_are_escaped() {
        let registry = Registry::new();
        registry.add(&table::JOBS, &["a\"b\\c\nd"], 1);
        assert!(told(&registry).contains("jobforge_jobs_total{queue=\"a\\\"b\\\\c\\nd\"} 1\n"));
    }

    #[test]
    fn open_metrics_declares_the_three_unknown_and_strips_total_from_families() {
        let text = Registry::new().encode(Format::OpenMetrics, now());
        assert!(text.contains("# TYPE job_heartbeat_sent unknown\n"));
        assert!(text.contains("# TYPE jobforge_claims counter\n"));
        assert!(text.contains("\njobforge_claims_total{result=\"jobs\"} 0\n"));
        assert!(text.ends_with("# EOF\n"));
        let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(accept), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    }

    fn sample(metric: &'static Metric, labels: &[&str], value: f64) -> Sample {
        Sample { metric: metric.name, labels: labels.iter().map(|l| (*l).to_owned()).collect(), value }
    }

    #[test]
    fn a_shared_number_that_is_gone_is_not_told_and_old_ones_are_dropped_but_for_moments() {
        let (registry, begun) = (Registry::new(), now());
        registry.publish(vec![sample(&table::READY, &["a"], 3.0), sample(&table::READY, &["b"], 4.0)], begun);
        assert!(registry.encode(Format::Prometheus, begun).contains("jobforge_jobs_ready{queue=\"a\"} 3\n"));
        registry.publish(
            vec![sample(&table::READY, &["b"], 5.0), sample(&table::LAST_SUCCESS, &["j"], 1.7e9)],
            begun,
        );
        let text = registry.encode(Format::Prometheus, begun);
        assert!(!text.contains("queue=\"a\""), "{text}");
        assert!(text.contains("jobforge_jobs_ready{queue=\"b\"} 5\n"));
        let text = registry.encode(Format::Prometheus, begun + 2 * SHARED_FOR);
        assert!(!text.contains("jobforge_jobs_ready"), "{text}");
        assert!(text.contains("job_last_success_timestamp_seconds{job_name=\"j\"} 1700000000\n"));
    }

    #[test]
    fn names_that_are_too_many_fold_into_other_and_no_number_is_lost() {
        let (registry, begun) = (Registry::new(), now());
        for n in 0..5_000 {
            let (job, queue) = (format!("job-{n}"), format!("queue-{n}"));
            registry.know_job(&job);
            registry.know_queue(&queue);
            registry.add(&table::EXECUTIONS, &[&job, "success"], 1);
            registry.add(&table::ATTEMPTS, &[&queue, "lost"], 1);
            registry.add(&table::HTTP_REQUESTS, &[&format!("/{n}"), "GET", "200"], 1);
        }
        let (names, shared) = (0..5_000, table::TABLE.iter().filter(|metric| metric.scope == Scope::Shared));
        let shared: Vec<&'static Metric> = shared.copied().collect();
        let every = |n: usize| {
            let name = |metric: &&'static Metric| {
                let value = |label: &Label| match label.values {
                    Values::Fixed(values) => values[n % values.len()].to_owned(),
                    Values::Names(_) => format!("job-{n}"),
                    Values::Own => format!("word-{}", n % 100),
                };
                Sample { metric: metric.name, labels: metric.labels.iter().map(value).collect(), value: 2.0 }
            };
            shared.iter().map(name).collect::<Vec<_>>()
        };
        registry.publish(names.flat_map(every).collect(), begun);
        let text = registry.encode(Format::Prometheus, begun);
        let sum = |name: &str| -> f64 {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        assert_eq!(sum("job_execution_total"), 5_000.0);
        assert_eq!(sum("jobforge_attempts_total"), 5_000.0);
        assert_eq!(sum("jobforge_http_requests_total"), 5_000.0);
        assert_eq!(sum("job_queue_size"), 10_000.0);
        assert!(text.contains("job_queue_size{job_name=\"other\"}"));
        let names = text.lines().filter(|line| line.starts_with("job_queue_size{")).count();
        assert_eq!(names, Names::Job.most() + 1);
        assert!(registry.count(&table::OVERFLOW, &["job_name"]) >= 4_800);
        assert!(registry.count(&table::OVERFLOW, &["series"]) > 0);
        assert!(series(&text) <= MAX_SERIES, "{} series", series(&text));
    }
}
