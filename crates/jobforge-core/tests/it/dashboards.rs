//! The dashboards for Grafana: complete, valid, and in agreement with the alerts.

use std::collections::BTreeSet;
use std::path::Path;

use jobforge_core::alert::rules::rules;
use serde_json::Value;

use super::programs::{self, monitoring};

fn dashboards() -> Vec<Value> {
    let read = |name: &str| {
        let text = std::fs::read_to_string(monitoring().join("grafana/dashboards").join(name)).expect(name);
        serde_json::from_str(&text).expect(name)
    };
    vec![read("background-jobs.json"), read("jobforge-overview.json")]
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The queries of a dashboard as they are asked once its variables have values.
fn queries(dashboard: &Value) -> Vec<String> {
    let asked = panels(dashboard).iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations").iter();
    let filled = |target: &Value| {
        let query = target["expr"].as_str().expect("an expression").to_owned();
        [
            ("$__rate_interval", "5m"),
            ("$__range", "6h"),
            ("$job_name", ".*"),
            ("$queue", ".*"),
            ("$instance", ".*"),
        ]
        .iter()
        .fold(query, |query, (variable, value)| query.replace(variable, value))
    };
    asked.chain(annotations).map(filled).collect()
}

#[test]
fn the_dashboard_of_background_jobs_has_the_panels_that_the_runbook_names() {
    let dashboard = &dashboards()[0];
    assert_eq!(dashboard["uid"], "background-jobs");
    assert_eq!(dashboard["title"], "Background Jobs Monitoring");
    let titles: BTreeSet<_> =
        panels(dashboard).iter().map(|panel| panel["title"].as_str().unwrap_or("")).collect();
    for title in [
        "Job Execution Status Overview",
        "Job Success Rate",
        "Job Queue Sizes",
        "Job Duration (P95)",
        "Time Since Last Success",
        "Execution Details Table",
    ] {
        assert!(titles.contains(title), "no panel {title} in {titles:?}");
    }
}

#[test]
fn a_dashboard_can_be_imported_into_any_grafana() {
    for dashboard in dashboards() {
        let title = &dashboard["title"];
        assert!(dashboard["id"].is_null() && dashboard["editable"] == true, "{title}");
        assert_eq!(dashboard["timezone"], "utc", "{title}");
        let ids: BTreeSet<_> = panels(&dashboard).iter().map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels(&dashboard).len(), "{title}: ids of panels are unique");
        for panel in panels(&dashboard) {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}: {}", panel["title"]);
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        }
    }
}

#[test]
fn limits_on_dashboards_are_those_of_the_alerts() {
    let mut linked = 0;
    for dashboard in dashboards() {
        for panel in panels(&dashboard) {
            let Some((_, anchor)) = panel["links"][0]["url"].as_str().and_then(|url| url.split_once('#'))
            else {
                continue;
            };
            let rule =
                rules().into_iter().find(|rule| rule.name.to_ascii_lowercase() == anchor).expect(anchor);
            let condition = rule.expr.to_string();
            let numbers: Vec<f64> =
                condition.split([' ', ')', '(', ',']).filter_map(|word| word.parse().ok()).collect();
            let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().expect("steps");
            // `> 0` counts, and is drawn from one on.
            let agrees = |limit: f64| {
                numbers.iter().any(|number| (number - limit).abs() < 1e-9 || limit == number + 1.0)
            };
            let shown = steps.iter().filter_map(|step| step["value"].as_f64()).any(agrees);
            assert!(shown, "{} shows no limit of {condition}", panel["title"]);
            linked += 1;
        }
    }
    assert!(linked >= 10, "only {linked} panels tell which alert they belong to");
}

#[test]
fn every_query_of_the_dashboards_is_promql() {
    let mut file = String::from("groups:\n  - name: queries\n    rules:\n");
    for (index, query) in dashboards().iter().flat_map(queries).enumerate() {
        file.push_str(&format!("      - record: query:{index}\n        expr: {}\n", Value::from(query)));
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard-queries.yml");
    std::fs::write(&path, file).expect("the folder for tests can be written to");
    programs::promtool(&["check", "rules", path.to_str().expect("a path of text")]);
}

#[test]
fn the_examples_for_prometheus_and_alertmanager_are_valid() {
    programs::promtool(&["check", "config", "--syntax-only", "prometheus/prometheus.yml"]);
    programs::run("amtool", "prometheus-alertmanager", &["check-config", "prometheus/alertmanager.yml"]);
}
