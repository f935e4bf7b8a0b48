//! The cases as a file of promtool's rule tests. What it expects, texts and numbers included, is what the built-in
//! evaluator says: so promtool judges that too.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use jobforge_core::alert::history::{History, Labels, Sample};
use jobforge_core::alert::render::runbook_url;
use jobforge_core::alert::rules::{Rule, rules};
use jobforge_core::alert::state::{Active, judge};

use super::alert_cases::{Case, cases};

const NOTATION: &str = "values are written as promtool reads them";

/// What fires at each minute of the case that it asks for.
pub(crate) fn played(case: &Case, rules: &[Rule]) -> Vec<(i64, Vec<Active>)> {
    let values: Vec<(String, Labels, Vec<Option<f64>>)> = case
        .series
        .iter()
        .map(|(series, notation)| {
            let (metric, labels) = parsed(series);
            (metric, labels, expanded(notation))
        })
        .collect();
    let last = case.fires.iter().map(|(minute, _)| *minute).max().unwrap_or_default();
    let mut history = History::default();
    let mut active = Vec::new();
    let mut told = Vec::new();
    for (index, minute) in (0..=last).enumerate() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let sample = |(metric, labels, values): &(String, Labels, Vec<Option<f64>>)| {
            let value = values.get(index).copied().flatten()?;
            Some(Sample { metric: metric.clone(), labels: labels.clone(), value })
        };
        history.take("case", now, values.iter().filter_map(sample));
        active = judge(rules, &mut history, now, &active).active;
        if case.fires.iter().any(|(asked, _)| *asked == minute) {
            let firing = active.iter().filter(|active| active.rule == case.rule && active.fired_at.is_some());
            told.push((minute, firing.cloned().collect()));
        }
    }
    told
}

/// `name{label="value",…}`
fn parsed(series: &str) -> (String, Labels) {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let pairs = labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
    let labels = pairs.map(|pair| {
        let (label, value) = pair.split_once('=').expect("a label has a value");
        (label.to_owned(), value.trim_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect())
}

/// `0+60x10`, `5x20`, `_x3`, `1`: `axn` is a and n more, as in promtool; `_xn` is n.
fn expanded(notation: &str) -> Vec<Option<f64>> {
    let mut values = Vec::new();
    for part in notation.split(' ') {
        let (what, times) =
            part.split_once('x').map_or((part, 0), |(what, times)| (what, times.parse().expect(NOTATION)));
        if what == "_" {
            values.extend((0..times.max(1)).map(|_| None));
            continue;
        }
        let (begin, step) =
            what.split_once('+').map_or((what, 0.0), |(begin, step)| (begin, step.parse().expect(NOTATION)));
        let begin: f64 = begin.parse().expect(NOTATION);
        values.extend((0..=times).map(|index| Some(begin + step * f64::from(index))));
    }
    values
}

/// The file `jobforge.rules.test.yml`.
pub(crate) fn tests_file() -> String {
    let rules = rules();
    let described: BTreeMap<_, _> = rules.iter().map(|rule| (rule.name, rule.description)).collect();
    let mut file = String::from(
        "# When each alert fires, made from the cases of jobforge-core: cargo run --package jobforge-core --example alerts\n\
         # Run it with: promtool test rules jobforge.rules.test.yml\n\
         rule_files: [jobforge.rules.yml]\nevaluation_interval: 1m\ntests:\n",
    );
    for case in cases() {
        let _ = write!(file, "  # {}: {}\n  - interval: 1m\n    input_series:\n", case.rule, case.story);
        for (series, values) in &case.series {
            let _ = write!(file, "      - series: '{series}'\n        values: '{values}'\n");
        }
        file.push_str("    alert_rule_test:\n");
        for (minute, firing) in played(&case, &rules) {
            let _ = write!(
                file,
                "      - eval_time: {minute}m\n        alertname: {}\n        exp_alerts:",
                case.rule
            );
            file.push_str(if firing.is_empty() { " []\n" } else { "\n" });
            for active in firing {
                let _ = write!(
                    file,
                    "          - exp_labels:\n              severity: {}\n",
                    active.severity.word()
                );
                for (label, value) in &active.labels {
                    let _ = writeln!(file, "              {label}: {value}");
                }
                let quoted = |text: &str| text.replace('\'', "''");
                let _ = write!(
                    file,
                    "            exp_annotations:\n              summary: '{}'\n              description: '{}'\n              \
                     runbook_url: {}\n",
                    quoted(&active.summary),
                    quoted(described[case.rule]),
                    runbook_url(case.rule)
                );
            }
        }
    }
    file
}
