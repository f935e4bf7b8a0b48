//! The dashboards as Grafana asks for them.

use std::path::Path;

use serde_json::Value;

use super::server::Prometheus;

/// What Grafana would say that the time from one scrape to four later is, and how long the dashboard looks back.
const RATE_INTERVAL: &str = "8s";
const RANGE: &str = "1m";

/// Asks every query of every dashboard, its variables' and its annotations' included: each has data.
pub(super) fn every_panel_has_data(prometheus: &Prometheus) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring/grafana/dashboards");
    let mut empty = Vec::new();
    let mut asked = 0;
    for file in ["background-jobs.json", "jobforge-overview.json"] {
        let dashboard: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        let variables = variables(prometheus, &dashboard, &mut empty);
        let panels = list(&dashboard["panels"]);
        assert!(
            panels.iter().all(|panel| panel["panels"].is_null()),
            "{file} has rows, whose panels nobody asks"
        );
        let annotations = list(&dashboard["annotations"]["list"]);
        let of_panels = panels.iter().flat_map(|panel| {
            let instant = ["stat", "gauge", "bargauge", "table"].iter().any(|kind| panel["type"] == *kind);
            list(&panel["targets"]).iter().map(move |target| (&panel["title"], target, instant))
        });
        let of_annotations = annotations.iter().map(|one| (&one["name"], one, false));
        for (title, target, instant) in of_panels.chain(of_annotations) {
            let query = filled(target["expr"].as_str().unwrap(), &variables);
            assert!(!query.contains('$'), "{file}, {title}: a variable is left in {query}");
            asked += 1;
            if !has_data(prometheus, &query, instant) {
                empty.push(format!("{file}, {title} {}: {query}", target["refId"]));
            }
        }
    }
    assert!(empty.is_empty(), "{} of {asked} queries have no data:\n{}", empty.len(), empty.join("\n"));
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What each variable is once everything it offers is chosen, one by one as an operator can.
fn variables(prometheus: &Prometheus, dashboard: &Value, empty: &mut Vec<String>) -> Vec<(String, String)> {
    let mut variables = vec![
        ("$__rate_interval".to_owned(), RATE_INTERVAL.to_owned()),
        ("$__range".to_owned(), RANGE.to_owned()),
    ];
    for variable in list(&dashboard["templating"]["list"]).iter().filter(|one| one["type"] == "query") {
        let query = variable["query"]["query"].as_str().unwrap();
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) =
            inner.and_then(|inner| inner.split_once(", ")).unwrap_or_else(|| panic!("{query}"));
        let values = prometheus.ask(&format!("label/{label}/values"), &[("match[]", metric)]);
        let values: Vec<String> =
            list(&values).iter().map(|value| value.as_str().unwrap().replace('.', "\\\\.")).collect();
        if values.is_empty() {
            empty.push(format!("variable {query}"));
        }
        variables
            .push((format!("${}", variable["name"].as_str().unwrap()), format!("({})", values.join("|"))));
    }
    variables
}

fn filled(expression: &str, variables: &[(String, String)]) -> String {
    variables.iter().fold(expression.to_owned(), |query, (name, value)| query.replace(name, value))
}

/// Whether there is a number, now or within the range.
fn has_data(prometheus: &Prometheus, query: &str, instant: bool) -> bool {
    let is_number = |value: &Value| value[1].as_str().is_some_and(|text| text != "NaN");
    if instant {
        return prometheus.query(query).iter().any(|series| is_number(&series["value"]));
    }
    let now: f64 =
        prometheus.ask("query", &[("query", "time()")])["result"][1].as_str().unwrap().parse().unwrap();
    let range = [("start", (now - 60.0).to_string()), ("end", now.to_string()), ("step", "2".to_owned())];
    let mut parameters = vec![("query", query)];
    parameters.extend(range.iter().map(|(name, value)| (*name, value.as_str())));
    let found = prometheus.ask("query_range", &parameters);
    list(&found["result"]).iter().flat_map(|series| list(&series["values"])).any(is_number)
}
