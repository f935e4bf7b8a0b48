//! The rules as a file for Prometheus, and as a page for people.

use std::fmt::Write;
use std::time::Duration;

use super::expr::{Expr, span};
use super::rules::{Group, Rule, groups};
use super::text::template;

/// Where an alert is explained; the name of the alert in small letters is the anchor.
const RUNBOOK: &str = "https://github.com/jobforge/jobforge/blob/main/docs/alerts.md";

/// Between two evaluations.
const INTERVAL: Duration = Duration::from_secs(30);

/// Where to read about an alert.
pub fn runbook_url(rule: &str) -> String {
    format!("{RUNBOOK}#{}", rule.to_ascii_lowercase())
}

/// The rules file of Prometheus.
pub fn rules_file() -> String {
    rules_file_of(&groups(), INTERVAL)
}

/// The same of other groups, with so long between two evaluations.
pub fn rules_file_of(groups: &[Group], interval: Duration) -> String {
    let mut file = String::from(
        "# The alerts of JobForge, made from the table in jobforge-core: change them there, then run\n\
         # cargo run --package jobforge-core --example alerts\n\
         groups:\n",
    );
    for group in groups {
        let _ = write!(file, "  - name: {}\n    interval: {}\n    rules:\n", group.name, span(interval));
        for rule in &group.rules {
            file.push_str(&alert(rule));
        }
    }
    file
}

fn alert(rule: &Rule) -> String {
    let mut text = format!("      - alert: {}\n{}", rule.name, expr(&rule.expr));
    if !rule.hold.is_zero() {
        let _ = writeln!(text, "        for: {}", span(rule.hold));
    }
    let _ = write!(
        text,
        "        labels:\n          severity: {}\n        annotations:\n          summary: {}\n          description: {}\n          \
         runbook_url: {}\n",
        rule.severity.word(),
        quoted(&template(rule.summary)),
        quoted(rule.description),
        runbook_url(rule.name),
    );
    text
}

/// A block, for expressions contain quotes and colons.
fn expr(expr: &Expr) -> String {
    format!("        expr: |-\n          {expr}\n")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The page that explains each alert.
pub fn page() -> String {
    let mut page = String::from(
        "<!-- Made from the table in jobforge-core: cargo run --package jobforge-core --example alerts -->\n\n# Alerts\n\n\
         JobForge judges these rules itself (`jobforge alert list`), and Prometheus does with\n\
         [jobforge.rules.yml](../monitoring/prometheus/jobforge.rules.yml), which is made from the same table.\n",
    );
    for group in groups() {
        let _ = write!(page, "\n## {}\n\n| Alert | Severity | Fires after |\n|---|---|---|\n", group.title);
        for rule in &group.rules {
            let hold = if rule.hold.is_zero() { "at once".to_owned() } else { span(rule.hold) };
            let _ = writeln!(
                page,
                "| [{}](#{}) | {} | {hold} |",
                rule.name,
                rule.name.to_ascii_lowercase(),
                rule.severity.word()
            );
        }
        for rule in &group.rules {
            page.push_str(&section(rule, &group));
        }
    }
    page
}

fn section(rule: &Rule, group: &Group) -> String {
    format!(
        "\n### {}\n\n{}\n\n```promql\n{}\n```\n\nWhat to do: [{}](../runbooks/{}).\n",
        rule.name,
        rule.description,
        rule.expr,
        group.title.to_lowercase(),
        group.runbook
    )
}
