//! Looks at the dashboard of this build with a real browser.

use std::process::Command;

use anyhow::Result;
use testkit::postgres::SHARED_SERVER_VARIABLE;

use crate::stages::{Outcome, Run};
use crate::{repository, run as run_command, this_build};

/// Installs what it needs, and looks at the server that JOBFORGE_BIN names.
const SCRIPT: &str = "crates/jobforge-server/browser/check";

/// The stage.
pub(crate) fn check(run: &Run) -> Result<Outcome> {
    let mut script = Command::new(repository().join(SCRIPT));
    if let Some(cluster) = &run.cluster {
        script.env(SHARED_SERVER_VARIABLE, cluster.server().url());
    }
    run_command(script.env("JOBFORGE_BIN", this_build()?))?;
    Ok(Outcome::Passed)
}
