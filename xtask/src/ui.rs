//! Looks at the dashboard of this build with a real browser.

use std::process::Command;

use anyhow::Result;

use crate::stages::Outcome;
use crate::{beside_this_program, command, repository, run as run_command};

/// Installs what it needs, and looks at the server that JOBFORGE_BIN names.
const SCRIPT: &str = "crates/jobforge-server/browser/check";

/// The stage.
pub(crate) fn check() -> Result<Outcome> {
    // As the tests build it, so that nothing is compiled twice.
    run_command(&mut command("cargo", &["test", "--quiet", "--workspace", "--no-run"]))?;
    let jobforge = beside_this_program("jobforge")?;
    run_command(Command::new(repository().join(SCRIPT)).env("JOBFORGE_BIN", &jobforge))?;
    Ok(Outcome::Passed)
}
