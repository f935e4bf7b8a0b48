//! Programs of Python's package index, for tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{beside_this_program, command, repository, run as run_command};

/// A program of `xtask/NAME/requirements.txt`, installed below the target directory unless it is there.
pub(crate) fn program(name: &str, program: &str) -> Result<PathBuf> {
    let requirements = format!("xtask/{name}/requirements.txt");
    let venv = beside_this_program(name)?;
    let (wanted, installed) = (repository().join(&requirements), venv.join("requirements.txt"));
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()));
    let program = venv.join(program);
    if program.is_file() && read(&installed).ok() == Some(read(&wanted)?) {
        return Ok(program);
    }
    let place = venv.to_string_lossy();
    run_command(&mut command("python3", &["-m", "venv", "--clear", &place]))
        .context("failed to make a virtual environment\nhint: `cargo xtask deps` installs python3-venv")?;
    let pip = venv.join("bin/pip");
    let arguments = ["install", "--quiet", "--disable-pip-version-check", "--requirement", &requirements];
    run_command(&mut command(&pip.to_string_lossy(), &arguments))?;
    fs::copy(&wanted, &installed).context("failed to note what was installed")?;
    Ok(program)
}
