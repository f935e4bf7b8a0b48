//! A Prometheus of the test's own.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jobforge::core::alert::render::rules_file_of;
use serde_json::Value;
use tempfile::TempDir;

use super::table;
use crate::program::{Running, done};

pub(super) struct Prometheus {
    // Ends before its directory goes.
    _process: Running,
    _directory: TempDir,
    url: String,
}

impl Prometheus {
    /// Scrapes these addresses as `monitoring/prometheus/prometheus.yml` says, and judges our rules, but in the time of
    /// this test.
    pub(super) fn start(targets: &[String]) -> Self {
        let directory = TempDir::new().unwrap();
        let monitoring = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring/prometheus");
        let mut config = std::fs::read_to_string(monitoring.join("prometheus.yml")).unwrap();
        for (ours, here) in [
            ("scrape_interval: 15s", "scrape_interval: 2s"),
            ("evaluation_interval: 30s", "evaluation_interval: 1s"),
            ("[\"127.0.0.1:8080\"]", &Value::from(targets).to_string()),
            // Nobody is to be told.
            ("127.0.0.1:9093", "127.0.0.1:9"),
        ] {
            assert!(config.contains(ours), "prometheus.yml says no more {ours}");
            config = config.replace(ours, here);
        }
        std::fs::write(directory.path().join("prometheus.yml"), config).unwrap();
        let rules = rules_file_of(&table(), Duration::from_secs(1));
        std::fs::write(directory.path().join("jobforge.rules.yml"), rules).unwrap();
        let address = free_address();
        let mut command = Command::new("prometheus");
        command
            .current_dir(directory.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"));
        // Of Debian's package prometheus: `cargo xtask deps`.
        let process = Running::start(command, "Server is ready to receive web requests");
        Self { _process: process, _directory: directory, url: format!("http://{address}") }
    }

    /// What its API answers, which must be a success.
    pub(super) fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-G", "--max-time", "20", &format!("{}/api/v1/{path}", self.url)]);
        for (name, value) in parameters {
            curl.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let asked = done(curl.output().unwrap());
        let answer: Value =
            serde_json::from_str(&asked.out).unwrap_or_else(|_| panic!("{path}: {}", asked.err));
        assert_eq!(answer["status"], "success", "{path} {parameters:?}: {answer}");
        answer["data"].clone()
    }

    /// The series that an expression has now, with their values.
    pub(super) fn query(&self, expression: &str) -> Vec<Value> {
        self.ask("query", &[("query", expression)])["result"].as_array().cloned().unwrap_or_default()
    }

    /// The names of alerts that fire, or with `pending` also of those that are about to, with their labels.
    pub(super) fn alerts(&self, pending: bool) -> Vec<(String, Value)> {
        let listed = self.ask("alerts", &[]);
        let alerts = listed["alerts"].as_array().unwrap_or_else(|| panic!("{listed}"));
        let wanted = alerts.iter().filter(|alert| pending || alert["state"] == "firing");
        wanted
            .map(|alert| (alert["labels"]["alertname"].as_str().unwrap().to_owned(), alert["labels"].clone()))
            .collect()
    }

    /// What it says is wrong with a rule or a target; nothing if all is well.
    pub(super) fn faults(&self) -> String {
        let mut faults = String::new();
        let groups = self.ask("rules", &[]);
        for rule in
            groups["groups"].as_array().into_iter().flatten().flat_map(|g| g["rules"].as_array().unwrap())
        {
            if rule["health"] != "ok" {
                let _ = writeln!(faults, "rule {}: {} {}", rule["name"], rule["health"], rule["lastError"]);
            }
        }
        for target in self.ask("targets", &[])["activeTargets"].as_array().into_iter().flatten() {
            if target["health"] != "up" {
                let _ =
                    writeln!(faults, "{}: {} {}", target["scrapeUrl"], target["health"], target["lastError"]);
            }
        }
        faults
    }
}

/// An address on this machine where nobody listens.
pub(super) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
