//! Writes what is made from the table of alerts: `cargo run --package jobforge-core --example alerts`.

use std::path::Path;

use jobforge_core::alert::render;

#[path = "../tests/it/alert_cases.rs"]
mod alert_cases;
#[path = "../tests/it/alert_promtool.rs"]
mod alert_promtool;

fn main() -> std::io::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let monitoring = repository.join("monitoring/prometheus");
    std::fs::create_dir_all(&monitoring)?;
    std::fs::write(monitoring.join("jobforge.rules.yml"), render::rules_file())?;
    std::fs::write(monitoring.join("jobforge.rules.test.yml"), alert_promtool::tests_file())?;
    std::fs::write(repository.join("docs/alerts.md"), render::page())
}
