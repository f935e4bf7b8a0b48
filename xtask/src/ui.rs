//! Looks at the dashboard of this build with a real browser.

use std::process::Command;

use anyhow::Result;

use crate::stages::Outcome;
use crate::{repository, run as run_command, this_build};

/// Installs what it needs, and looks at the server that JOBFORGE_BIN names.
const SCRIPT: &str = "crates/jobforge-server/browser/check";

/// The stage.
pub(crate) fn check() -> Result<Outcome> {
    run_command(Command::new(repository().join(SCRIPT)).env("JOBFORGE_BIN", this_build()?))?;
    Ok(Outcome::Passed)
}
