//! `cargo xtask book`: the documentation as a site, with every link checked.
//!
//! Pages stay where they are read in the repository: mostly in `docs/`, but also `runbooks/` and the READMEs.
//! [`pages`] copies what `docs/SUMMARY.md` names into one folder and mends the links between them, mdBook makes HTML of
//! that, and [`links`] looks whether everything in it leads somewhere.

mod links;
mod pages;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::stages::{Outcome, Run, Stage};
use crate::{beside_this_program, reference, repository, run as run_command, stages, succeeds, test};

const CONFIGURATION: &str = "book.toml";
/// The version that the site is made with; another one may number its headings otherwise.
const MDBOOK: &str = "0.5.4";

/// The chore: the pages that are made from the program, and the site.
pub(crate) fn run() -> Result<()> {
    stages::run(&[test::POSTGRES, Stage { name: "book", run: check }])
}

/// The stage.
pub(crate) fn check(run: &mut Run) -> Result<Outcome> {
    reference::check(run)?;
    let site = build()?;
    let broken = links::broken(&site)?;
    if !broken.is_empty() {
        bail!("{} links of the site lead nowhere\n{}", broken.len(), broken.join("\n"));
    }
    println!("the site is in {}", site.display());
    Ok(Outcome::Passed)
}

/// Makes the site and returns where it is.
fn build() -> Result<PathBuf> {
    let place = beside_this_program("book")?;
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("failed to remove {}", place.display()))?;
    }
    let pages = pages::lay_out(&repository(), &place.join("src"))?;
    fs::copy(repository().join(CONFIGURATION), place.join(CONFIGURATION))
        .with_context(|| format!("failed to copy {CONFIGURATION}"))?;
    run_command(Command::new(mdbook()?).arg("build").arg(&place))?;
    println!("{pages} pages");
    Ok(place.join("site"))
}

/// The program that makes the site: the installed one if it is the wanted version, else one that is built once.
fn mdbook() -> Result<PathBuf> {
    let installed = Command::new("mdbook").arg("--version").output();
    if installed.is_ok_and(|output| output.stdout.starts_with(format!("mdbook v{MDBOOK}\n").as_bytes())) {
        return Ok(PathBuf::from("mdbook"));
    }
    let root = beside_this_program("mdbook")?;
    let program = root.join("bin/mdbook");
    let wanted = program.to_string_lossy();
    if succeeds(&wanted, &["--version"]) {
        return Ok(program);
    }
    let built = root.join("built");
    // Without optimisation: it runs for seconds, and would be built for minutes.
    let mut install = Command::new("cargo");
    install.args(["install", "mdbook", "--version", MDBOOK, "--locked", "--debug", "--quiet"]);
    install.args(["--no-default-features", "--features", "search", "--root"]).arg(&root);
    install.env("CARGO_TARGET_DIR", &built).env("CARGO_PROFILE_DEV_DEBUG", "0");
    run_command(&mut install)?;
    fs::remove_dir_all(&built).with_context(|| format!("failed to remove {}", built.display()))?;
    Ok(program)
}
