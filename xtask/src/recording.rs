//! `cargo xtask recording`: the terminal of the README, recorded from the program of this build.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{python, repository, run as run_command, this_build};

const FOLDER: &str = "xtask/recording";
const OUTPUT: &str = "docs/images/recording.svg";

/// Types the scene into a real terminal and writes what was seen. Takes a minute.
pub(crate) fn run() -> Result<()> {
    let program = this_build()?;
    let directory = program.parent().context("the program is in no directory")?;
    let interpreter = python::program("recording", "bin/python")?;
    let folder = repository().join(FOLDER);
    let mut record = Command::new(interpreter);
    record.args([folder.join("record.py"), folder.join("scene.txt"), repository().join(OUTPUT)]);
    // Beside it only what a shell has anyway.
    record.env("PATH", format!("{}:/usr/bin:/bin", directory.display()));
    run_command(&mut record)
}
