//! Programs of others that judge what we ship.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What we ship for monitoring.
pub(super) fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring")
}

/// Prometheus' own judge of rules and configurations, run in `monitoring/`.
pub(super) fn promtool(arguments: &[&str]) {
    run("promtool", "prometheus", arguments);
}

/// A program that must be satisfied, run in `monitoring/`.
pub(super) fn run(program: &str, package: &str, arguments: &[&str]) {
    let run = Command::new(program).args(arguments).current_dir(monitoring()).output();
    let run = run.unwrap_or_else(|_| {
        panic!("{program} is there: cargo xtask test installs Debian's package {package}")
    });
    let (told, complained) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{program} {}:\n{told}\n{complained}", arguments.join(" "));
}
