//! What is made from the table for people and checks.

use std::fmt::Write as _;

use super::table::TABLE;
use super::{Kind, Metric, Scope, Values};

/// The table as `docs/metrics.md` has it.
pub fn docs_table() -> String {
    let mut text =
        String::from("| Metric | Kind | Labels | Unit | Whose | Meaning |\n|---|---|---|---|---|---|\n");
    for metric in TABLE {
        let kind = match metric.kind {
            Kind::Counter => "counter".to_owned(),
            Kind::Gauge => "gauge".to_owned(),
            Kind::Histogram(bounds) => {
                let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
                format!("histogram: {}", bounds.join(" "))
            }
        };
        let whose = match metric.scope {
            Scope::Process => "process",
            Scope::Shared => "shared",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {} | {whose} | {} |",
            metric.name,
            labels(metric),
            metric.unit.as_str(),
            metric.help
        );
    }
    text
}

fn labels(metric: &Metric) -> String {
    let told = metric.labels.iter().map(|label| match label.values {
        Values::Fixed(values) => format!("`{}`: {}", label.name, values.join(", ")),
        Values::Names(names) => format!("`{}` (at most {})", label.name, names.most()),
        Values::Own => format!("`{}`", label.name),
    });
    told.collect::<Vec<_>>().join("; ")
}

/// What `promtool check metrics` says of the runbooks' own names; anything else that it says is a mistake.
pub fn promtool_exceptions() -> Vec<String> {
    let counters =
        TABLE.iter().filter(|metric| metric.kind == Kind::Counter && !metric.name.ends_with("_total"));
    let mut lines: Vec<String> = counters
        .map(|metric| format!("{} counter metrics should have \"_total\" suffix", metric.name))
        .collect();
    lines.push("watchdog_run_duration_ms metric names should not contain abbreviated units".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/metrics.md");
    const MARKS: (&str, &str) = (
        "<!-- the table begins: made from crates/jobforge-core/src/metric/table.rs -->\n",
        "<!-- the table ends -->\n",
    );

    #[test]
    fn the_page_of_metrics_has_the_table_as_it_is() {
        let (before, rest) = PAGE.split_once(MARKS.0).unwrap();
        let (table, after) = rest.split_once(MARKS.1).unwrap();
        if table == docs_table() {
            return;
        }
        let page = format!("{before}{}{}{}{after}", MARKS.0, docs_table(), MARKS.1);
        let new = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/metrics.md");
        let _ = std::fs::create_dir_all(new.parent().unwrap());
        std::fs::write(&new, page).unwrap();
        panic!("docs/metrics.md is out of date: mv target/metrics.md docs/metrics.md");
    }

    #[test]
    fn names_follow_the_conventions_but_for_the_runbooks_own() {
        let mut names = BTreeSet::new();
        for metric in TABLE {
            assert!(names.insert(metric.name), "{} stands twice", metric.name);
            let exempt = ["job_heartbeat_sent", "job_heartbeat_missed", "watchdog_jobs_moved_to_dlq"];
            assert_eq!(
                metric.kind == Kind::Counter && !exempt.contains(&metric.name),
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            assert!(!metric.help.ends_with('.') && !metric.help.contains('\n'), "{}", metric.name);
            let forbidden = ["job_id", "worker_id", "hostname", "user", "url", "error"];
            assert!(metric.labels.iter().all(|label| !forbidden.contains(&label.name)), "{}", metric.name);
        }
    }
}
