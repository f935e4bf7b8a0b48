//! Runs the checks of the SDKs in other languages, each against the server of this build.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::stages::Outcome;
use crate::{repository, run as run_command, this_build};

const SDKS: &str = "sdks";
/// The script of an SDK that installs what it needs, checks and tests it against the server that JOBFORGE_BIN names.
const SCRIPT: &str = "check";

/// The stage: fails with the first SDK that does.
pub(crate) fn check() -> Result<Outcome> {
    let jobforge = this_build()?;
    let scripts = scripts()?;
    ensure!(!scripts.is_empty(), "failed to find any {SDKS}/*/{SCRIPT}");
    for script in scripts {
        println!("{}", script.display());
        run_command(Command::new(&script).env("JOBFORGE_BIN", &jobforge))?;
    }
    Ok(Outcome::Passed)
}

fn scripts() -> Result<Vec<PathBuf>> {
    let directory = repository().join(SDKS);
    let failed = || format!("failed to read {}", directory.display());
    let mut scripts = Vec::new();
    for entry in fs::read_dir(&directory).with_context(failed)? {
        let script = entry.with_context(failed)?.path().join(SCRIPT);
        if script.is_file() {
            scripts.push(script);
        }
    }
    scripts.sort();
    Ok(scripts)
}
