//! `cargo xtask ci`: what `cargo xtask test` does, and a look at our dependencies.

use anyhow::Result;

use crate::stages::{self, Outcome, Run, Stage};
use crate::{command, run as run_command, succeeds, test};

const DENY: Stage = Stage { name: "deny", run: deny };

pub(crate) fn run() -> Result<()> {
    let stages: Vec<Stage> = std::iter::once(DENY).chain(test::STAGES).collect();
    stages::run(&stages)
}

fn deny(_: &mut Run) -> Result<Outcome> {
    if !succeeds("cargo", &["deny", "--version"]) {
        return Ok(Outcome::LeftOut("cargo-deny is not installed (cargo install --locked cargo-deny)"));
    }
    run_command(&mut command("cargo", &["deny", "check"])).map(|()| Outcome::Passed)
}
